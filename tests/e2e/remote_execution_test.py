"""Every action runs on a remote executor, and makes there what it makes here.

The executor gives an action the inputs that it declares, the compiler and Python. An
action that reads anything else, a network or a home, fails there.
"""

from __future__ import annotations

import collections
import os
import unittest

from tests.e2e import nested, outputs, remote_executor

_TARGET = "//tests/e2e:remote_outputs"
_MNEMONICS = {
    *("TorchExport", "TorchCodegen", "TorchReference"),
    *("TritonCompile", "TritonLauncher", "PyBytecode"),
    *("CppCompile", "CppArchive", "CppLink", "CppRenameSymbols"),
}
_SUFFIXES = {".a", ".cases", ".images", ".o", ".pt2"}

# No links to runfiles here, where nothing runs.
_FLAGS = ("--nobuild_runfile_links",)

_PROBE = """\
genrule(
    name = "probe",
    outs = ["probe.txt"],
    cmd = '''
      for path in {paths}; do [ ! -e $$path ] || echo $$path; done > $@
      echo "HOME=$${{HOME-}}" >> $@
      readlink /proc/self/ns/net >> $@
    ''',
)
"""


class RemoteExecutionTest(unittest.TestCase):
    """Builds on the executor, and then in another checkout with what that stored."""

    @classmethod
    def setUpClass(cls) -> None:
        root = os.environ["TEST_TMPDIR"]
        cls.stored = os.path.join(root, "stored")
        cls.executor = cls.enterClassContext(remote_executor.RemoteExecutor(cls.stored))
        cls.workspace = nested.Workspace(root)
        cls.addClassCleanup(cls.workspace.close)
        cls.flags = [*_FLAGS, f"--remote_executor={cls.executor.url}"]
        cls.build = cls.workspace.record(_TARGET, flags=cls.flags)
        cls._report("remote execution", cls.build)
        print(f"  {cls.executor.size():,} bytes stored")

    def test_every_action_runs_remotely(self) -> None:
        self.assertEqual({"remote"}, {spawn["runner"] for spawn in self.build.spawns})
        self.assertEqual(_MNEMONICS, set(self._mnemonics(self.build)))

    def test_actions_see_their_inputs(self) -> None:
        outside = (
            self.workspace.path,
            os.path.realpath(nested.runfile("rules_torch/MODULE.bazel")),
            self.stored,
            "/etc/passwd",
        )
        folder = os.path.join(self.workspace.path, "probe")
        os.makedirs(folder)
        with open(os.path.join(folder, "BUILD.bazel"), "w", encoding="utf-8") as file:
            file.write(_PROBE.format(paths=" ".join(("/usr/bin", *outside))))
        build = self.workspace.record("//probe", flags=self.flags)
        self.assertEqual(["remote"], [spawn["runner"] for spawn in build.spawns])
        output = os.path.join(self.workspace.path, "bazel-bin/probe/probe.txt")
        *seen, network = outputs.read(output).decode().splitlines()
        self.assertEqual(["/usr/bin", "HOME="], seen)
        self.assertNotEqual(os.readlink("/proc/self/ns/net"), network)

    def test_the_same_bytes(self) -> None:
        self._assert_same_bytes(self.workspace)

    def test_another_checkout_runs_nothing(self) -> None:
        root = os.path.join(os.environ["TEST_TMPDIR"], "another", "place")
        second = nested.Workspace(root, "second")
        self.addCleanup(second.close)
        flags = [*_FLAGS, f"--remote_cache={self.executor.url}"]
        build = second.record(_TARGET, flags=flags)
        self._report("another checkout", build)
        self.assertEqual(
            {"remote cache hit"}, {spawn["runner"] for spawn in build.spawns}
        )
        self.assertEqual(self._mnemonics(self.build), self._mnemonics(build))
        self._assert_same_bytes(second)

    def _assert_same_bytes(self, workspace: nested.Workspace) -> None:
        made = outputs.Outputs.of("tests/e2e/remote_outputs", workspace)
        self.assertLessEqual(_SUFFIXES, {os.path.splitext(n)[1] for n in made.here})
        different = made.differences()
        self.assertEqual([], different, "\n".join(["", *different]))

    @staticmethod
    def _mnemonics(build: nested.Build) -> collections.Counter[str]:
        return collections.Counter(spawn["mnemonic"] for spawn in build.spawns)

    @classmethod
    def _report(cls, what: str, build: nested.Build) -> None:
        runners = collections.Counter(spawn["runner"] for spawn in build.spawns)
        print(f"{what}: {build.seconds:.1f} s, {dict(runners)}")
        print(f"  {dict(cls._mnemonics(build))}")


if __name__ == "__main__":
    unittest.main()
