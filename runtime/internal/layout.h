// How the elements of strided tensors lie in memory.
#ifndef RULES_TORCH_INTERNAL_LAYOUT_H_
#define RULES_TORCH_INTERNAL_LAYOUT_H_

#include <cstddef>
#include <cstdint>

namespace rules_torch::internal {

// Sizes and strides, these in elements, of `rank` dimensions.
struct Layout {
  const std::int64_t* sizes;
  const std::int64_t* strides;
  std::int32_t rank;
};

std::int64_t NumElements(const std::int64_t* sizes, std::int32_t rank);

// Sets the strides of a tensor whose elements lie one after another, the last index
// first.
void SetRowMajor(const std::int64_t* sizes, std::int32_t rank, std::int64_t* strides);

// Whether the elements lie so. Strides that no index is multiplied with do not matter.
bool IsRowMajor(const Layout& layout);

// Copies elements of `width` bytes from a tensor to one of equal sizes, which has
// `to_strides`. Needs no memory.
void CopyElements(const void* from, const Layout& layout, void* to,
                  const std::int64_t* to_strides, std::size_t width);

// Whether two such tensors have the same bytes.
bool EqualElements(const void* a, const Layout& layout, const void* b,
                   const std::int64_t* b_strides, std::size_t width);

}  // namespace rules_torch::internal

#endif  // RULES_TORCH_INTERNAL_LAYOUT_H_
