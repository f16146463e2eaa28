"""The command line: its stages run by hand, one after the other."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

import compile_model

STAGES = {
    "export": "--program --signature --weights --seed --example_input --op_library",
    "codegen": "--label --id --class --namespace --include --isa --runtime --threads "
    "--weights --out --op_library --entry --c_ops",
    "python": "--label --class --library --weights --out",
    "torch_op": "--label --op --library --out",
    "reference": "--weights --seed --example_input --signature --out --cases --test_seed "
    "--test_inputs_only --op_library",
    "kernel": "--label --declaration --architecture --tuning --candidates --line_info --out",
    "launcher": "--label --id --name --namespace --include --out",
    "tuner": "--label --id --tuning --out",
}

MODEL = """
    import torch
    from torch import nn
    from torch.export import Dim
    from torch_aot import Model

    class Mlp(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = nn.Linear(8, 16)
            self.output = nn.Linear(16, 4)

        def forward(self, x):
            return self.output(torch.relu(self.hidden(x)))

    def mlp():
        batch = Dim("batch", min=1, max=1024)
        return Model(Mlp(), (torch.randn(2, 8),), ({0: batch},), output_names=["y"])
"""


def run(*arguments: str, cwd: pathlib.Path) -> subprocess.CompletedProcess[str]:
    """Runs the tool as people do: a process of its own."""
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        [sys.executable, compile_model.__file__, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )


def help_text(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        compile_model.main([*arguments, "--help"])
    assert caught.value.code == 0
    return capsys.readouterr().out


def test_help_names_the_stages(capsys):
    text = help_text(capsys)
    assert re.findall(r"(?m)^    (\w+)", text.partition("stages:")[2]) == [*STAGES]
    # And shows how to begin.
    assert "python tools/compile_model.py export models/tiny.py:mlp" in text


@pytest.mark.parametrize("stage", STAGES)
def test_help_explains_every_flag(stage, capsys):
    text = help_text(capsys, stage)
    flags = f"--full_trace --import_path --input {STAGES[stage]}".split()
    explained = text.partition("options:")[2]
    for flag in flags:
        assert re.search(rf"(?m)^  {flag}\b.*(\S  +\S|\n  +\S)", explained), flag
    assert set(re.findall(r"(?m)^  (--\w+)", explained)) == set(flags)


@pytest.mark.parametrize(
    "arguments", [[], ["build"], ["export"], ["codegen", "--isa=z80"]]
)
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        compile_model.main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: ")


def test_by_hand_from_end_to_end(write, tmp_path):
    write("models/tiny.py", MODEL)
    workspace = tmp_path / "workspace"
    steps = (
        "export models/tiny.py:mlp --program=mlp.pt2 --signature=mlp.json",
        "codegen mlp.pt2 mlp.json --label=//models:mlp --id=models_mlp --class=Mlp "
        "--namespace=models --include=models/mlp.h --isa=x86-64-v4 --isa=x86-64-v2 --out=mlp.h",
        "reference models/tiny.py:mlp --signature=mlp.json --out=mlp.cases --cases=1",
    )
    for step in steps:
        done = run(*step.split(), cwd=workspace)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(path.name for path in workspace.iterdir() if path.is_file()) == [
        "mlp.cases",
        "mlp.h",
        "mlp.json",
        "mlp.manifest.json",
        "mlp.model.cc",
        "mlp.pt2",
        "mlp.weights.fingerprint",
        "mlp.weights.safetensors",
        "mlp.x86-64-v2.kernels.cc",
        "mlp.x86-64-v2.wrapper.cc",
        "mlp.x86-64-v4.kernels.cc",
        "mlp.x86-64-v4.wrapper.cc",
    ]
    header = (workspace / "mlp.h").read_text()
    assert "Mlp: (x: float32[batch, 8]) -> (y: float32[batch, 4])" in header
    assert "namespace models {" in header
    manifest = json.loads((workspace / "mlp.manifest.json").read_text())
    assert manifest["label"] == "//models:mlp"
    assert manifest["isas"] == ["x86-64-v4", "x86-64-v2"]
    assert manifest["threads"] == "openmp"
    # Packed, a matrix has a multiple of 16 columns.
    sizes = [8 * 16, 16, 16 * 16, 4]
    assert manifest["weights_size"] == 4 * sum(sizes)
    weights = (workspace / "mlp.weights.safetensors").read_bytes()
    header = 8 + int.from_bytes(weights[:8], "little")
    assert len(weights) == header + manifest["weights_size"]
    assert (workspace / "mlp.cases").read_bytes().startswith(b"RTCASES2")


def test_a_failure_by_hand(write, tmp_path):
    write("models/tiny.py", MODEL.replace("torch.relu(", "torch.no_such("))
    arguments = "export models/tiny.py:mlp --program=mlp.pt2 --signature=mlp.json"
    done = run(*arguments.split(), cwd=tmp_path / "workspace")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "models/tiny.py:13: error: the model fails on its example inputs, also when it is "
        "not compiled:\n"
        "    AttributeError: module 'torch' has no attribute 'no_such'\n"
        "  13 | return self.output(torch.no_such(self.hidden(x)))\n"
        "  fix: correct forward or the example inputs: Model(..., inputs=...) in "
        "models/tiny.py:17\n"
    )
    assert [path.name for path in (tmp_path / "workspace").iterdir()] == ["models"]


EXPORT = "export model.py:mlp --program=OUT/m.pt2 --signature=OUT/m.json".split()
CODEGEN = "codegen OUT/m.pt2 OUT/m.json --label=//:m --id=m --class=M --out=OUT/made.h".split()
REFERENCE = "reference model.py:mlp --signature=OUT/m.json --out=OUT/m.cases".split()


@pytest.mark.parametrize("arguments", [CODEGEN, REFERENCE])
def test_missing_files(arguments, write, tool):
    write("model.py", MODEL)
    result = tool(*arguments)
    assert (result.status, result.files) == (1, [])
    assert re.fullmatch(
        r"\S+/out/m\.json: error: No such file or directory\n", result.output
    )


def test_a_missing_program(write, tool, tmp_path):
    write("model.py", MODEL)
    assert tool(*EXPORT).status == 0
    (tmp_path / "out" / "m.pt2").unlink()
    result = tool(*CODEGEN)
    assert (result.status, result.files) == (1, ["m.json"])
    assert re.fullmatch(
        r"\S+/out/m\.pt2: error: No such file or directory\n", result.output
    )


def test_a_folder_that_does_not_exist(write, tool):
    write("model.py", MODEL)
    result = tool(*(argument.replace("OUT/", "OUT/none/") for argument in EXPORT))
    assert (result.status, result.files) == (1, [])
    assert "/out/none" in result.output
    assert result.output.endswith(": error: No such file or directory\n")


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"inputs": [{"name": 1}]}'])
def test_a_signature_that_is_none(content, write, tool, tmp_path):
    write("model.py", MODEL)
    (tmp_path / "out" / "m.json").write_text(content)
    result = tool(*REFERENCE)
    assert (result.status, result.files) == (1, ["m.json"])
    assert "m.json: error: not a signature that this tool wrote" in result.text


def test_a_program_that_is_none(write, tool, tmp_path):
    write("model.py", MODEL)
    assert tool(*EXPORT).status == 0
    (tmp_path / "out" / "m.pt2").write_bytes(b"what")
    result = tool(*CODEGEN)
    assert (result.status, result.files) == (1, ["m.json", "m.pt2"])
    assert "m.pt2: error: the file is not an ExportedProgram" in result.text
    assert len(result.output.splitlines()) < 8


def test_failures_leave_old_outputs_as_they_were(write, tool, tmp_path):
    write("model.py", MODEL)
    assert tool(*EXPORT).status == 0
    assert tool(*REFERENCE).status == 0
    out = tmp_path / "out"
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    write("model.py", MODEL.replace("torch.relu(", "torch.no_such("))
    assert tool(*EXPORT).status == 1
    assert tool(*REFERENCE).status == 1
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize("content", ["half \ud800 whole", None])
def test_a_failed_write_changes_nothing(content, tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises((UnicodeEncodeError, TypeError)):
        compile_model._write(str(tmp_path / "file"), content)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_an_import_path(write, tool):
    write("libs/layers.py", "SCALE = 3\n")
    write("model.py", "from layers import SCALE\n" + MODEL.replace("\n    ", "\n"))
    assert "no module named 'layers'" in tool(*EXPORT).text
    result = tool(*EXPORT, "--import_path=elsewhere", "--import_path=libs")
    assert (result.status, result.output) == (0, "")


def test_a_file_of_another_repository(write, tool):
    """It is the module that those beside it import."""
    write("external/other/vision/layers.py", "SCALE = 3\n")
    source = "from vision.layers import SCALE\nassert __name__ == 'vision.net'\n"
    write("external/other/vision/net.py", source + MODEL.replace("\n    ", "\n"))
    arguments = [
        arg.replace("model.py", "external/other/vision/net.py") for arg in EXPORT
    ]
    result = tool(*arguments, "--import_path=external/other")
    assert (result.status, result.output) == (0, "")
