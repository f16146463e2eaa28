"""Vector addition, run by Triton's interpreter."""

import pytest
import torch
from buffers import Matrix, assert_within

from triton_aot.testing import instantiations


@pytest.mark.parametrize("n", [1, 15, 1024, 1025, 5000])
@pytest.mark.parametrize("add", instantiations("kernels/add.manifest.json"), ids=str)
def test_add(add, n):
    x, y = (Matrix.random(1, n, add.dtype("x")) for _ in range(2))
    out = Matrix(1, n, add.dtype("out"))
    add(out=out.tensor, x=x.tensor, y=y.tensor, n=n)
    out.assert_guards()
    assert_within(out.tensor, x.tensor.double() + y.tensor.double(), 0)


@pytest.mark.parametrize("add", instantiations("kernels/add.manifest.json"), ids=str)
def test_infinities_and_nans(add):
    inf, nan = float("inf"), float("nan")
    x = torch.tensor([inf, -inf, inf, nan, 0.0] + [1.0] * 27, dtype=add.dtype("x"))
    y = torch.tensor([1.0, 1.0, -inf, 1.0, -0.0] + [1.0] * 27, dtype=add.dtype("y"))
    out = torch.empty_like(x)
    add(out=out, x=x, y=y, n=32)
    torch.testing.assert_close(out, x + y, rtol=0, atol=0, equal_nan=True)
