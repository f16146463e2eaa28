#!/usr/bin/env bash
# Tests which Bazel bazelw takes and how it sets up its own, with a fake Bazel
# and a fake bazel_from_debian: no network, nothing outside a temporary folder.
#
#   bazelw_test.sh [BAZELW]
set -euo pipefail

bazelw=$(realpath "${1:-$(dirname "$0")/../../bazelw}")
[ -x "$bazelw" ] || { echo "no bazelw at $bazelw" >&2; exit 1; }

tmp=$(mktemp -d "${TEST_TMPDIR:-/tmp}/bazelw_test.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

# A PATH with what bazelw needs and without the machine's own Bazel and apt.
mkdir "$tmp/tools"
for tool in bash cat chmod cut dirname env flock mkdir pwd realpath rm sed sha256sum sleep sync tail uname; do
  ln -s "$(type -P "$tool")" "$tmp/tools/$tool"
done

# fake_bazel PATH NAME VERSION: answers --version, or else says its name, its
# folder and its arguments, and exits with $STATUS.
fake_bazel() {
  mkdir -p "${1%/*}"
  cat > "$1" <<FAKE
#!/usr/bin/env bash
if [ "\${1:-}" = --version ]; then echo "bazel $3"; exit; fi
echo "$2 in \$PWD:\$(printf ' <%s>' "\$@")"
exit "\${STATUS:-0}"
FAKE
  chmod +x "$1"
}

# Each test gets its own $dir, with a home, a PATH folder and a bootstrap script
# that logs its calls, runs the file $dir/hook if there is one, and leaves a fake Bazel.
begin() {
  test=$1
  dir=$tmp/$test
  mkdir -p "$dir/home" "$dir/bin" "$dir/workspace"
  fake_bazel "$dir/bazel_7" bootstrapped 7.7.1
  cat > "$dir/bootstrap" <<BOOTSTRAP
#!/usr/bin/env bash
set -euo pipefail
echo "\$1" >> "$dir/calls"
echo "to stdout"
mkdir "\$1" # not -p: an unfinished one must be gone by now
if [ -e "$dir/hook" ]; then . "$dir/hook"; fi
mkdir "\$1/bin"
cat "$dir/bazel_7" > "\$1/bin/bazel"
chmod +x "\$1/bin/bazel"
BOOTSTRAP
  chmod +x "$dir/bootstrap"
  : > "$dir/calls"
}

# launch ARG...: becomes bazelw in $dir/workspace, in an environment of its own
# to which VARIABLES adds; for a subshell.
VARIABLES=()
wrapper=()
launch() {
  cd "$dir/workspace"
  exec ${wrapper[@]+"${wrapper[@]}"} env -i PATH="$dir/bin:$tmp/tools" HOME="$dir/home" \
    RULES_TORCH_BOOTSTRAP="$dir/bootstrap" ${VARIABLES[@]+"${VARIABLES[@]}"} "$bazelw" "$@"
}
# run ARG...: the same as a call; leaves $status, $out and $err.
run() {
  status=0
  (launch "$@") > "$dir/out" 2> "$dir/err" || status=$?
  out=$(cat "$dir/out")
  err=$(cat "$dir/err")
}

passed=0
failed=0
check() { # check WHAT COMMAND...
  if "${@:2}"; then
    passed=$((passed + 1))
    return
  fi
  failed=$((failed + 1))
  echo "FAILED: $test: $1 (status ${status:-})"
  sed 's/^/    /' "$dir"/out* "$dir"/err*
}
is() { [ "$1" = "$2" ] || { echo "    got '$1', wanted '$2'"; return 1; }; }
has() { [[ $1 == *"$2"* ]] || { echo "    no '$2' in '$1'"; return 1; }; }
calls() { grep -c . "$dir/calls" || true; }
exists() { compgen -G "$1" > /dev/null; }
completed() { exists "$dir/home/.cache/rules_torch/bazel-*/complete"; }
not() { ! "$@"; }
wait_for() { # wait_for COMMAND...: until it succeeds, for at most 20 s
  local i
  for ((i = 0; i < 400; i++)); do
    if "$@"; then return; fi
    sleep 0.05
  done
  echo "FAILED: $test: waited in vain for: $*"
  exit 1
}
called() { [ "$(calls)" -ge "$1" ]; }

begin bazel_variable_path
fake_bazel "$dir/mine" mine 6.0.0
fake_bazel "$dir/bin/bazel" on_path 8.0.0
VARIABLES=(BAZEL="$dir/mine")
run build //a "b c"
check "BAZEL wins over PATH, arguments pass" is "$out" "mine in $dir/workspace: <build> <//a> <b c>"
check "says nothing" is "$err" ""

begin bazel_variable_command
fake_bazel "$dir/bin/mine" mine 7.0.0
VARIABLES=(BAZEL=mine)
run
check "BAZEL may be a command" has "$out" "mine in "

begin bazel_variable_missing
fake_bazel "$dir/bin/bazel" on_path 8.0.0
VARIABLES=(BAZEL=/no/such/bazel)
run version
check "is an error" is "$status" 1
check "names it" has "$err" /no/such/bazel
check "runs nothing else" is "$out$(calls)" 0
VARIABLES=()

for version in 7.0.0 7.7.1- 8.0.0rc1 10.1.0; do
  begin "path_bazel_$version"
  fake_bazel "$dir/bin/bazel" on_path "$version"
  run version
  check "is used" has "$out" "on_path in "
  check "says nothing" is "$err" ""
  check "no setup" is "$(calls)" 0
done

begin bazelisk_first
fake_bazel "$dir/bin/bazel" bazel 7.0.0
fake_bazel "$dir/bin/bazelisk" bazelisk 7.7.1
run version
check "bazelisk before bazel" has "$out" "bazelisk in "

begin old_bazel
fake_bazel "$dir/bin/bazel" on_path 4.2.3
run version
check "is skipped" has "$out" "bootstrapped in "
check "with a note" has "$err" "skipping $dir/bin/bazel: bazel 4.2.3"
run version
check "silent once set up" is "$err" ""

begin broken_bazelisk
printf '#!/bin/sh\nexit 1\n' > "$dir/bin/bazelisk"
chmod +x "$dir/bin/bazelisk"
fake_bazel "$dir/bin/bazel" on_path 7.0.0
run version
check "the next is taken" has "$out" "on_path in "

begin link_to_itself
ln -s "$bazelw" "$dir/bin/bazel"
VARIABLES=(BAZEL="$bazelw")
run version
check "does not call itself" has "$out" "bootstrapped in "
VARIABLES=()

begin setup_once
run build "a b" "" '$c'
check "stdout is Bazel's alone" is "$out" "bootstrapped in $dir/workspace: <build> <a b> <> <\$c>"
check "says what it does" has "$err" "setting up Bazel"
check "marks it complete" completed
VARIABLES=(STATUS=37)
run build
check "exit status passes" is "$status" 37
check "silent" is "$err" ""
check "one setup" is "$(calls)" 1
VARIABLES=(STATUS=3 BAZEL="$dir/bazel_7")
run build
check "exit status of BAZEL passes" is "$status" 3
VARIABLES=()

begin other_folder
mkdir "$dir/else where"
ln -s "$bazelw" "$dir/link"
(cd "$dir/else where" && env -i PATH="$tmp/tools" HOME="$dir/home" RULES_TORCH_BOOTSTRAP=../bootstrap \
  ../link query) > "$dir/out" 2> "$dir/err" || true
check "runs where it was called" is "$(cat "$dir/out")" "bootstrapped in $dir/else where: <query>"

begin cache_places
VARIABLES=(XDG_CACHE_HOME="$dir/xdg")
run version
check "XDG_CACHE_HOME" exists "$dir/xdg/rules_torch/bazel-*/complete"
VARIABLES=(RULES_TORCH_CACHE=relative)
run version
check "RULES_TORCH_CACHE, relative" exists "$dir/workspace/relative/bazel-*/complete"
VARIABLES=(HOME=)
run version
check "no HOME is an error" is "$status" 1
check "that says what to set" has "$err" "set HOME"
VARIABLES=()

begin changed_script
run version
echo "# changed" >> "$dir/bootstrap"
run version
check "gives a new folder" is "$(sort -u "$dir/calls" | grep -c .)" 2
check "the old one stays" is "$(compgen -G "$dir/home/.cache/rules_torch/bazel-*/complete" | grep -c .)" 2

begin two_at_once
echo "while [ ! -e '$dir/go' ]; do sleep 0.05; done" > "$dir/hook"
(launch first) > "$dir/out1" 2> "$dir/err1" &
first=$!
wait_for called 1
(launch second) > "$dir/out2" 2> "$dir/err2" &
second=$!
wait_for grep -qs "waiting for another bazelw" "$dir/err2"
: > "$dir/go"
wait "$first" "$second" || true
check "one setup" is "$(calls)" 1
check "the first runs" is "$(cat "$dir/out1")" "bootstrapped in $dir/workspace: <first>"
check "the second runs" is "$(cat "$dir/out2")" "bootstrapped in $dir/workspace: <second>"

# start_blocked: bazelw as the head of a process group, in the middle of its setup; $leader.
start_blocked() {
  rm -f "$dir/go"
  echo "while [ ! -e '$dir/go' ]; do sleep 0.05; done" > "$dir/hook"
  (wrapper=(setsid); launch version) > "$dir/out0" 2> "$dir/err0" &
  leader=$!
  disown "$leader" # or this shell reports the kill
  wait_for called 1
}

begin killed_group
start_blocked
kill -9 -- "-$leader"
wait_for not kill -0 "$leader" 2> "$dir/wait"
check "is not complete" not completed
rm "$dir/hook"
run version
check "the next run works" has "$out" "bootstrapped in "
check "with a second setup" is "$(calls)" 2

begin killed_alone
start_blocked
kill -9 "$leader"
wait_for not kill -0 "$leader" 2> "$dir/wait"
rm "$dir/hook"
(launch version) > "$dir/out" 2> "$dir/err" &
next=$!
wait_for grep -qs "waiting for another bazelw" "$dir/err"
check "the next run waits for the orphaned script" is "$(calls)" 1
: > "$dir/go"
wait "$next" || true
check "then works" has "$(cat "$dir/out")" "bootstrapped in "
check "on a folder of its own making" is "$(calls)" 2

begin failing_setup
cat > "$dir/hook" <<HOOK
mkdir "\$1/bin"
cat "$dir/bazel_7" > "\$1/bin/bazel"
chmod +x "\$1/bin/bazel"
echo no network >&2
exit 1
HOOK
run version
check "is an error" is "$status" 1
check "shows the script's message" has "$err" "no network"
check "runs no Bazel" is "$out" ""
check "leaves no folder" not exists "$dir/home/.cache/rules_torch/bazel-*/"
run version
check "is tried again" is "$(calls)" 2
rm "$dir/hook"
run version
check "and works when it can" has "$out" "bootstrapped in "

begin empty_setup
echo 'exit 0' > "$dir/hook"
run version
check "a script that leaves no Bazel has failed" is "$status" 1
check "is not complete" not completed

begin impossible_setup
echo 'echo no mirror >&2; exit 2' > "$dir/hook"
run version
check "is an error" is "$status" 1
check "says what to install" has "$err" Bazelisk

begin no_apt
# The real script this time; it stops before it would use the network.
VARIABLES=(RULES_TORCH_BOOTSTRAP=)
run version
check "is an error" is "$status" 1
check "says what to install" has "$err" Bazelisk
VARIABLES=()

begin leftovers
cache=$dir/home/.cache/rules_torch
mkdir -p "$cache"/bazel-0123456789ab "$cache"/bazel-ba0123456789 "$cache"/bazel-my-workspace "$dir/elsewhere"
: > "$cache/bazel-ba0123456789/complete"
: > "$dir/elsewhere/file"
ln -s "$dir/elsewhere" "$cache/bazel-out"
run version
check "an unfinished one is removed" not test -e "$cache/bazel-0123456789ab"
check "a complete one stays" test -e "$cache/bazel-ba0123456789/complete"
check "what is not ours stays" test -d "$cache/bazel-my-workspace" -a -e "$dir/elsewhere/file"

begin lock_released
# Bazel leaves a server behind, which must not hold the lock.
echo "flock -n '$dir/home/.cache/rules_torch/lock' bash -c 'echo unlocked'" >> "$dir/bazel_7"
sed '/^exit/d' "$dir/bazel_7" > "$dir/without_exit"
cat "$dir/without_exit" > "$dir/bazel_7"
run version
check "before Bazel starts" has "$out" unlocked

echo "bazelw_test: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
