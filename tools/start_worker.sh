#!/bin/sh
# start_worker.sh PROGRAM ARGUMENT...: what Bazel runs where the tool is a worker.
#
# Bazel 7 waits for ever for a multiplex worker that ends before it has answered. This
# always starts: if the program does not, it answers with what the program said, one
# request at a time, since the program may start for the next. It cannot answer for a
# worker that dies later, such as one that the kernel kills for its memory.
# See tools/torch_aot/worker.py, which removes $START_LOG when it has started.
case " $* " in
  *" --persistent_worker "*) ;;
  *) exec "$@" ;;
esac

answer() ( # REQUEST STATUS
  export LC_ALL=C
  # In a string of JSON's each quote has a backslash before it.
  id=$(printf '%s' "$1" | sed -n 's/.*[,{] *"requestId": *\([0-9]*\).*/\1/p')
  text=$({
    echo "error: the worker cannot start (exit status $2):"
    tail -n 20 "$START_LOG"
    echo "  fix: give this machine what the lines above miss, or build without a worker:"
    echo "    --strategy=TorchExport=sandboxed, likewise TorchCodegen and TorchReference"
  } | tr -d '\000-\010\013-\037\177-\377' |
    sed -e 's/[\\"]/\\&/g' -e 's/	/\\t/g' -e 's/$/\\n/' | tr -d '\n')
  printf '{"requestId":%s,"exitCode":1,"output":"%s"}\n' "${id:-0}" "$text"
)

while
  START_LOG=$(mktemp 2> /dev/null) || START_LOG=$(mktemp -p .) || exit 1
  trap 'rm -f "$START_LOG"' EXIT
  START_LOG=$START_LOG "$@" 3>&2 2> "$START_LOG"
  status=$?
  [ -e "$START_LOG" ] && IFS= read -r request
do
  # What is cancelled has been answered.
  printf '%s' "$request" | grep -q '[,{] *"cancel": *true' ||
    answer "$request" "$status"
  rm -f "$START_LOG"
done
exit "$status"
