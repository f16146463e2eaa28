"""Exported programs that other people saved: what becomes of them, and what is refused."""

import contextlib
import io
import json
import os
import pathlib
import pickle
import zipfile
from collections.abc import Callable, Mapping

import pytest
import torch
from torch import nn
from torch._export.serde.serialize import serialize
from torch.export import Dim
from torch.export.experimental import _export_forward_backward
from torch.export.pt2_archive._package import package_pt2

from aot_common.errors import UserError
from torch_aot import archives, program_file
from torch_aot.archives import Kind
from torch_aot.signature import Signature

OURS = f"torch {torch.__version__}"
OUTPUTS = ("--program=OUT/m.pt2", "--signature=OUT/m.json")
X = torch.arange(8.0).reshape(2, 4)

Change = Callable[[str, bytes], bytes | None]


class Scorer(nn.Module):
    """State, a constant, nesting, and an input that is given by name."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.register_buffer("calls", torch.zeros(1))
        self.register_buffer("fixed", torch.full((3,), 5.0), persistent=False)
        self.constant = torch.tensor([1.0, 2.0, 3.0])

    def forward(self, batch, times, *, scale):
        self.calls.add_(1)
        y = self.layer(batch["rows"][0]) * scale * times
        return {"scores": y + self.calls + self.fixed, "sum": [y.sum() + self.constant]}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def scorer():
    rows = Dim("rows", min=1, max=9)
    return torch.export.export(
        Scorer().eval(),
        ({"rows": [X]}, 2),
        {"scale": torch.ones(3)},
        dynamic_shapes={"batch": {"rows": [{0: rows}]}, "times": None, "scale": None},
    )


@pytest.fixture
def saved(scorer):
    """The scorer's file."""
    torch.export.save(scorer, "scorer.pt2")
    return pathlib.Path("scorer.pt2")


def exported(module: nn.Module, *args, **arguments) -> torch.export.ExportedProgram:
    return torch.export.export(module, args or (X,), **arguments)


def rewritten(
    source: pathlib.Path, change: Change, added: Mapping[str, bytes] = {}
) -> pathlib.Path:
    """Writes an archive anew, with other contents or without some of its files."""
    target = pathlib.Path("rewritten.pt2")
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        folder = old.namelist()[0].partition("/")[0]
        for name in old.namelist():
            content = change(name.partition("/")[2], old.read(name))
            if content is not None:
                new.writestr(name, content)
        for name, content in added.items():
            new.writestr(f"{folder}/{name}", content)
    return target


def with_json(file: str, edit: Callable[[dict], None]) -> Change:
    """Changes one of an archive's JSON files."""

    def change(name: str, content: bytes) -> bytes:
        if name != file:
            return content
        data = json.loads(content)
        edit(data)
        return json.dumps(data).encode()

    return change


class Touch:
    """Unpickled, it writes a file."""

    def __reduce__(self):
        return os.system, ("touch ran",)


def pickled() -> bytes:
    content = io.BytesIO()
    torch.save(((Touch(),), {}), content)
    return content.getvalue()


def error(path: str | pathlib.Path) -> str:
    with pytest.raises(UserError) as caught:
        program_file.load(str(path))
    assert caught.value.where == str(path)
    assert caught.value.fix
    return f"{caught.value.what}; fix: {caught.value.fix}"


# ---- From a file to a model.


def test_a_program_becomes_a_model(saved, scorer, tool, tmp_path):
    result = tool("export", "scorer.pt2", *OUTPUTS)
    assert (result.status, result.output) == (0, "")
    signature = Signature.from_json((tmp_path / "out" / "m.json").read_text())
    assert signature.source == "scorer.pt2"
    assert [f"{spec.name}: {spec.type}" for spec in signature.inputs] == [
        "batch_rows_0: float32[batch_rows_0_size0, 4]",
        "scale: float32[3]",
    ]
    assert [f"{spec.name}: {spec.type}" for spec in signature.outputs] == [
        "scores: float32[batch_rows_0_size0, 3]",
        "sum_0: float32[3]",
    ]
    assert signature.symbols == {"batch_rows_0_size0": (1, 9)}
    program = torch.export.load(tmp_path / "out" / "m.pt2")
    module, original = program.module(), scorer.module()
    for size in (3, 5):  # in two calls, as there is state
        args = {"rows": [torch.randn(size, 4)]}, 2
        torch.testing.assert_close(
            module(*args, scale=torch.full((3,), 2.0)),
            original(*args, scale=torch.full((3,), 2.0)),
            rtol=0,
            atol=0,
        )


def test_what_it_becomes_is_a_program_again(saved, tool, tmp_path):
    assert tool("export", "scorer.pt2", *OUTPUTS).status == 0
    first, second = tmp_path / "out" / "m.pt2", tmp_path / "out" / "n.pt2"
    result = tool(
        *("export", str(first), f"--program={second}", "--signature=OUT/n.json")
    )
    assert (result.status, result.output) == (0, "")
    assert first.read_bytes() == second.read_bytes()


def test_all_stages_of_a_program(saved, tool, tmp_path):
    assert tool("export", "scorer.pt2", *OUTPUTS).status == 0
    for arguments in (
        "codegen OUT/m.pt2 OUT/m.json --label=//:m --id=m --class=M --out=OUT/m.h",
        "reference scorer.pt2 --signature=OUT/m.json --out=OUT/m.cases --cases=1",
    ):
        result = tool(*arguments.split())
        assert (result.status, result.output) == (0, "")
    header = (tmp_path / "out" / "m.h").read_text()
    assert header.startswith("// Generated by rules_torch from scorer.pt2")


def test_a_generated_program_is_named_without_the_configuration(saved, tool, tmp_path):
    folder = pathlib.Path("bazel-out/k8-opt/bin/models")
    folder.mkdir(parents=True)
    saved.rename(folder / "scorer.pt2")
    assert tool("export", str(folder / "scorer.pt2"), *OUTPUTS).status == 0
    signature = Signature.from_json((tmp_path / "out" / "m.json").read_text())
    assert signature.source == "models/scorer.pt2"


def test_weights_replace_those_of_a_program(tool, tmp_path):
    torch.export.save(exported(nn.Linear(4, 1)), "m.pt2")
    torch.save({"weight": torch.ones(1, 4), "bias": torch.ones(1)}, "w.pth")
    result = tool("export", "m.pt2", "--weights=w.pth", *OUTPUTS)
    assert (result.status, result.output) == (0, "")
    program = program_file.load(str(tmp_path / "out" / "m.pt2"))
    assert program.module()(torch.ones(2, 4)).tolist() == [[5], [5]]


def test_weights_that_do_not_fit_a_program(tool):
    torch.export.save(exported(nn.Linear(4, 1)), "m.pt2")
    torch.save({"weight": torch.ones(1, 3), "bias": torch.ones(1)}, "w.pth")
    result = tool("export", "m.pt2", "--weights=w.pth", *OUTPUTS)
    assert (result.status, result.files) == (1, [])
    assert result.output.startswith(
        "m.pt2: error: the weights do not fit the module\n    1 wrong shape: weight"
    )


@pytest.mark.parametrize("decomposed", [False, True])
def test_normalisation_in_eval_mode(decomposed, tool):
    module = nn.Sequential(
        nn.BatchNorm1d(4),
        nn.BatchNorm1d(4, track_running_stats=False),
        nn.InstanceNorm1d(4, track_running_stats=True),
        nn.InstanceNorm1d(4),
    )
    program = exported(module.eval(), torch.ones(2, 4, 3))
    torch.export.save(program.run_decompositions() if decomposed else program, "m.pt2")
    assert tool("export", "m.pt2", *OUTPUTS).status == 0


def test_the_one_program_of_a_package_may_have_any_name(scorer):
    package_pt2("m.pt2", exported_programs={"scorer": scorer})
    assert program_file.load("m.pt2").graph_signature.user_inputs


# ---- Programs that are no model.


class InPlace(nn.Module):
    def forward(self, x):
        x.add_(1)
        return x * 2


class Loss(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def forward(self, x):
        return self.layer(x).sum()


def without_example() -> torch.export.ExportedProgram:
    program = exported(nn.Linear(4, 1))
    program.example_inputs = None
    return program


IN_TRAINING = "the program was exported in training mode: aten::"
NO_MODELS = {
    "no example": (without_example, "the ExportedProgram has no example inputs"),
    "batch norm": (
        lambda: exported(nn.BatchNorm1d(4)),
        f"{IN_TRAINING}batch_norm takes the batch's statistics",
    ),
    "batch norm, decomposed": (
        lambda: exported(nn.BatchNorm1d(4)).run_decompositions(),
        f"{IN_TRAINING}_native_batch_norm_legit_functional takes",
    ),
    "instance norm": (
        lambda: exported(nn.InstanceNorm1d(2, track_running_stats=True)),
        f"{IN_TRAINING}instance_norm takes",
    ),
    "dropout": (lambda: exported(nn.Dropout()), "aten::dropout draws random numbers"),
    "input in place": (
        lambda: exported(InPlace()),
        "the model changes its input 'x' in place",
    ),
    "input in place, decomposed": (
        lambda: exported(InPlace()).run_decompositions(),
        "the model changes its input 'x' in place",
    ),
    "gradients": (
        lambda: _export_forward_backward(exported(Loss())),
        "the program computes gradients",
    ),
}


@pytest.mark.parametrize("name", NO_MODELS)
def test_programs_that_are_no_model(name, tool):
    make, message = NO_MODELS[name]
    torch.export.save(make(), "m.pt2")
    result = tool("export", "m.pt2", *OUTPUTS)
    assert (result.status, result.files) == (1, [])
    assert message in result.text
    assert "fix: " in result.text


# ---- Files that are no program.


def test_a_missing_file(tool):
    result = tool("export", "none.pt2", *OUTPUTS)
    assert (result.status, result.files) == (1, [])
    assert result.output == "none.pt2: error: No such file or directory\n"


@pytest.mark.parametrize("content", [b"", b"{}", b"not a zip archive"])
def test_a_file_that_is_no_archive(content):
    pathlib.Path("m.pt2").write_bytes(content)
    assert f"not an ExportedProgram ({len(content)} bytes)" in error("m.pt2")


def test_a_truncated_file(saved):
    content = saved.read_bytes()
    # Some of these end with a whole archive: the example's, which is in there.
    for length in range(4, len(content), 97):
        pathlib.Path("m.pt2").write_bytes(content[:length])
        message = error("m.pt2")
        assert message.startswith("the file is cut short")
        assert f"({length:,} bytes)" in message


def test_a_damaged_file(saved):
    content = bytearray(saved.read_bytes())
    weights = (
        torch.export.load(saved).state_dict["layer.weight"].detach().numpy().tobytes()
    )
    content[content.index(weights)] ^= 1
    pathlib.Path("m.pt2").write_bytes(content)
    torch.export.load("m.pt2")  # checks no checksum of weights
    message = error("m.pt2")
    assert message.startswith("the file is damaged: scorer/data/weights/weight_")


def test_a_pointer_of_git_lfs():
    pathlib.Path("m.pt2").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert "Git LFS pointer" in error("m.pt2")


@pytest.mark.parametrize("missing", ["data/weights/weight_1", "models/model.json"])
def test_an_archive_that_lacks_a_part(missing, saved):
    path = rewritten(saved, lambda name, c: None if name == missing else c)
    expected = {
        "data/weights/weight_1": f"{OURS}, which wrote this program, does not read it",
        "models/model.json": "the file is not an ExportedProgram",
    }
    assert error(path).startswith(expected[missing])


def test_a_torchscript_archive():
    torch.jit.script(nn.Linear(4, 1)).save("m.pt2")
    message = error("m.pt2")
    assert "the file is a TorchScript archive, not an ExportedProgram" in message
    assert "in the torch_model's `torchscript`, with `example_inputs`" in message


def test_a_state_dict():
    torch.save(nn.Linear(4, 1).state_dict(), "m.pt2")
    message = error("m.pt2")
    assert "the file is what torch.save wrote, not an ExportedProgram" in message
    assert "the torch_model's `weights`" in message


def test_several_programs(scorer):
    package_pt2("m.pt2", exported_programs={"one": scorer, "two": scorer})
    assert "the file holds 2 programs: one, two" in error("m.pt2")


# ---- Other versions of torch.


def written_by(torch_version: str, schema: tuple[int, int]) -> Callable[[dict], None]:
    def edit(program: dict) -> None:
        program["torch_version"] = torch_version
        program["schema_version"] = dict(zip(("major", "minor"), schema, strict=True))

    return edit


def test_another_schema_names_both_versions(saved):
    edit = written_by("2.99.0", (99, 1))
    message = error(rewritten(saved, with_json("models/model.json", edit)))
    assert message.startswith(
        f"torch 2.99.0 wrote this program, and {OURS} does not read it: the file has the "
        f"schema 99.1, and {OURS} reads "
    )
    assert f"fix: export it with {OURS}" in message


def test_another_torch_with_the_same_schema_is_read(saved):
    with zipfile.ZipFile(saved) as archive:
        version = json.loads(archive.read("scorer/models/model.json"))["schema_version"]
    edit = written_by("2.99.0", (version["major"], version["minor"] + 1))
    path = rewritten(saved, with_json("models/model.json", edit))
    assert program_file.load(str(path)).graph_signature.user_inputs


def test_another_archive_names_both_versions(saved):
    edit = written_by("2.99.0", (8, 20))
    other = with_json("models/model.json", edit)
    path = rewritten(
        saved,
        lambda name, c: b"1" if name == "archive_version" else other(name, c),
    )
    message = error(path)
    assert f"torch 2.99.0 wrote this program, and {OURS} does not read it" in message
    assert "archive version 1" in message


def write_older(program: bytes, **pickles: bytes) -> None:
    """Writes m.pt2 as torch 2.7 and before did: no folder, the version in a file."""
    version = json.loads(program)["schema_version"]
    with zipfile.ZipFile("m.pt2", "w") as archive:
        archive.writestr("version", f"{version['major']}.{version['minor']}")
        archive.writestr("serialized_exported_program.json", program)
        for name, content in pickles.items():
            archive.writestr(f"serialized_{name}.pt", content)


def test_the_files_of_older_torches_are_read(scorer):
    parts = serialize(scorer)
    pickles = {
        name: getattr(parts, name)
        for name in ("state_dict", "constants", "example_inputs")
    }
    write_older(parts.exported_program, **pickles)
    args = {"rows": [X]}, 2
    torch.testing.assert_close(
        program_file.load("m.pt2").module()(*args, scale=torch.ones(3)),
        scorer.module()(*args, scale=torch.ones(3)),
    )
    for name in pickles:
        write_older(parts.exported_program, **{**pickles, name: pickled()})
        assert "so reading it could run code" in error("m.pt2")
        assert not os.path.exists("ran")


def test_the_files_of_torch_2_5_name_both_versions():
    program = {"torch_version": "2.5.1", "schema_version": {"major": 7, "minor": 3}}
    write_older(json.dumps(program).encode())
    message = error("m.pt2")
    assert f"torch 2.5.1 wrote this program, and {OURS} does not read it" in message
    assert "the file has the schema 7.3" in message


@pytest.mark.parametrize(
    ("operator", "fix"),
    [
        ("aten.not_yet", f"export it with {OURS}"),
        ("theirs.scale", "PyTorch's own operators"),
    ],
)
def test_an_operator_that_this_torch_lacks(operator, fix, saved):
    def edit(program: dict) -> None:
        program["torch_version"] = "2.99.0"
        nodes = program["graph_module"]["graph"]["nodes"]
        for node in nodes:
            if node["target"] == "torch.ops.aten.linear.default":
                node["target"] = f"torch.ops.{operator}.default"

    message = error(rewritten(saved, with_json("models/model.json", edit)))
    assert f"does not read it: there is no operator {operator.replace('.', '::')}" in (
        message
    )
    assert fix in message


def test_a_program_of_another_device(saved):
    path = rewritten(
        saved,
        lambda name, c: (
            c.replace(b'"type": "cpu"', b'"type": "cuda"')
            if name.endswith(".json")
            else c
        ),
    )
    assert "CUDA device" in error(path)


# ---- Files that would run code.


def in_the_example(name: str, content: bytes) -> bytes:
    return pickled() if name == "data/sample_inputs/model.pt" else content


def in_the_weights(name: str, content: bytes) -> bytes:
    def edit(data: dict) -> None:
        for weight in data["config"].values():
            weight["use_pickle"] = True

    if name.startswith("data/weights/weight_"):
        return pickled()
    return with_json("data/weights/model_weights_config.json", edit)(name, content)


def in_the_constants(name: str, content: bytes) -> bytes:
    def edit(data: dict) -> None:
        for constant in data["config"].values():
            constant["use_pickle"] = True

    if name.startswith("data/constants/tensor_"):
        return pickled()
    return with_json("data/constants/model_constants_config.json", edit)(name, content)


def as_an_object(name: str, content: bytes) -> bytes:
    def edit(data: dict) -> None:
        data["config"]["constant"] |= {"path_name": "opaque_obj_0", "use_pickle": True}

    return with_json("data/constants/model_constants_config.json", edit)(name, content)


@pytest.mark.parametrize(
    "change", [in_the_example, in_the_weights, in_the_constants, as_an_object]
)
def test_nothing_that_is_unpickled_runs(change, saved):
    objects = {"data/constants/opaque_obj_0": pickle.dumps(Touch())}
    path = rewritten(saved, change, objects if change is as_an_object else {})
    message = error(path)
    assert "the file holds more than a graph and tensors (" in message
    assert "could run code" in message
    assert not os.path.exists("ran")
    # Without what upstream.py replaces it does; if no more, the replacement can go.
    with contextlib.suppress(Exception):
        torch.export.load(path)
    assert os.path.exists("ran")


@pytest.mark.parametrize("recognised", [True, False])
def test_no_compiled_code_is_loaded(recognised, saved, monkeypatch):
    library = {"data/aotinductor/model/model.so": b"\x7fELF"}
    path = rewritten(saved, lambda _, content: content, library)
    if recognised:
        assert "the file is an AOTInductor package, not an ExportedProgram" in error(
            path
        )
        return
    monkeypatch.setattr(archives, "kind", lambda _: Kind.PROGRAM)
    assert "more than a graph and tensors (compiled code)" in error(path)


# ---- Writing.


def test_a_failed_save_leaves_nothing(scorer, tmp_path, monkeypatch):
    def fail(program, path):
        pathlib.Path(path).write_bytes(b"half")
        raise ValueError("no")

    monkeypatch.setattr(torch.export, "save", fail)
    with pytest.raises(UserError, match="ValueError: no"):
        program_file.save(scorer, str(tmp_path / "m.pt2"), "model.py:1")
    assert list(tmp_path.iterdir()) == []
