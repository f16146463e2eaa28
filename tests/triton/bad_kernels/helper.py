"""A function that a kernel of another file calls."""

import triton
import triton.language as tl


@triton.jit
def widen(values, BLOCK: tl.constexpr):
    return values + tl.arange(0, BLOCK * 2)  # error: error_in_another_file
