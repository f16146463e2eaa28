"""Weights files: what is in them, as the official reader and the runtime see it."""

import ctypes
import dataclasses
import io
import json
import math
import pathlib

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load

from aot_common.errors import UserError
from torch_aot import weights_file

# What tests/runtime/weights_file_test.cc reads.
GOLDEN = pathlib.Path(__file__).with_name("written.safetensors")

GENERATOR = torch.Generator().manual_seed(0)
BASE = torch.randn(8, 6, generator=GENERATOR)


def golden():
    """Tensors of every kind, whose values are their indices."""

    def count(*sizes, dtype=torch.float32):
        return torch.arange(math.prod(sizes), dtype=dtype).reshape(sizes)

    return [
        ("mask", torch.tensor([True, False, True]), False),
        ("layer.weight", count(4, 4), False),
        ("layer.bias", count(3, dtype=torch.bfloat16), False),
        ("transposed", count(2, 3).t(), False),
        ("channels_last", count(1, 2, 2, 3).permute(0, 3, 1, 2), False),
        ("expanded", count(2, dtype=torch.int16).expand(4, 2), False),
        ("gaps", count(3, 4, dtype=torch.float64)[1:, 1:3], False),
        ("steps", torch.tensor(7), True),
        ("empty", torch.zeros(0, 2), False),
        ('ein "Name" \u00fc', count(2, dtype=torch.uint8), False),
    ]


def written(weights):
    file = io.BytesIO()
    packed = weights_file.pack(weights)
    packed.write(file)
    return packed, file.getvalue()


def data_of(packed, content, name):
    """A weight as the kernels get it: from the file by its spec alone."""
    (spec,) = (spec for spec in packed.specs if spec.name == name)
    start = len(packed.header) + spec.offset
    memory = torch.frombuffer(
        bytearray(content[start : start + spec.bytes]) or bytearray(1),
        dtype=torch.uint8,
    )
    if not spec.bytes:
        return torch.empty(spec.sizes, dtype=spec.dtype)
    return memory.view(spec.dtype).as_strided(spec.sizes, spec.strides)


def test_the_golden_file():
    _, content = written(golden())
    assert content == GOLDEN.read_bytes(), (
        "if the format was to change: PYTHONPATH=tools python tests/tools/weights_file_test.py"
    )


def test_specs_are_in_the_order_given():
    weights = golden()
    packed, content = written(weights)
    assert [spec.name for spec in packed.specs] == [name for name, _, _ in weights]
    assert len(content) == len(packed.header) + packed.size
    for (name, tensor, mutable), spec in zip(weights, packed.specs, strict=True):
        assert spec.dtype == tensor.dtype
        assert spec.sizes == tuple(tensor.shape)
        assert spec.strides == tensor.stride()
        assert spec.is_mutable == mutable
        assert torch.equal(data_of(packed, content, name), tensor), name


def test_alignment():
    packed, content = written(golden())
    assert len(packed.header) % 64 == 0
    for spec in packed.specs:
        assert spec.offset % spec.dtype.itemsize == 0
        if spec.bytes % 64 == 0:
            assert spec.offset % 64 == 0
    # No holes, which the official reader refuses.
    ends = 0
    for spec in sorted(packed.specs, key=lambda spec: (spec.offset, spec.bytes)):
        assert spec.offset == ends
        ends += spec.bytes
    assert ends == packed.size == len(content) - len(packed.header)


def test_other_tools_read_it(tmp_path):
    weights = {name: tensor for name, tensor, _ in golden()}
    _, content = written(golden())
    read = load(content)
    assert read.keys() == weights.keys()
    for name in ("mask", "layer.weight", "layer.bias", "steps", "empty"):
        assert read[name].dtype == weights[name].dtype
        assert torch.equal(read[name], weights[name]), name
    # In the order of memory.
    assert torch.equal(read["transposed"], weights["transposed"].t())
    last = weights["channels_last"].permute(0, 2, 3, 1)
    assert torch.equal(read["channels_last"].reshape(last.shape), last)
    assert read["expanded"].tolist() == [0, 1]
    assert read["gaps"].tolist() == [5, 6, 0, 0, 9, 10]

    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with safe_open(path, "pt") as file:
        assert file.metadata()["rules_torch.format"] == "1"
        assert file.metadata()["rules_torch.strides.transposed"] == "1,3"
        assert "rules_torch.strides.layer.weight" not in file.metadata()


@pytest.mark.parametrize("dtype", weights_file._DTYPES, ids=str)
def test_each_dtype(dtype):
    tensor = torch.tensor([[0, 1, 1], [1, 0, 1]]).to(dtype)
    # With gaps, too: few operators know the small floats.
    packed, content = written([("x", tensor, False), ("y", tensor[:, ::2], False)])
    for name, expected in (("x", tensor), ("y", tensor[:, ::2])):
        found = data_of(packed, content, name)
        assert found.dtype == dtype
        assert found.tolist() == expected.tolist()
    assert load(content)["x"].tolist() == tensor.tolist()


def test_values_of_dtypes_are_those_that_generated_code_asks_for():
    libtorch = ctypes.CDLL(
        str(pathlib.Path(torch.__file__).with_name("lib") / "libtorch_cpu.so")
    )
    for dtype in weights_file._DTYPES:
        (spec,) = weights_file.pack([("x", torch.zeros(1).to(dtype), False)]).specs
        ask = libtorch[f"aoti_torch_dtype_{str(dtype).removeprefix('torch.')}"]
        assert spec.dtype_value == ask(), dtype


def test_what_lies_in_gaps_is_not_written():
    one = torch.full((2, 4), 5.0)
    other = torch.full((2, 4), 6.0)
    other[:, :3] = 5.0
    first, second = (written([("x", x[:, :3], False)])[1] for x in (one, other))
    assert first == second


def test_a_view_is_not_its_storage():
    packed, content = written([("x", BASE[2:4, :], False), ("y", BASE.t(), False)])
    assert packed.size == BASE.nbytes + BASE[2:4].nbytes
    assert torch.equal(data_of(packed, content, "x"), BASE[2:4])


def test_tensors_are_written_from_where_they_lie():
    packed = weights_file.pack([("x", BASE, False), ("y", BASE.t(), False)])
    assert [piece.data_ptr() for piece in packed._pieces] == [BASE.data_ptr()] * 2


def test_parameters_are_tensors_too():
    layer = torch.nn.Linear(3, 2)
    packed, content = written([("weight", layer.weight, False)])
    assert torch.equal(data_of(packed, content, "weight"), layer.weight)


def test_large_tensors_come_first_whatever_the_order():
    packed, _ = written(
        [
            ("one", torch.zeros(1, dtype=torch.int8), False),
            ("three", torch.zeros(3, dtype=torch.int64), False),
            ("large", torch.zeros(16), False),
            ("halves", torch.zeros(5, dtype=torch.float16), False),
            ("larger", torch.zeros(64), False),
        ]
    )
    in_file = sorted(packed.specs, key=lambda spec: spec.offset)
    assert [spec.name for spec in in_file] == [
        "large",
        "larger",
        "three",
        "halves",
        "one",
    ]


def test_no_weights():
    packed, content = written([])
    assert packed.specs == ()
    assert packed.size == 0
    assert load(content) == {}


# ---- Fingerprints.


def fingerprint(**changes):
    weights = {name: (tensor, mutable) for name, tensor, mutable in golden()}
    weights |= changes
    return weights_file.pack([(n, t, m) for n, (t, m) in weights.items()]).fingerprint


def test_equal_weights_have_equal_fingerprints():
    assert fingerprint() == fingerprint()
    assert len(fingerprint()) == 64
    copy = golden()[1][1].clone()
    assert fingerprint(**{"layer.weight": (copy, False)}) == fingerprint()


@pytest.mark.parametrize(
    ("name", "tensor", "mutable"),
    [
        ("steps", torch.tensor(8), True),
        ("steps", torch.tensor(7), False),
        ("steps", torch.tensor(7, dtype=torch.float64), True),
        ("empty", torch.zeros(2, 0), False),
        ("empty", torch.zeros(0, 3), False),
        ("transposed", torch.arange(6.0).reshape(2, 3).t().contiguous(), False),
        ("more", torch.zeros(0), False),
    ],
)
def test_other_weights_have_others(name, tensor, mutable):
    assert fingerprint(**{name: (tensor, mutable)}) != fingerprint()


def test_the_order_counts():
    weights = golden()
    assert weights_file.pack(weights[::-1]).fingerprint != fingerprint()


def test_files_compare_by_their_content():
    one, same = weights_file.pack(golden()), weights_file.pack(golden())
    assert one == same
    assert one != weights_file.pack(golden()[1:])
    assert dataclasses.replace(one, size=0) != same


# ---- What cannot be written.


def refusal(name, tensor):
    with pytest.raises(UserError) as caught:
        weights_file.pack([(name, tensor, False)], where="models/m.py:3")
    assert caught.value.where == "models/m.py:3"
    assert caught.value.fix
    return caught.value.what


def test_a_dtype_without_a_name():
    assert refusal("phase", torch.zeros(1, dtype=torch.complex128)) == (
        "the parameter or buffer 'phase' is of complex128, which weights files cannot hold"
    )


def test_a_name_that_the_format_uses():
    assert "the name '__metadata__'" in refusal("__metadata__", torch.zeros(1))


def test_names_are_unique():
    with pytest.raises(AssertionError, match="a name comes twice"):
        weights_file.pack([("x", BASE, False), ("x", BASE, False)])


def test_the_header_is_json_alone():
    packed = weights_file.pack(golden())
    assert int.from_bytes(packed.header[:8], "little") == len(packed.header) - 8
    assert packed.header[8:].isascii()
    assert json.loads(packed.header[8:]).keys() == {
        "__metadata__",
        *(name for name, _, _ in golden()),
    }


if __name__ == "__main__":
    GOLDEN.write_bytes(written(golden())[1])
