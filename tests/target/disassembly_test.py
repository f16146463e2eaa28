"""Machine code has the registers of its instruction set, and is nobody else's."""

import pathlib
import re
import subprocess
import sys
import unittest

OBJECTS = [pathlib.Path(path) for path in sys.argv[1:]]

# The widest vector registers that an instruction set has.
WIDEST = {"x86-64-v2": "xmm", "x86-64-v3": "ymm", "x86-64-v4": "zmm"}
WIDER = {"xmm": "[yz]mm", "ymm": "zmm", "zmm": "none"}


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def disassemble(path: pathlib.Path) -> str:
    return run("objdump", "--disassemble", "--no-show-raw-insn", str(path))


def isa_of(path: pathlib.Path) -> str | None:
    """The instruction set of an object of kernels, by its name."""
    found = re.fullmatch(r".*?\.(x86-64-v\d)\.kernels\..*\.o", path.name)
    return found and found[1]


class DisassemblyTest(unittest.TestCase):
    def test_kernels_of_every_instruction_set_are_here(self) -> None:
        self.assertEqual(set(WIDEST), {isa_of(path) for path in OBJECTS} - {None})

    def test_kernels_use_no_wider_registers_than_theirs(self) -> None:
        for path in OBJECTS:
            if isa := isa_of(path):
                code = disassemble(path)
                self.assertNotRegex(code, rf"%{WIDER[WIDEST[isa]]}\d", path.name)
                self.assertRegex(code, rf"%{WIDEST[isa]}\d", path.name)

    def test_the_rest_runs_anywhere(self) -> None:
        rest = [path for path in OBJECTS if not isa_of(path)]
        names = " ".join(path.name for path in rest)
        for part in (".model.", ".wrapper.", "embed."):
            self.assertIn(part, names)
        for path in rest:
            self.assertNotRegex(disassemble(path), r"%[yz]mm\d", path.name)

    def test_no_function_of_kernels_can_become_the_programs(self) -> None:
        """Weak ones of equal names are one to the linker."""
        functions = 0
        for path in OBJECTS:
            if isa := isa_of(path):
                for line in run("nm", "--defined-only", "-P", str(path)).splitlines():
                    symbol, kind = line.split()[:2]
                    if kind in "VWu":
                        self.assertRegex(symbol, rf"\.rtorch_\w+_{isa}$", path.name)
                        functions += kind == "W"
        self.assertGreater(functions, 0)

    def test_a_program_has_wide_registers_in_its_models_code_alone(self) -> None:
        """In kernels, and in operators, whose own functions have internal linkage."""
        code = disassemble(pathlib.Path("tests/target/resnet_test"))
        functions = re.split(r"^[0-9a-f]+ <(.*)>:$", code, flags=re.MULTILINE)[1:]
        seen = set()
        for name, body in zip(functions[::2], functions[1::2], strict=True):
            for register in re.findall(r"%([yz]mm)\d", body):
                if "11rules_torch10standalone12_GLOBAL__N_1" in name:
                    continue  # it may be of any instruction set
                found = re.search(r"rtorch_(?:tests_target_resnet_)?(\w+?_v\d)", name)
                self.assertTrue(found, f"{name} uses {register}")
                isa = found[1].replace("_", "-")
                self.assertNotRegex(register, WIDER[WIDEST[isa]], name)
                seen.add((isa, register))
        self.assertLessEqual({("x86-64-v3", "ymm"), ("x86-64-v4", "zmm")}, seen)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
