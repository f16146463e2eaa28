"""The Python module of a torch operator, and its stub, as whole files."""

import ast
import json
import pathlib

import pytest
import torch

from aot_common.errors import UserError
from torch_aot import torch_op

GOLDENS = pathlib.Path(__file__).parent / "goldens"


def manifest(name="stateless", **changes):
    """What codegen wrote: cc_test says that it does."""
    data = json.loads((GOLDENS / f"{name}.manifest.json.golden").read_text())
    return data | changes


def render(data, op="models::net"):
    return torch_op.render(
        json.dumps(data), label="//models:net_op", op=op, library="libnet_op.so"
    )


def test_files(golden):
    module, stub = render(manifest())
    golden("torch_op.py", module.replace(torch.__version__, "<version>"))
    golden("torch_op.pyi", stub)


def test_a_model_with_its_own_runtime_runs_on_any_torch():
    assert f'torch_version="{torch.__version__}"' in render(manifest())[0]
    assert "torch_version=None" in render(manifest(runtime="standalone"))[0]


@pytest.mark.parametrize(
    ("outputs", "result"),
    [(0, "tuple[()]"), (1, "Tensor"), (2, "tuple[Tensor, Tensor]")],
)
def test_results(outputs, result):
    data = manifest()
    spec = data["signature"]["outputs"][0]
    data["signature"]["outputs"] = [spec | {"name": f"o{i}"} for i in range(outputs)]
    module, stub = render(data)
    ast.parse(module)
    assert f"-> {result}: ..." in stub
    ast.parse(stub)


def test_a_model_without_inputs():
    data = manifest()
    data["signature"]["inputs"] = []
    for text in render(data):
        ast.parse(text)


def test_state_has_no_place():
    with pytest.raises(
        UserError, match=r"has state .*, and an operator has no instance"
    ):
        render(manifest("stateful"))


def test_names():
    with pytest.raises(UserError, match="would be called lambda, which is no name"):
        render(manifest(), op="models::lambda")
