"""What a shared cache spares other checkouts, and what its failures do to a build."""

from __future__ import annotations

import collections
import contextlib
import os
import shutil
import subprocess
import tempfile
import unittest
from collections.abc import Callable, Iterable

from tests.e2e import http_cache, nested

_PROGRAM = "//examples/two_models:two_models"
_REFERENCE = "//models:mlp_test"
_KERNEL = "//kernels:add"
_KERNEL_OUTPUTS = ("bazel-bin/kernels/add.h", "bazel-bin/kernels/libadd.a")
_TARGETS = (_PROGRAM, _REFERENCE, _KERNEL)

# Those of the rules, and those of C++ that depend on what they generate.
_MNEMONICS = {
    *("TorchExport", "TorchCodegen", "TorchReference"),
    *("TritonCompile", "TritonLauncher", "PyBytecode"),
    *("CppCompile", "CppArchive", "CppLink"),
}

# By default, Bazel believes that a cache keeps what it has once found there, and
# downloads it when it is needed: after that, a loss fails the build.
_DOWNLOAD_ALL = "--remote_download_all"


class RemoteCacheTest(unittest.TestCase):
    """Fills a cache from one checkout; others build with it."""

    @classmethod
    def setUpClass(cls) -> None:
        root = os.environ["TEST_TMPDIR"]
        cls.disk = os.path.join(root, "disk_cache")
        cls.cache = cls.enterClassContext(_new_cache())
        cls.cache.start()
        flags = [cls._flag(cls.cache), f"--disk_cache={cls.disk}"]

        with contextlib.closing(nested.Workspace(root, "first")) as first:
            build = first.record(_KERNEL, flags=flags)
            _report("first build of the kernel", build, cls.cache)
            cls.kernel = cls._kernel_of(first)
            cls.kernel_actions = len(build.spawns)
            # The failures happen to copies of what is stored now.
            cls.filled = os.path.join(root, "filled")
            shutil.copytree(cls.cache.root, cls.filled)

            rest = first.record(*_TARGETS, flags=flags)
            _report("first build of the rest", rest, cls.cache)
            cls.output = first.run(_PROGRAM)

        cls.actions = _mnemonics([*build.spawns, *rest.spawns])
        assert len(build.ran) + len(rest.ran) == cls.actions.total(), cls.actions
        assert set(cls.actions) >= _MNEMONICS, cls.actions
        assert [f"call {n}" for n in (1, 2, 3)] == cls.output.splitlines()[::3]

        cls.second = nested.Workspace(
            os.path.join(root, "another", "place"),
            "second",
            environment={
                "LANG": "C.UTF-8",
                "PATH": f"/usr/bin:{os.environ['PATH']}:/opt/another/bin",
                "TZ": "Asia/Tokyo",
                "USER": "another",
            },
        )
        cls.addClassCleanup(cls.second.close)

    def test_another_checkout_runs_nothing(self) -> None:
        self.cache.forget_requests()
        self.second.clean()
        build = self.second.record(*_TARGETS, flags=[self._flag(self.cache)])
        _report("another checkout", build, self.cache)
        self._assert_hits(build, "remote cache hit", self.actions)
        self.assertEqual({("GET", 200)}, set(self.cache.requests()))
        self.assertEqual(self.output, self.second.run(_PROGRAM))
        self.assertEqual(self.kernel, self._kernel_of(self.second))

    def test_minimal_download(self) -> None:
        self.cache.forget_requests()
        self.second.clean()
        flags = [self._flag(self.cache)]
        build = self.second.record(
            *_TARGETS, flags=[*flags, "--remote_download_minimal"]
        )
        _report("minimal download", build, self.cache)
        self._assert_hits(build, "remote cache hit", self.actions)
        # What #include found is all that Bazel reads itself.
        self.assertLessEqual(self.cache.fetched(), self.actions["CppCompile"])
        with self.assertRaises(FileNotFoundError):
            self.second.run(_PROGRAM)

        build = self.second.record(*_TARGETS, flags=flags)
        _report("and then the default", build, self.cache)
        self.assertEqual([], build.spawns)
        self.assertEqual(self.output, self.second.run(_PROGRAM))

    def test_disk_cache(self) -> None:
        self.second.clean()
        build = self.second.record(*_TARGETS, flags=[f"--disk_cache={self.disk}"])
        _report("disk cache", build)
        self._assert_hits(build, "disk cache hit", self.actions)
        self.assertEqual(self.output, self.second.run(_PROGRAM))

    def test_server_dies_while_it_is_read(self) -> None:
        with _new_cache(self.filled) as cache:
            # Or it might have answered everything.
            cache.start(http_cache.SLOW)
            death = cache.kill_after(requests=20)
            build = self._rebuild("server dies while it is read", cache)
            death.join()
            self.assertLess(cache.requests().total(), len(cache.files("cas")))
            self._assert_warns(build, "Connection refused")

    def test_server_dies_while_it_is_filled(self) -> None:
        with _new_cache() as cache:
            cache.start(http_cache.SLOW)
            death = cache.kill_after(requests=30)
            build = self._rebuild("server dies while it is filled", cache)
            death.join()
            self.assertIn(("PUT", 201), cache.requests())
            self.assertEqual(self.kernel_actions, len(build.ran))
            self._assert_warns(build, "Connection refused")

    def test_server_dies_with_what_was_not_downloaded(self) -> None:
        with _new_cache(self.filled) as cache:
            cache.start(http_cache.SLOW)
            death = cache.kill_after(requests=3)
            self.second.clean()
            try:
                build = self.second.record(_KERNEL, flags=[self._flag(cache)])
                _report("server dies, default download", build, cache)
            except AssertionError as error:
                print("server dies, default download: the build failed")
                self.assertIn("Connection refused", str(error))
            death.join()
            # Neither a new server nor `bazel clean` is needed.
            self._rebuild("after that", cache, clean=False)

    def test_spoilt_action_results(self) -> None:
        for spoil in (_truncate, _overwrite):
            with self.subTest(spoil.__name__), _new_cache(self.filled) as cache:
                cache.start()
                self._spoil(cache, "ac", spoil)
                build = self._rebuild(f"action results: {spoil.__name__}", cache)
                self.assertEqual(self.kernel_actions, len(build.ran))
                self._assert_warns(build, "WARNING: Remote Cache: ")
                self._assert_mended(cache)

    def test_spoilt_blobs(self) -> None:
        for spoil in (_truncate, _overwrite):
            with self.subTest(spoil.__name__), _new_cache(self.filled) as cache:
                cache.start()
                self._spoil(cache, "cas", spoil)
                build = self._rebuild(f"blobs: {spoil.__name__}", cache)
                self.assertEqual(self.kernel_actions, len(build.ran))
                self.assertIn("Expected digest", build.stderr)
                self._assert_warns(build, "download failed|bulk transfer")
                self._assert_mended(cache)

    def test_evicted_blobs(self) -> None:
        with _new_cache(self.filled) as cache:
            cache.start()
            self._spoil(cache, "cas", os.remove)
            build = self._rebuild("blobs: removed", cache)
            # A miss like any other, of which Bazel does not warn.
            self.assertEqual(self.kernel_actions, len(build.ran))
            self.assertGreater(cache.requests()["GET", 404], 0)
            self._assert_mended(cache)

    def test_disk_of_the_server_is_full(self) -> None:
        with _new_cache() as cache:
            command = _small_disk(cache.root)
            if command:
                print("nginx writes to a file system of 1 MiB")
                cache.start(command=command)
            else:
                print("mounting is not permitted: nginx says 507 to every PUT")
                cache.start(rules="if ($request_method = PUT) { return 507; }")
            # Otherwise each upload is tried five times more, for half a minute.
            build = self._rebuild("full disk", cache, "--remote_retries=0")
            self.assertEqual(self.kernel_actions, len(build.ran))
            refused = sum(
                count
                for (method, status), count in cache.requests().items()
                if method == "PUT" and status >= 500
            )
            self.assertGreater(refused, 0)
            self._assert_warns(build, "50[07] ")

    def _rebuild(
        self, what: str, cache: http_cache.HttpCache, *flags: str, clean: bool = True
    ) -> nested.Build:
        """Builds the kernel anew, and compares it with the first build's."""
        if clean:
            self.second.clean()
        build = self.second.record(
            _KERNEL, flags=[self._flag(cache), _DOWNLOAD_ALL, *flags]
        )
        _report(what, build, cache)
        self.assertEqual(self.kernel, self._kernel_of(self.second))
        return build

    def _spoil(
        self, cache: http_cache.HttpCache, kind: str, spoil: Callable[[str], None]
    ) -> None:
        files = cache.files(kind)
        self.assertGreaterEqual(len(files), self.kernel_actions)
        for path in files:
            spoil(path)

    def _assert_mended(self, cache: http_cache.HttpCache) -> None:
        build = self._rebuild("and again", cache)
        self.assertEqual([], build.ran)
        self.assertEqual(self.kernel_actions, len(build.spawns))

    def _assert_hits(
        self, build: nested.Build, runner: str, actions: collections.Counter[str]
    ) -> None:
        self.assertEqual([], [spawn["listedOutputs"][:1] for spawn in build.ran])
        self.assertEqual({runner}, {spawn["runner"] for spawn in build.spawns})
        self.assertEqual(actions, _mnemonics(build.spawns))

    def _assert_warns(self, build: nested.Build, pattern: str) -> None:
        self.assertTrue(build.warnings, build.stderr)
        self.assertRegex(build.stderr, pattern)

    @staticmethod
    def _flag(cache: http_cache.HttpCache) -> str:
        return f"--remote_cache={cache.url}"

    @staticmethod
    def _kernel_of(workspace: nested.Workspace) -> list[bytes]:
        contents = []
        for path in _KERNEL_OUTPUTS:
            with open(os.path.join(workspace.path, path), "rb") as file:
                contents.append(file.read())
        return contents


def _new_cache(filled: str | None = None) -> http_cache.HttpCache:
    """A cache that has not been started, empty or with a copy of a folder."""
    directory = tempfile.mkdtemp(prefix="cache", dir=os.environ["TEST_TMPDIR"])
    cache = http_cache.HttpCache(nested.runfile("nginx/bin/nginx"), directory)
    if filled:
        shutil.copytree(filled, cache.root, dirs_exist_ok=True)
    return cache


def _small_disk(folder: str) -> list[str]:
    """What runs a program that sees a file system of 1 MiB there, or nothing.

    It is the program's own, and goes with it.
    """
    mount = 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"'
    for unshare in (["unshare"], ["unshare", "--user", "--map-root-user"]):
        command = [*unshare, "--mount", "sh", "-c", mount, folder]
        if not subprocess.run([*command, "true"], capture_output=True).returncode:
            return command
    return []


def _truncate(path: str) -> None:
    os.truncate(path, os.path.getsize(path) // 2)


def _overwrite(path: str) -> None:
    size = os.path.getsize(path)
    with open(path, "wb") as file:
        file.write(b"\xff" * size)


def _mnemonics(spawns: Iterable[dict]) -> collections.Counter[str]:
    return collections.Counter(spawn["mnemonic"] for spawn in spawns)


def _report(
    what: str, build: nested.Build, cache: http_cache.HttpCache | None = None
) -> None:
    """Prints what was counted."""
    print(f"{what}: {build.seconds:.1f} s, {len(build.warnings)} warnings")
    runners = collections.Counter(spawn["runner"] for spawn in build.spawns)
    print("  actions:", dict(runners), dict(_mnemonics(build.spawns)))
    if cache:
        print(
            f"  server: {dict(cache.requests())}, {cache.fetched()} blobs fetched,",
            f"{cache.size()} bytes stored",
        )


if __name__ == "__main__":
    unittest.main()
