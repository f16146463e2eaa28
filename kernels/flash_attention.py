"""Attention that never stores its scores: FlashAttention-2, forward.

T. Dao, "FlashAttention-2: Faster Attention with Better Parallelism and Work
Partitioning", 2023.
"""

import triton
import triton.language as tl

_LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def _tiles(tensor, heads, sequence, head_size, BLOCK: tl.constexpr, HEAD: tl.constexpr):
    """Describes a contiguous tensor [heads, sequence, head_size] as tiles of one head."""
    return tl.make_tensor_descriptor(
        tensor,
        [heads, sequence, head_size],
        [sequence.to(tl.int64) * head_size, head_size, 1],
        [1, BLOCK, HEAD],
    )


@triton.jit
def _attend(
    total,
    weight_sum,
    row_max,
    queries,
    key_tiles,
    value_tiles,
    head,
    rows,
    begin,
    end,
    sequence,
    scale,
    MASKED: tl.constexpr,
    CAUSAL: tl.constexpr,
    HEAD: tl.constexpr,
    BLOCK_N: tl.constexpr,
    SPECIALIZE: tl.constexpr,
):
    """Takes the keys from begin to end into the running softmax of a tile of queries."""
    for start in tl.range(begin, end, BLOCK_N, warp_specialize=SPECIALIZE):
        keys = tl.reshape(key_tiles.load([head, start, 0]), (BLOCK_N, HEAD))
        scores = tl.dot(queries, keys.T)
        if MASKED:
            columns = start + tl.arange(0, BLOCK_N)[None, :]
            if CAUSAL:
                seen = columns <= rows[:, None]
            else:
                seen = columns < sequence
            scores = tl.where(seen, scores, float("-inf"))
        new_max = tl.maximum(row_max, tl.max(scores, axis=1) * scale)
        weights = tl.exp2(scores * scale - new_max[:, None])
        decay = tl.exp2(row_max - new_max)
        weight_sum = weight_sum * decay + tl.sum(weights, axis=1)
        total = total * decay[:, None]
        values = tl.reshape(value_tiles.load([head, start, 0]), (BLOCK_N, HEAD))
        total = tl.dot(weights.to(values.dtype), values, total)
        row_max = new_max
    return total, weight_sum, row_max


def _configs(*rows):
    return [
        triton.Config(
            {"BLOCK_M": m, "BLOCK_N": n, "SPECIALIZE": specialize},
            num_warps=warps,
            num_stages=stages,
        )
        for m, n, warps, stages, specialize in rows
    ]


# The first is what a kernel without an entry in the tuning table is compiled with: it
# fits every architecture.
@triton.autotune(
    _configs(
        (64, 64, 4, 2, False),
        (128, 64, 8, 2, False),
        (128, 64, 8, 3, False),
        (128, 64, 4, 2, False),
        (128, 128, 8, 2, False),
        (128, 128, 8, 3, False),
        (64, 128, 4, 2, False),
        (128, 64, 4, 2, True),
        (128, 64, 4, 3, True),
        (128, 128, 4, 2, True),
    ),
    key=["sequence", "head_size"],
)
@triton.jit
def flash_attention(
    out,
    q,
    k,
    v,
    heads,
    sequence,
    head_size,
    scale,
    CAUSAL: tl.constexpr,
    EVEN: tl.constexpr,
    HEAD: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    SPECIALIZE: tl.constexpr,
):
    """out = softmax(scale * q @ k^T) @ v, head by head.

    All tensors are contiguous, [heads, sequence, head_size]; `heads` counts those of the
    whole batch. `scale` is positive. head_size <= HEAD; what is missing is read as zeros.

    CAUSAL: a query sees the keys up to its own position. EVEN: BLOCK_N divides sequence.
    SPECIALIZE: on Hopper and Blackwell, some warps copy and others compute.
    """
    tiles = tl.cdiv(sequence, BLOCK_M)
    head = tl.program_id(0) // tiles
    tile = tl.program_id(0) % tiles
    if CAUSAL:
        tile = tiles - 1 - tile  # The longest first: the last to finish is short.
    row = tile * BLOCK_M
    rows = row + tl.arange(0, BLOCK_M)
    # Rows of the next head may be read with the last of this one; they are not stored.
    query_tiles = tl.make_tensor_descriptor(
        q, [heads * sequence, head_size], [head_size, 1], [BLOCK_M, HEAD]
    )
    queries = query_tiles.load([head * sequence + row, 0])
    key_tiles = _tiles(k, heads, sequence, head_size, BLOCK_N, HEAD)
    value_tiles = _tiles(v, heads, sequence, head_size, BLOCK_N, HEAD)

    total = tl.zeros((BLOCK_M, HEAD), dtype=tl.float32)
    weight_sum = tl.zeros((BLOCK_M,), dtype=tl.float32)
    row_max = tl.full((BLOCK_M,), float("-inf"), dtype=tl.float32)
    scale = scale * _LOG2_E  # exp2 is what the hardware has

    end = sequence
    if CAUSAL:
        end = min(end, row + BLOCK_M)
    # Most tiles of keys need no mask, and have a loop of their own; where warps
    # specialise, Triton wants a single loop.
    full = 0
    if not SPECIALIZE:
        full = (row if CAUSAL else end) // BLOCK_N * BLOCK_N
        total, weight_sum, row_max = _attend(
            total,
            weight_sum,
            row_max,
            queries,
            key_tiles,
            value_tiles,
            head,
            rows,
            0,
            full,
            sequence,
            scale,
            False,
            CAUSAL,
            HEAD,
            BLOCK_N,
            False,
        )
    if SPECIALIZE or CAUSAL or not EVEN:
        total, weight_sum, row_max = _attend(
            total,
            weight_sum,
            row_max,
            queries,
            key_tiles,
            value_tiles,
            head,
            rows,
            full,
            end,
            sequence,
            scale,
            CAUSAL or not EVEN,
            CAUSAL,
            HEAD,
            BLOCK_N,
            SPECIALIZE,
        )
    total = total / weight_sum[:, None]
    channels = tl.arange(0, HEAD)
    places = head.to(tl.int64) * sequence * head_size
    places += rows[:, None] * head_size + channels[None, :]
    mask = (rows[:, None] < sequence) & (channels[None, :] < head_size)
    tl.store(out + places, total.to(out.dtype.element_ty), mask=mask)
