"""Signatures as text and as JSON."""

import dataclasses
import json

import pytest

from torch_aot.signature import Dim, Signature, TensorSpec

SIGNATURE = Signature(
    inputs=(
        TensorSpec(
            "image",
            "float32",
            (
                Dim("batch", 1, 64, "batch"),
                Dim("3", 3, 3),
                Dim("2*n + 1", 5, None, "n", 2, 1),
            ),
        ),
        TensorSpec("scale", "bfloat16", ()),
    ),
    outputs=(TensorSpec("found", "int64", (Dim("?", 0, None, known=False),)),),
    symbols={"batch": (1, 64), "n": (2, None)},
    source="models/m.py:m",
)


def test_text():
    assert SIGNATURE.text == (
        "(image: float32[batch, 3, 2*n + 1], scale: bfloat16[]) -> (found: int64[?])"
    )
    assert SIGNATURE.ranges == "1 <= batch <= 64, 2 <= n"


def test_a_signature_of_nothing():
    empty = Signature((), (), {}, "m.py:m")
    assert empty.text == "() -> ()"
    assert empty.ranges == ""
    assert Signature.from_json(empty.to_json()) == empty


def test_json_round_trip():
    text = SIGNATURE.to_json()
    again = Signature.from_json(text)
    assert again == SIGNATURE
    assert again.to_json() == text
    assert text.endswith("}\n")


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Dim)])
def test_json_keeps_every_field_of_a_dim(field):
    changed = {
        "text": "x",
        "min": 7,
        "max": 8,
        "symbol": "other",
        "scale": 9,
        "offset": -3,
        "known": False,
    }
    dim = dataclasses.replace(Dim("n", 0, 5, "n"), **{field: changed[field]})
    spec = TensorSpec("x", "float32", (dim,))
    signature = Signature((spec,), (), {}, "m.py:m")
    assert Signature.from_json(signature.to_json()).inputs[0].dims[0] == dim


def test_json_is_what_other_tools_read():
    data = json.loads(SIGNATURE.to_json())
    assert list(data) == ["inputs", "outputs", "symbols", "source"]
    assert data["inputs"][0]["dims"][0] == {
        "text": "batch",
        "min": 1,
        "max": 64,
        "symbol": "batch",
        "scale": 1,
        "offset": 0,
        "known": True,
    }
    assert data["symbols"] == {"batch": [1, 64], "n": [2, None]}
