"""Loading operators: what cannot be, and that nothing is half there."""

import os
import pathlib
import shutil

import mlp_op
import pytest
import torch
from rtorch import _torch_op

LIBRARY = os.path.join(os.path.dirname(mlp_op.__file__), "libmlp_op.so")
TENSORS = {
    "inputs": [_torch_op.Tensor("x", "float32", ["batch", 8])],
    "outputs": [_torch_op.Tensor("y", "float32", ["batch", 4])],
    "sizes": {"batch": (1, 1024)},
    "torch_version": None,
}


def load(op, library, **changes):
    return _torch_op.load(op, str(library), **(TENSORS | changes))


def test_again():
    assert load("models::mlp", LIBRARY) is mlp_op.mlp


def test_a_name_that_is_taken(tmp_path):
    copy = shutil.copy(LIBRARY, str(tmp_path / "libother.so"))
    with pytest.raises(ImportError) as raised:
        load("models::mlp", copy)
    assert str(raised.value) == (
        f"{copy}: the operator models::mlp is there already, of {LIBRARY}; name one of "
        'them by "op" of its torch_op_library'
    )
    with pytest.raises(ImportError, match="aten::relu is there already"):
        load("aten::relu", copy)
    assert raised.value.path == copy
    assert copy not in pathlib.Path("/proc/self/maps").read_text()


@pytest.mark.parametrize(
    ("release", "version", "message"),
    [
        ("2.9.1+cpu", None, "needs torch 2.10 or newer, and this is 2.9.1+cpu"),
        ("2.14.0", "2.13.0+cpu", "compiled by torch 2.13.0+cpu, and this is 2.14.0"),
    ],
)
def test_another_torch(release, version, message, monkeypatch, tmp_path):
    copy = shutil.copy(LIBRARY, str(tmp_path / "libother.so"))
    monkeypatch.setattr(torch, "__version__", release)
    with pytest.raises(ImportError, match=message.replace("+", r"\+")):
        load("other::mlp", copy, torch_version=version)
    assert copy not in pathlib.Path("/proc/self/maps").read_text()


def test_builds_of_one_release_are_alike(monkeypatch, tmp_path):
    copy = shutil.copy(LIBRARY, str(tmp_path / "libother.so"))
    monkeypatch.setattr(torch, "__version__", "2.13.0+cu130")
    monkeypatch.setattr(_torch_op, "_loaded", {})
    monkeypatch.delattr(torch.ops.models, "mlp")
    with pytest.raises(ImportError, match="models::mlp is there already"):
        load("models::mlp", copy, torch_version="2.13.0+cpu")


def test_files_that_are_no_libraries(tmp_path):
    with pytest.raises(FileNotFoundError):
        load("other::mlp", tmp_path / "none.so")
    (tmp_path / "text.so").write_text("no library\n")
    with pytest.raises(ImportError, match="no shared library"):
        load("other::mlp", tmp_path / "text.so")
    with open(LIBRARY, "rb") as file:
        (tmp_path / "short.so").write_bytes(file.read(9999))
    with pytest.raises(ImportError, match=r"short\.so"):
        load("other::mlp", tmp_path / "short.so")
    assert not hasattr(torch.ops.other, "mlp")
