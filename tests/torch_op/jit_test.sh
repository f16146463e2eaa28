#!/usr/bin/env bash
# jit_test.sh SCRIPTED JIT: a module that Python saved, in a C++ program.
set -euo pipefail
export SCRIPTED=$TEST_TMPDIR/scripted.pt
"$1" "$SCRIPTED"
"$2"
