#include "runtime/internal/layout.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "rules_torch/abi.h"
#include "rules_torch/dtype.h"

namespace rules_torch::internal {
namespace {

// One loop of a copy; strides in elements.
struct Loop {
  std::int64_t size;
  std::int64_t from;
  std::int64_t to;
};

// The loops of a copy, the outermost first: as few as the strides allow.
struct Loops {
  Loop at[RTORCH_MAX_RANK];
  std::int32_t count = 0;
};

Loops Collapse(const RTorchTensor& from, const RTorchTensor& to) {
  Loops loops;
  for (std::int32_t i = 0; i < from.rank; ++i) {
    if (from.sizes[i] == 1) continue;
    loops.at[loops.count++] = {from.sizes[i], from.strides[i], to.strides[i]};
  }
  // Memory is written in its order.
  std::stable_sort(loops.at, loops.at + loops.count, [](const Loop& a, const Loop& b) {
    return std::abs(a.to) > std::abs(b.to);
  });
  std::int32_t last = 0;
  for (std::int32_t i = 1; i < loops.count; ++i) {
    Loop& outer = loops.at[last];
    const Loop& inner = loops.at[i];
    if (outer.from == inner.from * inner.size && outer.to == inner.to * inner.size) {
      outer = {outer.size * inner.size, inner.from, inner.to};
    } else {
      loops.at[++last] = inner;
    }
  }
  loops.count = std::min(loops.count, last + 1);
  return loops;
}

// Elements are copied as integers of their width, whatever their type is.
template <typename T>
struct Word {
  typedef T Type __attribute__((may_alias));
};

template <typename T>
void Copy(const T* from, T* to, const Loop* loops, std::int32_t count) {
  const Loop& loop = loops[0];
  if (count > 2) {
    for (std::int64_t i = 0; i < loop.size; ++i) {
      Copy(from + i * loop.from, to + i * loop.to, loops + 1, count - 1);
    }
    return;
  }
  // The two innermost loops in tiles, so that the cache lines that a column of one side
  // touches are still there for the next column.
  constexpr std::int64_t kTile = 32;
  const Loop rows = count == 2 ? loop : Loop{1, 0, 0};
  const Loop& columns = loops[count - 1];
  const bool tiled = columns.from != 1 && rows.size > 1;
  const std::int64_t height = tiled ? kTile : 1;
  const std::int64_t width = tiled ? kTile * 8 : columns.size;
  for (std::int64_t row = 0; row < rows.size; row += height) {
    const std::int64_t rows_end = std::min(row + height, rows.size);
    for (std::int64_t column = 0; column < columns.size; column += width) {
      const std::int64_t n = std::min(width, columns.size - column);
      for (std::int64_t r = row; r < rows_end; ++r) {
        const T* source = from + r * rows.from + column * columns.from;
        T* target = to + r * rows.to + column * columns.to;
        if (columns.from == 1 && columns.to == 1) {
          std::memcpy(target, source, static_cast<std::size_t>(n) * sizeof(T));
        } else if (columns.to == 1) {
          for (std::int64_t i = 0; i < n; ++i) target[i] = source[i * columns.from];
        } else {
          for (std::int64_t i = 0; i < n; ++i) {
            target[i * columns.to] = source[i * columns.from];
          }
        }
      }
    }
  }
}

template <typename T>
void CopyAs(const RTorchTensor& from, const RTorchTensor& to, const Loops& loops) {
  using Element = typename Word<T>::Type;
  Copy(static_cast<const Element*>(from.data), static_cast<Element*>(to.data), loops.at,
       loops.count);
}

}  // namespace

void CopyElements(const RTorchTensor& from, const RTorchTensor& to) {
  if (NumElements(from) == 0) return;
  Loops loops = Collapse(from, to);
  if (loops.count == 0) loops.at[loops.count++] = {1, 1, 1};
  switch (DTypeSize(from.dtype)) {
    case 1:
      return CopyAs<std::uint8_t>(from, to, loops);
    case 2:
      return CopyAs<std::uint16_t>(from, to, loops);
    case 4:
      return CopyAs<std::uint32_t>(from, to, loops);
    case 8:
      return CopyAs<std::uint64_t>(from, to, loops);
    default:
      return;  // no dtype: refused before
  }
}

}  // namespace rules_torch::internal
