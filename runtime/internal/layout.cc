#include "runtime/internal/layout.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace rules_torch::internal {
namespace {

// Calls act(from, to) for each piece of `layout.rank` dimensions, until it returns
// false.
template <typename From, typename To, typename Act>
bool ForEachPiece(From* from, To* to, const Layout& layout,
                  const std::int64_t* to_strides, std::int64_t width, const Act& act) {
  if (layout.rank == 0) return act(from, to);
  const Layout inner = {layout.sizes + 1, layout.strides + 1, layout.rank - 1};
  for (std::int64_t i = 0; i < layout.sizes[0]; ++i) {
    if (!ForEachPiece(from + i * layout.strides[0] * width,
                      to + i * to_strides[0] * width, inner, to_strides + 1, width,
                      act)) {
      return false;
    }
  }
  return true;
}

// Calls act(from, to, bytes) for each piece of memory that both tensors have as it is.
template <typename From, typename To, typename Act>
bool ForEachRun(From* from, To* to, const Layout& layout,
                const std::int64_t* to_strides, std::size_t width, const Act& act) {
  // The last dimensions, as far as they are row-major in both.
  Layout outer = layout;
  std::int64_t run = 1;
  while (outer.rank > 0) {
    const std::int32_t last = outer.rank - 1;
    const std::int64_t size = layout.sizes[last];
    if (size != 1 && (layout.strides[last] != run || to_strides[last] != run)) break;
    run *= size;
    outer.rank = last;
  }
  const std::size_t bytes = static_cast<std::size_t>(run) * width;
  return bytes == 0 ||
         ForEachPiece(
             from, to, outer, to_strides, static_cast<std::int64_t>(width),
             [&](From* piece, To* target) { return act(piece, target, bytes); });
}

}  // namespace

std::int64_t NumElements(const std::int64_t* sizes, std::int32_t rank) {
  std::int64_t count = 1;
  for (std::int32_t i = 0; i < rank; ++i) count *= sizes[i];
  return count;
}

void SetRowMajor(const std::int64_t* sizes, std::int32_t rank, std::int64_t* strides) {
  std::int64_t stride = 1;
  for (std::int32_t i = rank; i-- > 0;) {
    strides[i] = stride;
    stride *= std::max<std::int64_t>(sizes[i], 1);
  }
}

bool IsRowMajor(const Layout& layout) {
  for (std::int32_t i = 0; i < layout.rank; ++i) {
    if (layout.sizes[i] == 0) return true;
  }
  std::int64_t stride = 1;
  for (std::int32_t i = layout.rank; i-- > 0;) {
    if (layout.sizes[i] != 1 && layout.strides[i] != stride) return false;
    stride *= layout.sizes[i];
  }
  return true;
}

void CopyElements(const void* from, const Layout& layout, void* to,
                  const std::int64_t* to_strides, std::size_t width) {
  ForEachRun(static_cast<const std::uint8_t*>(from), static_cast<std::uint8_t*>(to),
             layout, to_strides, width,
             [](const std::uint8_t* source, std::uint8_t* target, std::size_t bytes) {
               std::memcpy(target, source, bytes);
               return true;
             });
}

bool EqualElements(const void* a, const Layout& layout, const void* b,
                   const std::int64_t* b_strides, std::size_t width) {
  return ForEachRun(
      static_cast<const std::uint8_t*>(a), static_cast<const std::uint8_t*>(b), layout,
      b_strides, width,
      [](const std::uint8_t* left, const std::uint8_t* right, std::size_t bytes) {
        return std::memcmp(left, right, bytes) == 0;
      });
}

}  // namespace rules_torch::internal
