"""Softmax, run by Triton's interpreter."""

import pytest
import torch
from buffers import Matrix, assert_within

from triton_aot.testing import instantiations

SOFTMAX = pytest.mark.parametrize(
    "softmax", instantiations("kernels/softmax.manifest.json"), ids=str
)


def sizes(block, hint):
    """Columns, and what a row is longer than that."""
    if hint:
        return [(16, 16), (block, 0)]
    return [(1, 0), (block // 4 * 3 + 1, 3), (block, 1)]


@SOFTMAX
@pytest.mark.parametrize("rows", [1, 37])
def test_softmax(softmax, rows):
    block = softmax.constexprs["BLOCK"]
    hint = softmax.signature["columns"] == "i32:16"
    # Programs take several rows, the last not all the same number.
    rows = min(rows, 1 << 16 >> block.bit_length())  # the interpreter is slow
    for columns, gap in sizes(block, hint):
        stride = columns + gap
        options = {"stride": stride, "shift": 0 if hint else 1}
        x = Matrix.random(rows, columns, softmax.dtype("x"), **options)
        x.tensor.mul_(3)
        out = Matrix(rows, columns, softmax.dtype("out"), **options)
        softmax(
            out=out.tensor,
            x=x.tensor,
            out_stride=stride,
            x_stride=stride,
            rows=rows,
            columns=columns,
            multiprocessors=1,
        )
        out.assert_guards()
        expected = torch.softmax(x.tensor.double(), dim=1)
        # In fp32: x - max, with |x - max| < 32, exp, a sum by halves, a quotient.
        bound = expected * (32 + 2 + 14 + 1) * torch.finfo(torch.float32).eps / 2
        assert_within(out.tensor, expected, bound)


@SOFTMAX
def test_large_values_do_not_overflow(softmax):
    x = Matrix(1, 16, softmax.dtype("x"))
    x.tensor.fill_(60000)
    out = Matrix(1, 16, softmax.dtype("out"))
    softmax(
        out=out.tensor,
        x=x.tensor,
        out_stride=16,
        x_stride=16,
        rows=1,
        columns=16,
    )
    assert (out.tensor == 1 / 16).all()


@SOFTMAX
def test_columns_are_limited(softmax):
    block = softmax.constexprs["BLOCK"]
    assert softmax.fits(columns=block)
    assert not softmax.fits(columns=block + 16)
    assert softmax.fits(columns=15) == ("hint=:16" not in softmax.id)
