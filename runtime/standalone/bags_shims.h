// The shims of embedding bags, beside shims.h.
#ifndef RULES_TORCH_STANDALONE_BAGS_SHIMS_H_
#define RULES_TORCH_STANDALONE_BAGS_SHIMS_H_

#include <cstdint>
#include <stdexcept>
#include <utility>

#include "rules_torch/abi.h"
#include "runtime/standalone/copy.h"
#include "runtime/standalone/operators.h"
#include "runtime/standalone/shims.h"
#include "runtime/standalone/tensor.h"

namespace rules_torch::standalone {
namespace {

// What operators read: a view, or a copy of other integers.
inline OwnedTensor InInt64(const Tensor& tensor) {
  return tensor.dtype == RTORCH_INT64 ? Alias(tensor) : CopyAsInt64(tensor);
}

// The other results are for gradients: of their shapes, and undefined.
[[maybe_unused]] inline AOTITorchError EmbeddingBag(
    AtenTensorHandle weight, AtenTensorHandle indices, AtenTensorHandle offsets,
    std::int64_t mode, AtenTensorHandle* per_sample_weights, bool include_last_offset,
    std::int64_t padding_idx, AtenTensorHandle* ret0, AtenTensorHandle* ret1,
    AtenTensorHandle* ret2, AtenTensorHandle* ret3) {
  const Tensor& table = Of(weight);
  const std::int64_t rows = Of(offsets).sizes[0];
  const std::int64_t bags = rows - (include_last_offset ? 1 : 0);
  if (bags < 0) throw std::runtime_error("embedding_bag: there is no last offset");
  const OwnedTensor wide_indices = InInt64(Of(indices));
  const OwnedTensor wide_offsets = InInt64(Of(offsets));
  const std::int64_t sizes[] = {bags, table.sizes[1]};
  OwnedTensor out = Contiguous(2, sizes, table.dtype);
  const Optional factors(per_sample_weights);
  RTORCH_VARIANT(bags)
  (AsOperand(table), AsOperand(*wide_indices), AsOperand(*wide_offsets), factors.get(),
   static_cast<Bag>(mode), padding_idx, AsOperand(*out));
  Give(std::move(out), ret0);
  const std::int32_t dtype = Of(offsets).dtype;
  Give(Contiguous(1, Of(indices).sizes, dtype), ret1);
  Give(Contiguous(1, &rows, dtype), ret2);
  return Give(mode == 2 ? Contiguous(2, sizes, dtype) : Contiguous(1, &rows, dtype),
              ret3);
}

}  // namespace
}  // namespace rules_torch::standalone

extern "C" {

static AOTITorchError aoti_torch_cpu__embedding_bag(
    AtenTensorHandle weight, AtenTensorHandle indices, AtenTensorHandle offsets,
    std::int32_t, std::int64_t mode, std::int32_t, AtenTensorHandle* per_sample_weights,
    std::int32_t include_last_offset, std::int64_t padding_idx, AtenTensorHandle* ret0,
    AtenTensorHandle* ret1, AtenTensorHandle* ret2, AtenTensorHandle* ret3) {
  return rules_torch::standalone::EmbeddingBag(
      weight, indices, offsets, mode, per_sample_weights, include_last_offset != 0,
      padding_idx, ret0, ret1, ret2, ret3);
}

static AOTITorchError aoti_torch_cpu__embedding_bag_forward_only(
    AtenTensorHandle weight, AtenTensorHandle indices, AtenTensorHandle offsets,
    std::int32_t, std::int64_t mode, std::int32_t, AtenTensorHandle* per_sample_weights,
    std::int32_t include_last_offset, std::int64_t padding_idx, AtenTensorHandle* ret0,
    AtenTensorHandle* ret1, AtenTensorHandle* ret2, AtenTensorHandle* ret3) {
  return rules_torch::standalone::EmbeddingBag(
      weight, indices, offsets, mode, per_sample_weights, include_last_offset != 0,
      padding_idx, ret0, ret1, ret2, ret3);
}

}  // extern "C"

#endif  // RULES_TORCH_STANDALONE_BAGS_SHIMS_H_
