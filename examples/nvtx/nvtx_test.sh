#!/usr/bin/env bash
# Asserts what a tool that reads NVTX sees of three runs, and that none is needed.
#
#   nvtx_test.sh NVTX LISTENER
set -euo pipefail

nvtx=$1 listener=$2

NVTX_INJECTION64_PATH=$PWD/$listener "$nvtx" 2> "$TEST_TMPDIR/ranges" | tee /dev/stderr |
  grep -qx "a tool listens"
cat "$TEST_TMPDIR/ranges"
begun=$(grep -c '^rules_torch: begin ' "$TEST_TMPDIR/ranges")
[ "$begun" -gt 0 ] && [ $((begun % 3)) -eq 0 ]
[ "$(grep -c '^rules_torch: end$' "$TEST_TMPDIR/ranges")" -eq "$begun" ]
# The line of the model's.
grep -q '(aten\..*, models/tiny.py: .*)$' "$TEST_TMPDIR/ranges"

"$nvtx" 2> "$TEST_TMPDIR/ranges" | grep -qx "no tool listens"
[ ! -s "$TEST_TMPDIR/ranges" ]
