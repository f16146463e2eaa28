// Products of fp32 matrices with what follows them: C = epilogue(A @ B), for a batch.
//
// Shapes: A [batch, m, k], B [batch, k, n], C [batch, m, n]; any size may be 0 (k = 0
// gives epilogue(0)). A and B have any strides, 0 and a transposition's included; C's
// columns are adjacent. B is packed (packing.h), as weights are, or in memory.
// Aliasing: C overlaps nothing that is read, but what the epilogue reads at the very
// element that is stored, and that only where KeepsC(k).
// Alignment: a float's. Errors: none. Thread-safe; `scratch` is one call's own.
// An element's bits depend on its row of A, its column of B and the instruction set,
// not on the number of threads; on m only where B is a transposed matrix in memory:
// whether there are more rows than kFewRows. Sums are of fp32, in blocks of kDepth
// along k. The epilogue: activation.h.
//
// The method: tile.h's tiles, over panels of B that are packed here if they are not.
// That pays where each serves many rows. Up to kFewRows rows, B is read where it lies:
// by the tiles if its rows are adjacent floats, by dots if its columns are.
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

// Out of line: the tile's registers are its own.
template <bool kPacked, int kRows, int kVectors, typename Epilogue>
__attribute__((noinline)) void ComputeTiles(const float* a, std::int64_t a_row,
                                            const Panels& b, std::int64_t k,
                                            const Target& to, const Epilogue& epilogue,
                                            std::int64_t tiles) {
  Target target = to;
  Ahead ahead(b, kVectors / kVectorsOfPanel, k, tiles);
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    Vec sums[kRows][kVectors];
    Begin(sums, target);
    const auto row = [&](int i) RTORCH_INLINE_LAMBDA { return a + i * a_row; };
    if constexpr (kRows == kTileRows) {
      Accumulate<kPacked>(sums, row, b, k, ahead);
    } else {
      Accumulate<kPacked>(sums, row, b, k);
    }
    End(sums, target, epilogue);
    a += kRows * a_row;
    target.c += kRows * target.stride;
    target.row += kRows;
  }
}

// The most rows of a tile of four vectors.
constexpr int kWideRows = kLanes == 16 ? 3 : 2;

// Up to so many rows, B is read where it lies.
constexpr int kFewRows = 4;

// For more than one, but where its rows are further apart: a tile reads little of each.
constexpr std::int64_t kFarRows = 8192;

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
        const std::int64_t next = column + kTileVectors * kLanes;
        if (next < block.column_end) {
          panels.next = ColumnOf(b, next - block.column_begin) + from * b.row;
        } else if (from + k < p.k) {
          panels.next = b.data + (from + k) * b.row;
        }
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

// Four vectors' sums, each in the order of Sum().
RTORCH_INLINE void StoreSums(const Vec (&v)[4], float* to) {
  Four quarters[4];
  RTORCH_UNROLL
  for (int i = 0; i < 4; ++i) {
    float lanes[kLanes];
    Store(lanes, v[i]);
    Four parts[kLanes / 4];
    RTORCH_UNROLL
    for (int j = 0; j < kLanes / 4; ++j) {
      parts[j] = *reinterpret_cast<const UnalignedFour*>(lanes + 4 * j);
    }
    RTORCH_UNROLL
    for (int half = kLanes / 8; half > 0; half /= 2) {
      for (int j = 0; j < half; ++j) parts[j] += parts[j + half];
    }
    quarters[i] = parts[0];
  }
  const auto low = [&](int i) RTORCH_INLINE_LAMBDA {
    return __builtin_shufflevector(quarters[i], quarters[i + 1], 0, 1, 4, 5);
  };
  const auto high = [&](int i) RTORCH_INLINE_LAMBDA {
    return __builtin_shufflevector(quarters[i], quarters[i + 1], 2, 3, 6, 7);
  };
  const Four first = low(0) + high(0);
  const Four second = low(2) + high(2);
  *reinterpret_cast<UnalignedFour*>(to) =
      __builtin_shufflevector(first, second, 0, 2, 4, 6) +
      __builtin_shufflevector(first, second, 1, 3, 5, 7);
}

// A vector's first lanes, and zeros. Out of line: the compiler would take apart what is
// done with it by the number of lanes.
__attribute__((noinline)) inline void CopyFirst(const float* from, int lanes,
                                                float* to) {
  Store(to, Load(from, lanes));
}

// Rows times columns that are adjacent floats along k: kColumns of them, a multiple of
// 4, from `b` on, `step` apart. Sums are along the vector, in one order for any tile.
//   last: The last column that is there; it stands for those behind it.
//   dots: [kRows, kPanel], of which kColumns are written.
template <int kRows, int kColumns>
__attribute__((noinline)) void ComputeDots(const float* a, std::int64_t a_row,
                                           const float* b, std::int64_t step,
                                           std::int64_t last, std::int64_t k,
                                           float* dots) {
  const float* columns[kColumns];
  RTORCH_UNROLL
  for (int j = 0; j < kColumns; ++j) {
    columns[j] = b + Least<std::int64_t>(j, last) * step;
  }
  Vec sums[kRows][kColumns];
  Clear(sums);
  const auto add = [&](const float* row, std::int64_t row_step, const auto& column)
                       RTORCH_INLINE_LAMBDA {
                         Vec rows[kRows];
                         RTORCH_UNROLL
                         for (int i = 0; i < kRows; ++i)
                           rows[i] = Load(row + i * row_step);
                         RTORCH_UNROLL
                         for (int j = 0; j < kColumns; ++j) {
                           const Vec v = Load(column(j));
                           RTORCH_UNROLL
                           for (int i = 0; i < kRows; ++i) sums[i][j] += rows[i] * v;
                         }
                       };
  std::int64_t at = 0;
  for (; at + kLanes <= k; at += kLanes) {
    add(a + at, a_row, [&](int j) RTORCH_INLINE_LAMBDA { return columns[j] + at; });
  }
  if (at < k) {
    const int lanes = static_cast<int>(k - at);
    float rows[kRows * kLanes];
    float rest[kColumns * kLanes];
    for (int i = 0; i < kRows; ++i) {
      CopyFirst(a + i * a_row + at, lanes, rows + i * kLanes);
    }
    for (int j = 0; j < kColumns; ++j) {
      CopyFirst(columns[j] + at, lanes, rest + j * kLanes);
    }
    add(rows, kLanes, [&](int j) RTORCH_INLINE_LAMBDA { return rest + j * kLanes; });
  }
  RTORCH_UNROLL
  for (int i = 0; i < kRows; ++i) {
    RTORCH_UNROLL
    for (int j = 0; j < kColumns; j += 4) {
      const Vec four[4] = {sums[i][j], sums[i][j + 1], sums[i][j + 2], sums[i][j + 3]};
      StoreSums(four, dots + i * kPanel + j);
    }
  }
}

// A product by dots of the rows of A and the columns of B.
inline void ComputeBlockOfDots(const Product& p, const Block& block, const Matrices& b,
                               const AnyEpilogue& any) {
  // The most rows of a tile of four columns that fits into the registers.
  constexpr int kMostRows = kLanes == 16 ? 4 : 2;
  const float* a = p.a.matrix.data + block.batch * p.a.stride;
  const std::int64_t a_row = p.a.matrix.row;
  const std::int64_t step = b.matrix.column;
  const float* all = b.matrix.data + block.batch * b.stride;
  for (std::int64_t column = block.column_begin; column < block.column_end;
       column += kPanel) {
    const std::int64_t count = Least(kPanel, block.column_end - column);
    for (std::int64_t row = block.row_begin; row < block.row_end;) {
      const std::int64_t rows = Least<std::int64_t>(kMostRows, block.row_end - row);
      float dots[kMostRows * kPanel] = {};
      for (std::int64_t j = 0; j < count;) {
        const float* from = all + (column + j) * step;
        const std::int64_t last = count - j - 1;
        const float* from_a = a + row * a_row;
        // A row's four sums would wait for each other.
        if (rows == 1 && last >= 4) {
          ComputeDots<1, 8>(from_a, a_row, from, step, last, p.k, dots + j);
          j += 8;
          continue;
        }
        WithRows<kMostRows>(static_cast<int>(rows), [&](auto constant) {
          ComputeDots<decltype(constant)::value, 4>(from_a, a_row, from, step, last,
                                                    p.k, dots + j);
        });
        j += 4;
      }
      const Target to = {p.c + block.batch * p.c_batch + row * p.c_row + column,
                         p.c_row,
                         count,
                         true,
                         true,
                         block.batch,
                         row,
                         column};
      any.store(any.epilogue, dots, static_cast<int>(rows), kVectorsOfPanel, to);
      row += rows;
    }
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
  const bool is_dots = p.m <= kFewRows && b.matrix.row == 1 && b.matrix.column != 1 &&
                       p.a.matrix.column == 1;
  const std::int64_t chunk = PackedColumnsOf(p);
  const std::int64_t scratch = CopyOfA(p) + chunk * p.k;
  // A part packs the columns that it needs.
  ForEachBlock(p, /*prefers_rows=*/false, [&](int part, const Block& block) {
    if (is_dots) return ComputeBlockOfDots(p, block, b, Any(epilogue));
    float* packed = p.scratch + part * scratch;
    float* copy = packed + chunk * p.k;
    const Matrix all = {b.matrix.data + block.batch * b.stride, b.matrix.row,
                        b.matrix.column};
    Block rest = block;
    if (all.column == 1 && p.m <= (all.row <= kFarRows ? kFewRows : 1)) {
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
