"""What is generated says which operators and lines of the model it is of."""

import json
import re

import pytest

from torch_aot import provenance
from torch_aot.provenance import Line, Origin, Section

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
SORT = "order = x.sort(dim=-1)[0]"
PUT = "x = x.index_put((x > 0,), y)"
COMPLEX = "return torch.view_as_real(x.to(torch.complex64))"
COND = "x = torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x.cos(), (x,))"


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


def places(source, macros=("NDEBUG",)):
    """Where the compiler says that each line is: the line, a file's name, a number."""
    found, file, number, active = [], "__BASE_FILE__", 1, True
    for line in source.splitlines():
        found.append((line, file, number))
        number += 1
        if line == "#ifdef NDEBUG":
            active = "NDEBUG" in macros
        elif line == "#endif":
            active = True
        directive = re.fullmatch(r'#line (\d+) (__BASE_FILE__|".*")', line)
        if directive and active:
            number = int(directive[1])
            file = directive[2]
            if file.startswith('"'):
                file = re.sub(r"\\(.)", r"\1", file[1:-1])
    return found


def files_of(code, source):
    """The names of the files that the lines with some code are said to be in."""
    return [
        file
        for line, file, _ in places(source)
        if code in line and not line.startswith("#line")
    ]


def test_the_compiler_names_the_models_lines(generate):
    files = generate(MODEL)
    kernels = files["x86-64-v3.kernels.cc"].decode()
    kernel = "a/m.x86-64-v3.kernels.cc, model.py: "
    assert {*files_of(".sin()", kernels)} == {kernel + FUSED}
    assert {*files_of(".cos()", kernels)} == {kernel + COND}
    assert {*files_of("#include", kernels)} == {"__BASE_FILE__"}

    wrapper = files["x86-64-v3.wrapper.cc"].decode()
    call = "a/m.x86-64-v3.wrapper.cc, model.py: "
    assert files_of("aoti_torch_cpu_rtorch_matmul_out(", wrapper) == [
        call + FIRST,
        call + SECOND,
    ]
    assert files_of("aoti_torch_cpu_sort_stable(", wrapper) == [call + SORT]
    assert files_of("    m_x86_64_v3_cpp_fused_mul_sin_0(", wrapper) == [call + FUSED]
    assert files_of("if (buf", wrapper) == [call + COND]
    # What the branches' code ends with belongs to the call of torch.cond again.
    assert {*files_of("= std::move(true_graph", wrapper)} == {call + COND}
    for code in ("#include", "run_impl(", "output_handles[0] ="):
        assert {*files_of(code, wrapper)} == {"__BASE_FILE__"}


def test_numbers_of_lines_are_those_of_the_generated_file(generate):
    files = generate(MODEL)
    for kind in ("kernels", "wrapper"):
        source = files[f"x86-64-v3.{kind}.cc"].decode()
        numbers = [number for _, _, number in places(source)]
        assert numbers == [*range(1, len(numbers) + 1)]
        assert source.count("#line") >= 6


def test_debuggers_find_the_generated_file(generate):
    files = generate(MODEL)
    for kind in ("kernels", "wrapper"):
        source = files[f"x86-64-v3.{kind}.cc"].decode()
        named = {file for _, file, _ in places(source, macros=())}
        assert named == {"__BASE_FILE__"}


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
    assert kernels["aoti_torch_cpu_rtorch_matmul_out"] == {
        "operators": ["aten.addmm"],
        "lines": [line(FIRST), line(SECOND)],
    }
    # What is in a branch, and not what the branch depends on.
    operators = [kernels[name]["operators"] for name in defined if "cos" in name]
    assert operators == [["aten.cos"]] * 2


def test_each_call_is_a_step(generate):
    files = generate(MODEL, "--isa=x86-64-v4", "--isa=x86-64-v2")
    table = re.search(r"kSteps\[\] = \{(.*?)\};", files["model.cc"].decode(), re.S)
    steps = [json.loads(f"[{row}]") for row in re.findall(r"\{(.*)\}", table[1])]
    assert ["cpp_fused_mul_sin_0", "aten.sin, aten.mul", f"model.py: {FUSED}"] in steps
    for isa in ("x86-64-v4", "x86-64-v2"):
        wrapper = files[f"{isa}.wrapper.cc"].decode()
        calls = re.findall(
            r"^ *(?:AOTI_TORCH_ERROR_CODE_CHECK\()?"
            r"((?:aoti_torch_cpu|m_x86_64_v\d_cpp_fused)_\w+)\(.*;$",
            wrapper,
            re.MULTILINE,
        )
        announced = re.findall(
            r"^ *\{ const rules_torch::internal::Step step\(proxy_executor, (\d+)\);\n"
            r" *(?:AOTI_TORCH_ERROR_CODE_CHECK\()?(\w+)\(.*\);\n *\}$",
            wrapper,
            re.MULTILINE,
        )
        assert [call for _, call in announced] == calls
        assert len(calls) >= 6
        for place, call in announced:
            assert re.sub(r"^m_x86_64_v\d_", "", call) == steps[int(place)][0]


def test_operators_whose_shims_are_for_any_device_are_steps(generate):
    files = generate(
        f"""
        import torch
        from torch_aot import Model

        class Net(torch.nn.Module):
            def forward(self, x, y):
                {PUT}
                {COMPLEX}

        def net():
            return Model(Net(), (torch.ones(4), torch.ones(4)))
    """,
        "--runtime=libtorch",
    )
    steps = re.findall(
        r'^ *\{"(\w+)", "(.*)", "(model.py.*)"\}', files["model.cc"].decode(), re.M
    )
    assert [step for step in steps if step[0].startswith("aoti")] == [
        ("aoti_torch_index_put_out", "aten.gt, aten.index_put", f"model.py: {PUT}"),
        ("aoti_torch_copy_", "aten._to_copy", f"model.py: {COMPLEX}"),
        ("aoti_torch_cpu_view_as_real", "aten.view_as_real", f"model.py: {COMPLEX}"),
    ]
    manifest = json.loads(files["manifest.json"])
    assert manifest["runtime_operators"] == ["copy_", "view_as_real", "index_put_out"]


def test_many_and_long_lines_are_cut():
    def lines(*codes):
        return tuple(Line("m.py", i, "f", code) for i, code in enumerate(codes))

    assert str(Origin(("aten.add",), lines("a + b", "a + b"))) == "m.py: a + b"
    assert str(Origin((), lines(*"abcd"))) == "m.py: a; b; c; …"
    assert str(Origin((), lines("a" * 200))) == f"m.py: {'a' * 79}…"
    files = (Line("m.py", 1, "f", "a"), Line("n.py", 1, "g", "b"))
    assert str(Origin((), files)) == "m.py: a; n.py: b"
    # No line is the user's: a module of torch's, TorchScript.
    assert str(Origin(("aten.add", "aten.mul"))) == "aten.add, aten.mul"


def test_code_of_one_origin_has_one_directive():
    origin = Origin(("aten.add",))
    sections = [Section("a\n", origin), Section("b\n", origin), Section("c\n")]
    assert provenance.render(sections, "m.cc") == (
        '#ifdef NDEBUG\n#line 3 "m.cc, aten.add"\n#endif\na\nb\n'
        "#ifdef NDEBUG\n#line 8 __BASE_FILE__\n#endif\nc\n"
    )
