"""Vector addition."""

import triton
import triton.language as tl


@triton.jit
def add(out, x, y, n, BLOCK: tl.constexpr):
    """out = x + y, of n elements each."""
    start = tl.program_id(0).to(tl.int64) * BLOCK
    offsets = start + tl.arange(0, BLOCK)
    # A mask by an arbitrary n would split all loads into single elements; only the
    # last program needs one.
    if start + BLOCK <= n:
        total = tl.load(x + offsets) + tl.load(y + offsets)
        tl.store(out + offsets, total)
    else:
        mask = offsets < n
        total = tl.load(x + offsets, mask=mask) + tl.load(y + offsets, mask=mask)
        tl.store(out + offsets, total, mask=mask)
