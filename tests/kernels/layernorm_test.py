"""Layer normalisation, run by Triton's interpreter."""

import pytest
import torch
from buffers import Matrix, assert_within

from triton_aot.testing import instantiations

LAYER_NORM = pytest.mark.parametrize(
    "layer_norm", instantiations("kernels/layernorm.manifest.json"), ids=str
)


def run(layer_norm, rows, columns, *, gap, shift, mean):
    dtype = layer_norm.dtype("x")
    stride = columns + gap
    options = {"stride": stride, "shift": shift}
    x = Matrix.random(rows, columns, dtype, **options)
    x.tensor.add_(mean)
    weight, bias = (Matrix.random(1, columns, dtype, shift=shift) for _ in range(2))
    out = Matrix(rows, columns, dtype, **options)
    layer_norm(
        out=out.tensor,
        x=x.tensor,
        weight=weight.tensor,
        bias=bias.tensor,
        out_stride=stride,
        x_stride=stride,
        rows=rows,
        columns=columns,
        epsilon=1e-5,
        multiprocessors=1,
    )
    out.assert_guards()
    x, weight, bias = (m.tensor.double() for m in (x, weight, bias))
    expected = torch.nn.functional.layer_norm(x, [columns], weight[0], bias[0], 1e-5)
    # In fp32: the mean, a sum by halves, is off by some ulps of the values, and so
    # is what remains of a value without it; the rest is relative to the result.
    epsilon = torch.finfo(torch.float32).eps
    deviation = (x.var(dim=1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    absolute = (
        8 * epsilon * x.abs().amax(dim=1, keepdim=True) / deviation * weight.abs()
    )
    relative = 16 * epsilon * ((expected - bias).abs() + bias.abs())
    assert_within(out.tensor, expected, absolute + relative)


@LAYER_NORM
@pytest.mark.parametrize("mean", [0, 20])
def test_layer_norm(layer_norm, mean):
    block = layer_norm.constexprs["BLOCK"]
    if layer_norm.signature["columns"] == "i32:16":
        run(layer_norm, 3, block, gap=0, shift=0, mean=mean)
        run(layer_norm, 21, 48, gap=16, shift=0, mean=mean)
    else:
        run(layer_norm, 3, block - 1, gap=2, shift=1, mean=mean)
        run(layer_norm, 21, 5, gap=0, shift=1, mean=mean)


@LAYER_NORM
def test_a_row_of_one_value_gives_the_bias(layer_norm):
    dtype = layer_norm.dtype("x")
    x = torch.full((2, 32), 7, dtype=dtype)
    weight, bias = torch.ones(32, dtype=dtype), torch.arange(32).to(dtype)
    out = torch.empty_like(x)
    layer_norm(
        out=out,
        x=x,
        weight=weight,
        bias=bias,
        out_stride=32,
        x_stride=32,
        rows=2,
        columns=32,
        epsilon=1e-5,
    )
    assert (out == bias).all()
