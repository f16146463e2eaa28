"""Two builds that have nothing in common but the sources give the same bytes.

One is the build that this test belongs to. The other is made here, of a copy of the
workspace at another path, by another user, in another language, with no cache, and with
actions that see nothing but their declared inputs and the compiler; the smaller one, of
each kind of action, on one core.
"""

from __future__ import annotations

import os
import pwd
import unittest

from tests.e2e import nested, outputs

_FLAGS = [
    "--experimental_use_hermetic_linux_sandbox",
    *(f"--sandbox_add_mount_pair={mount}" for mount in nested.mounts()),
    "--nosandbox_default_allow_network",
    "--spawn_strategy=linux-sandbox",
    "--disk_cache=",
    "--remote_cache=",
    "--noshow_progress",
]

# What actions make that run a program.
_SUFFIXES = (".a", ".bin", ".cc", ".h", ".images", ".o", ".pt2", ".pyc", ".so")

# Text that only the machine of the build could have put there.
_FOREIGN = (b"march=native", b"/proc/cpuinfo", b"/root", b"/home", b"mallory")


class ReproducibleTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        root = os.environ["TEST_TMPDIR"]
        home = pwd.getpwuid(os.getuid()).pw_dir
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache")
        os.makedirs(os.path.join(root, "home", "mallory"))
        cls.workspace = nested.Workspace(
            root,
            name="elsewhere",
            environment={
                "HOME": os.path.join(root, "home", "mallory"),
                "USER": "mallory",
                "LOGNAME": "mallory",
                "LANG": "tr_TR.UTF-8",
                "LC_ALL": "tr_TR.UTF-8",
                "TZ": "Asia/Kathmandu",
                "PYTHONHASHSEED": "4711",
                "PYTHONPATH": "/nowhere",
                "OMP_NUM_THREADS": "7",
                "ATEN_CPU_CAPABILITY": "avx2",
                "TORCHINDUCTOR_CPP_WRAPPER": "0",
                "TRITON_CACHE_DIR": "/nowhere",
                "RULES_TORCH_CACHE": os.environ.get("RULES_TORCH_CACHE")
                or os.path.join(cache, "rules_torch"),
            },
        )
        cls.addClassCleanup(cls.workspace.close)
        before = os.umask(0o077)
        cls.addClassCleanup(os.umask, before)
        if "ONE_CORE" in os.environ:
            cores = os.sched_getaffinity(0)
            cls.addClassCleanup(os.sched_setaffinity, 0, cores)
            os.sched_setaffinity(0, {min(cores)})
        target = f"tests/e2e{os.environ['OUTPUTS']}"
        cls.spawns = cls.workspace.build(f"//{target}", flags=_FLAGS)
        cls.outputs = outputs.Outputs.of(target.replace(":", "/"), cls.workspace)

    def test_the_other_build_ran_every_action(self) -> None:
        self.assertEqual({"linux-sandbox"}, {spawn["runner"] for spawn in self.spawns})
        ran = {output for spawn in self.spawns for output in spawn["listedOutputs"]}
        compared = {
            os.path.relpath(path, self.workspace.path)
            for path in self.outputs.there.values()
            if path.endswith(_SUFFIXES)
        }
        self.assertEqual(set(), compared - ran)

    def test_outputs_of_every_kind_are_compared(self) -> None:
        suffixes = {os.path.splitext(name)[1] for name in self.outputs.here}
        self.assertLessEqual({*_SUFFIXES}, suffixes)

    def test_the_same_bytes(self) -> None:
        different = self.outputs.differences()
        self.assertEqual([], different, "\n".join(["", *different]))

    def test_nothing_of_the_machine_is_in_them(self) -> None:
        foreign = (*_FOREIGN, os.environ["TEST_TMPDIR"].encode())
        found = [
            f"{name}: {text.decode()}"
            for name, path in self.outputs.there.items()
            if not name.endswith(".pyc")  # torch's own sources say these words
            for text in foreign
            if text in outputs.read(path)
        ]
        self.assertEqual([], found)


if __name__ == "__main__":
    unittest.main()
