// The shims of views, beside shims.h, which has those of any strides.
#ifndef RULES_TORCH_STANDALONE_VIEW_SHIMS_H_
#define RULES_TORCH_STANDALONE_VIEW_SHIMS_H_

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include "rules_torch/abi.h"
#include "runtime/standalone/copy.h"
#include "runtime/standalone/shims.h"
#include "runtime/standalone/tensor.h"

namespace rules_torch::standalone {
namespace {

inline std::int32_t ComplexOf(std::int32_t real) {
  if (real == RTORCH_FLOAT32) return kComplex64;
  if (real == RTORCH_FLOAT64) return kComplex128;
  throw std::runtime_error("the standalone runtime has no complex numbers of dtype " +
                           std::to_string(real));
}

}  // namespace
}  // namespace rules_torch::standalone

extern "C" {

static std::int32_t aoti_torch_dtype_complex64() {
  return rules_torch::standalone::kComplex64;
}

static std::int32_t aoti_torch_dtype_complex128() {
  return rules_torch::standalone::kComplex128;
}

static AOTITorchError aoti_torch_cpu_permute(AtenTensorHandle self,
                                             const std::int64_t* dims,
                                             std::int64_t dims_len,
                                             AtenTensorHandle* ret0) {
  using namespace rules_torch::standalone;
  const Tensor& tensor = Of(self);
  std::int64_t sizes[kMaxRank];
  std::int64_t strides[kMaxRank];
  for (std::int64_t i = 0; i < dims_len; ++i) {
    const std::int64_t dim = DimOf(tensor, dims[i]);
    sizes[i] = tensor.sizes[dim];
    strides[i] = tensor.strides[dim];
  }
  return Give(View(tensor, dims_len, sizes, strides, StorageOffset(tensor)), ret0);
}

static AOTITorchError aoti_torch_cpu_slice_Tensor(AtenTensorHandle self,
                                                  std::int64_t dim, std::int64_t* start,
                                                  std::int64_t* end, std::int64_t step,
                                                  AtenTensorHandle* ret0) {
  using namespace rules_torch::standalone;
  const Tensor& tensor = Of(self);
  dim = DimOf(tensor, dim);
  const std::int64_t size = tensor.sizes[dim];
  const auto place = [size](std::int64_t* given, std::int64_t otherwise) {
    if (given == nullptr) return otherwise;
    return std::clamp<std::int64_t>(*given < 0 ? *given + size : *given, 0, size);
  };
  const std::int64_t from = place(start, 0);
  const std::int64_t to = std::max(from, place(end, size));
  OwnedTensor view = View(tensor, tensor.rank, tensor.sizes, tensor.strides,
                          StorageOffset(tensor) + from * tensor.strides[dim]);
  view->sizes[dim] = (to - from + step - 1) / step;
  view->strides[dim] *= step;
  return Give(std::move(view), ret0);
}

static AOTITorchError aoti_torch_cpu_squeeze_dim(AtenTensorHandle self,
                                                 std::int64_t dim,
                                                 AtenTensorHandle* ret0) {
  using namespace rules_torch::standalone;
  OwnedTensor view = Alias(Of(self));
  dim = DimOf(*view, dim);
  if (view->rank > 0 && view->sizes[dim] == 1) {
    std::copy(view->sizes + dim + 1, view->sizes + view->rank, view->sizes + dim);
    std::copy(view->strides + dim + 1, view->strides + view->rank, view->strides + dim);
    --view->rank;
  }
  return Give(std::move(view), ret0);
}

static AOTITorchError aoti_torch_cpu_view_as_real(AtenTensorHandle self,
                                                  AtenTensorHandle* ret0) {
  using namespace rules_torch::standalone;
  const Tensor& tensor = Of(self);
  if (!IsComplex(tensor.dtype) || tensor.rank + 1 > kMaxRank) {
    throw std::runtime_error("view_as_real takes a complex tensor");
  }
  OwnedTensor view = Alias(tensor);
  const Tensor parts = PartsOfComplex(tensor, 0);
  view->dtype = parts.dtype;
  std::copy_n(parts.strides, parts.rank, view->strides);
  view->sizes[view->rank] = 2;
  view->strides[view->rank] = 1;
  ++view->rank;
  return Give(std::move(view), ret0);
}

static AOTITorchError aoti_torch_cpu_view_as_complex(AtenTensorHandle self,
                                                     AtenTensorHandle* ret0) {
  using namespace rules_torch::standalone;
  const Tensor& tensor = Of(self);
  OwnedTensor view = Alias(tensor);
  view->dtype = ComplexOf(tensor.dtype);
  const int last = tensor.rank - 1;
  bool fits = last >= 0 && tensor.sizes[last] == 2 && tensor.strides[last] == 1 &&
              StorageOffset(tensor) % 2 == 0;
  for (int i = 0; i < last; ++i) {
    fits = fits && tensor.strides[i] % 2 == 0;
    view->strides[i] /= 2;
  }
  if (!fits) {
    throw std::runtime_error(
        "view_as_complex takes a tensor whose last dimension has two adjacent "
        "elements, "
        "and whose other strides and offset are even");
  }
  view->rank = last;
  return Give(std::move(view), ret0);
}

}  // extern "C"

#endif  // RULES_TORCH_STANDALONE_VIEW_SHIMS_H_
