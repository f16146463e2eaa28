// Products of fp32 matrices with what follows them: C = epilogue(A @ B), for a batch.
//
// Shapes: A [batch, m, k], B [batch, k, n], C [batch, m, n]; any size may be 0 (k = 0
// gives epilogue(0)). A and B have any strides, 0 and a transposition's included; C's
// columns are adjacent. B is packed (packing.h), as weights are, or in memory.
// Aliasing: C overlaps nothing that is read, but what the epilogue reads at the very
// element that is stored, and that only where KeepsC(k).
// Alignment: a float's. Errors: none. Thread-safe; `scratch` is one call's own.
// An element's bits depend on its row of A, its column of B and the instruction set,
// not on the number of threads; on m only between m = 1 and others where B is a
// transposed matrix in memory. Sums are of fp32, in blocks of kDepth along k. The
// epilogue: activation.h.
#ifndef RULES_TORCH_STANDALONE_KERNELS_MATMUL_H_
#define RULES_TORCH_STANDALONE_KERNELS_MATMUL_H_

#include <cstdint>

#include "runtime/standalone/kernels/activation.h"
#include "runtime/standalone/kernels/packing.h"
#include "runtime/standalone/kernels/parallel.h"
#include "runtime/standalone/kernels/tile.h"
#include "runtime/standalone/kernels/vector.h"

namespace rules_torch::standalone {
namespace {

// A matrix of each member of a batch: member b begins at matrix.data + b * stride.
struct Matrices {
  Matrix matrix;
  std::int64_t stride = 0;
};

struct Product {
  std::int64_t batch = 1;
  std::int64_t m;
  std::int64_t n;
  std::int64_t k;
  Matrices a;
  float* c;
  std::int64_t c_row;  // strides, in elements
  std::int64_t c_batch = 0;
  int threads = 1;  // at most so many
  // ScratchOf...(product) floats, of any content; null for none.
  float* scratch = nullptr;
};

// Whether a product over k stores an element of C once, and reads none.
RTORCH_INLINE constexpr bool KeepsC(std::int64_t k) { return k <= kDepth; }

// A block of A, which stays in the second cache while B goes by.
constexpr std::int64_t kBlockFloats = kLanes == 16 ? 131'072 : 65'536;
constexpr std::int64_t kRowPadding = 16;  // against strides of 2^n, which share sets

// How k is cut: into blocks of one size, so that the last one is no splinter.
RTORCH_INLINE std::int64_t DepthOf(std::int64_t k) {
  return k <= kDepth ? k : RoundUp(DivideUp(k, DivideUp(k, kDepth)), 8);
}

// How many rows are between one pass over B and the next.
RTORCH_INLINE std::int64_t BlockRowsOf(std::int64_t k) {
  const std::int64_t rows =
      kBlockFloats / (Greatest<std::int64_t>(1, DepthOf(k)) + kRowPadding);
  return Greatest<std::int64_t>(1, rows / kTileRows) * kTileRows;
}

// Rows of A that are not adjacent floats are copied. So are those whose distance makes
// them fall into one set of the first cache, where they serve often enough.
RTORCH_INLINE bool CopiesA(const Product& p) {
  if (p.k == 0) return false;
  if (p.a.matrix.column != 1) return true;
  return p.a.matrix.row % 512 == 0 && p.m >= kTileRows && p.k >= 64 && p.n >= 128;
}

RTORCH_INLINE std::int64_t CopyOfA(const Product& p) {
  if (!CopiesA(p)) return 0;
  return Least(p.m, BlockRowsOf(p.k)) * (DepthOf(p.k) + kRowPadding);
}

RTORCH_INLINE std::int64_t WorkOf(const Product& p) {
  return 2 * p.batch * p.m * p.n * p.k;
}

// The floats of scratch that MatmulPacked needs.
RTORCH_INLINE std::int64_t ScratchOfPacked(const Product& p) {
  return CopyOfA(p) * PartsOf(WorkOf(p), p.threads);
}

// Columns of B that are packed at a time, where B is in memory.
RTORCH_INLINE std::int64_t PackedColumnsOf(const Product& p) {
  const std::int64_t columns = 131'072 / Greatest<std::int64_t>(1, p.k);
  return Least(RoundUp(p.n, kPanel), RoundUp(Greatest<std::int64_t>(64, columns), 32));
}

// The floats of scratch that Matmul needs.
RTORCH_INLINE std::int64_t ScratchOf(const Product& p) {
  return (CopyOfA(p) + PackedColumnsOf(p) * p.k) * PartsOf(WorkOf(p), p.threads);
}

// What one thread does of a product, with one member of the batch.
struct Block {
  std::int64_t batch;
  std::int64_t row_begin, row_end;
  std::int64_t column_begin, column_end;  // the first is a multiple of kPanel
};

template <bool kPacked, int kRows, int kVectors, typename Epilogue>
RTORCH_INLINE void ComputeTile(const float* a, std::int64_t a_row, const Panels& b,
                               std::int64_t k, const Target& to,
                               const Epilogue& epilogue) {
  Vec sums[kRows][kVectors];
  Begin(sums, to);
  Accumulate<kPacked>(
      sums, [&](int i) RTORCH_INLINE_LAMBDA { return a + i * a_row; }, b, k);
  End(sums, to, epilogue);
}

// Out of line: the tile's registers are its own.
template <bool kPacked, int kRows, int kVectors, typename Epilogue>
__attribute__((noinline)) void ComputeTiles(const float* a, std::int64_t a_row,
                                            const Panels& b, std::int64_t k,
                                            const Target& to, const Epilogue& epilogue,
                                            std::int64_t tiles) {
  Target target = to;
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    ComputeTile<kPacked, kRows, kVectors>(a, a_row, b, k, target, epilogue);
    a += kRows * a_row;
    target.c += kRows * target.stride;
    target.row += kRows;
  }
}

// The most rows of a tile of four vectors.
constexpr int kWideRows = kLanes == 16 ? 3 : 2;

// Up to so many rows, B is read where it lies: each of its elements serves once or
// twice.
constexpr int kFewRows = 3;

// All `rows` of some columns from `b` on: as many as the tile for so many rows is wide.
// Returns how many. Where kPacked is not, rows are at most kFewRows and columns whole
// panels.
template <bool kPacked, typename Epilogue>
std::int64_t ComputeColumns(const float* a, std::int64_t a_row, std::int64_t rows,
                            const Panels& b, std::int64_t k, const Target& to,
                            const Epilogue& epilogue, const AnyEpilogue& any) {
  // A tile of few rows has few sums, and would wait for each: it is wider.
  if (rows == 1 && to.columns >= 8 * kLanes) {
    ComputeTiles<kPacked, 1, 8>(a, a_row, b, k, to, any, 1);
    return 8 * kLanes;
  }
  if (rows <= kWideRows && to.columns >= 4 * kLanes) {
    WithRows<kWideRows>(static_cast<int>(rows), [&](auto constant) {
      ComputeTiles<kPacked, decltype(constant)::value, 4>(a, a_row, b, k, to, any, 1);
    });
    return 4 * kLanes;
  }
  const auto compute = [&](auto vectors) {
    constexpr int kVectors = decltype(vectors)::value;
    const std::int64_t tiles = rows / kTileRows;
    if constexpr (kPacked) {
      if (tiles > 0) {
        // The tile that does nearly all of the work.
        if constexpr (Epilogue::kIsShort && kVectors == kTileVectors) {
          ComputeTiles<kPacked, kTileRows, kVectors>(a, a_row, b, k, to, epilogue,
                                                     tiles);
        } else {
          ComputeTiles<kPacked, kTileRows, kVectors>(a, a_row, b, k, to, any, tiles);
        }
      }
    }
    const std::int64_t done = tiles * kTileRows;
    Target rest = to;
    rest.c += done * to.stride;
    rest.row += done;
    WithRows<kPacked ? kTileRows - 1 : kFewRows>(
        static_cast<int>(rows - done), [&](auto constant) {
          ComputeTiles<kPacked, decltype(constant)::value, kVectors>(
              a + done * a_row, a_row, b, k, rest, any, 1);
        });
    return static_cast<std::int64_t>(kVectors * kLanes);
  };
  // The last panel of an odd number of them.
  if constexpr (kTileVectors > kVectorsOfPanel) {
    if (to.columns <= kPanel) return compute(Constant<kVectorsOfPanel>{});
  }
  return compute(Constant<kTileVectors>{});
}

// Computes a block with the panels of its columns; `copy` is CopyOfA(p) floats.
template <bool kPacked, typename Epilogue>
void ComputeBlock(const Product& p, const Block& block, const Panels& b, float* copy,
                  const Epilogue& epilogue) {
  const Matrix& a = p.a.matrix;
  const bool copies = CopiesA(p);
  const AnyEpilogue any = Any(epilogue);
  const std::int64_t depth = DepthOf(p.k);
  const std::int64_t block_rows = BlockRowsOf(p.k);
  for (std::int64_t row = block.row_begin; row < block.row_end; row += block_rows) {
    const std::int64_t rows = Least(block_rows, block.row_end - row);
    std::int64_t from = 0;
    do {  // once where k is 0
      const std::int64_t k = Least(depth, p.k - from);
      const float* rows_of_a =
          a.data + block.batch * p.a.stride + row * a.row + from * a.column;
      std::int64_t a_row = a.row;
      if (copies) {
        a_row = depth + kRowPadding;
        CopyRows({rows_of_a, a.row, a.column}, rows, k, copy, a_row);
        rows_of_a = copy;
      }
      for (std::int64_t column = block.column_begin; column < block.column_end;) {
        Panels panels = b;
        panels.data = ColumnOf(b, column - block.column_begin) + from * b.row;
        const Target to = {
            p.c + block.batch * p.c_batch + row * p.c_row + column,
            p.c_row,
            block.column_end - column,
            from == 0,
            from + k == p.k,
            block.batch,
            row,
            column,
        };
        column += ComputeColumns<kPacked>(rows_of_a, a_row, rows, panels, k, to,
                                          epilogue, any);
      }
      from += k;
    } while (from < p.k);
  }
}

// Calls act(part, block) for the blocks of each part. Work is split along the rows or
// along the columns: a thread reads all of the other matrix.
template <typename Act>
void ForEachBlock(const Product& p, bool prefers_rows, const Act& act) {
  if (p.batch == 0 || p.m == 0 || p.n == 0) return;
  const int parts = PartsOf(WorkOf(p), p.threads);
  constexpr std::int64_t kColumns =
      Greatest<std::int64_t>(kPanel, kTileVectors * kLanes);
  const std::int64_t rows = DivideUp(p.m, kTileRows);
  const std::int64_t columns = DivideUp(p.n, kColumns);
  const bool by_rows = prefers_rows ? p.batch * rows >= parts || rows >= columns
                                    : p.batch * columns < parts && rows > columns;
  const std::int64_t units = by_rows ? rows : columns;
  ForEachPart(parts, [&](int part) {
    const Range range = ShareOf(p.batch * units, part, parts);
    for (std::int64_t unit = range.begin; unit < range.end;) {
      const std::int64_t batch = unit / units;
      const std::int64_t end = Least(range.end, (batch + 1) * units);
      Block block = {batch, 0, p.m, 0, p.n};
      if (by_rows) {
        block.row_begin = (unit - batch * units) * kTileRows;
        block.row_end = Least(p.m, (end - batch * units) * kTileRows);
      } else {
        block.column_begin = (unit - batch * units) * kColumns;
        block.column_end = Least(p.n, (end - batch * units) * kColumns);
      }
      act(part, block);
      unit = end;
    }
  });
}

// One row times columns that are adjacent floats along k: sums along the vector.
template <typename Epilogue>
void ComputeDots(const Product& p, const Block& block, const Matrices& b,
                 const Epilogue& epilogue) {
  const float* a = p.a.matrix.data + block.batch * p.a.stride;
  const float* all = b.matrix.data + block.batch * b.stride;
  constexpr int kColumns = 4;
  for (std::int64_t column = block.column_begin; column < block.column_end;
       column += kPanel) {
    float dots[kPanel] = {};
    const std::int64_t count = Least(kPanel, block.column_end - column);
    for (std::int64_t j = 0; j < count; j += kColumns) {
      const float* rows[kColumns];
      RTORCH_UNROLL
      for (int i = 0; i < kColumns; ++i) {
        // The last ones again where there are fewer.
        rows[i] = all + (column + Least(j + i, count - 1)) * b.matrix.column;
      }
      Vec sums[kColumns][2];
      Clear(sums);
      std::int64_t at = 0;
      for (; at + 2 * kLanes <= p.k; at += 2 * kLanes) {
        RTORCH_UNROLL
        for (int half = 0; half < 2; ++half) {
          const Vec x = Load(a + at + half * kLanes);
          RTORCH_UNROLL
          for (int i = 0; i < kColumns; ++i) {
            sums[i][half] += x * Load(rows[i] + at + half * kLanes);
          }
        }
      }
      for (; at < p.k; at += kLanes) {
        const int lanes = static_cast<int>(Least<std::int64_t>(kLanes, p.k - at));
        const Vec x = Load(a + at, lanes);
        RTORCH_UNROLL
        for (int i = 0; i < kColumns; ++i) sums[i][0] += x * Load(rows[i] + at, lanes);
      }
      RTORCH_UNROLL
      for (int i = 0; i < kColumns; ++i) dots[j + i] = Sum(sums[i][0] + sums[i][1]);
    }
    const Target to = {p.c + block.batch * p.c_batch + column,
                       p.c_row,
                       count,
                       true,
                       true,
                       block.batch,
                       0,
                       column};
    StoreTile<Epilogue>(&epilogue, dots, 1, kVectorsOfPanel, to);
  }
}

// C = epilogue(A @ B).
//   packed: B, packed by Pack(B, k, n): one, or one for each member of the batch.
//   packed_batch: Floats between them; 0 for one.
//   product.scratch: ScratchOfPacked(product) floats.
template <typename Epilogue>
void MatmulPacked(const Product& product, const float* packed,
                  std::int64_t packed_batch, const Epilogue& epilogue) {
  const Product& p = product;
  ForEachBlock(p, /*prefers_rows=*/p.m >= p.n, [&](int part, const Block& block) {
    const Panels panels = {
        packed + block.batch * packed_batch + block.column_begin * p.k, kPanel,
        kPanel * p.k};
    ComputeBlock<true>(p, block, panels, p.scratch + part * CopyOfA(p), epilogue);
  });
}

// C = epilogue(A @ B) for B in memory.
//   product.scratch: ScratchOf(product) floats.
template <typename Epilogue>
void Matmul(const Product& product, const Matrices& b, const Epilogue& epilogue) {
  const Product& p = product;
  const bool is_dots =
      p.m == 1 && b.matrix.row == 1 && b.matrix.column != 1 && p.a.matrix.column == 1;
  const std::int64_t chunk = PackedColumnsOf(p);
  const std::int64_t scratch = CopyOfA(p) + chunk * p.k;
  // A part packs the columns that it needs.
  ForEachBlock(p, /*prefers_rows=*/false, [&](int part, const Block& block) {
    if (is_dots) return ComputeDots(p, block, b, epilogue);
    float* packed = p.scratch + part * scratch;
    float* copy = packed + chunk * p.k;
    const Matrix all = {b.matrix.data + block.batch * b.stride, b.matrix.row,
                        b.matrix.column};
    Block rest = block;
    if (all.column == 1 && block.row_end - block.row_begin <= kFewRows) {
      Block whole = block;
      whole.column_end -= (block.column_end - block.column_begin) % kPanel;
      const Panels panels = {all.data + block.column_begin, all.row, kPanel};
      ComputeBlock<false>(p, whole, panels, copy, epilogue);
      rest.column_begin = whole.column_end;
    }
    const std::int64_t end = rest.column_end;
    for (; rest.column_begin < end; rest.column_begin = rest.column_end) {
      rest.column_end = Least(end, rest.column_begin + chunk);
      Pack({all.data + rest.column_begin * all.column, all.row, all.column}, p.k,
           rest.column_end - rest.column_begin, packed);
      ComputeBlock<true>(p, rest, {packed, kPanel, kPanel * p.k}, copy, epilogue);
    }
  });
}

}  // namespace
}  // namespace rules_torch::standalone

#endif  // RULES_TORCH_STANDALONE_KERNELS_MATMUL_H_
