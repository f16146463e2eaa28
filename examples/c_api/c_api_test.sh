#!/usr/bin/env bash
# Asserts what c_api prints.
#
#   c_api_test.sh C_API LIBRESNET
set -euo pipefail

c_api=$PWD/$1
library=$PWD/$2
cd "$TEST_TMPDIR"

fail() {
  echo "FAILED: $1" >&2
  exit 1
}

expect() {
  grep -Eqx "$1" output || fail "no line '$1' in:"$'\n'"$(cat output)"
}

"$c_api" "$library" > output
expect '//models:resnet'
expect '  signature: \(image: float32\[batch, 3, 224, 224\]\) -> \(logits: float32\[batch, 1000\]\)'
expect '  weights: 541[0-9]{5} bytes'
expect '  input image: float32\[batch, 3, 224, 224\]'
expect '  output logits: float32\[batch, 1000\]'
expect 'best of 1000 classes: [0-9]{1,3}, score [0-9.]+'
expect "a grey 4 x 4 picture: input 'image': expected float32\[batch, 3, 224, 224\] .*"
[ "$(wc -l < output)" -eq 7 ] || fail "not seven lines: $(cat output)"
expected=$(cat output)

# The default library lies beside the program, wherever that is started from.
mkdir bin
cp "$c_api" bin/c_api
ln -s "$TEST_SRCDIR" bin/c_api.runfiles
[ "$(cd / && env -i "$OLDPWD/bin/c_api")" = "$expected" ] || fail "another output"

# expect_failure STATUS MESSAGE ARGUMENT...
expect_failure() {
  local want=$1 message=$2 got=0
  shift 2
  "$c_api" "$@" > output 2> stderr || got=$?
  [ "$got" -eq "$want" ] || fail "status $got, not $want, from c_api $*"
  grep -Eq "$message" stderr || fail "no '$message' from c_api $*: $(cat stderr)"
}
expect_failure 1 "^c_api: ./missing.so: cannot open" ./missing.so
expect_failure 1 "^c_api: libm.so.6: no compiled model: it does not export" libm.so.6
expect_failure 2 "^usage: c_api" "$library" "$library"

# The library exports its entry point and nothing else.
if type -P nm > /dev/null; then
  symbols=$(nm --dynamic --defined-only --format=posix "$library" | cut -d' ' -f1)
  [ "$symbols" = rtorch_model_api ] || fail "exported: $symbols"
fi
