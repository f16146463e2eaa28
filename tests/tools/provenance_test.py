"""What is generated says which operators and lines of the model it is of."""

import json
import re

import pytest

MODEL = r"""
    import torch
    from torch import nn
    from torch_aot import Model

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(8, 32)
            self.second = nn.Linear(32, 4)

        def forward(self, x):
            x = self.first(x)
            x = torch.sin(x)
            x = x * {"\\n": 2}["\\n"]
            x = self.second(x)
            order = x.sort(dim=-1)[0]
            x = torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x.cos(), (x,))
            return x, order

    def net():
        return Model(Net(), (torch.randn(2, 8),))
"""
FIRST = "x = self.first(x)"
FUSED = r'x = torch.sin(x); x = x * {"\\n": 2}["\\n"]'
SECOND = "x = self.second(x)"


@pytest.fixture
def generate(write, tool, tmp_path):
    """Generates code for a model; returns it by the file's suffix."""

    def generate(model, *arguments):
        write("model.py", model)
        options = ("--program=OUT/m.pt2", "--signature=OUT/m.json")
        assert tool("export", "model.py:net", *options).status == 0
        options = ("--label=//:m", "--id=m", "--class=M", "--include=a/m.h")
        result = tool(
            "codegen", "OUT/m.pt2", "OUT/m.json", "--out=OUT/m.h", *options, *arguments
        )
        assert (result.status, result.output) == (0, "")
        return {
            path.name.removeprefix("m."): path.read_bytes()
            for path in (tmp_path / "out").iterdir()
            if path.name not in ("m.json", "m.pt2")
        }

    return generate


def test_lines_that_move_change_the_map_alone(generate):
    before = generate(MODEL)
    after = generate("\n    # A comment." + MODEL)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"manifest.json"}
    kernels = [
        json.loads(files["manifest.json"])["kernels"] for files in (before, after)
    ]
    moved = [
        after_line["line"] - before_line["line"]
        for kernel, after_kernel in zip(*kernels, strict=True)
        for before_line, after_line in zip(
            kernel["lines"], after_kernel["lines"], strict=True
        )
    ]
    assert {*moved} == {1}


def test_the_map_has_every_kernel_and_operator(generate):
    files = generate(MODEL, "--isa=x86-64-v4", "--isa=x86-64-v3")
    manifest = json.loads(files["manifest.json"])
    kernels = {kernel.pop("name"): kernel for kernel in manifest["kernels"]}
    defined = {
        name
        for isa in manifest["isas"]
        for name in re.findall(
            r'extern "C"\s+void\s+(\w+)\(', files[f"{isa}.kernels.cc"].decode()
        )
    }
    shims = {f"aoti_torch_cpu_{name}" for name in manifest["runtime_operators"]}
    assert {*kernels} == defined | shims
    assert len(defined) == 2 * 4
    source = [line.strip() for line in MODEL.strip().splitlines()]

    def line(code):
        return {
            "file": "model.py",
            "line": source.index(code) + 1,
            "function": "forward",
            "code": code,
        }

    for isa in ("v4", "v3"):
        assert kernels[f"m_x86_64_{isa}_cpp_fused_mul_sin_0"] == {
            "operators": ["aten.sin", "aten.mul"],
            "lines": [line(code) for code in FUSED.split("; ")],
        }
    # Of both layers, in the order of the model.
    assert kernels["aoti_torch_cpu_addmm_out"] == {
        "operators": ["aten.addmm"],
        "lines": [line(FIRST), line(SECOND)],
    }
    # What is in a branch, and not what the branch depends on.
    operators = [kernels[name]["operators"] for name in defined if "cos" in name]
    assert operators == [["aten.cos"]] * 2
