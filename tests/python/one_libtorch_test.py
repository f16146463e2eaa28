"""A process has one libtorch, whether torch or a model comes first."""

import os
import sys

import mlp_py
import pytest
import torch
from processes import python

USE = """
import re
rows = memoryview(bytes(64)).cast("f", (2, 8))
with open("/proc/self/maps", encoding="utf-8") as maps:
    files = {os.path.realpath(m[1]) for m in re.finditer(r"(/.*libtorch_cpu.*)", maps.read())}
print(len(files), bytes(mlp.run(rows).y).hex())
"""
MODEL = "import os, mlp_py; mlp = mlp_py.Mlp()\n"
TORCH = "import torch; torch.nn.Linear(2, 2)(torch.ones(2))\n"


def test_the_order_does_not_matter():
    first = python(MODEL + TORCH + USE)
    assert first.startswith("1 ")
    assert python(TORCH + MODEL + USE) == first
    # Torch is there, and nobody imports it.
    assert (
        python(MODEL + "import sys; assert 'torch' not in sys.modules\n" + USE) == first
    )


def test_torch_takes_the_outputs_of_a_model_that_came_first():
    code = (
        MODEL
        + "y = mlp.run(memoryview(bytes(64)).cast('f', (2, 8))).y\n"
        + "import torch; print(torch.from_dlpack(y).shape)"
    )
    assert python(code) == "torch.Size([2, 4])"


@pytest.fixture
def other_torch(tmp_path):
    """A torch of another version, with real libraries; it says if it is imported."""
    folder = tmp_path / "torch"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from torch.version import __version__\nprint('imported')\n"
    )
    (folder / "version.py").write_text("__version__ = '9.9.9+cu999'\n")
    os.symlink(os.path.join(os.path.dirname(torch.__file__), "lib"), folder / "lib")
    return f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"


RELEASE = torch.__version__.partition("+")[0]
REFUSED = (
    f"compiled by torch {torch.__version__}, but this Python has torch 9.9.9+cu999 in "
    f"{{}}/torch, and a process can have one; install torch {RELEASE}, or compile the "
    "model with the other"
)


def test_a_torch_of_another_version_is_refused(other_torch, tmp_path):
    said = python(other_torch + MODEL)
    assert "ImportError: " + mlp_py._HERE in said
    assert REFUSED.format(tmp_path) in said
    assert "imported" not in said.splitlines()


def test_a_torch_of_another_version_that_was_imported(other_torch, tmp_path):
    said = python(other_torch + "import torch\n" + MODEL)
    assert REFUSED.format(tmp_path) in said


def test_builds_of_one_version_are_alike(other_torch, tmp_path):
    (tmp_path / "torch/version.py").write_text(f"__version__ = '{RELEASE}+cu999'\n")
    said = python(other_torch + MODEL + USE)
    assert said == python(MODEL + USE)


def test_a_folder_called_torch_is_no_torch(tmp_path):
    os.mkdir(tmp_path / "torch")
    said = python(f"import sys; sys.path[:0] = [{str(tmp_path)!r}]\n" + MODEL + USE)
    assert said == python(MODEL + USE)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
