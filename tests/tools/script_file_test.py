"""Files of TorchScript with example inputs of a build file, and what is no such file."""

import io
import json
import os
import pathlib
import pickle
import re
import zipfile

import pytest
import torch
from torch import nn

from aot_common.errors import UserError
from torch_aot import export, program_file, reference
from torch_aot.entry import Entry


class Steps(nn.Module):
    """State, control flow on data, a default, and an argument of another dtype."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, image, index, scale: torch.Tensor | None = None):
        self.calls += 1
        x = torch.tanh(self.layer(image))
        while x.abs().max() > 0.25:
            x = x * 0.5
        if scale is not None:
            x = x * scale
        return x[index] + self.calls


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    torch.jit.script(Steps().eval()).save("steps.pt")


def load(*examples, path="steps.pt", weights=()):
    entry = Entry(path, examples)
    return entry, entry.load([*weights], seed=0)


def exported(*examples, **arguments):
    return export.export(*load(*examples, **arguments))


def error(*examples, path="steps.pt"):
    with pytest.raises(UserError) as caught:
        exported(*examples, path=path)
    assert caught.value.where == path
    return " ".join(str(caught.value).split())


# ---- Example inputs.


def test_inputs_in_order():
    program, signature = exported("float32[batch=1..64, 8]", "int64[rows = 2..]")
    assert signature.text == (
        "(image: float32[batch, 8], index: int64[rows]) -> (output: float32[rows, 8])"
    )
    assert signature.symbols == {"batch": (1, 64), "rows": (2, None)}
    assert signature.source == "steps.pt"
    ours, theirs = program.module(), torch.jit.load("steps.pt")
    for size in (3, 9):
        inputs = torch.randn(size, 8), torch.tensor([2, 0, 1, 2])
        with torch.no_grad():
            torch.testing.assert_close(ours(*inputs), theirs(*inputs))


def test_inputs_by_name():
    _, signature = exported(
        "scale: float32[]", "image:float32[n=1..8,8]", "index: int64[n]"
    )
    assert signature.text == (
        "(image: float32[n, 8], index: int64[n], scale: float32[]) -> "
        "(output: float32[n, 8])"
    )


@pytest.mark.parametrize(
    ("examples", "what"),
    [
        ([], "image, index is missing"),
        (["float32[2, 8]"], "has 1 of the inputs"),
        (["float32[2, 8]", "scale: float32[]"], "index is missing"),
        (["float32(2, 8)"], "[0], 'float32(2, 8)', is not a dtype with sizes"),
        (["float[2, 8]"], "has the dtype float fix: take one of uint8"),
        (["float32[2, -1]"], "has '-1' for a dimension"),
        (["float32[batch, 8]"], 'batch without a range fix: write "batch=1..64"'),
        (["float32[n=1..1, 8]"], "no size of 2 or more in the range of n"),
        (["float32[n=1..4, 8]", "int64[n=1..5]"], "[1], 'int64[n=1..5]', has another"),
        (["image: float32[2, 8]", "image: int64[2]"], "no argument that is left"),
        (["mask: float32[2, 8]"], "an argument 'mask', which there is not"),
        (["float32[2, 8]", "int64[2]", "bool[1]", "bool[1]"], "[3], 'bool[1]', is for"),
    ],
)
def test_examples_that_do_not_fit(examples, what):
    assert what in error(*examples)


def test_an_argument_that_is_no_tensor():
    class Net(nn.Module):
        def forward(self, x, parts: list[torch.Tensor]):
            return x + parts[0]

    torch.jit.script(Net()).save("net.pt")
    message = error("float32[2]", "float32[2]", path="net.pt")
    assert "'parts', which is no tensor but of the type List[Tensor]" in message


def test_sizes_that_the_module_does_not_take():
    message = error("float32[2, 9]", "int64[2]")
    assert (
        "the model fails on its example inputs, also when it is not compiled" in message
    )


def test_examples_of_another_kind_of_model():
    with pytest.raises(UserError, match="example_inputs are for TorchScript"):
        Entry("model.py:net", ["float32[2]"])


# ---- The command line, weights and test data.


def test_the_tool(tool, tmp_path):
    result = tool(
        *("export", "steps.pt", "--example_input=float32[2, 8]"),
        *("--example_input=int64[2]", "--program=OUT/m.pt2", "--signature=OUT/m.json"),
    )
    assert (result.status, result.output) == (0, "")
    assert json.loads((tmp_path / "out/m.json").read_text())["source"] == "steps.pt"
    program_file.load(str(tmp_path / "out/m.pt2"))


def test_weights_replace_those_of_the_file():
    state = torch.jit.load("steps.pt").state_dict()
    torch.save({k: torch.zeros_like(v) for k, v in state.items()}, "zero.pth")
    program, _ = exported("float32[2, 8]", "int64[2]", weights=["zero.pth"])
    ours = program.module()(torch.randn(2, 8), torch.zeros(2, dtype=torch.int64))
    assert torch.equal(ours, torch.ones(2, 8))


def test_it_is_compared_with_torchscript():
    entry, model = load("float32[batch=1..64, 8]", "int64[4]")
    _, signature = export.export(*load("float32[batch=1..64, 8]", "int64[4]"))
    assert reference.make_cases(entry, model, signature, 2, 1)


# ---- Files.


def saved(module):
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(module), file)
    return file.getvalue()


def test_files_of_another_kind():
    torch.save(Steps().state_dict(), "state.pt")
    message = error("float32[2]", path="state.pt")
    assert "the file is what torch.save wrote, not a TorchScript archive" in message
    assert "goes into the torch_model's `weights`" in message
    torch.export.save(torch.export.export(nn.ReLU(), (torch.ones(2),)), "program.pt2")
    os.rename("program.pt2", "program.pt")
    message = error("float32[2]", path="program.pt")
    assert "name it in the torch_model's `program`" in message
    pathlib.Path("text.pt").write_text("weights")
    assert "not a TorchScript archive (7 bytes)" in error(path="text.pt")


def test_a_truncated_file():
    content = pathlib.Path("steps.pt").read_bytes()
    for length in (0, 100, len(content) // 2, len(content) - 1):
        pathlib.Path("cut.pt").write_bytes(content[:length])
        assert f"({length:,} bytes)" in error(path="cut.pt")


def test_a_damaged_file():
    weights = torch.jit.load("steps.pt").layer.weight.detach().numpy().tobytes()
    content = bytearray(pathlib.Path("steps.pt").read_bytes())
    content[content.index(weights)] ^= 1
    pathlib.Path("damaged.pt").write_bytes(content)
    assert "the file is damaged: " in error(path="damaged.pt")


class Touch:
    """Its pickle makes a file when Python reads it."""

    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.mark.parametrize("name", ["data.pkl", "constants.pkl"])
def test_a_file_with_code_in_its_pickles(name):
    with (
        zipfile.ZipFile("steps.pt") as old,
        zipfile.ZipFile("bad.pt", "w") as new,
    ):
        for part in old.infolist():
            content = old.read(part)
            if part.filename.endswith(f"/{name}"):
                content = pickle.dumps(Touch(), protocol=2)
            new.writestr(part.filename, content)
    assert "does not read this module" in error("float32[2, 8]", path="bad.pt")
    assert not pathlib.Path("ran").exists()


def test_a_pickle_of_python_is_not_read():
    torch.save(Touch(), "pickle.pt")
    assert "the file is what torch.save wrote" in error(path="pickle.pt")
    assert not pathlib.Path("ran").exists()


def test_an_operator_that_is_not_pytorchs():
    library = torch.library.Library("my_library", "DEF")
    library.define("twice(Tensor x) -> Tensor")
    library.impl("twice", lambda x: x * 2, "CompositeImplicitAutograd")

    class Net(nn.Module):
        def forward(self, x):
            return torch.ops.my_library.twice(x)

    torch.jit.script(Net()).save("net.pt")
    content = pathlib.Path("net.pt").read_bytes()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile("x.pt", "w") as new,
    ):
        for part in old.infolist():
            code = old.read(part).replace(b"my_library", b"no_library")
            new.writestr(part.filename, code)
    message = error("float32[2]", path="x.pt")
    assert "the module needs no_library::twice, which is none of PyTorch's" in message


def test_a_file_without_the_lines_of_its_source():
    """Then it is a line of the code in the file."""

    class Net(nn.Module):
        def forward(self, x):
            parts = [x]
            if x.sum() > 0:
                parts.append(x)
            return torch.cat(parts)

    torch.jit.script(Net()).save("net.pt")
    with zipfile.ZipFile("net.pt") as old, zipfile.ZipFile("bare.pt", "w") as new:
        for part in old.infolist():
            if not part.filename.endswith(".debug_pkl"):
                new.writestr(part.filename, old.read(part))
    with pytest.raises(UserError, match="the two sides of this `if`") as caught:
        exported("float32[2]", path="bare.pt")
    assert re.fullmatch(r"code/__torch__/.*\.py:\d+", caught.value.where)
