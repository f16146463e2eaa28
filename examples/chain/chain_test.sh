#!/usr/bin/env bash
# Asserts what chain prints: all threads the same.
#
#   chain_test.sh CHAIN
set -euo pipefail

output=$("$1")
echo "$output"
[ "$(grep -Ec '^thread [0-9]: 50 requests, highest probability 0\.[0-9]+$' <<< "$output")" -eq 3 ]
[ "$(cut -d: -f2 <<< "$output" | sort -u | wc -l)" -eq 1 ]
