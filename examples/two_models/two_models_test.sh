#!/usr/bin/env bash
# Asserts what two_models prints: the counter counts, and its means are those of the
# perceptron's results.
#
#   two_models_test.sh TWO_MODELS
set -euo pipefail

output=$("$1")
echo "$output"

awk '
  $1 == "call" { calls += 1; if ($2 != calls) { print "wrong count:", $0; wrong = 1 } }
  $1 == "y:" { for (i = 2; i <= 5; ++i) sum[i] += $i; if ($2 != last) ++distinct; last = $2 }
  $1 == "mean:" {
    for (i = 2; i <= 5; ++i) {
      error = $i - sum[i] / calls
      if (NF != 5 || !(error < 2e-6 && error > -2e-6)) { print "wrong mean:", $0; wrong = 1 }
    }
  }
  END { exit wrong || NR != 9 || calls != 3 || distinct != 3 }
' <<< "$output"
