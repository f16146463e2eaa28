"""Kernels that cannot be compiled as the tests instantiate them."""

import triton
import triton.language as tl
from bad_kernels.helper import widen


@triton.jit
def fill(x, n, BLOCK: tl.constexpr):
    """The only one with nothing wrong."""
    offsets = tl.arange(0, BLOCK)  # error: block_of_65
    tl.store(x + offsets, offsets, mask=offsets < n)


@triton.jit
def undefined_name(x, n, BLOCK: tl.constexpr):
    offsets = tl.arange(0, BLOCK)
    value = missing  # noqa: F821  # error: undefined_name
    tl.store(x + offsets, value, mask=offsets < n)


@triton.jit
def _shifted(values, BLOCK: tl.constexpr):
    return values + tl.zeros((BLOCK, 2), tl.float32)  # error: error_in_a_callee


@triton.jit
def error_in_a_callee(x, n, BLOCK: tl.constexpr):
    offsets = tl.arange(0, BLOCK)
    values = tl.load(x + offsets, mask=offsets < n)
    shifted = _shifted(values, BLOCK)  # error: call_of_error_in_a_callee
    tl.store(x + offsets, shifted, mask=offsets < n)


@triton.jit
def error_in_another_file(x, n, BLOCK: tl.constexpr):
    offsets = tl.arange(0, BLOCK)
    wide = widen(offsets, BLOCK)  # error: call_of_error_in_another_file
    tl.store(x + offsets, wide, mask=offsets < n)


@triton.jit
def asserts(x, n, BLOCK: tl.constexpr):
    tl.static_assert(BLOCK > 64, "BLOCK is over 64")  # error: asserts
    tl.store(x, n)


@triton.jit
def stores(x, n):
    tl.store(x, n)  # error: stores


@triton.jit
def several_lines(
    x,
    n,
):
    a = tl.load(x)
    b = (
        a + tl.dot(a, a)  # error: several_lines
    )
    tl.store(x, b)


@triton.jit
def matmul(a, b, c, k, BLOCK: tl.constexpr):  # error: matmul
    rows = tl.arange(0, BLOCK)
    tile = rows[:, None] * BLOCK + rows[None, :]
    total = tl.zeros((BLOCK, BLOCK), tl.float32)
    for _ in range(0, k):
        total = tl.dot(tl.load(a + tile), tl.load(b + tile), total)
        a += BLOCK * BLOCK
        b += BLOCK * BLOCK
    tl.store(c + tile, total)


@triton.autotune(
    configs=[
        triton.Config({"BLOCK": 64}, num_warps=2),
        triton.Config({"BLOCK": 128}, num_warps=4),
    ],
    key=["n"],
)
@triton.jit
def tuned(x, n, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(x + offsets, offsets, mask=offsets < n)


@triton.heuristics({"EVEN": lambda args: args["n"] % args["BLOCK"] == 0})
@triton.jit
def heuristics_of_arguments(x, n, BLOCK: tl.constexpr, EVEN: tl.constexpr):
    tl.store(x, n)


@triton.jit
def of_dtype(x, DTYPE: tl.constexpr):
    tl.store(x, tl.full((), 1, DTYPE))  # error: of_dtype


@triton.jit
def scale(x, f):
    tl.store(x, tl.load(x) * f)


def not_a_kernel(x):
    pass


class NotAFunction:
    pass
