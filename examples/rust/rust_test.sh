#!/usr/bin/env bash
# Compiles the example with the machine's rustc, and asserts what it prints.
#
#   rust_test.sh MAIN_RS LAYOUT LIBRESNET LIBOLD LIBSHORT
set -euo pipefail

main=$1 layout=$2 library=$PWD/$3 old=$PWD/$4 short=$PWD/$5

# Rust's installer puts it below the home directory, which tests are not told.
HOME=$(getent passwd "$(id -u)" | cut -d: -f6)
export HOME TMPDIR=$TEST_TMPDIR PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
if ! type -P rustc > /dev/null; then
  echo "SKIPPED: no rustc on this machine; the example was not compiled"
  exit 0
fi

fail() {
  echo "FAILED: $1" >&2
  exit 1
}

rust=$TEST_TMPDIR/rust
rustc --edition 2021 -D warnings -O "$main" -o "$rust"
cd "$TEST_TMPDIR"

# Rust has the C ABI's structs once more: as they lie in C.
diff <("$OLDPWD/$layout") <("$rust" --layout) || fail "another layout than C's"

"$rust" "$library" > output
for line in '//models:resnet' \
  '  signature: \(image: float32\[batch, 3, 224, 224\]\) -> .*' \
  'best of 1000 classes: [0-9]{1,3}, score [0-9.]+' \
  "a grey 4 x 4 picture: input 'image': .* dimension 1 is 1, not 3" \
  "another dtype: input 'image': .* the dtype is float64, not float32"; do
  grep -Eqx "$line" output || fail "no line '$line' in:"$'\n'"$(cat output)"
done

# expect_failure MESSAGE ARGUMENT...
expect_failure() {
  local message=$1 got=0
  shift
  "$rust" "$@" > output 2> stderr || got=$?
  [ "$got" -ne 0 ] || fail "rust $* ended well"
  grep -Eq "$message" stderr || fail "no '$message' from rust $*: $(cat stderr)"
}
expect_failure "cannot open shared object file.* \(code 5\)" ./missing.so
expect_failure "no compiled model.* \(code 3\)" libm.so.6
expect_failure "it has ABI version 2, this program knows 3 \(code 12\)" "$old"
expect_failure "its table has 64 bytes, .* \(code 12\)" "$short"
expect_failure "^usage: rust LIBRARY"
RTORCH_ISA=x86-64 expect_failure "code 12" "$library"
