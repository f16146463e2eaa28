// How the elements of strided tensors lie in host memory, and copies between layouts.
#ifndef RULES_TORCH_INTERNAL_LAYOUT_H_
#define RULES_TORCH_INTERNAL_LAYOUT_H_

#include <cstddef>
#include <cstdint>

#include "rules_torch/abi.h"

namespace rules_torch::internal {

// Sizes and strides, these in elements, of `rank` dimensions.
struct Layout {
  const std::int64_t* sizes;
  const std::int64_t* strides;
  std::int32_t rank;
};

inline Layout LayoutOf(const RTorchTensor& tensor) {
  return {tensor.sizes, tensor.strides, tensor.rank};
}

std::int64_t NumElements(const std::int64_t* sizes, std::int32_t rank);
inline std::int64_t NumElements(const RTorchTensor& tensor) {
  return NumElements(tensor.sizes, tensor.rank);
}

// The bytes of all elements, if none of the sizes were 0. False if that is more than
// there can be; otherwise strides of a row-major tensor fit, too.
bool BytesOf(const RTorchTensor& tensor, std::int64_t* bytes);

// Sets the strides of a tensor whose elements lie one after another, the last index
// first. Those of an empty one are as if its sizes of 0 were 1.
void SetRowMajor(const std::int64_t* sizes, std::int32_t rank, std::int64_t* strides);
inline void SetRowMajor(RTorchTensor* tensor) {
  SetRowMajor(tensor->sizes, tensor->rank, tensor->strides);
}

// Whether the elements lie so. Strides that no index is multiplied with do not matter.
bool IsRowMajor(const Layout& layout);
inline bool IsRowMajor(const RTorchTensor& tensor) {
  return IsRowMajor(LayoutOf(tensor));
}

// The bytes from the first to the last that a tensor has; none if it is empty or has no
// memory.
struct Extent {
  const std::uint8_t* begin = nullptr;
  const std::uint8_t* end = nullptr;

  std::int64_t size() const { return end - begin; }
  bool Overlaps(const Extent& other) const {
    return begin < other.end && other.begin < end;
  }
};

// False if strides lead beyond the address space; nothing below may be done with such.
bool FindExtent(const void* data, const Layout& layout, std::size_t width,
                Extent* extent);

// Of a tensor that has one.
Extent ExtentOf(const void* data, const Layout& layout, std::size_t width);
Extent ExtentOf(const RTorchTensor& tensor);

// Of a dimension of a tensor the indices from `begin` up to `end`.
RTorchTensor Slice(const RTorchTensor& tensor, std::int32_t dim, std::int64_t begin,
                   std::int64_t end);

// Copies elements of `width` bytes, 1, 2, 4 or 8, from a tensor to one of equal sizes,
// which has `to_strides`, and does not overlap it. Neither needs to be aligned. Needs
// no memory.
void CopyElements(const void* from, const Layout& layout, void* to,
                  const std::int64_t* to_strides, std::size_t width);

// Copies elements between tensors of equal dtype and sizes.
void CopyElements(const RTorchTensor& from, const RTorchTensor& to);

// Whether two tensors of equal sizes have the same bytes.
bool EqualElements(const void* a, const Layout& layout, const void* b,
                   const std::int64_t* b_strides, std::size_t width);

}  // namespace rules_torch::internal

#endif  // RULES_TORCH_INTERNAL_LAYOUT_H_
