// The shim of concatenation, beside shims.h. Inductor generates the code of all dtypes
// but those of 8 bits.
#ifndef RULES_TORCH_STANDALONE_CAT_SHIMS_H_
#define RULES_TORCH_STANDALONE_CAT_SHIMS_H_

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <utility>

#include "runtime/standalone/convolution_shape.h"
#include "runtime/standalone/copy.h"
#include "runtime/standalone/shims.h"
#include "runtime/standalone/tensor.h"

namespace rules_torch::standalone {
namespace {

// torch.cat leaves these out, whatever the others' rank.
inline bool IsEmptyLine(const Tensor& tensor) {
  return tensor.rank == 1 && tensor.sizes[0] == 0;
}

// An uninitialised result: channels last if all of `tensors` are, else row-major.
inline OwnedTensor AllocateCat(const Tensor& like, const std::int64_t* sizes,
                               const AtenTensorHandle* tensors, std::int64_t count) {
  if (!std::all_of(tensors, tensors + count, [](AtenTensorHandle tensor) {
        return IsChannelsLast(Of(tensor));
      })) {
    return Contiguous(like.rank, sizes, like.dtype);
  }
  std::int64_t order[kMaxRank] = {0};
  for (int i = 2; i < like.rank; ++i) order[i - 1] = i;
  order[like.rank - 1] = 1;
  return AllocateInOrder(like.rank, sizes, order, like.dtype);
}

}  // namespace
}  // namespace rules_torch::standalone

extern "C" {

static AOTITorchError aoti_torch_cpu_cat(const AtenTensorHandle* tensors,
                                         std::int64_t count, std::int64_t dim,
                                         AtenTensorHandle* ret0) {
  using namespace rules_torch::standalone;
  const AtenTensorHandle* first =
      std::find_if(tensors, tensors + count,
                   [](AtenTensorHandle tensor) { return !IsEmptyLine(Of(tensor)); });
  const Tensor& like = Of(first == tensors + count ? *tensors : *first);
  dim = DimOf(like, dim);
  std::int64_t sizes[kMaxRank];
  std::copy_n(like.sizes, like.rank, sizes);
  sizes[dim] = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const Tensor& tensor = Of(tensors[i]);
    if (IsEmptyLine(tensor)) continue;
    for (int j = 0; j < like.rank; ++j) {
      if (tensor.rank != like.rank || (j != dim && tensor.sizes[j] != like.sizes[j])) {
        throw std::runtime_error("cat of tensors whose sizes do not match");
      }
    }
    sizes[dim] += tensor.sizes[dim];
  }
  OwnedTensor out = AllocateCat(like, sizes, tensors, count);
  std::int64_t offset = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const Tensor& tensor = Of(tensors[i]);
    if (IsEmptyLine(tensor)) continue;
    OwnedTensor part = View(*out, tensor.rank, tensor.sizes, out->strides, offset);
    Copy(tensor, part.get());
    offset += tensor.sizes[dim] * out->strides[dim];
  }
  return Give(std::move(out), ret0);
}

}  // extern "C"

#endif  // RULES_TORCH_STANDALONE_CAT_SHIMS_H_
