import triton
import triton.language as tl


@triton.jit
def scale(x, factor, n, BLOCK: tl.constexpr):
    """x *= factor, of n elements."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(x + i, tl.load(x + i, mask=i < n) * factor, mask=i < n)
