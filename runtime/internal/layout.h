// Strides of tensors in host memory, and copies between them.
#ifndef RULES_TORCH_INTERNAL_LAYOUT_H_
#define RULES_TORCH_INTERNAL_LAYOUT_H_

#include <algorithm>
#include <cstdint>

#include "rules_torch/abi.h"

namespace rules_torch::internal {

inline std::int64_t NumElements(const RTorchTensor& tensor) {
  std::int64_t count = 1;
  for (std::int32_t i = 0; i < tensor.rank; ++i) count *= tensor.sizes[i];
  return count;
}

// Makes the strides row-major contiguous.
inline void SetContiguous(RTorchTensor* tensor) {
  std::int64_t stride = 1;
  for (std::int32_t i = tensor->rank; i-- > 0;) {
    tensor->strides[i] = stride;
    stride *= std::max<std::int64_t>(tensor->sizes[i], 1);
  }
}

// Whether elements lie in row-major order without gaps. Strides of dimensions of size 1
// do not matter.
inline bool IsContiguous(const RTorchTensor& tensor) {
  std::int64_t stride = 1;
  for (std::int32_t i = tensor.rank; i-- > 0;) {
    if (tensor.sizes[i] == 0) return true;
    if (tensor.sizes[i] != 1 && tensor.strides[i] != stride) return false;
    stride *= tensor.sizes[i];
  }
  return true;
}

// Copies elements between two tensors of equal sizes and dtype, which do not overlap.
void CopyElements(const RTorchTensor& from, const RTorchTensor& to);

}  // namespace rules_torch::internal

#endif  // RULES_TORCH_INTERNAL_LAYOUT_H_
