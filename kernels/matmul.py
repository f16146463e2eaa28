"""Matrix products of fp16 and bf16, accumulated in fp32.

All matrices are row-major: elements of a row are adjacent, and a stride is the number
of elements from one row to the next.
"""

import triton
import triton.language as tl


def _configs(*rows):
    return [
        triton.Config(
            {"BLOCK_M": m, "BLOCK_N": n, "BLOCK_K": k, "GROUP": 8},
            num_warps=warps,
            num_stages=stages,
        )
        for m, n, k, warps, stages in rows
    ]


@triton.jit
def _tile(
    program, m, n, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, GROUP: tl.constexpr
):
    """Orders tiles so that programs that run together share rows of A and columns of B.

    GROUP rows of tiles are walked column by column: what is read stays in the L2 cache.
    """
    tiles_m = tl.cdiv(m, BLOCK_M)
    tiles_n = tl.cdiv(n, BLOCK_N)
    first = program // (GROUP * tiles_n) * GROUP
    height = min(tiles_m - first, GROUP)
    within = program % (GROUP * tiles_n)
    return first + within % height, within // height


# The first is what a kernel without an entry in the tuning table is compiled with: it
# fits every architecture.
@triton.autotune(
    _configs(
        (128, 128, 32, 4, 4),
        (128, 128, 64, 8, 3),
        (128, 128, 64, 4, 4),
        (128, 256, 64, 8, 3),
        (256, 128, 64, 8, 3),
        (128, 256, 32, 8, 4),
        (128, 64, 64, 4, 4),
        (64, 128, 64, 4, 4),
        (64, 64, 32, 4, 5),
    ),
    key=["m", "n", "k"],
)
@triton.jit
def matmul(
    c,
    a,
    b,
    m,
    n,
    k,
    c_stride,
    a_stride,
    b_stride,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    GROUP: tl.constexpr,
):
    """C = A @ B, with C [m, n], A [m, k] and B [k, n]."""
    tile_m, tile_n = _tile(tl.program_id(0), m, n, BLOCK_M, BLOCK_N, GROUP)
    rows = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tile_n * BLOCK_N + tl.arange(0, BLOCK_N)
    inner = tl.arange(0, BLOCK_K)
    a_tile = a + rows[:, None] * a_stride + inner[None, :]
    b_tile = b + inner[:, None] * b_stride + columns[None, :]
    total = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    for start in range(0, k, BLOCK_K):
        left = k - start
        a_mask = (rows[:, None] < m) & (inner[None, :] < left)
        b_mask = (inner[:, None] < left) & (columns[None, :] < n)
        a_part = tl.load(a_tile, mask=a_mask, other=0.0)
        b_part = tl.load(b_tile, mask=b_mask, other=0.0)
        total = tl.dot(a_part, b_part, total)
        a_tile += BLOCK_K
        b_tile += BLOCK_K * b_stride
    tl.store(
        c + rows[:, None] * c_stride + columns[None, :],
        total.to(c.dtype.element_ty),
        mask=(rows[:, None] < m) & (columns[None, :] < n),
    )


# The same for any addresses, strides and sizes. Its loads are of single elements.
matmul_unaligned = matmul.fn

# The same for few rows, which is bound by the reading of B: narrow tiles, so that there
# are programs for all multiprocessors.
matmul_few_rows = triton.autotune(
    _configs(
        (16, 64, 128, 4, 3),
        (16, 32, 128, 4, 4),
        (16, 32, 256, 4, 3),
        (32, 64, 128, 4, 3),
        (64, 32, 128, 4, 3),
        (64, 64, 64, 4, 4),
        (64, 128, 64, 4, 3),
    ),
    key=["m", "n", "k"],
)(matmul.fn)


def _descriptor_configs(*rows):
    return [
        triton.Config(
            {
                "BLOCK_M": m,
                "BLOCK_N": n,
                "BLOCK_K": k,
                "GROUP": 8,
                "PARTS": parts,
                "SPECIALIZE": specialize,
            },
            num_warps=warps,
            num_stages=stages,
        )
        for m, n, k, parts, warps, stages, specialize in rows
    ]


@triton.autotune(
    _descriptor_configs(
        (128, 128, 32, 1, 4, 3, False),
        (128, 256, 64, 1, 8, 3, False),
        (128, 256, 64, 2, 8, 3, False),
        (128, 256, 64, 2, 8, 4, False),
        (256, 128, 64, 2, 8, 3, False),
        (256, 128, 64, 2, 8, 4, False),
        (128, 128, 64, 1, 8, 4, False),
        (128, 128, 64, 2, 4, 4, False),
        (128, 256, 64, 1, 4, 3, True),
        (128, 256, 64, 2, 4, 4, True),
        (256, 128, 64, 2, 4, 4, True),
    ),
    key=["m", "n", "k"],
)
@triton.jit
def matmul_descriptor(
    c,
    a,
    b,
    m,
    n,
    k,
    c_stride,
    a_stride,
    b_stride,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    GROUP: tl.constexpr,
    PARTS: tl.constexpr,
    SPECIALIZE: tl.constexpr,
):
    """C = A @ B, with C [m, n], A [m, k] and B [k, n], through tensor descriptors.

    From Hopper on a descriptor is one of the hardware's: TMA copies whole tiles, and
    keeps to the bounds of the matrices by itself, as long as rows of B and C end at 16
    bytes: k and n are multiples of 8. Older GPUs get ordinary masked loads, and are
    better served by `matmul`.

    PARTS: 1 or 2, the strips that a tile of C leaves in; a smaller buffer for them leaves
    room for another stage. SPECIALIZE: some warps copy and others compute.
    """
    a_tiles = tl.make_tensor_descriptor(a, [m, k], [a_stride, 1], [BLOCK_M, BLOCK_K])
    b_tiles = tl.make_tensor_descriptor(b, [k, n], [b_stride, 1], [BLOCK_K, BLOCK_N])
    c_tiles = tl.make_tensor_descriptor(
        c, [m, n], [c_stride, 1], [BLOCK_M, BLOCK_N // PARTS]
    )
    tiles = tl.cdiv(m, BLOCK_M) * tl.cdiv(n, BLOCK_N)
    # Flattened with the loop over k, or done by warps of their own, the loads of the
    # next tile start while this one is stored.
    for program in tl.range(
        tl.program_id(0),
        tiles,
        tl.num_programs(0),
        flatten=not SPECIALIZE,
        warp_specialize=SPECIALIZE,
    ):
        tile_m, tile_n = _tile(program, m, n, BLOCK_M, BLOCK_N, GROUP)
        row = tile_m * BLOCK_M
        column = tile_n * BLOCK_N
        total = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
        for start in range(0, k, BLOCK_K):
            a_part = a_tiles.load([row, start])
            b_part = b_tiles.load([start, column])
            total = tl.dot(a_part, b_part, total)
        if PARTS == 1:
            c_tiles.store([row, column], total.to(c.dtype.element_ty))
        else:
            tl.static_assert(PARTS == 2)
            halves = tl.reshape(total, (BLOCK_M, 2, BLOCK_N // 2))
            left, right = tl.split(tl.permute(halves, (0, 2, 1)))
            c_tiles.store([row, column], left.to(c.dtype.element_ty))
            c_tiles.store([row, column + BLOCK_N // 2], right.to(c.dtype.element_ty))
