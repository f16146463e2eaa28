#!/usr/bin/env bash
# Asserts that `kernels` either finds a GPU and every result right, or says that there is
# no GPU and exits with 77. Which of the two it was is in the log: without a GPU, nothing
# has been shown about the kernels.
#
#   kernels_test.sh KERNELS
set -euo pipefail

kernels=$PWD/$1
cd "$TEST_TMPDIR"

fail() {
  echo "FAILED: $1" >&2
  cat output stderr >&2
  exit 1
}

# expect_status STATUS ARGUMENT...
expect_status() {
  local want=$1 got=0
  shift
  "$kernels" "$@" > output 2> stderr || got=$?
  [ "$got" -eq "$want" ] || fail "status $got, not $want, from kernels $*"
}

expect_status 0 --help
grep -q '77 there is' output || fail "no status 77 in the help"
for argument in --launches=5 --threads=0 --seed= --seed=-1 --unknown 3; do
  expect_status 2 "$argument"
  grep -q '^usage: kernels' stderr || fail "no usage for $argument"
done

status=0
"$kernels" > output 2> stderr || status=$?
cat output stderr
case $status in
  0)
    grep -Eq '^[0-9]{3} calls, 0 wrong$' output || fail "no count of calls"
    expect_status 0 --threads=4 --launches=60
    grep -q 'no wrong value' output || fail "no result of the stress"
    ;;
  77)
    grep -q '^kernels: nothing was run: ' stderr || fail "no reason"
    expect_status 77 --threads=2
    echo "SKIPPED: no GPU here; no kernel was run"
    ;;
  *) fail "status $status" ;;
esac
