"""Weights lie as convolutions want them, if nothing else reads them."""

import re

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

IMAGE = (2, 4, 8, 8)
# A weight that a convolution may be given twice.
WEIGHT = "self.w = nn.Parameter(torch.arange(144.0).view(4, 4, 3, 3))"
BUFFER = 'self.register_buffer("w", torch.ones(4, 4, 3, 3))'
TWO_NAMES = f'{WEIGHT}\nself.register_buffer("v", self.w.detach().view(4, 4, 3, 3))'


def parameter(*sizes):
    return f"self.w = nn.Parameter(torch.ones{sizes})"


@pytest.fixture
def generate(generate_net):
    """Generates a model's code.

    Returns the weights as they lie in the file, the strides of those that are not
    row-major, and which weights convolutions are called with, as the wrapper says it.
    """

    def generate(init, forward, sizes=IMAGE, isas=("x86-64-v3",)):
        flags = ["--runtime=libtorch", *(f"--isa={isa}" for isa in isas)]
        out = generate_net(init, forward, sizes, *flags)
        wrapper = (out / f"m.{isas[0]}.wrapper.cc").read_text()
        given = re.findall(r"aoti_torch_cpu_convolution\(\w+, (\w+),", wrapper)
        path = out / "m.weights.safetensors"
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
        start = "rules_torch.strides."
        strides = {
            key.removeprefix(start): text
            for key, text in metadata.items()
            if key.startswith(start)
        }
        return load_file(path), strides, given

    return generate


def test_a_weight_lies_channels_last(generate):
    """One file is for all instruction sets."""
    weights, strides, given = generate(
        WEIGHT, "return F.conv2d(x, self.w)", isas=("x86-64-v4", "x86-64-v2")
    )
    assert strides == {"w": "36,1,12,4"}
    assert given == ["weight_w"]
    expected = torch.arange(144.0).view(4, 4, 3, 3)
    assert torch.equal(weights["w"], expected.permute(0, 2, 3, 1))


@pytest.mark.parametrize(
    ("init", "forward"),
    [
        (parameter(6, 2, 3, 3), "return F.conv2d(x, self.w, groups=2)"),
        (parameter(4, 6, 3, 3), "return F.conv_transpose2d(x, self.w)"),
        (parameter(4, 6, 3, 3), "return F.conv_transpose2d(x, self.w, groups=2)"),
        (WEIGHT, "return F.conv2d(x[0], self.w)"),
        (f"{WEIGHT}\nself.to(torch.bfloat16)", "return F.conv2d(x.bfloat16(), self.w)"),
        (BUFFER, "return F.conv2d(x, self.w)"),
        (WEIGHT, "return F.conv2d(F.conv2d(x, self.w), self.w)"),
        (TWO_NAMES, "return F.conv2d(F.conv2d(x, self.w), self.v)"),
        (
            "self.a, self.b = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))",
            "def other(x):\n"
            "    return torch.cond(x.amax() > 1, self.a, self.b, (x,))\n"
            "return torch.cond(x.sum() > 0, self.a, other, (x,))",
        ),
        (
            WEIGHT,
            "def more(n, y):\n"
            "    return n < 3\n"
            "def step(n, y):\n"
            "    return n + 1, F.conv2d(y, self.w, padding=1)\n"
            "steps = torch.zeros((), dtype=torch.int64)\n"
            "return F.conv2d(while_loop(more, step, (steps, x))[1], self.w)",
        ),
    ],
    ids=(
        "groups transposed transposed_groups no_batch bfloat16 buffer twice two_names "
        "branches loop"
    ).split(),
)
def test_no_call_copies_it(init, forward, generate):
    weights, strides, given = generate(init, forward)
    four = {name for name, weight in weights.items() if weight.dim() == 4}
    assert strides.keys() == four
    assert given and not any("buf" in weight for weight in given)


@pytest.mark.parametrize(
    ("init", "forward"),
    [
        (WEIGHT, "return F.conv2d(x, self.w) * self.w.sum()"),
        (WEIGHT, "return F.conv2d(x, self.w), self.w"),
        (WEIGHT, "return F.conv2d(x, self.w), self.w[0]"),
        (WEIGHT, "return F.conv2d(x, self.w.transpose(0, 1))"),
        (WEIGHT, "return F.conv2d(x, self.w) + F.conv2d(self.w, self.w).sum()"),
        (TWO_NAMES, "return F.conv2d(x, self.w) * self.v.sum()"),
        (BUFFER, "y = F.conv2d(x, self.w)\nself.w.mul_(2)\nreturn y"),
        (BUFFER, "self.w.mul_(2)\nreturn F.conv2d(x, self.w)"),
        (
            WEIGHT,
            "def convolved(x):\n"
            "    return F.conv2d(x, self.w, padding=1)\n"
            "def scaled(x):\n"
            "    return x * self.w.sum()\n"
            "def other(x):\n"
            "    return torch.cond(x.amax() > 1, convolved, scaled, (x,))\n"
            "return torch.cond(x.sum() > 0, convolved, other, (x,))",
        ),
        (
            WEIGHT,
            "def more(y, w):\n"
            "    return y.sum() < 3\n"
            "def step(y, w):\n"
            "    return F.conv2d(y, w, padding=1), w + 1\n"
            "return while_loop(more, step, (x, self.w))",
        ),
    ],
    ids=(
        "computed_with returned view_returned viewed image two_names changed_later "
        "changed_before branch carried"
    ).split(),
)
def test_what_is_read_otherwise_stays(init, forward, generate):
    _, strides, given = generate(init, forward)
    assert strides == {}
    # This torch still wants another layout for the convolution.
    assert any("buf" in weight for weight in given)


@pytest.mark.parametrize(
    ("init", "forward", "sizes"),
    [
        (parameter(6, 4, 3), "return F.conv1d(x, self.w)", (2, 4, 8)),
        (parameter(6, 4, 3), "return F.conv1d(x.mT, self.w)", (2, 8, 4)),
        (parameter(6, 4, 3, 3, 3), "return F.conv3d(x, self.w)", (2, 4, 8, 8, 8)),
        (parameter(6, 4, 1, 1), "return F.conv2d(x, self.w)", IMAGE),
        (parameter(4, 1, 3, 3), "return F.conv2d(x, self.w, groups=4)", IMAGE),
    ],
    ids="1d 1d_channels_last 3d 1x1 depthwise".split(),
)
def test_a_row_major_weight_is_what_others_want(init, forward, sizes, generate):
    _, strides, given = generate(init, forward, sizes)
    assert strides == {}
    assert given == ["weight_w"]
