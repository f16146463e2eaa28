"""Softmax over the rows of a matrix, each of which is read once."""

import triton
import triton.language as tl


@triton.jit
def fused_softmax(out, x, out_stride, x_stride, rows, columns, BLOCK: tl.constexpr):
    """out = softmax(x, dim=1) for a matrix [rows, columns].

    Strides are elements from one row to the next; elements of a row are adjacent. A
    program keeps a whole row in registers, so that columns <= BLOCK.
    """
    offsets = tl.arange(0, BLOCK)
    mask = offsets < columns
    first = tl.program_id(0).to(tl.int64)
    for row in tl.range(first, rows, tl.num_programs(0)):
        values = tl.load(x + row * x_stride + offsets, mask=mask, other=float("-inf"))
        values = values.to(tl.float32)
        exponentials = tl.exp(values - tl.max(values, axis=0))
        result = exponentials / tl.sum(exponentials, axis=0)
        tl.store(
            out + row * out_stride + offsets, result.to(out.dtype.element_ty), mask=mask
        )
