"""The CPU of the machine that builds a model leaves no trace in it."""

import json
import os
import pathlib
import subprocess
import sys
import unittest

QEMU = os.path.abspath(os.environ["QEMU"])
MODEL = "tests/target/build_machine.py:net"
STAGES = (
    f"export {MODEL} --program=OUT/m.pt2 --signature=OUT/m.json",
    f"reference {MODEL} --signature=OUT/m.json --cases=1 --out=OUT/m.cases",
    "codegen OUT/m.pt2 OUT/m.json --label=//:m --id=m --class=M --isa=x86-64-v4 "
    "--out=OUT/m.h",
)


def build(*emulator: str) -> dict[str, bytes]:
    """Runs the tool's stages; returns what they write, by file name."""
    out = pathlib.Path(os.environ["TEST_TMPDIR"]) / f"out{len(emulator)}"
    out.mkdir()
    environment = json.loads(os.environ["TOOL_ENV"]) | {
        "PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))
    }
    for stage in STAGES:
        command = [sys.executable, "tools/compile_model.py"]
        command += stage.replace("OUT", str(out)).split()
        subprocess.run([*emulator, *command], check=True, env=environment)
    return {path.name: path.read_bytes() for path in out.iterdir()}


class BuildMachineTest(unittest.TestCase):
    def test_an_older_cpu_makes_the_same(self) -> None:
        """Nehalem: no AVX, no FMA. The code is for AVX-512 all the same."""
        here = build()
        there = build(QEMU, "-cpu", "Nehalem")
        self.assertIn("m.x86-64-v4.kernels.cc", here)
        self.assertEqual(sorted(here), sorted(there))
        different = [name for name in here if here[name] != there[name]]
        self.assertEqual([], different)


if __name__ == "__main__":
    unittest.main()
