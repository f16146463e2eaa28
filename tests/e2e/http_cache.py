"""A real nginx as Bazel's HTTP cache, on a port of the loopback interface."""

from __future__ import annotations

import collections
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence

# A single process in the foreground: what is killed is all there is. Where it is root,
# it would give its folders to a user that may not exist; elsewhere it ignores `user`.
_CONFIGURATION = """\
daemon off;
master_process off;
user root;
pid "{directory}/nginx.pid";
error_log "{directory}/error.log";
events {{}}
http {{
  log_format requests "$request_method $status $uri";
  limit_req_zone $remote_addr zone=slow:32k rate=50r/s;
  access_log "{directory}/access.log" requests;
  client_body_temp_path "{directory}/temp/body";
  fastcgi_temp_path "{directory}/temp/fastcgi";
  proxy_temp_path "{directory}/temp/proxy";
  scgi_temp_path "{directory}/temp/scgi";
  uwsgi_temp_path "{directory}/temp/uwsgi";
  client_max_body_size 0;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      root "{directory}/root";
      dav_methods PUT;
      create_full_put_path on;
      {rules}
    }}
  }}
}}
"""
# Rules for `start`: 50 requests a second are answered, the others wait.
SLOW = "limit_req zone=slow burst=10000;"

_START_SECONDS = 20
_WATCH_SECONDS = 300


class HttpCache:
    """An nginx that keeps a cache in a folder; leaving `with` kills it.

    Attributes:
        url: what --remote_cache takes; the same after another start.
        root: the folder of what is stored, with `ac` and `cas` in it.
    """

    def __init__(self, nginx: str, directory: str) -> None:
        """Makes the folders.

        Args:
            nginx: path of the program.
            directory: for the cache, nginx's logs and its temporary files.
        """
        self._nginx = nginx
        self._directory = directory
        self._server: subprocess.Popen[bytes] | None = None
        self.root = os.path.join(directory, "root")
        for path in (self.root, os.path.join(directory, "temp")):
            os.makedirs(path, exist_ok=True)
        self._port = _free_port()
        self.url = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> HttpCache:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()

    def start(self, rules: str = "", command: Sequence[str] = ()) -> None:
        """Starts nginx and returns when it accepts connections.

        Args:
            rules: more directives for its `location`, such as "return 507;".
            command: what runs nginx, which is its last arguments, and becomes it.
        """
        assert self._server is None, "nginx runs already"
        configuration = os.path.join(self._directory, "nginx.conf")
        with open(configuration, "w", encoding="utf-8") as file:
            file.write(
                _CONFIGURATION.format(
                    directory=self._directory, port=self._port, rules=rules
                )
            )
        # Before it has read the configuration, nginx would write to the system's log.
        error_log = os.path.join(self._directory, "error.log")
        self._server = subprocess.Popen(
            [
                *command,
                *(self._nginx, "-p", self._directory),
                *("-e", error_log, "-c", configuration),
            ],
            stdin=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _START_SECONDS
        while not self._listens(self._server):
            if self._server.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(
                    f"{self._nginx} does not serve {self.url}: see {error_log}"
                )
            time.sleep(0.05)

    def stop(self) -> None:
        """Lets nginx finish what it is doing."""
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """Ends nginx at once, as a crash does."""
        self._end(signal.SIGKILL)

    def kill_after(self, requests: int) -> threading.Thread:
        """Kills nginx when it has answered so many requests; joining waits for it."""

        def watch() -> None:
            deadline = time.monotonic() + _WATCH_SECONDS
            while time.monotonic() < deadline:
                if self.requests().total() >= requests:
                    self.kill()
                    return
                time.sleep(0.005)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        return thread

    def requests(self) -> collections.Counter[tuple[str, int]]:
        """Counts what was asked since the last call of `forget_requests`.

        Returns:
            Numbers by method and status, of requests for the cache.
        """
        return collections.Counter(
            (method, int(status)) for method, status, _ in self._log()
        )

    def fetched(self) -> int:
        """Counts the blobs, without the action results, that were downloaded."""
        return sum(
            (method, status, uri[:5]) == ("GET", "200", "/cas/")
            for method, status, uri in self._log()
        )

    def forget_requests(self) -> None:
        """Counts from here on."""
        os.truncate(os.path.join(self._directory, "access.log"), 0)

    def files(self, kind: str) -> list[str]:
        """Lists the paths of what is stored, under `ac` or `cas`."""
        return [
            os.path.join(folder, name)
            for folder, _, names in os.walk(os.path.join(self.root, kind))
            for name in names
        ]

    def size(self) -> int:
        """Sums up the bytes of what is stored."""
        return sum(
            os.path.getsize(path) for kind in ("ac", "cas") for path in self.files(kind)
        )

    def _log(self) -> list[list[str]]:
        with open(
            os.path.join(self._directory, "access.log"), encoding="utf-8"
        ) as file:
            lines = [line.split() for line in file]
        return [line for line in lines if line[2].startswith(("/ac/", "/cas/"))]

    def _listens(self, server: subprocess.Popen[bytes]) -> bool:
        # nginx writes the file when it has the port.
        try:
            with open(
                os.path.join(self._directory, "nginx.pid"), encoding="utf-8"
            ) as file:
                return file.read().strip() == str(server.pid)
        except FileNotFoundError:
            return False

    def _end(self, how: signal.Signals) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.send_signal(how)
            try:
                server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
