"""Matrix products, run by Triton's interpreter."""

import pytest
import torch
from buffers import Matrix, assert_within

from triton_aot.testing import instantiations

MANIFEST = "kernels/matmul.manifest.json"
# With few rows; with several tiles and a rest along each axis; with an inner dimension
# shorter than a tile.
SIZES = [(1, 64, 256), (17, 80, 144), (300, 272, 80), (129, 16, 16)]
ODD_SIZES = [(1, 1, 1), (65, 131, 77), (260, 3, 130)]


def cases(kernel, sizes):
    """All instantiations of a kernel with the sizes that they take."""
    return pytest.mark.parametrize(
        ("matmul", "size"),
        [
            pytest.param(each, size, id=f"{each}-{size}")
            for each in instantiations(MANIFEST, kernel)
            for size in sizes
            if each.fits(**dict(zip("mnk", size, strict=True)))
        ],
    )


def run(matmul, size, *, pad, shift=0):
    m, n, k = size
    dtype = matmul.dtype("a")
    a = Matrix.random(m, k, dtype, stride=pad(k), shift=shift)
    b = Matrix.random(k, n, dtype, stride=pad(n), shift=shift)
    c = Matrix(m, n, dtype, stride=pad(n), shift=shift)
    matmul(
        c=c.tensor,
        a=a.tensor,
        b=b.tensor,
        m=m,
        n=n,
        k=k,
        c_stride=pad(n),
        a_stride=pad(k),
        b_stride=pad(n),
    )
    c.assert_guards()
    a, b = a.tensor.double(), b.tensor.double()
    # Products of two halves are exact in fp32; a sum of k of them loses at most half an
    # ulp of the sum of magnitudes with each addition.
    bound = k * torch.finfo(torch.float32).eps / 2 * (a.abs() @ b.abs())
    assert_within(c.tensor, a @ b, bound)


@cases("matmul", SIZES)
def test_matmul(matmul, size):
    run(matmul, size, pad=lambda columns: columns + 16)


@cases("matmul", ODD_SIZES)
def test_matmul_takes_any_size_and_address(matmul, size):
    run(matmul, size, pad=lambda columns: columns + 5, shift=1)


@cases("matmul_descriptor", [*SIZES, (1, 8, 8), (65, 136, 72), (259, 8, 136)])
def test_matmul_descriptor_takes_rows_of_16_bytes(matmul, size):
    run(matmul, size, pad=lambda columns: (columns + 31) // 16 * 16)


@pytest.mark.parametrize("size", [(8, 255, 64), (8, 64, 65)])
def test_matmul_descriptor_refuses_other_rows(size):
    for each in instantiations(MANIFEST, "matmul_descriptor"):
        assert not each.fits(**dict(zip("mnk", size, strict=True)))


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_every_size_fits_some_instantiation(dtype):
    all_ = [i for i in instantiations(MANIFEST, "matmul") if f"T={dtype}" in i.id]
    for m, n, k in [*SIZES, *ODD_SIZES]:
        assert any(each.fits(m=m, n=n, k=k) for each in all_)
