"""Layer normalisation over the rows of a matrix, each of which is read once."""

import triton
import triton.language as tl


@triton.jit
def layer_norm(
    out,
    x,
    weight,
    bias,
    out_stride,
    x_stride,
    rows,
    columns,
    epsilon,
    BLOCK: tl.constexpr,
):
    """out = (x - mean) / sqrt(variance + epsilon) * weight + bias, row by row.

    x is a matrix [rows, columns]; mean and variance are those of a row, in fp32; weight
    and bias have `columns` elements. Strides are elements from one row to the next;
    elements of a row are adjacent. A program keeps a whole row in registers, so that
    columns <= BLOCK.
    """
    offsets = tl.arange(0, BLOCK)
    mask = offsets < columns
    scale = tl.load(weight + offsets, mask=mask, other=0.0).to(tl.float32)
    shift = tl.load(bias + offsets, mask=mask, other=0.0).to(tl.float32)
    first = tl.program_id(0).to(tl.int64)
    for row in tl.range(first, rows, tl.num_programs(0)):
        values = tl.load(x + row * x_stride + offsets, mask=mask, other=0.0)
        values = values.to(tl.float32)
        mean = tl.sum(values, axis=0) / columns
        # Two passes over registers: E[x²] - E[x]² would cancel.
        centred = tl.where(mask, values - mean, 0.0)
        variance = tl.sum(centred * centred, axis=0) / columns
        result = centred * (1.0 / tl.sqrt(variance + epsilon)) * scale + shift
        tl.store(
            out + row * out_stride + offsets, result.to(out.dtype.element_ty), mask=mask
        )
