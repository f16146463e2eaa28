"""What follows a product becomes part of it, and nothing else does."""

import functools

import pytest
import torch
from torch.nn import functional as F

from torch_aot import codegen, fusion, provenance, upstream
from torch_aot.fused_operators import ACTIVATIONS
from torch_aot.runtimes import STANDALONE


class _Stop(Exception):
    pass


class Net(torch.nn.Module):
    """Layers, and what a test makes of them."""

    def __init__(self, forward):
        super().__init__()
        self._forward = forward
        self.conv = torch.nn.Conv2d(4, 4, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(4)
        self.linear = torch.nn.Linear(8, 8)
        self.scale = torch.nn.Parameter(torch.ones(4, 1, 1))
        self.register_buffer("state", torch.zeros(1, 4, 8, 8))

    def forward(self, *args):
        return self._forward(self, *args)


def lowered(forward, *inputs, dynamic_shapes=None):
    """The operators that Inductor is given, those in branches too, without views."""
    found = []

    def stop(module):
        found.extend(
            node.target
            for node in provenance.all_nodes(module)
            if isinstance(node.target, torch._ops.OpOverload)
            and node.target._schema.returns[0].type.kind() == "TensorType"
        )
        raise _Stop

    program = torch.export.export(
        Net(forward).eval(), inputs, dynamic_shapes=dynamic_shapes
    )
    with (
        upstream.mended(upstream.before_lowering(fusion.fuse, stop)),
        torch.no_grad(),
        pytest.raises(Exception, match="_Stop"),
    ):
        upstream.aot_compile(
            program.module(check_guards=False),
            inputs,
            {},
            options=codegen._options("m", 0, STANDALONE),
        )
    names = [str(target.overloadpacket) for target in found]
    return [name for name in names if name.partition(".")[2] not in VIEWS]


VIEWS = {"clone", "permute", "reshape", "unsqueeze", "view"}
IMAGE = torch.randn(2, 4, 8, 8)
CONVOLUTION, MATMUL = "rtorch.convolution", "rtorch.matmul"
FUNCTIONS = {
    "clamp": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": functools.partial(F.gelu, approximate="tanh"),
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "tanh": torch.tanh,
}


def test_every_activation_has_a_function():
    assert (*FUNCTIONS,) == ACTIVATIONS


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    """Whatever this torch decomposes them into."""
    act = FUNCTIONS[name]
    assert lowered(lambda net, x: act(net.conv(x)), IMAGE) == [CONVOLUTION]
    assert lowered(lambda net, x: act(net.linear(x)), IMAGE) == [MATMUL]


@pytest.mark.parametrize(
    "forward",
    [
        lambda net, x: F.relu6(net.conv(x)),
        lambda net, x: net.conv(x).clamp(-1, 2).clamp(min=0),
        lambda net, x: F.relu(net.conv(x) + x),
        lambda net, x: x + net.conv(x),
        lambda net, x: net.conv(x) + net.scale,
        lambda net, x: net.conv(x) * 2 - 0.5,
    ],
)
def test_one_operator(forward):
    operators = lowered(forward, IMAGE)
    assert operators.count(CONVOLUTION) == 1
    # The others are of vectors.
    assert {*operators} <= {
        CONVOLUTION,
        "aten.add",
        "aten.full",
        "aten.mul",
        "aten.sub",
    }
    assert operators[-1] == CONVOLUTION


def test_batch_norm_is_of_vectors():
    operators = lowered(lambda net, x: F.relu(net.norm(net.conv(x)) + x), IMAGE)
    assert operators[-1] == CONVOLUTION
    assert "aten.relu" not in operators


def test_rows_of_more_dimensions():
    def forward(net, x):
        return x + net.linear(F.gelu(net.linear(x)))

    batch = torch.export.Dim("batch", max=9)
    operators = lowered(forward, IMAGE, dynamic_shapes=(({0: batch},),))
    assert operators == [MATMUL, MATMUL]


@pytest.mark.parametrize(
    "forward, left",
    [
        # Read before, too.
        (lambda net, x: (y := net.conv(x), F.relu(y)), "aten.relu"),
        (lambda net, x: (y := net.conv(x)) * torch.sigmoid(y + 1), "aten.mul"),
        # Of another shape.
        (lambda net, x: net.conv(x) + x[:, :1], "aten.add"),
        (lambda net, x: net.conv(x[:, :, :1, :1]) + x, "aten.add"),
        (lambda net, x: net.conv(x) * x[0, 0, 0], "aten.mul"),
        # A scale of what was added, a second addition, and what follows activations.
        (lambda net, x: (net.conv(x) + x) * net.scale, "aten.mul"),
        (lambda net, x: net.conv(x) + x + x.sin(), "aten.add"),
        (lambda net, x: F.relu(net.conv(x)) + x, "aten.add"),
        (lambda net, x: net.scale - net.conv(x), "aten.sub"),
        # Other dtypes.
        (lambda net, x: F.relu(net.conv(x).double()), "aten.relu"),
        (lambda net, x: net.conv(x) + x.double(), "aten.add"),
    ],
)
def test_what_stays(forward, left):
    operators = lowered(forward, IMAGE)
    assert left in operators
    assert CONVOLUTION in operators


def test_other_products_stay():
    def forward(net, x):
        rows = x[0, 0]
        return (
            F.conv_transpose2d(x, net.conv.weight),
            torch.addmm(rows, rows, rows, beta=2),
            rows.double() @ rows.double(),
            rows @ rows[:, :0],
        )

    operators = lowered(forward, IMAGE)
    assert operators.count("aten.convolution") == 1
    assert operators.count("aten.addmm") == 1
    assert operators.count("aten.mm") == 2
    assert CONVOLUTION not in operators


def test_a_product_is_not_moved_behind_a_change():
    """The buffer is read before it changes."""

    def forward(net, x):
        y = net.conv(net.state)
        net.state.copy_(x[:1])
        return F.relu(y + net.state)

    operators = lowered(forward, IMAGE)
    assert operators.index(CONVOLUTION) < operators.index("aten.copy_")


def test_branches():
    def forward(net, x):
        return torch.cond(
            x.sum() > 0,
            lambda x: F.relu(net.conv(x)),
            lambda x: torch.tanh(net.conv(x)),
            (x,),
        )

    operators = lowered(forward, IMAGE)
    assert operators.count(CONVOLUTION) == 2
    assert not {"aten.relu", "aten.tanh"} & {*operators}
