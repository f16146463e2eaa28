// The micro-kernel: a tile of sums of products that stays in registers while k goes by.
// Matrix products and convolutions are both made of it.
//
// A tile is kRows x kVectors vectors. Its columns are those of panels as packing.h has
// them; its rows are anywhere. The sum over k is in one order whatever the tile, so an
// element's bits do not depend on the tile that it falls into.
//
// The method: Goto and van de Geijn, "Anatomy of High-Performance Matrix
// Multiplication".
#ifndef RULES_TORCH_STANDALONE_KERNELS_TILE_H_
#define RULES_TORCH_STANDALONE_KERNELS_TILE_H_

#include <cstdint>

#include "runtime/standalone/kernels/packing.h"
#include "runtime/standalone/kernels/vector.h"

namespace rules_torch::standalone {
namespace {

// The largest tile whose sums, one row of B and one element of A fit into the
// registers: 32 of them with AVX-512 and NEON, 16 with AVX2 and SSE.
#if defined(__AVX512F__)
constexpr int kTileRows = 14;
constexpr int kTileVectors = 2;
#elif defined(__AVX2__)
constexpr int kTileRows = 6;
constexpr int kTileVectors = 2;
#elif defined(__aarch64__)
constexpr int kTileRows = 6;
constexpr int kTileVectors = 4;
#else
constexpr int kTileRows = 6;
constexpr int kTileVectors = 2;
#endif

// So many rows of B at once: with AVX2, those of a tile's columns fill most of the
// first cache. AVX-512's come from the second one, which is 1 MiB or more beside it.
#if defined(__AVX512F__)
constexpr std::int64_t kDepth = 512;
#else
constexpr std::int64_t kDepth = 384;
#endif

constexpr int kVectorsOfPanel = static_cast<int>(kPanel) / kLanes;

// B for the micro-kernel: vector j of row i begins at
//   data + i * row + (j / kVectorsOfPanel) * panel + (j % kVectorsOfPanel) * kLanes
struct Panels {
  const float* data;
  std::int64_t row;
  std::int64_t panel;
  // Where the panels begin that are read behind these; null: nothing is known of them.
  const float* next = nullptr;
};

// Asks for the panels that come next, some lines of the cache at a time, so that they
// are there when the tiles of these are done: a weight's first reading is memory's.
class Ahead {
 public:
  // For `tiles` tiles over k elements, of kPacked panels.
  Ahead(const Panels& b, int panels, std::int64_t k, std::int64_t tiles)
      : at_(b.next), panel_(b.panel), lines_of_panel_(k) {
    // Of a few tiles all time is spent waiting.
    if (b.next == nullptr || tiles < 3) return;
    panels_ = panels;
    left_ = k;
    step_ = static_cast<int>(DivideUp(panels * kSteps, tiles));
  }

  static constexpr int kSteps = 8;  // of k between two calls of Ask

  RTORCH_INLINE void Ask() {
    for (int i = 0; i < step_ && left_ > 0; ++i) {
      __builtin_prefetch(at_, 0, 2);
      at_ += kPanel;
      if (--left_ == 0 && --panels_ > 0) {
        at_ += panel_ - lines_of_panel_ * kPanel;
        left_ = lines_of_panel_;
      }
    }
  }

 private:
  const float* at_;
  const std::int64_t panel_;
  const std::int64_t lines_of_panel_;  // 16 floats are one
  int panels_ = 0;
  std::int64_t left_ = 0;
  int step_ = 0;
};

// For tiles that ask for nothing.
struct NotAhead {
  static constexpr int kSteps = 1 << 30;
  RTORCH_INLINE void Ask() const {}
};

constexpr NotAhead kNotAhead = {};

RTORCH_INLINE const float* ColumnOf(const Panels& b, std::int64_t column) {
  return b.data + column / kPanel * b.panel + column % kPanel;
}

template <int kRows, int kVectors>
RTORCH_INLINE void Clear(Vec (&sums)[kRows][kVectors]) {
  RTORCH_UNROLL
  for (int i = 0; i < kRows; ++i) {
    RTORCH_UNROLL
    for (int j = 0; j < kVectors; ++j) sums[i][j] = Vec{};
  }
}

// sums += a @ b, over k elements of each row of a.
//   row: Maps i to the address of row i; it is called for constants.
//   kPacked: whether b.row is kPanel.
template <bool kPacked, int kRows, int kVectors, typename Row,
          typename Next = const NotAhead>
RTORCH_INLINE void Accumulate(Vec (&sums)[kRows][kVectors], const Row& row,
                              const Panels& b, std::int64_t k, Next& next = kNotAhead) {
  const std::int64_t step = kPacked ? kPanel : b.row;
  const float* at = b.data;
  for (std::int64_t p = 0; p < k;) {
    next.Ask();
    const std::int64_t end = Least<std::int64_t>(k, p + Next::kSteps);
#pragma GCC unroll 1
    for (; p < end; ++p, at += step) {
      Vec bs[kVectors];
      RTORCH_UNROLL
      for (int j = 0; j < kVectors; ++j) {
        bs[j] = Load(at + j / kVectorsOfPanel * b.panel + j % kVectorsOfPanel * kLanes);
      }
      RTORCH_UNROLL
      for (int i = 0; i < kRows; ++i) {
        const Vec a = Broadcast(row(i)[p]);
        RTORCH_UNROLL
        for (int j = 0; j < kVectors; ++j) sums[i][j] += a * bs[j];
      }
    }
  }
}

// Where a tile goes, and what becomes of it.
struct Target {
  float* c;  // the tile's first element
  std::int64_t stride;
  std::int64_t columns;  // how many are left from there on, 1 or more
  bool first;            // c does not hold sums of what comes before in k
  bool last;             // nothing comes behind: the epilogue is due
  std::int64_t batch;    // for the epilogue
  std::int64_t row;
  std::int64_t column;
};

RTORCH_INLINE int LanesOf(std::int64_t columns, int vector) {
  return static_cast<int>(Greatest<std::int64_t>(
      0, Least<std::int64_t>(kLanes, columns - vector * kLanes)));
}

// A tile's sums up to here.
template <int kRows, int kVectors>
RTORCH_INLINE void Begin(Vec (&sums)[kRows][kVectors], const Target& to) {
  if (to.first) return Clear(sums);
  if (to.columns >= kVectors * kLanes) {
    RTORCH_UNROLL
    for (int i = 0; i < kRows; ++i) {
      RTORCH_UNROLL
      for (int j = 0; j < kVectors; ++j) {
        sums[i][j] = Load(to.c + i * to.stride + j * kLanes);
      }
    }
    return;
  }
  // Through memory: sums are indexed by constants alone, or they would lie there
  // always.
  float tile[kRows * kVectors * kLanes];
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kVectors * kLanes; ++j) {
      tile[i * kVectors * kLanes + j] = j < to.columns ? to.c[i * to.stride + j] : 0.0f;
    }
  }
  RTORCH_UNROLL
  for (int i = 0; i < kRows; ++i) {
    RTORCH_UNROLL
    for (int j = 0; j < kVectors; ++j) {
      sums[i][j] = Load(tile + (i * kVectors + j) * kLanes);
    }
  }
}

// Stores rows of `vectors` vectors of sums that lie in memory.
template <typename Epilogue>
__attribute__((noinline)) void StoreTile(const void* epilogue, const float* tile,
                                         int rows, int vectors, const Target& to) {
  const Epilogue& act = *static_cast<const Epilogue*>(epilogue);
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < vectors; ++j) {
      const int lanes = LanesOf(to.columns, j);
      if (lanes == 0) break;
      Vec v = Load(tile + (i * vectors + j) * kLanes);
      if (to.last) v = act(v, to.batch, to.row + i, to.column + j * kLanes, lanes);
      Store(to.c + i * to.stride + j * kLanes, v, lanes);
    }
  }
}

// An epilogue of any type, for tiles that go through memory: all but the full ones of
// short epilogues. The code of these tiles is there once, not for each epilogue.
struct AnyEpilogue {
  static constexpr bool kIsShort = false;

  const void* epilogue;
  void (*store)(const void* epilogue, const float* tile, int rows, int vectors,
                const Target& to);
};

template <typename Epilogue>
RTORCH_INLINE AnyEpilogue Any(const Epilogue& epilogue) {
  return {&epilogue, &StoreTile<Epilogue>};
}

RTORCH_INLINE const AnyEpilogue& Any(const AnyEpilogue& epilogue) { return epilogue; }

// An epilogue as callers give it to kernels, which are compiled for each type: itself
// where it is short. It must outlive what is returned.
template <typename Epilogue>
RTORCH_INLINE auto Shared(const Epilogue& epilogue) {
  if constexpr (Epilogue::kIsShort) {
    return epilogue;
  } else {
    return Any(epilogue);
  }
}

// Ends a tile. The usual one goes from registers to where it belongs; one that is cut
// off, or whose epilogue is long, goes through memory.
template <int kRows, int kVectors, typename Epilogue>
RTORCH_INLINE void End(const Vec (&sums)[kRows][kVectors], const Target& to,
                       const Epilogue& epilogue) {
  if (to.columns >= kVectors * kLanes && (Epilogue::kIsShort || !to.last)) {
    if (!to.last) {
      RTORCH_UNROLL
      for (int i = 0; i < kRows; ++i) {
        RTORCH_UNROLL
        for (int j = 0; j < kVectors; ++j) {
          Store(to.c + i * to.stride + j * kLanes, sums[i][j]);
        }
      }
      return;
    }
    if constexpr (Epilogue::kIsShort) {
      RTORCH_UNROLL
      for (int i = 0; i < kRows; ++i) {
        RTORCH_UNROLL
        for (int j = 0; j < kVectors; ++j) {
          Store(to.c + i * to.stride + j * kLanes,
                epilogue(sums[i][j], to.batch, to.row + i, to.column + j * kLanes,
                         kLanes));
        }
      }
    }
    return;
  }
  float tile[kRows * kVectors * kLanes];
  RTORCH_UNROLL
  for (int i = 0; i < kRows; ++i) {
    RTORCH_UNROLL
    for (int j = 0; j < kVectors; ++j) {
      Store(tile + (i * kVectors + j) * kLanes, sums[i][j]);
    }
  }
  const AnyEpilogue any = Any(epilogue);
  any.store(any.epilogue, tile, kRows, kVectors, to);
}

// Calls act(constant) with the constant that `rows` is, 1 to kMost.
template <int kMost, typename Act>
RTORCH_INLINE void WithRows(int rows, const Act& act);

template <int kValue>
struct Constant {
  static constexpr int value = kValue;
};

template <int kMost, typename Act>
RTORCH_INLINE void WithRows(int rows, const Act& act) {
  if constexpr (kMost > 0) {
    if (rows == kMost) {
      act(Constant<kMost>{});
    } else {
      WithRows<kMost - 1>(rows, act);
    }
  }
}

}  // namespace
}  // namespace rules_torch::standalone

#endif  // RULES_TORCH_STANDALONE_KERNELS_TILE_H_
