#!/usr/bin/env bash
# Asserts what classify says about real photographs and crafted files.
#
#   classify_test.sh CLASSIFY CHELSEA COFFEE CAMERA ROCKET
#
# CHELSEA is also classify's default picture. CAMERA is grey, ROCKET a JPEG file.
set -euo pipefail

classify=$PWD/$1
chelsea=$PWD/$2
coffee=$PWD/$3
camera=$PWD/$4
rocket=$PWD/$5
cd "$TEST_TMPDIR"

fail() {
  echo "FAILED: $1" >&2
  exit 1
}

# expect_classes EXPECTED OUTPUT: the same names in the same order, and the same
# probabilities but for rounding. EXPECTED may be the beginning only.
expect_classes() {
  paste -d '|' <(echo "$1") <(head -n "$(wc -l <<< "$1")" <<< "$2") | awk -F '|' '
    {
      split($1, expected, "  "); split($2, got, "  ")
      error = got[1] - expected[1]
      if (got[2] != expected[2] || error > 0.001 || error < -0.001) wrong = 1
    }
    END { exit wrong }
  ' || fail "expected"$'\n'"$1"$'\n'"but got"$'\n'"$2"
  [ "$(wc -l <<< "$2")" -eq 5 ] || fail "not five lines: $2"
}

# expect_failure STATUS MESSAGE ARGUMENT...: nothing on stdout, and on stderr one line
# with MESSAGE, a regular expression.
expect_failure() {
  local want=$1 message=$2 got=0
  shift 2
  "$classify" "$@" > stdout 2> stderr || got=$?
  [ "$got" -eq "$want" ] || fail "status $got, not $want, from classify $*: $(cat stderr)"
  [ ! -s stdout ] || fail "classify $* printed $(cat stdout)"
  [ "$(wc -l < stderr)" -eq 1 ] || fail "not one line from classify $*: $(cat stderr)"
  grep -Eq "$message" stderr || fail "no '$message' from classify $*: $(cat stderr)"
}

# expect_unreadable PATH REASON: a failure whose message names the file.
expect_unreadable() {
  expect_failure 1 "^classify: cannot read '$1': .*$2" "$1"
}

echo "== Photographs"
cat_classes='0.4055  tiger cat
0.3400  Egyptian cat
0.1745  tabby
0.0149  lynx
0.0012  window screen'
expect_classes "$cat_classes" "$("$classify" "$chelsea")"
expect_classes "0.9520  espresso" "$("$classify" "$coffee")"
expect_classes "0.9578  tripod" "$("$classify" "$camera")"
expect_classes "0.2835  missile" "$("$classify" "$rocket")"

echo "== The default picture, wherever the program is started from"
expect_classes "$cat_classes" "$("$classify")"
# As in bazel-bin: the program, and its files in a folder beside it.
mkdir bin
ln -s "$classify" bin/classify
ln -s "$TEST_SRCDIR" bin/classify.runfiles
expect_classes "$cat_classes" "$(cd / && env -i "$OLDPWD/bin/classify")"
expect_classes "$cat_classes" "$(cd bin && env -i ./classify)"

echo "== Paths relative to where bazel run was called"
mkdir pictures
cp "$coffee" pictures/coffee.png
expect_classes "0.9520  espresso" \
  "$(BUILD_WORKING_DIRECTORY=$PWD/pictures "$classify" coffee.png)"

echo "== No Python, no library missing"
ldd "$classify" > libraries
if grep -Ei 'python|not found' libraries; then fail "see the libraries above"; fi

echo "== A trace"
expect_classes "$cat_classes" "$("$classify" --trace=trace.json "$chelsea")"
python3 - trace.json <<'PY'
import collections, json, sys

with open(sys.argv[1], encoding="utf-8") as file:
    events = json.load(file)["traceEvents"]
begun = [event for event in events if event["ph"] == "B"]
assert [event["name"] for event in begun] == [
    event["name"] for event in events if event["ph"] == "E"
], "steps do not end as they begin"
times = [event["ts"] for event in events]
assert times == sorted(times), "time goes back"
operators = collections.Counter(event["args"]["operators"] for event in begun)
# Each with what follows it.
convolutions = [name for name in operators if name.startswith("aten.convolution")]
assert sum(operators[name] for name in convolutions) == 49, operators
sources = {event["args"]["source"] for event in begun}
assert all(source.startswith("models/efficientnet_lite0.py: ") for source in sources), sources
PY

echo "== The command line"
"$classify" --help > help
grep -q '^usage: classify' help || fail "--help printed $(cat help)"
expect_failure 2 "usage: classify .*\[PICTURE\]" "$coffee" "$coffee"
expect_failure 2 "usage: classify .*\[PICTURE\]" --frobnicate
# The answer is there before the trace is.
if "$classify" --trace=missing/trace.json "$chelsea" > stdout 2> stderr; then
  fail "a trace that cannot be written is no error"
fi
expect_classes "$cat_classes" "$(cat stdout)"
grep -q "^classify: cannot write 'missing/trace.json': No such file" stderr ||
  fail "got $(cat stderr)"
if "$classify" > /dev/full; then fail "lost output is no error"; fi

echo "== Files that are no pictures"
expect_unreadable missing.png "No such file or directory"
expect_unreadable pictures "Is a directory"
expect_unreadable pictures/coffee.png/more "Not a directory"
touch locked.png
chmod 000 locked.png
# For root no file is locked; this one is empty, too.
expect_unreadable locked.png "Permission denied|empty"
: > empty.png
expect_unreadable empty.png "empty"
expect_unreadable /dev/zero "larger than 256 MiB"
expect_unreadable "$classify" "not of any known type"
printf 'garbage%.0s' {1..9999} > garbage.jpg
expect_unreadable garbage.jpg "not of any known type"

echo "== Truncated pictures"
for size in 8 33 1000 100000 $(($(stat -L -c %s "$coffee") - 1)); do
  head -c "$size" "$coffee" > truncated.png
  expect_unreadable truncated.png "truncated"
done
for size in 2 20 1000 50000 $(($(stat -L -c %s "$rocket") - 1)); do
  head -c "$size" "$rocket" > truncated.jpg
  expect_unreadable truncated.jpg "truncated"
done
# A segment with an end-of-image marker in it, as a thumbnail has, is not the end.
{
  printf '\xff\xd8\xff\xe1\x00\x08\xff\xd8\xff\xd9\xff\xd9'
  tail -c +3 "$rocket"
} > thumbnail.jpg
expect_classes "0.2835  missile" "$("$classify" thumbnail.jpg)"
head -c 50000 thumbnail.jpg > truncated.jpg
expect_unreadable truncated.jpg "truncated"
# Cameras leave things after the end.
{ cat "$rocket" && echo more; } > more.jpg
expect_classes "0.2835  missile" "$("$classify" more.jpg)"
printf 'P6 20 20 255\nabc' > truncated.ppm
expect_unreadable truncated.ppm "truncated"

# escapes NUMBER...: bytes as printf's %b wants them; be32 NUMBER: four, big-endian.
escapes() { printf '\\x%02x' "$@"; }
be32() { escapes $(($1 >> 24 & 255)) $(($1 >> 16 & 255)) $(($1 >> 8 & 255)) $(($1 & 255)); }

# png WIDTH HEIGHT BITS COLOUR_TYPE BYTE...: a PNG file whose one row of pixels is given
# as bytes. Its checksums are 0: the decoder does not look at them.
png() {
  local header size=$(($# - 3))
  header=$(be32 13)IHDR$(be32 "$1")$(be32 "$2")$(escapes "$3" "$4" 0 0 0)$(be32 0)
  shift 4
  printf '\x89PNG\r\n\x1a\n%b' "$header"
  # One deflate block, stored as it is; 0 says that the row is not filtered.
  printf '%b' "$(be32 $((size + 11)))IDAT$(escapes 0x78 1 1 "$size" 0 $((255 - size)) 255 \
    0 "$@")$(be32 0)$(be32 0)"
  printf '\x00\x00\x00\x00IEND\xae\x42\x60\x82'
}

echo "== Sizes that are wrong or too large"
printf 'P6 100000 100000 255\nabc' > huge.ppm
expect_unreadable huge.ppm "100000 x 100000 pixels; the limit is 100 megapixels"
png 30000 10000 8 2 1 2 3 > huge.png
expect_unreadable huge.png "30000 x 10000 pixels; the limit is 100 megapixels"
png 2000000000 2000000000 8 2 1 2 3 > huge.png
expect_unreadable huge.png "[Ll]arge"
printf 'P6 0 0 255\n' > zero.ppm
expect_unreadable zero.ppm "zero"
png 0 0 8 2 > zero.png
expect_unreadable zero.png "."

echo "== Kinds of pictures: all of these are grey all over"
# pnm P5|P6 WIDTH HEIGHT
pnm() {
  local channels=1
  if [ "$1" = P6 ]; then channels=3; fi
  printf '%s %d %d 255\n' "$1" "$2" "$3"
  head -c $((channels * $2 * $3)) /dev/zero | tr '\0' '\200'
}
pnm P6 300 200 > rgb.ppm
pnm P5 300 200 > grey.pgm
pnm P6 1 1 > 1x1.ppm
pnm P6 2 3 > 2x3.ppm
pnm P6 20000 1 > flat.ppm
pnm P5 3 20000 > tall.pgm
png 1 1 8 0 128 > grey.png
png 1 1 8 2 128 128 128 > rgb.png
png 1 1 8 4 128 77 > grey_alpha.png
png 1 1 8 6 128 128 128 0 > rgb_alpha.png
png 1 1 16 0 128 99 > grey16.png
png 1 1 16 6 128 0 128 50 128 99 0 1 > rgb_alpha16.png
expected=$("$classify" rgb.ppm)
for picture in grey.pgm {1x1,2x3,flat}.ppm tall.pgm {grey,rgb}.png \
  {grey,rgb}_alpha.png grey16.png rgb_alpha16.png; do
  expect_classes "$expected" "$("$classify" "$picture")"
done
