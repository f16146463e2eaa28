"""Packed weights: what is packed, and what it is then."""

import io
import math
import pathlib
import re

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

from torch_aot import weight_packing, weights_file
from torch_aot.weight_packing import Layout, Packing

# What tests/runtime/weight_packing_test.cc packs and compares: weights, and as ".packed"
# what they become.
GOLDEN = pathlib.Path(__file__).with_name("packed.safetensors")


def count(*sizes):
    return torch.arange(math.prod(sizes), dtype=torch.float32).reshape(sizes) / 7


CASES = {
    "linear": (count(20, 5), Layout.PANELS, 1),
    "image": (count(18, 3, 3, 2), Layout.PANELS, 1),
    "line": (count(6, 2, 3), Layout.PANELS, 3),
    "matrix": (count(5, 20), Layout.COLUMNS, 1),
    "winograd": (count(3, 2, 3, 3).sin(), Layout.WINOGRAD, 1),
    "depthwise": (count(5, 1, 2, 3), Layout.TAPS, 5),
    "depthwise_line": (count(5, 1, 4), Layout.TAPS, 5),
}


def packed(name):
    weight, layout, groups = CASES[name]
    return weight_packing.packed(weight, Packing(layout, groups, tuple(weight.shape)))


def golden():
    tensors = {name: weight.contiguous() for name, (weight, *_) in CASES.items()}
    return save(tensors | {f"{name}.packed": packed(name) for name in CASES})


def test_the_golden_file():
    assert golden() == GOLDEN.read_bytes(), (
        "if a layout was to change: PYTHONPATH=tools python tests/tools/weight_packing_test.py"
    )


def test_panels():
    """Element (row, column) of a matrix is in panel column // 16."""
    panels = packed("matrix").view(2, 5, 16)
    matrix = CASES["matrix"][0]
    assert torch.equal(panels[0], matrix[:, :16])
    assert torch.equal(panels[1, :, :4], matrix[:, 16:])
    assert not panels[1, :, 4:].any()


def test_strides_do_not_matter():
    weight, layout, groups = CASES["image"]
    turned = weight.to(memory_format=torch.channels_last)
    packing = Packing(layout, groups, tuple(weight.shape))
    assert torch.equal(weight_packing.packed(turned, packing), packed("image"))


def test_the_file_says_how_a_weight_is_packed(tmp_path):
    weight = CASES["line"][0]
    packing = Packing(Layout.PANELS, 3, (6, 2, 3))
    file = weights_file.pack(
        [("w", packed("line"), False), ("v", weight, False)], packings={"w": packing}
    )
    content = io.BytesIO()
    file.write(content)
    path = tmp_path / "w.safetensors"
    path.write_bytes(content.getvalue())
    with safe_open(path, "pt") as opened:
        metadata = opened.metadata()
        assert opened.get_tensor("w").shape == (3 * 16 * 6,)
    assert metadata["rules_torch.packing.w"] == "panels/3"
    assert "rules_torch.packing.v" not in metadata
    w, v = file.specs
    assert (w.sizes, w.strides, w.packing) == ((6, 2, 3), (6, 3, 1), 1 + 3 * 256)
    assert w.bytes == 4 * 3 * 16 * 6
    assert v.packing == 0


# ---- Which weights of a model are packed.


@pytest.fixture
def generate(generate_net):
    """A function that returns the packings of a model's weights, by their names."""

    def generate(init, forward, sizes=(1, 16, 12, 12)):
        out = generate_net(
            init, forward, sizes, "--isa=x86-64-v3", "--runtime=standalone"
        )
        path = out / "m.weights.safetensors"
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
        tensors = load_file(path)
        start = "rules_torch.packing."
        found = {
            name: metadata.get(start + name)
            for name in tensors
            if tensors[name].numel() > 64
        }
        # The wrapper says the same of each.
        wrapper = (out / "m.x86-64-v3.wrapper.cc").read_text()
        calls = re.findall(
            r"rtorch_\w+_out\(\w+, \w+, weight_(\w+), .*, (\d+)L\)", wrapper
        )
        layouts = {layout.name.lower(): str(layout.value) for layout in Layout}
        for name, number in calls:
            text = found.get(name.replace("_", "."), found.get(name))
            assert number == layouts.get((text or "/").partition("/")[0], "0")
        return found

    return generate


CONV = "self.a = nn.Conv2d({}, bias=False)"


@pytest.mark.parametrize(
    "layer, packing",
    [
        ("16, 16, 3, padding=1", "winograd/1"),
        ("16, 16, 3, stride=2", "panels/1"),
        ("16, 16, 5", "panels/1"),
        ("16, 16, 3, groups=4", "panels/4"),
        ("16, 16, 3, groups=16", "taps/16"),
        ("16, 32, 3, groups=16", "panels/16"),
        ("16, 8, 3", "panels/1"),
    ],
)
def test_filters(generate, layer, packing):
    assert generate(CONV.format(layer), "return self.a(x)") == {"a.weight": packing}


def test_small_images_are_convolved_directly(generate):
    init = CONV.format("16, 16, 3, padding=1")
    found = generate(init, "return self.a(x)", (1, 16, 7, 7))
    assert found == {"a.weight": "panels/1"}


def test_products(generate):
    init = """
self.a = nn.Linear(16, 24)
self.b = nn.Parameter(torch.randn(24, 20))"""
    forward = "return torch.relu(self.a(x)) @ self.b"
    assert generate(init, forward, (3, 16)) == {
        "a.weight": "panels/1",
        "b": "columns/1",
    }


@pytest.mark.parametrize(
    "init, forward",
    [
        # Tied to an embedding.
        (
            "self.a = nn.Embedding(30, 16)",
            "return F.linear(self.a(x[0].long().clamp(0, 29)), self.a.weight)",
        ),
        # Multiplied in both ways.
        ("self.a = nn.Linear(16, 16)", "return self.a(x) @ self.a.weight"),
        # What comes out of a run, or changes in it.
        ("self.a = nn.Linear(16, 16)", "return self.a(x), self.a.weight"),
        (
            'self.register_buffer("a", torch.zeros(16, 16))',
            "y = x @ self.a\nself.a.add_(1)\nreturn y",
        ),
        # An operand of branches.
        (
            "self.a = nn.Linear(16, 16)",
            "return torch.cond(x.sum() > 0, lambda x: self.a(x), lambda x: x * 2, (x,))",
        ),
        ("self.a = nn.Linear(16, 16).double()", "return self.a(x.double())"),
        # Nothing.
        ("self.a = nn.Linear(16, 0)", "return self.a(x)"),
    ],
)
def test_what_stays(generate, init, forward):
    assert {*generate(init, forward, (5, 16)).values()} <= {None}


def test_one_layout_serves_many_calls(generate):
    found = generate("self.a = nn.Linear(16, 16)", "return self.a(self.a(x))", (5, 16))
    assert found == {"a.weight": "panels/1"}


if __name__ == "__main__":
    GOLDEN.write_bytes(golden())
