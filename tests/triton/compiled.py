"""Kernels that the tests compile."""

import triton
import triton.language as tl


@triton.jit
def add(out, x, y, n, BLOCK: tl.constexpr = 128):
    """out = x + y.

    A second paragraph.
    """
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < n
    tl.store(
        out + i, tl.load(x + i, mask=inside) + tl.load(y + i, mask=inside), mask=inside
    )


@triton.jit
def attention(
    out, q, k, v, columns, stride, scale, BLOCK: tl.constexpr, D: tl.constexpr
):
    rows = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    d = tl.arange(0, D)
    queries = tl.load(q + rows[:, None] * stride + d[None, :])
    top = tl.full((BLOCK,), float("-inf"), tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    result = tl.zeros((BLOCK, D), tl.float32)
    for start in range(0, columns, BLOCK):
        column = start + tl.arange(0, BLOCK)
        keys = tl.load(k + column[None, :] * stride + d[:, None])
        weights = tl.dot(queries, keys) * scale
        highest = tl.maximum(top, tl.max(weights, 1))
        weights = tl.exp(weights - highest[:, None])
        rescale = tl.exp(top - highest)
        total = total * rescale + tl.sum(weights, 1)
        values = tl.load(v + column[:, None] * stride + d[None, :])
        result = result * rescale[:, None]
        result = tl.dot(weights.to(values.dtype), values, result)
        top = highest
    tl.store(out + rows[:, None] * stride + d[None, :], result / total[:, None])


@triton.jit
def store(x, value):
    tl.store(x, value)


@triton.jit
def constant(x, BLOCK: tl.constexpr, VALUE: tl.constexpr = 7):
    i = tl.arange(0, BLOCK)
    if VALUE is None:
        tl.store(x + i, i)
    else:
        tl.store(x + i, tl.full((BLOCK,), VALUE, tl.float32))


@triton.jit
def cast(x, y, DTYPE: tl.constexpr):
    tl.store(x, tl.load(y).to(DTYPE).to(tl.float32))


@triton.heuristics({"WIDE": lambda args: args["BLOCK"] >= 128})
@triton.jit
def heuristic(x, BLOCK: tl.constexpr, WIDE: tl.constexpr):
    i = tl.arange(0, BLOCK)
    tl.store(x + i, tl.full((BLOCK,), 2 if WIDE else 1, tl.int32))


@triton.autotune(
    configs=[
        triton.Config({"BLOCK": 64}, num_warps=2),
        triton.Config({"BLOCK": 128}, num_warps=4, num_stages=2),
        triton.Config({"BLOCK": 256}, num_warps=8),
    ],
    key=["n"],
)
@triton.jit
def tuned(x, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(x + i, i, mask=i < n)


@triton.autotune(
    configs=[
        triton.Config({"BLOCK": 64}, num_stages=2),
        triton.Config({"BLOCK": 64}, num_stages=20),
    ],
    key=["k"],
)
@triton.jit
def tuned_matmul(a, b, c, k, BLOCK: tl.constexpr):
    rows = tl.arange(0, BLOCK)
    tile = rows[:, None] * BLOCK + rows[None, :]
    total = tl.zeros((BLOCK, BLOCK), tl.float32)
    for _ in range(0, k):
        total = tl.dot(tl.load(a + tile), tl.load(b + tile), total)
        a += BLOCK * BLOCK
        b += BLOCK * BLOCK
    tl.store(c + tile, total)


@triton.jit
def keywords(stream, grid, operator, requires, int, n, BLOCK: tl.constexpr):
    tl.store(stream + n, tl.load(grid) + operator + requires + int)


@triton.jit
def mode(x, MODE: tl.constexpr, SIZE: tl.constexpr):
    tl.store(x, SIZE if MODE == "two" else 0)
