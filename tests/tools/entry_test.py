"""Entry points that do not exist, and files that cannot be imported."""

import pytest

OUTPUTS = ("--program=OUT/model.pt2", "--signature=OUT/model.json")
MODEL = """
    import torch
    from torch import nn
    from torch_aot import Model

    class Net(nn.Module):
        def forward(self, x):
            return x * 2

    def net() -> Model:
        return Model(Net(), inputs=(torch.ones(2, 3),))
"""


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ("model.py", "'model.py' does not name an entry point"),
        ("model.txt:net", "'model.txt:net' does not name an entry point"),
        ("model.py:net()", "'model.py:net()' does not name an entry point"),
        ("model.pt2:net", "'model.pt2:net' does not name an entry point"),
        ("none.py:net", "none.py: error: the file does not exist"),
        ("model.py:nut", "model.py: error: there is no function 'nut' in this file"),
        ("model.py:nn", "model.py: error: 'nn' is a module, not a function"),
    ],
)
def test_entries_that_do_not_exist(spec, what, write, tool):
    write("model.py", MODEL)
    result = tool("export", spec, *OUTPUTS)
    assert (result.status, result.files) == (1, [])
    assert what in result.text
    if "no function" in what:
        assert "the file has net" in result.text


def test_syntax_error(write, tool):
    write("model.py", "import torch\n\ndef net(:\n    pass\n")
    result = tool("export", "model.py:net", *OUTPUTS)
    assert result.status == 1
    assert result.output == (
        "model.py:3: error: SyntaxError: invalid syntax\n  3 | def net(:\n"
    )


def test_syntax_error_in_an_imported_file(write, tool):
    write("parts/layers.py", "x = 1\n  y = 2\n")
    write("model.py", "import torch\nfrom parts import layers\n")
    result = tool("export", "model.py:net", "--import_path=.", *OUTPUTS)
    assert result.status == 1
    assert result.output == (
        "parts/layers.py:2: error: IndentationError: unexpected indent\n"
        "  2 | y = 2\n"
        "  called from model.py:2: from parts import layers\n"
    )


def test_missing_module(write, tool):
    write("model.py", "import torch\n\nimport torchvision_of_theirs\n")
    result = tool("export", "model.py:net", *OUTPUTS)
    assert result.output.startswith(
        "model.py:3: error: there is no module named 'torchvision_of_theirs'\n"
    )
    assert "fix: add the py_library or the package that holds it" in result.output


def test_missing_module_in_an_imported_file(write, tool):
    write("parts/layers.py", "import torch\n\nfrom gone import thing\n")
    write("model.py", "import torch\nfrom parts import layers\n")
    result = tool("export", "model.py:net", "--import_path=.", *OUTPUTS)
    assert result.output.startswith(
        "parts/layers.py:3: error: there is no module named 'gone'\n"
        "  3 | from gone import thing\n"
        "  called from model.py:2: from parts import layers\n"
    )


def test_missing_name_of_a_module(write, tool):
    write("model.py", "import torch\nfrom torch_aot import Modle\n")
    result = tool("export", "model.py:net", *OUTPUTS)
    assert result.output.startswith(
        "model.py:2: error: importing the file raised ImportError: cannot import name "
        "'Modle' from\n    'torch_aot'\n"
    )


def test_import_that_fails_late(write, tool):
    write("model.py", "def net():\n    import not_there\n")
    result = tool("export", "model.py:net", *OUTPUTS)
    assert result.output.startswith("model.py:2: error: there is no module named")


def test_file_called_like_a_package(write, tool):
    write("random.py", MODEL)
    result = tool("export", "random.py:net", *OUTPUTS)
    assert (result.status, result.output) == (0, "")
    import random

    assert hasattr(random, "randint")
