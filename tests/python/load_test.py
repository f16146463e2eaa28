"""Libraries that are loaded by path, and which are not; in a Python without torch."""

import array
import os
import re
import shutil
import struct
import sys

import fake
import mlp_py
import pytest
import rtorch
from processes import python
from rtorch import _library

MLP = os.path.join(os.path.dirname(mlp_py.__file__), "libmlp_py.so")
ROWS = memoryview(array.array("f", range(16))).cast("B").cast("f", (2, 8))


def test_a_path_is_as_good_as_a_module():
    model = rtorch.load(MLP)
    assert issubclass(model, rtorch.Model)
    assert model.__doc__ == (
        "The compiled model //tests/libtorch:mlp: (x: float32[batch, 8]) -> (y: float32[batch, 4])"
    )
    y = model().run(ROWS).y
    assert memoryview(y).tolist() == memoryview(mlp_py.Mlp().run(x=ROWS).y).tolist()


def test_paths_of_all_kinds(tmp_path, monkeypatch):
    shutil.copy(fake.PATH, tmp_path / "größe model.so")
    assert rtorch.load(tmp_path / "größe model.so")
    monkeypatch.chdir(tmp_path)
    assert rtorch.load("größe model.so")


def test_it_is_unloaded_when_nobody_has_it(tmp_path):
    library = tmp_path / "libonce.so"
    shutil.copy(fake.PATH, library)
    code = f"""
import array, gc, rtorch
def mapped():
    with open("/proc/self/maps") as maps:
        return "libonce" in maps.read()
model = rtorch.load({str(library)!r})
instance = model()
del model
gc.collect()
assert mapped()
del instance
gc.collect()
print(mapped())
"""
    assert python(code) == "False"


def test_no_such_file():
    with pytest.raises(FileNotFoundError, match=r"no/such\.so"):
        rtorch.load("no/such.so")


def test_a_library_that_is_no_model():
    with open("/proc/self/maps", encoding="utf-8") as maps:
        libc = next(line.split()[-1] for line in maps if "libc.so" in line)
    with pytest.raises(
        ImportError, match="no compiled model: it does not export rtorch"
    ):
        rtorch.load(libc)


def test_another_abi():
    with pytest.raises(
        ImportError, match=r"libold\.so: it has version 2 of rules_torch's C ABI, and "
    ):
        rtorch.load(os.path.abspath(os.environ["OLD_LIBRARY"]))


def read(path):
    with open(path, "rb") as file:
        return bytearray(file.read())


def test_another_cpu(tmp_path):
    content = read(fake.PATH)
    struct.pack_into("<H", content, 18, 243)
    library = tmp_path / "riscv.so"
    library.write_bytes(content)
    with pytest.raises(ImportError, match="compiled for the ELF machine 243, and this"):
        rtorch.load(library)


def test_no_library(tmp_path):
    for name, content in {
        "empty": b"",
        "text": b"#!/bin/sh\n" * 10,
        "bits32": b"\x7fELF\1\1" + bytes(read(fake.PATH)[6:]),
        "program": bytes(read(fake.PATH)[:16]) + b"\2" + bytes(read(fake.PATH)[17:]),
    }.items():
        library = tmp_path / name
        library.write_bytes(content)
        with pytest.raises(ImportError, match="no shared library for 64 bits"):
            rtorch.load(library)


def test_cut_short(tmp_path):
    content = read(fake.PATH)
    (table,) = struct.unpack_from("<Q", content, 40)  # what follows is not loaded
    end = max(
        offset + size
        for kind, offset, size in (
            struct.unpack_from("<I4xQ16xQ", content, 64 + i * 56)
            for i in range(struct.unpack_from("<H", content, 56)[0])
        )
        if kind == 1
    )
    assert end < table
    for number, length in enumerate([*range(0, end, 997), end - 1]):
        library = tmp_path / f"{number}.so"
        library.write_bytes(content[:length])
        with pytest.raises(ImportError, match="or damaged"):
            rtorch.load(library)


def test_libtorch_that_is_nowhere(tmp_path):
    shutil.copy(MLP, tmp_path)  # away from where it looks
    code = f"import rtorch; rtorch.load({str(tmp_path / 'libmlp_py.so')!r})"
    said = python(code, LD_LIBRARY_PATH="")
    assert re.search(r"libmlp_py.so: lib(c10|torch_cpu).so: cannot open shared", said)
    assert "; install the torch that compiled it, or name the folder of " in said


def test_a_model_of_another_torch_than_the_first(monkeypatch):
    first = _library._Torch("1.2.3", "libfirst.so")
    monkeypatch.setattr(_library, "_in_process", first)
    with pytest.raises(
        ImportError,
        match=r"libmlp_py.so: compiled by torch 2.*, but this Python has torch 1\.2\.3 in "
        r"libfirst\.so, and a process can have one",
    ):
        rtorch.load(MLP)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
