"""A kernel with arguments of many types."""

import triton
import triton.language as tl


@triton.jit
def sample(
    out,
    x,
    n,
    offset,
    factor,
    half,
    flag,
    small,
    BLOCK: tl.constexpr,
):
    """out = x * factor + half, at an offset."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + i + offset, mask=i < n) * factor + half + small
    tl.store(out + i, tl.where(flag, value, 0), mask=i < n)


@triton.jit
def fill(out, value):
    """Fills an array, an element a program."""
    tl.store(out + tl.program_id(0), value)


@triton.autotune(
    [
        triton.Config({"BLOCK": 128}, num_warps=2),
        triton.Config({"BLOCK": 256}, num_warps=4),
    ],
    key=["n"],
)
@triton.jit
def tuned(x, n, BLOCK: tl.constexpr):
    """Doubles an array."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(x + i, tl.load(x + i, mask=i < n) * 2, mask=i < n)
