"""Models on CPUs that this machine need not have, under QEMU.

`resnet_test` compares the same libraries with eager PyTorch, on the CPU of this machine.
"""

import os
import subprocess
import unittest

QEMU = os.path.abspath(os.environ["QEMU"])


def run(library: str, *emulator: str) -> tuple[int, list[str]]:
    """Runs tests/target/resnet_main; returns the exit status and the printed lines."""
    done = subprocess.run(
        [*emulator, "tests/target/resnet_main", library],
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.returncode, done.stdout.splitlines()


def emulate(cpu: str, library: str) -> tuple[int, list[str]]:
    return run(library, QEMU, "-cpu", cpu)


class EmulationTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        status, (_, *logits) = run("v3")
        assert status == 0 and len(logits) == 1000, logits
        cls.expected = [float(line) for line in logits]

    def test_v3_on_haswell(self) -> None:
        self.check("x86-64-v3", emulate("Haswell", "v3"))

    def test_v3_on_nehalem(self) -> None:
        """An error, as for anything else that is wrong; no illegal instruction."""
        text = "//models:resnet: compiled for x86-64-v3, none of which this CPU runs"
        self.assertEqual((1, [text]), emulate("Nehalem", "v3"))

    def test_several_on_nehalem(self) -> None:
        self.check("x86-64-v2", emulate("Nehalem", "portable"))

    def check(self, isa: str, made: tuple[int, list[str]]) -> None:
        status, (used, *logits) = made
        self.assertEqual((0, isa), (status, used))
        self.assertEqual(len(self.expected), len(logits))
        largest = max(
            abs(float(line) - expected)
            for line, expected in zip(logits, self.expected, strict=True)
        )
        print(f"on {isa}: largest difference {largest:.3g}")
        self.assertLess(largest, 1e-4)


if __name__ == "__main__":
    unittest.main()
