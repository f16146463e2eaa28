#!/usr/bin/env bash
# Asserts what swap_weights prints: other scores with other weights, and no request lost.
#
#   swap_weights_test.sh SWAP_WEIGHTS OLD NEW
set -euo pipefail

swap_weights=$1 old=$2 new=$3

score() { sed -n "s/^$1: //p"; }

there=$("$swap_weights" "$old" "$new")
back=$("$swap_weights" "$new" "$old")
echo "$there"
[ "$(score failed <<< "$there")" = 0 ]
[ "$(score before <<< "$there")" != "$(score after <<< "$there")" ]
[ "$(score before <<< "$there")" = "$(score after <<< "$back")" ]
[ "$(score after <<< "$there")" = "$(score before <<< "$back")" ]

# A file of another model's.
printf '\x02\0\0\0\0\0\0\0{}' > "$TEST_TMPDIR/empty.safetensors"
if "$swap_weights" "$old" "$TEST_TMPDIR/empty.safetensors" 2> "$TEST_TMPDIR/error"; then
  exit 1
fi
cat "$TEST_TMPDIR/error"
grep -q "hidden.weight" "$TEST_TMPDIR/error"
