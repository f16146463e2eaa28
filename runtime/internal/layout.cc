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

// One loop over the elements of two tensors; strides in elements.
struct Loop {
  std::int64_t size;
  std::int64_t a;
  std::int64_t b;
};

// The loops over all elements, the outermost first: as few as the strides allow. There
// is at least one.
struct Loops {
  static constexpr std::int32_t kMost = 64;  // PyTorch's highest rank
  Loop at[kMost];
  std::int32_t count = 0;

  Loops(const Layout& layout, const std::int64_t* b_strides) {
    for (std::int32_t i = 0; i < std::min(layout.rank, kMost); ++i) {
      if (layout.sizes[i] == 1) continue;
      at[count++] = {layout.sizes[i], layout.strides[i], b_strides[i]};
    }
    if (count == 0) at[count++] = {1, 1, 1};
    // The second tensor is the one that is written, in the order of its memory. Each
    // loop goes behind those before it that are not inside it: std::stable_sort would
    // take memory.
    for (std::int32_t i = 1; i < count; ++i) {
      Loop* const place =
          std::upper_bound(at, at + i, at[i], [](const Loop& left, const Loop& right) {
            return std::abs(left.b) > std::abs(right.b);
          });
      std::rotate(place, at + i, at + i + 1);
    }
    std::int32_t last = 0;
    for (std::int32_t i = 1; i < count; ++i) {
      Loop& outer = at[last];
      const Loop& inner = at[i];
      if (outer.a == inner.a * inner.size && outer.b == inner.b * inner.size) {
        outer = {outer.size * inner.size, inner.a, inner.b};
      } else {
        at[++last] = inner;
      }
    }
    count = last + 1;
  }
};

// Calls act(a, b, n, loop) for runs of n elements at the strides of `loop`, until it
// returns false. T: bytes, or an integer of the elements' width.
template <typename T, typename U, typename Act>
bool ForEachRun(T* a, U* b, const Loop* loops, std::int32_t count, const Act& act) {
  if (count > 2) {
    for (std::int64_t i = 0; i < loops->size; ++i) {
      if (!ForEachRun(a + i * loops->a, b + i * loops->b, loops + 1, count - 1, act)) {
        return false;
      }
    }
    return true;
  }
  const Loop rows = count == 2 ? loops[0] : Loop{1, 0, 0};
  const Loop& columns = loops[count - 1];
  // In tiles where rows lie across the first tensor: the cache lines that one row
  // touches are still there for the next.
  constexpr std::int64_t kTile = 32;
  const bool across = std::abs(columns.a) > std::abs(rows.a) && rows.size > 1;
  const std::int64_t height = across ? kTile : rows.size;
  const std::int64_t width = across ? kTile : columns.size;
  for (std::int64_t row = 0; row < rows.size; row += height) {
    for (std::int64_t column = 0; column < columns.size; column += width) {
      const std::int64_t n = std::min(width, columns.size - column);
      const std::int64_t end = std::min(row + height, rows.size);
      for (std::int64_t r = row; r < end; ++r) {
        if (!act(a + r * rows.a + column * columns.a,
                 b + r * rows.b + column * columns.b, n, columns)) {
          return false;
        }
      }
    }
  }
  return true;
}

// Elements as integers of their width, whatever their type is and wherever they lie.
template <typename T>
struct Word {
  typedef T Type __attribute__((may_alias, aligned(1)));
};

template <typename T>
void CopyAs(const void* from, void* to, const Loops& loops) {
  using Element = typename Word<T>::Type;
  ForEachRun(
      static_cast<const Element*>(from), static_cast<Element*>(to), loops.at,
      loops.count,
      [](const Element* source, Element* target, std::int64_t n, const Loop& loop) {
        if (loop.a == 1 && loop.b == 1) {
          std::memcpy(target, source, static_cast<std::size_t>(n) * sizeof(T));
        } else if (loop.b == 1) {
          for (std::int64_t i = 0; i < n; ++i) target[i] = source[i * loop.a];
        } else {
          for (std::int64_t i = 0; i < n; ++i) {
            target[i * loop.b] = source[i * loop.a];
          }
        }
        return true;
      });
}

}  // namespace

std::int64_t NumElements(const std::int64_t* sizes, std::int32_t rank) {
  std::int64_t count = 1;
  for (std::int32_t i = 0; i < rank; ++i) count *= sizes[i];
  return count;
}

bool BytesOf(const RTorchTensor& tensor, std::int64_t* bytes) {
  *bytes = DTypeSize(tensor.dtype);
  for (std::int32_t i = 0; i < tensor.rank; ++i) {
    const std::int64_t size = std::max<std::int64_t>(tensor.sizes[i], 1);
    if (__builtin_mul_overflow(*bytes, size, bytes)) return false;
  }
  return true;
}

void SetRowMajor(const std::int64_t* sizes, std::int32_t rank, std::int64_t* strides) {
  std::int64_t stride = 1;
  for (std::int32_t i = rank; i-- > 0;) {
    strides[i] = stride;
    stride *= std::max<std::int64_t>(sizes[i], 1);
  }
}

bool IsRowMajor(const Layout& layout) {
  std::int64_t stride = 1;
  bool dense = true;
  for (std::int32_t i = layout.rank; i-- > 0;) {
    if (layout.sizes[i] == 0) return true;
    if (layout.sizes[i] != 1 && layout.strides[i] != stride) dense = false;
    stride *= layout.sizes[i];
  }
  return dense;
}

bool FindExtent(const void* data, const Layout& layout, std::size_t width,
                Extent* extent) {
  *extent = {};
  if (data == nullptr || NumElements(layout.sizes, layout.rank) == 0) return true;
  const auto bytes = static_cast<std::int64_t>(width);
  // Half of the address space is the system's: addresses of programs are positive.
  auto low = reinterpret_cast<std::intptr_t>(data);
  auto high = low + bytes;
  for (std::int32_t i = 0; i < layout.rank; ++i) {
    std::int64_t reach = layout.sizes[i] - 1;
    if (__builtin_mul_overflow(reach, layout.strides[i], &reach) ||
        __builtin_mul_overflow(reach, bytes, &reach)) {
      return false;
    }
    std::intptr_t& end = reach < 0 ? low : high;
    if (__builtin_add_overflow(end, reach, &end)) return false;
  }
  extent->begin = reinterpret_cast<const std::uint8_t*>(low);
  extent->end = reinterpret_cast<const std::uint8_t*>(high);
  return low >= 0;
}

Extent ExtentOf(const void* data, const Layout& layout, std::size_t width) {
  Extent extent;
  FindExtent(data, layout, width, &extent);
  return extent;
}

Extent ExtentOf(const RTorchTensor& tensor) {
  return ExtentOf(tensor.data, LayoutOf(tensor),
                  static_cast<std::size_t>(DTypeSize(tensor.dtype)));
}

RTorchTensor Slice(const RTorchTensor& tensor, std::int32_t dim, std::int64_t begin,
                   std::int64_t end) {
  RTorchTensor slice = tensor;
  slice.data = static_cast<std::uint8_t*>(tensor.data) +
               begin * tensor.strides[dim] * DTypeSize(tensor.dtype);
  slice.sizes[dim] = end - begin;
  return slice;
}

void CopyElements(const void* from, const Layout& layout, void* to,
                  const std::int64_t* to_strides, std::size_t width) {
  if (NumElements(layout.sizes, layout.rank) == 0) return;
  const Loops loops(layout, to_strides);
  switch (width) {
    case 1:
      return CopyAs<std::uint8_t>(from, to, loops);
    case 2:
      return CopyAs<std::uint16_t>(from, to, loops);
    case 4:
      return CopyAs<std::uint32_t>(from, to, loops);
    default:
      return CopyAs<std::uint64_t>(from, to, loops);
  }
}

void CopyElements(const RTorchTensor& from, const RTorchTensor& to) {
  CopyElements(from.data, LayoutOf(from), to.data, to.strides,
               static_cast<std::size_t>(DTypeSize(from.dtype)));
}

bool EqualElements(const void* a, const Layout& layout, const void* b,
                   const std::int64_t* b_strides, std::size_t width) {
  if (NumElements(layout.sizes, layout.rank) == 0) return true;
  Loops loops(layout, b_strides);
  const auto bytes = static_cast<std::int64_t>(width);
  for (std::int32_t i = 0; i < loops.count; ++i) {
    loops.at[i].a *= bytes;
    loops.at[i].b *= bytes;
  }
  return ForEachRun(
      static_cast<const std::uint8_t*>(a), static_cast<const std::uint8_t*>(b),
      loops.at, loops.count,
      [&](const std::uint8_t* left, const std::uint8_t* right, std::int64_t n,
          const Loop& loop) {
        for (std::int64_t i = 0; i < n; ++i) {
          if (std::memcmp(left + i * loop.a, right + i * loop.b, width) != 0) {
            return false;
          }
        }
        return true;
      });
}

}  // namespace rules_torch::internal
