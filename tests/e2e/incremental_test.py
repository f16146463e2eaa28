"""What a change makes Bazel do again, in a workspace of its own."""

from __future__ import annotations

import collections
import os
import unittest

from tests.e2e import nested

_TARGET = "//examples/two_models"
_KERNEL = "//kernels:add"


class IncrementalTest(unittest.TestCase):
    """Builds once, then changes one thing at a time and counts the actions."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.workspace = nested.Workspace(os.environ["TEST_TMPDIR"])
        cls.addClassCleanup(cls.workspace.close)
        first = cls._count(cls.workspace.build(_TARGET))
        print("first build:", dict(first))
        assert first["TorchExport"] == 2, first
        assert first["TorchCodegen"] == 2, first

    def test_a_second_build_runs_nothing(self) -> None:
        self.assertEqual([], self.workspace.build(_TARGET))

    def test_a_comment_in_cpp_runs_no_python(self) -> None:
        self.workspace.edit(
            "examples/two_models/main.cc", "int main(", "// !\nint main("
        )
        ran = self._count(self.workspace.build(_TARGET))
        print("changed comment in main.cc:", dict(ran))
        self.assertEqual(1, ran.pop("CppCompile"))
        ran.pop("CppLink", None)
        self.assertEqual({}, ran)

    def test_new_weights_compile_no_kernel(self) -> None:
        self.workspace.build(_TARGET)  # whatever ran before
        self.workspace.edit(
            "models/BUILD.bazel", 'entry = "mlp",', 'entry = "mlp",\n    seed = 7,'
        )
        spawns = self.workspace.build(_TARGET)
        ran = self._count(spawns)
        print("changed weights:", dict(ran))
        self.assertEqual(1, ran.pop("TorchExport"))
        self.assertEqual(1, ran.pop("TorchCodegen"))
        compiled = [
            output
            for spawn in spawns
            if spawn["mnemonic"] == "CppCompile"
            for output in spawn["listedOutputs"]
            if output.endswith(".o")
        ]
        self.assertEqual(["embed.pic.o"], [os.path.basename(o) for o in compiled])

    def test_another_compilation_mode_runs_no_python(self) -> None:
        self.workspace.build(_TARGET, _KERNEL)  # whatever ran before
        for mode in ("opt", "dbg"):
            spawns = self.workspace.build(
                _TARGET, _KERNEL, flags=[f"--compilation_mode={mode}"]
            )
            ran = self._count(spawns)
            print(f"-c {mode}:", dict(ran))
            self.assertGreater(ran["CppCompile"], 0)
            self.assertEqual(
                [], [name for name in ran if name.startswith(("Torch", "Triton"))]
            )

    def test_another_isa_exports_nothing(self) -> None:
        spawns = self.workspace.build(
            _TARGET, flags=["--@rules_torch//rules:isas=x86-64-v2"]
        )
        ran = self._count(spawns)
        print("another ISA:", dict(ran))
        self.assertEqual(0, ran["TorchExport"])
        self.assertEqual(2, ran["TorchCodegen"])

    @staticmethod
    def _count(spawns: list[dict]) -> collections.Counter[str]:
        return collections.Counter(spawn["mnemonic"] for spawn in spawns)


if __name__ == "__main__":
    unittest.main()
