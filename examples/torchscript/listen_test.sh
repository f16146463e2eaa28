#!/usr/bin/env bash
# Asserts what listen prints: a line for each piece, of which one is halved.
#
#   listen_test.sh LISTEN
set -euo pipefail

output=$("$1")
echo "$output"
[ "$(grep -Ec '^piece [1-6]: speech 0\.[0-9]{2}, halved [0-9] times$' <<< "$output")" -eq 6 ]
[ "$(grep -c 'halved 3 times' <<< "$output")" -eq 1 ]
