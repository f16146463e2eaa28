"""Serves Bazel's persistent-worker protocol, so that torch is imported once a build.

Each request runs in a child that is forked from a process which has imported torch
and run nothing: all start from the same state, nothing passes from one model to the
next, and requests run side by side. Each runs in a folder of its own, with what its
action declares (see input_tree). The process that forks has one thread, because a
lock that another thread held would stay locked in the child.

https://bazel.build/remote/creating: requests and responses are JSON, one a line.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import gc
import importlib
import json
import os
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from typing import IO, Any

from torch_aot import input_tree

# What the stages import. One that this list leaves out is imported once a request.
_PRELOADED = (
    "sympy.tensor.tensor",
    "torch._dynamo",
    "torch._inductor.choices",
    "torch._inductor.codegen.cpp",
    "torch._inductor.codegen.cpp_wrapper_cpu",
    "torch._inductor.compile_fx",
    "torch._inductor.fx_passes.fuse_attention",
    "torch._inductor.fx_passes.serialized_patterns",
    "torch.export._trace",
    "torch.export.pt2_archive._package",
    "torch_aot.cc",
    "torch_aot.codegen",
    "torch_aot.export",
    "torch_aot.reference",
    "torch_aot.weights",
)

_INPUT = "--input="  # the flag that declares one

_PR_SET_PDEATHSIG = 1  # Linux: <sys/prctl.h>


@dataclasses.dataclass
class _Child:
    """A request that is being served.

    Attributes:
        request: The request's number; 0 if Bazel sends one at a time.
        output: What the child prints, to either stream.
        folder: Where it runs.
        cancelled: Whether Bazel no longer wants the result.
    """

    request: int
    output: IO[bytes]
    folder: str
    cancelled: bool = False


class _Worker:
    """The process that forks.

    Args:
        run: As of `serve`.
        own_files: Those that no request needs in its folder.
        requests: Where Bazel's requests are read.
        responses: Where they are answered.
    """

    def __init__(
        self,
        run: Callable[[list[str], str], int],
        own_files: frozenset[str],
        requests: int,
        responses: int,
    ) -> None:
        self._run = run
        self._own_files = own_files
        self._requests = requests
        self._responses = responses
        self._children: dict[int, _Child] = {}  # by process
        self._unread = b""

    def serve(self) -> None:
        """Serves until Bazel closes the requests; ends what is still running."""
        woken, wake = socket.socketpair()
        for end in (woken, wake):
            end.setblocking(False)
        # A handler, or the system call that it interrupts would not notice.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._requests, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if woken in ready:
                    woken.recv(4096)
                    self._reap()
                if self._requests in ready and not self._read():
                    break
        for process, child in self._children.items():
            _kill(process)
            os.waitpid(process, 0)
            shutil.rmtree(child.folder, ignore_errors=True)

    def _read(self) -> bool:
        """Reads what there is of the requests; whether more may come."""
        data = os.read(self._requests, 1 << 20)
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in filter(None, lines):
            request = json.loads(line)
            if request.get("cancel"):
                self._cancel(request.get("requestId", 0))
            else:
                self._start(request)
        return bool(data)

    def _start(self, request: dict[str, Any]) -> None:
        output = tempfile.TemporaryFile()  # noqa: SIM115 (_reap closes it)
        folder = tempfile.mkdtemp(prefix="rules_torch.")
        process = os.fork()
        if process == 0:
            status = 1
            try:
                status = self._child(request, output.fileno(), folder)
            finally:
                os._exit(status)
        os.setpgid(process, process)
        self._children[process] = _Child(request.get("requestId", 0), output, folder)

    def _child(self, request: dict[str, Any], output: int, folder: str) -> int:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _die_with_parent()
            os.close(self._responses)
            os.dup2(output, 1)
            os.dup2(output, 2)
            root = os.path.abspath(request.get("sandboxDir") or ".")
            arguments, inputs = _split(request.get("arguments", []))
            needed = [path for path in inputs if path not in self._own_files]
            input_tree.make(folder, needed, root)
            os.chdir(folder)
            return self._run(arguments, root)
        except SystemExit as stop:  # argparse's
            return stop.code if isinstance(stop.code, int) else 1
        except BaseException:
            traceback.print_exc()
            return 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()

    def _cancel(self, request: int) -> None:
        for process, child in self._children.items():
            if child.request == request:
                child.cancelled = True
                _kill(process)

    def _reap(self) -> None:
        """Answers the requests whose children have ended."""
        while self._children:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if not ended:
                return
            process = ended.si_pid
            _kill(process)  # what it left running, while the group is still its own
            _, status = os.waitpid(process, 0)
            child = self._children.pop(process)
            shutil.rmtree(child.folder, ignore_errors=True)
            with child.output:
                child.output.seek(0)
                output = child.output.read().decode(errors="replace")
            code = os.waitstatus_to_exitcode(status)
            if code < 0:
                output += _explain_signal(-code)
                code = 1
            self._answer(
                {"requestId": child.request, "wasCancelled": True}
                if child.cancelled
                else {
                    "requestId": child.request,
                    "exitCode": code,
                    "output": output,
                }
            )

    def _answer(self, response: dict[str, Any]) -> None:
        data = json.dumps(response).encode() + b"\n"
        while data:
            data = data[os.write(self._responses, data) :]


def serve(run: Callable[[list[str], str], int]) -> int:
    """Serves Bazel's requests on standard input, and answers on standard output.

    Args:
        run: Runs a request's arguments in a folder that has the inputs, writes outputs
            below another, and returns the exit status.

    Returns:
        The exit status.
    """
    requests, responses = os.dup(0), os.dup(1)
    # Nothing but the protocol may reach Bazel, and nothing but us read it. What the
    # imports print goes to the worker's log.
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    _preload(_PRELOADED)
    runfiles = os.environ.get("RUNFILES_DIR")
    own_files = input_tree.own_files(runfiles) if runfiles else frozenset()
    _report_start()
    _Worker(run, own_files, requests, responses).serve()
    return 0


def _report_start() -> None:
    """Tells start_worker.sh, which has the errors until here."""
    log = os.environ.pop("START_LOG", None)
    if log:
        os.dup2(3, 2)
        os.close(3)
        os.dup2(2, 1)
        os.remove(log)


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Takes the declared inputs out of a command line."""
    kept = [each for each in arguments if not each.startswith(_INPUT)]
    inputs = [
        each.removeprefix(_INPUT) for each in arguments if each.startswith(_INPUT)
    ]
    return kept, inputs


def _preload(modules: Sequence[str]) -> None:
    for name in modules:
        importlib.import_module(name)
    # A collection in a child would write to, and so copy, each page with an object.
    gc.collect()
    gc.freeze()


def _die_with_parent() -> None:
    """Bazel may kill the worker with a signal that it cannot pass on."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _kill(group: int) -> None:
    """Kills a child and the processes that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _explain_signal(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:  # a real-time signal
        name = f"signal {number}"
    cause = "; out of memory?" if number == signal.SIGKILL else ""
    return f"error: the compiler was killed by {name}{cause}\n"
