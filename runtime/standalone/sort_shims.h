// The shims of what sorts, beside shims.h.
#ifndef RULES_TORCH_STANDALONE_SORT_SHIMS_H_
#define RULES_TORCH_STANDALONE_SORT_SHIMS_H_

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <utility>

#include "rules_torch/abi.h"
#include "runtime/standalone/operators.h"
#include "runtime/standalone/shims.h"
#include "runtime/standalone/tensor.h"

extern "C" {

static AOTITorchError aoti_torch_cpu_sort_stable(AtenTensorHandle self, std::int32_t*,
                                                 std::int64_t dim,
                                                 std::int32_t descending,
                                                 AtenTensorHandle* ret0,
                                                 AtenTensorHandle* ret1) {
  using namespace rules_torch::standalone;
  const Tensor& in = Of(self);
  dim = DimOf(in, dim);
  OwnedTensor values = EmptyLike(in);
  OwnedTensor indices = Allocate(in.rank, values->sizes, values->strides, RTORCH_INT64);
  RunWorkspace workspace;
  RTORCH_VARIANT(sort)
  (Read(self), static_cast<std::int32_t>(dim), descending != 0, AsOperand(*values),
   AsOperand(*indices), &workspace);
  Give(std::move(values), ret0);
  return Give(std::move(indices), ret1);
}

// Sorted, whether that is asked for or not; of equal elements the first ones.
static AOTITorchError aoti_torch_cpu_topk(AtenTensorHandle self, std::int64_t k,
                                          std::int64_t dim, std::int32_t largest,
                                          std::int32_t, AtenTensorHandle* ret0,
                                          AtenTensorHandle* ret1) {
  using namespace rules_torch::standalone;
  const Tensor& in = Of(self);
  dim = DimOf(in, dim);
  if (k < 0 || k > (in.rank == 0 ? 1 : in.sizes[dim])) {
    throw std::runtime_error("topk of more elements than there are");
  }
  std::int64_t sizes[kMaxRank];
  std::copy_n(in.sizes, in.rank, sizes);
  if (in.rank > 0) sizes[dim] = k;
  OwnedTensor values = Contiguous(in.rank, sizes, in.dtype);
  OwnedTensor indices = Contiguous(in.rank, sizes, RTORCH_INT64);
  if (k > 0) {
    RunWorkspace workspace;
    RTORCH_VARIANT(sort)
    (Read(self), static_cast<std::int32_t>(dim), largest != 0, AsOperand(*values),
     AsOperand(*indices), &workspace);
  }
  Give(std::move(values), ret0);
  return Give(std::move(indices), ret1);
}

}  // extern "C"

#endif  // RULES_TORCH_STANDALONE_SORT_SHIMS_H_
