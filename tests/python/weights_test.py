"""Weights that lie in a file; in a Python without torch."""

import os
import pathlib
import sys

import light_py
import mlp_py
import pytest

FILE = pathlib.Path(light_py.__file__).with_name("light.weights.safetensors")
ROWS = memoryview(bytes(range(64))).cast("f", (2, 8))


def result(model):
    return bytes(model.run(ROWS).y)


@pytest.fixture
def zeros(tmp_path):
    """A file that no build made: it has no digests."""
    content = FILE.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length].replace(b"rules_torch", b"other_tools")
    path = tmp_path / "zeros.safetensors"
    path.write_bytes(content[:8] + header + bytes(len(content) - 8 - length))
    return path


def test_a_module_finds_its_file():
    assert result(light_py.Light()) == result(mlp_py.Mlp())


def test_a_file_in_place_of_the_librarys():
    assert result(mlp_py.Mlp(weights=FILE)) == result(mlp_py.Mlp())
    assert result(mlp_py.Mlp(os.fspath(FILE))) == result(mlp_py.Mlp())


def test_swap(zeros):
    model = mlp_py.Mlp()
    want = result(model)
    model.swap(zeros)
    assert result(model) == bytes(32)
    model.swap(weights=os.fspath(FILE))
    assert result(model) == want
    model.swap(zeros)
    model.swap(None)
    assert result(model) == want != bytes(32)


def test_a_file_that_was_changed(tmp_path):
    content = bytearray(FILE.read_bytes())
    content[-1] ^= 1
    changed = tmp_path / "changed.safetensors"
    changed.write_bytes(content)
    with pytest.raises(OSError, match=r"changed\.safetensors"):
        mlp_py.Mlp(weights=changed)
    model = mlp_py.Mlp()
    want = result(model)
    with pytest.raises(OSError, match=r"changed\.safetensors"):
        model.swap(changed)
    assert result(model) == want


def test_a_file_that_is_none():
    with pytest.raises(ValueError, match="is not a safetensors file"):
        mlp_py.Mlp(weights=__file__)


def test_a_library_without_weights_needs_some():
    light = type("Light", (light_py.Light,), {"_weights": None})
    with pytest.raises(ValueError, match="weights"):
        light()


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
