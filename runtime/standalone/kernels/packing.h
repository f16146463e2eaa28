// The packed layout of a matrix [k, n] that others are multiplied with: weights, above
// all. It is one for all instruction sets, so that one file of weights serves each
// variant of a library, and is used where it lies.
//
//   packed[panel][row][column]   panel: n / 16, rounded up; row: k; column: 16
//
// Element (i, j) lies at packed[j / 16][i][j % 16]; columns from n on are zeros. 16
// floats are one vector of AVX-512's, two of AVX2's and four of SSE's and NEON's.
//
// Alignment: a float's; 64 bytes are read fastest. Errors: none. Thread-safe.
#ifndef RULES_TORCH_STANDALONE_KERNELS_PACKING_H_
#define RULES_TORCH_STANDALONE_KERNELS_PACKING_H_

#include <cstdint>

#include "runtime/standalone/kernels/vector.h"

namespace rules_torch::standalone {
namespace {

constexpr std::int64_t kPanel = 16;  // columns

// The number of floats.
RTORCH_INLINE constexpr std::int64_t PackedSize(std::int64_t k, std::int64_t n) {
  return RoundUp(n, kPanel) * k;
}

// A matrix in memory: element (i, j) is data[i * row + j * column].
struct Matrix {
  const float* data;
  std::int64_t row;
  std::int64_t column = 1;
};

// to[0..3][j] = from[j][0..3] for 4 rows of 4 floats.
RTORCH_INLINE void Transpose4x4(const float* from, std::int64_t from_step, float* to,
                                std::int64_t to_step) {
  const auto at = [&](std::int64_t i) -> Four {
    return *reinterpret_cast<const UnalignedFour*>(from + i * from_step);
  };
  const Four low01 = __builtin_shufflevector(at(0), at(1), 0, 4, 1, 5);
  const Four high01 = __builtin_shufflevector(at(0), at(1), 2, 6, 3, 7);
  const Four low23 = __builtin_shufflevector(at(2), at(3), 0, 4, 1, 5);
  const Four high23 = __builtin_shufflevector(at(2), at(3), 2, 6, 3, 7);
  const auto put = [&](std::int64_t i, Four v) {
    *reinterpret_cast<UnalignedFour*>(to + i * to_step) = v;
  };
  put(0, __builtin_shufflevector(low01, low23, 0, 1, 4, 5));
  put(1, __builtin_shufflevector(low01, low23, 2, 3, 6, 7));
  put(2, __builtin_shufflevector(high01, high23, 0, 1, 4, 5));
  put(3, __builtin_shufflevector(high01, high23, 2, 3, 6, 7));
}

// Packs one panel: `columns` (1 to 16) of them, from b's first on.
inline void PackPanel(const Matrix& b, std::int64_t k, int columns, float* panel) {
  std::int64_t i = 0;
  if (columns == kPanel && b.row == 1) {
    for (; i + 4 <= k; i += 4) {
      for (int j = 0; j < kPanel; j += 4) {
        Transpose4x4(b.data + i + j * b.column, b.column, panel + i * kPanel + j,
                     kPanel);
      }
    }
  }
  for (; i < k; ++i) {
    int j = 0;
    for (; j < columns; ++j) {
      panel[i * kPanel + j] = b.data[i * b.row + j * b.column];
    }
    for (; j < kPanel; ++j) panel[i * kPanel + j] = 0;
  }
}

// Copies a, of [rows, k]: to[i * to_row + j] is its element (i, j).
inline void CopyRows(const Matrix& a, std::int64_t rows, std::int64_t k, float* to,
                     std::int64_t to_row) {
  std::int64_t i = 0;
  if (a.row == 1 && a.column != 1) {
    for (; i + 4 <= rows; i += 4) {
      std::int64_t j = 0;
      for (; j + 4 <= k; j += 4) {
        Transpose4x4(a.data + i + j * a.column, a.column, to + i * to_row + j, to_row);
      }
      for (; j < k; ++j) {
        for (int r = 0; r < 4; ++r)
          to[(i + r) * to_row + j] = a.data[i + r + j * a.column];
      }
    }
  }
  for (; i < rows; ++i) {
    const float* from = a.data + i * a.row;
    std::int64_t j = 0;
    if (a.column == 1) {
      for (; j + kLanes <= k; j += kLanes) Store(to + i * to_row + j, Load(from + j));
    }
    for (; j < k; ++j) to[i * to_row + j] = from[j * a.column];
  }
}

// Packs b, of [k, n], into PackedSize(k, n) floats.
inline void Pack(const Matrix& b, std::int64_t k, std::int64_t n, float* packed) {
  std::int64_t column = 0;
  if (b.column == 1) {
    // Some panels at a time, as b's rows may be a page apart.
    constexpr std::int64_t kPanels = 8;
    for (; column + kPanel <= n;) {
      const std::int64_t panels = Least(kPanels, (n - column) / kPanel);
      for (std::int64_t i = 0; i < k; ++i) {
        const float* from = b.data + i * b.row + column;
        float* to = packed + column * k + i * kPanel;
        for (std::int64_t panel = 0; panel < panels; ++panel) {
          RTORCH_UNROLL
          for (int j = 0; j < kPanel; j += kLanes) Store(to + j, Load(from + j));
          from += kPanel;
          to += kPanel * k;
        }
      }
      column += panels * kPanel;
    }
  }
  for (; column < n; column += kPanel) {
    PackPanel({b.data + column * b.column, b.row, b.column}, k,
              static_cast<int>(Least(kPanel, n - column)), packed + column * k);
  }
}

}  // namespace
}  // namespace rules_torch::standalone

#endif  // RULES_TORCH_STANDALONE_KERNELS_PACKING_H_
