"""What is generated follows the declared target, and nothing of this machine."""

import os
import re

import pytest

from aot_common import cpp_names, isa

MODEL = """
    import torch
    from torch import nn
    from torch.export import Dim
    from torch_aot import Model

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(64, 512)

        def forward(self, x):
            return torch.softmax(torch.sin(self.linear(x)), dim=-1)

    def net():
        batch = Dim("batch", min=1, max=4096)
        return Model(Net(), (torch.randn(512, 64),), ({0: batch},))
"""
EXPORT = "export model.py:net --program=OUT/m.pt2 --signature=OUT/m.json".split()
CODEGEN = (
    "codegen OUT/m.pt2 OUT/m.json --label=//:m --id=m --class=M --out=OUT/m.h".split()
)


@pytest.fixture
def generate(write, tool, tmp_path):
    """Generates code for the model; returns it by the file's suffix."""
    write("model.py", MODEL)
    assert tool(*EXPORT).status == 0

    def generate(*arguments):
        result = tool(*CODEGEN, *arguments)
        assert (result.status, result.output) == (0, "")
        files = {
            path.name.removeprefix("m."): path.read_bytes()
            for path in (tmp_path / "out").iterdir()
            if path.name not in ("m.json", "m.pt2")
        }
        for name in files:
            (tmp_path / "out" / f"m.{name}").unlink()
        return files

    return generate


def test_members_of_the_class_are_those_that_rules_know(generate):
    """The rules refuse a class that is called as one of its members is."""
    header = generate("--isa=x86-64-v3")["h"].decode()
    body = header.partition("class M {\n")[2].partition("\n};\n")[0]
    members = re.findall(r"(?m)^  (?!//)\S.*?\b(\w+)(?: \{$| = |\(|;)", body)
    assert sorted({*members} - {"M"}) == sorted(cpp_names.MEMBERS.split())


def test_variants_are_those_of_libraries_for_one(generate):
    several = generate("--isa=x86-64-v4", "--isa=x86-64-v3", "--isa=x86-64-v2")
    assert len(several) == 5 + 3 * 2
    for name in ("x86-64-v4", "x86-64-v3", "x86-64-v2"):
        single = generate(f"--isa={name}")
        for file in (
            f"{name}.kernels.cc",
            f"{name}.wrapper.cc",
            "weights.safetensors",
        ):
            assert several[file] == single[file], file


@pytest.mark.parametrize("name", isa.ISAS)
def test_vectors_are_of_the_instruction_set(name, generate):
    """Whatever CPU this is: 16 floats for AVX-512, 8 for AVX2, 4 for NEON."""
    kernels = generate(f"--isa={name}")[f"{name}.kernels.cc"].decode()
    steps = {
        int(step)
        for step in re.findall(r"\w\+=\(?static_cast<int64_t>\((\d+)L?\)", kernels)
    }
    steps -= {1}
    assert (
        steps
        == {
            "x86-64-v2": set(),
            "x86-64-v3": {8},
            "x86-64-v4": {16},
            "x86-64-v4-amx": {16},
            "aarch64": {4},
        }[name]
    )


def test_threads_of_the_machine_that_runs_it(generate):
    """Every loop can be shared out, and no number is in the code."""
    kernels = generate()["x86-64-v3.kernels.cc"].decode()
    assert "regions::RunRegion<0>(static_cast<int64_t>(" in kernels
    assert "#pragma omp for" in kernels
    assert "#pragma omp parallel" not in kernels and "num_threads(" not in kernels


def test_threads_only_where_there_is_work(write, tool, tmp_path):
    """Kernels know how many iterations there are: of all loops of a region."""
    write(
        "model.py",
        """
        import torch
        from torch import nn
        from torch_aot import Model

        class Net(nn.Module):
            def forward(self, x):
                return x.softmax(-1), x.relu().sum()

        def net():
            rows = torch.export.Dim("rows", min=2, max=4096)
            return Model(Net(), inputs=(torch.ones(5, 24),), dynamic_shapes=({0: rows},))
        """,
    )
    tool("export", "model.py:net", "--program=OUT/p.pt2", "--signature=OUT/s.json")
    out = tmp_path / "out"
    tool(
        "codegen", f"{out}/p.pt2", f"{out}/s.json", "--label=//:m", "--id=m",
        "--class=M", "--out=OUT/m.h",
    )  # fmt: skip
    kernels = (out / "m.x86-64-v3.kernels.cc").read_text()
    assert kernels.count('#include "runtime/internal/kernel_regions.h"') >= 1
    regions = re.findall(r"const auto region(\d) = \[&\]", kernels)
    run = re.findall(
        r"RunRegion<0>\(static_cast<int64_t>\((\d+)L\*ks0\), region", kernels
    )
    assert regions and len(run) == len(regions)
    assert sum(map(int, run)) >= 3 * 24  # the largest, the sum, the quotients
    # A sum of all elements: the threads' own sums lie around the loop.
    assert re.findall(r"#pragma omp parallel(.*)", kernels) == [
        " if(rules_torch::regions::IsWorthThreads(static_cast<int64_t>(24L*ks0)))"
    ]


def test_a_number_of_threads(generate):
    files = generate("--threads=3")
    kernels = files["x86-64-v3.kernels.cc"].decode()
    assert set(re.findall("RunRegion<(.*?)>", kernels)) == {"3"}
    assert "kOutputs, 3>" in files["x86-64-v3.wrapper.cc"].decode()
    assert "computes in 3 threads" in files["h"].decode().replace("\n// ", " ")


def test_no_threads(generate):
    files = generate("--threads=1")
    assert "omp" not in files["x86-64-v3.kernels.cc"].decode()
    assert "in the calling thread alone" in files["h"].decode().replace("\n// ", " ")


def test_checks_keep_loops_parallel_and_say_where_they_are(write, tool, tmp_path):
    write(
        "model.py",
        """
        import torch
        from torch import nn
        from torch_aot import Model

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.words = nn.Embedding(8, 64)
                self.places = nn.Embedding(9, 64)

            def forward(self, ids, at, n):
                words = self.words(ids)
                places = self.places(at)
                return torch.sin(words + places) / (at // n)[:, None]

        def net():
            ids = torch.zeros(4096, dtype=torch.long)
            return Model(Net(), (ids, ids, ids + 1))
        """,
    )
    assert tool(*EXPORT).status == 0
    assert tool(*CODEGEN).status == 0
    kernels = (tmp_path / "out" / "m.x86-64-v3.kernels.cc").read_text()
    # Of a fused loop each check has its own operator's line.
    assert set(re.findall(r'"(\w+, model.py:\d+)"', kernels)) == {
        "embedding, model.py:12",
        "embedding, model.py:13",
        "floor_divide, model.py:14",
    }
    assert "RunRegion<0>" in kernels
    assert "inductor_cpu_integer_div_error" not in kernels
    assert not re.search("TORCH_CHECK|throw ", kernels)
    # No check is outside of what catches.
    caught = re.findall(r"none\(\)\) try \{\n(.*?)\n *\} catch \(", kernels, re.DOTALL)
    for check in ("CheckIndex(", "Divide<"):
        assert kernels.count(check) == sum(part.count(check) for part in caught) > 0


def test_kernels_without_checks_have_nothing_of_them(generate):
    kernels = generate()["x86-64-v3.kernels.cc"].decode()
    assert not re.search("kernel_checks|rules_torch::internal|try|integer_div", kernels)


def test_nothing_of_this_machine_is_in_it(generate, tmp_path):
    for name, content in generate().items():
        for text in (
            "march=native",
            "/proc/cpuinfo",
            "/root",
            "/home",
            str(tmp_path),
            os.getcwd(),
            os.uname().nodename,
        ):
            assert text.encode() not in content, name


@pytest.fixture
def wrapper_of(write, tool, tmp_path):
    """The wrapper of a model that returns an expression in x, y = x * weight and None."""

    def wrapper_of(returned):
        write(
            "model.py",
            f"""
            import torch
            from torch import nn
            from torch_aot import Model

            class Net(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.weight = nn.Parameter(torch.ones(3))

                def forward(self, x, absent=None):
                    y = x * self.weight
                    return {returned}

            def net():
                return Model(Net(), (torch.ones(2, 3), None))
            """,
        )
        assert tool(*EXPORT).status == 0
        result = tool(*CODEGEN)
        assert (result.status, result.output) == (0, "")
        return (tmp_path / "out" / "m.x86-64-v3.wrapper.cc").read_text()

    return wrapper_of


@pytest.mark.parametrize(
    ("returned", "places"),
    [
        ("y", [0]),
        ("x", [0]),
        ("self.weight", [0]),
        ("torch.tensor(3)", [0]),
        ("(None, y)", [1]),
        ("(y, None)", [0]),
        ("(None, None, y, None, x)", [2, 4]),
        ("(y, y)", [0, 1]),
        ("(x, x)", [0, 1]),
        ("(y[1], y[1], y)", [0, 1, 2]),
        ("(self.weight, None, self.weight)", [0, 2]),
        ("(x.T, absent, x.T, absent, y)", [0, 2, 4]),
    ],
)
def test_outputs_are_where_the_generated_code_puts_them(returned, places, wrapper_of):
    wrapper = wrapper_of(returned)
    written = re.findall(r"(?:^ *|&)output_handles\[(\d+)\]", wrapper, re.MULTILINE)
    assert [int(place) for place in written] == places
    kept = re.search(r"kOutputs = \{(.*)\};", wrapper)
    assert [int(place) for place in kept[1].split(",")] == places
    numbered = re.search(r"AOTInductorModelBase\(1,\s*(\d+),", wrapper)
    assert f"AOTInductorModel, 1,\n        {numbered[1]}, kOutputs," in wrapper


@pytest.mark.parametrize(
    ("returned", "in_place"),
    [
        ("y", [0]),
        ("(None, x.exp(), None, x.sin())", [0, 1]),
        ("y.reshape(-1)", [0]),
        ("torch.cat([y, x])", [0]),
        ("torch.softmax(y, 1).sum(1)", [0]),
        ("x @ x.T", [0]),
        # The memory of an input, of a weight, of another output.
        ("x", []),
        ("self.weight", []),
        ("(y[1], y)", [1]),
        ("(y, y)", [0]),
        # Not row-major, or a part.
        ("y.T", []),
        ("(y[:, :2], y[1])", []),
        # What an operator or a branch allocates.
        ("torch.sort(y)[0]", []),
        ("torch.cond(y.sum() > 0, lambda: y + 1, lambda: y - 1)", []),
    ],
)
def test_results_are_computed_in_the_callers_memory(returned, in_place, wrapper_of):
    wrapper = wrapper_of(returned)
    found = re.findall(r"EmptyOutput\(proxy_executor, (\d+), ", wrapper)
    assert sorted(map(int, found)) == in_place


def test_a_signature_of_another_program(write, tool):
    write("model.py", MODEL)
    write(
        "other.py",
        """
        import torch
        from torch_aot import Model

        class Net(torch.nn.Module):
            def forward(self, x):
                return None, x.sum().long(), x

        def net():
            return Model(Net(), (torch.ones(2, 64),))
        """,
    )
    assert tool(*EXPORT).status == 0
    other = "export other.py:net --program=OUT/o.pt2 --signature=OUT/m.json"
    assert tool(*other.split()).status == 0
    result = tool(*CODEGEN)
    assert result.status == 1
    assert result.text == (
        "other.py:net: error: the outputs of the program are float32 of rank 2, and "
        "those of its signature int64 of rank 0, float32 of rank 2 fix: give the "
        "program and the signature that one `export` wrote"
    )
    assert result.files == ["m.json", "m.pt2", "o.pt2"]
