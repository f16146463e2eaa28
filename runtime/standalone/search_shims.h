// The shims of what searches in sorted tensors, beside shims.h.
#ifndef RULES_TORCH_STANDALONE_SEARCH_SHIMS_H_
#define RULES_TORCH_STANDALONE_SEARCH_SHIMS_H_

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "rules_torch/abi.h"
#include "runtime/standalone/copy.h"
#include "runtime/standalone/operators.h"
#include "runtime/standalone/shims.h"
#include "runtime/standalone/tensor.h"

namespace rules_torch::standalone {
namespace {

// Sorters are permutations: an index out of range would be read from.
inline void CheckSorter(const Tensor& sorter, const Tensor& boundaries) {
  if (sorter.dtype != RTORCH_INT64 || sorter.rank != boundaries.rank) {
    throw std::runtime_error(
        "searchsorted takes a sorter of int64, as large as what it sorts");
  }
  const OwnedTensor copy = CopyAsInt64(sorter);
  const std::int64_t length = boundaries.sizes[boundaries.rank - 1];
  std::int64_t count = 1;
  for (int i = 0; i < sorter.rank; ++i) {
    if (sorter.sizes[i] != boundaries.sizes[i]) {
      throw std::runtime_error("searchsorted takes a sorter as large as what it sorts");
    }
    count *= sorter.sizes[i];
  }
  const auto* indices = static_cast<const std::int64_t*>(copy->data);
  for (std::int64_t i = 0; i < count; ++i) {
    if (indices[i] < 0 || indices[i] >= length) {
      throw std::runtime_error("searchsorted: an index of the sorter is out of range");
    }
  }
}

[[maybe_unused]] inline AOTITorchError Search(AtenTensorHandle boundaries,
                                              const AtenTensorHandle* sorter,
                                              AtenTensorHandle values, bool is_int32,
                                              bool is_right, AtenTensorHandle* ret0) {
  const Tensor& in = Of(boundaries);
  const Tensor& wanted = Of(values);
  bool fits = in.rank == 1 || in.rank == wanted.rank;
  for (int i = 0; fits && in.rank > 1 && i + 1 < in.rank; ++i) {
    fits = in.sizes[i] == wanted.sizes[i];
  }
  if (!fits || in.rank == 0 || in.dtype != wanted.dtype) {
    throw std::runtime_error(
        "a search takes boundaries of the values' dtype and sizes, but for the last, "
        "or "
        "a line of them");
  }
  if (sorter != nullptr) CheckSorter(Of(*sorter), in);
  OwnedTensor out =
      Contiguous(wanted.rank, wanted.sizes, is_int32 ? RTORCH_INT32 : RTORCH_INT64);
  const Optional order(sorter);
  RTORCH_VARIANT(search)
  (Read(boundaries), order.get(), Read(values), is_right, AsOperand(*out));
  return Give(std::move(out), ret0);
}

}  // namespace
}  // namespace rules_torch::standalone

extern "C" {

static AOTITorchError aoti_torch_cpu_bucketize_Tensor(AtenTensorHandle self,
                                                      AtenTensorHandle boundaries,
                                                      std::int32_t out_int32,
                                                      std::int32_t right,
                                                      AtenTensorHandle* ret0) {
  return rules_torch::standalone::Search(boundaries, nullptr, self, out_int32 != 0,
                                         right != 0, ret0);
}

static AOTITorchError aoti_torch_cpu_searchsorted_Tensor(
    AtenTensorHandle sorted_sequence, AtenTensorHandle self, std::int32_t out_int32,
    std::int32_t right, const char** side, AtenTensorHandle* sorter,
    AtenTensorHandle* ret0) {
  const bool is_right =
      right != 0 || (side != nullptr && std::strcmp(*side, "right") == 0);
  return rules_torch::standalone::Search(sorted_sequence, sorter, self, out_int32 != 0,
                                         is_right, ret0);
}

}  // extern "C"

#endif  // RULES_TORCH_STANDALONE_SEARCH_SHIMS_H_
