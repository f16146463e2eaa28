#!/usr/bin/env bash
# A tuner measures both configurations, and writes the table with one of them.
set -euo pipefail

table=$TEST_TMPDIR/table.json
"$1" --rounds=2 --table="$table"
cat "$table"
grep -q '"tuned": {' "$table"
grep -q '"default": {' "$table"
grep -qE '"sm_90": \{"BLOCK": (128|256), "num_warps": [24]' "$table"
