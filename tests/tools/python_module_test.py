"""The Python module of a compiled model, and its stub, as whole files."""

import ast
import json
import pathlib

import pytest

from aot_common.errors import UserError
from torch_aot import python_module

GOLDENS = pathlib.Path(__file__).parent / "goldens"


def manifest(name):
    """What codegen wrote: cc_test says that it does."""
    return (GOLDENS / f"{name}.manifest.json.golden").read_text()


def render(text, *, label="//models:m_py", class_name="", weights=""):
    return python_module.render(
        text, label=label, class_name=class_name, library="libm_py.so", weights=weights
    )


@pytest.mark.parametrize("name", ["stateful", "stateless"])
def test_files(name, golden):
    weights = "m.weights.safetensors" if name == "stateful" else ""
    module, stub = render(manifest(name), weights=weights)
    golden(f"{name}.py", module)
    golden(f"{name}.pyi", stub)


def signature_of_run(stub):
    """The names of run's arguments, of each overload."""
    return [
        [argument.arg for argument in node.args.args]
        for node in ast.walk(ast.parse(stub))
        if isinstance(node, ast.FunctionDef) and node.name == "run"
    ]


def test_stubs_are_python_and_have_the_names():
    _, stub = render(manifest("stateless"))
    assert signature_of_run(stub) == [["self", "tokens", "table"]] * 2


def test_a_model_without_inputs_gives_our_tensors():
    data = json.loads(manifest("stateless"))
    data["signature"]["inputs"] = []
    module, stub = render(json.dumps(data))
    assert "Inputs of run:\n        none\n" in module
    assert signature_of_run(stub) == [["self"]]
    assert "-> Outputs[rtorch.Tensor]" in stub and "@overload" not in stub


def test_outputs_that_are_called_as_methods_of_tuples():
    data = json.loads(manifest("stateful"))
    assert [each["name"] for each in data["signature"]["outputs"]] == ["count"]
    assert "count: _Array  # type: ignore[assignment]" in render(json.dumps(data))[1]


def test_labels_are_quoted():
    label = '//models:"""m'
    module, stub = render(manifest("stateless"), label=label)
    for text in (module, stub):
        assert ast.get_docstring(ast.parse(text)).startswith(
            f"The compiled model {label}, "
        )


def test_class_names():
    assert (
        "class Net(rtorch.Model):" in render(manifest("stateful"), class_name="Net")[0]
    )
    for name in ("None", "a-b", "1st"):
        with pytest.raises(UserError, match="is no name in Python") as raised:
            render(manifest("stateful"), class_name=name)
        assert raised.value.where == "//models:m_py"
        assert "class_name" in raised.value.fix


def test_the_command(tool, write):
    write("m.json", manifest("stateful"))
    result = tool(
        "python",
        "m.json",
        "--label=//models:m_py",
        "--library=libm_py.so",
        "--out=OUT/m_py.py",
    )
    assert (result.status, result.output) == (0, "")
    assert result.files == ["m_py.py", "m_py.pyi"]
