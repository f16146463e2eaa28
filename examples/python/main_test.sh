#!/usr/bin/env bash
# Asserts what the example prints.
#
#   main_test.sh MAIN
set -euo pipefail

fail() {
  echo "FAILED: $1" >&2
  exit 1
}

output=$("$PWD/$1")

expect() {
  grep -Eqx "$1" <<< "$output" || fail "no line '$1' in:"$'\n'"$output"
}

expect '<compiled model //models:resnet\(image: float32\[batch, 3, 224, 224\]\) -> \(logits: float32\[batch, 1000\]\)> on [a-z0-9_-]+'
expect 'best of 1000 classes: [0-9]{1,3}, score [0-9.]+'
expect 'the same of each of four: True'
expect "a grey picture: input 'image': expected float32\[batch, 3, 224, 224\] .*: dimension 1 is 1, not 3"
expect 'torch was imported: False'
[ "$(wc -l <<< "$output")" -eq 5 ] || fail "not five lines: $output"
