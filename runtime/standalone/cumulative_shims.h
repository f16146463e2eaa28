// The shims of cumulative sums and their like, beside shims.h.
#ifndef RULES_TORCH_STANDALONE_CUMULATIVE_SHIMS_H_
#define RULES_TORCH_STANDALONE_CUMULATIVE_SHIMS_H_

#include <cstdint>
#include <utility>

#include "rules_torch/abi.h"
#include "runtime/standalone/copy.h"
#include "runtime/standalone/operators.h"
#include "runtime/standalone/shims.h"
#include "runtime/standalone/tensor.h"

namespace rules_torch::standalone {
namespace {

inline AOTITorchError Cumulate(AtenTensorHandle self, std::int64_t dim,
                               const std::int32_t* dtype, Cumulation cumulation,
                               AtenTensorHandle* ret0) {
  const Tensor& in = Of(self);
  dim = DimOf(in, dim);
  const bool is_floating = in.dtype == RTORCH_FLOAT32 || in.dtype == RTORCH_FLOAT64 ||
                           in.dtype == RTORCH_FLOAT16 || in.dtype == RTORCH_BFLOAT16;
  const std::int32_t own = is_floating ? in.dtype : RTORCH_INT64;
  OwnedTensor out = Contiguous(in.rank, in.sizes, dtype != nullptr ? *dtype : own);
  // What is added up is of the result's dtype.
  Copy(in, out.get());
  const Operand operand = AsOperand(*out);
  RTORCH_VARIANT(cumulative)(operand, static_cast<std::int32_t>(dim), cumulation,
                             operand);
  return Give(std::move(out), ret0);
}

[[maybe_unused]] inline AOTITorchError CumulateExtreme(AtenTensorHandle self,
                                                       std::int64_t dim,
                                                       bool is_maximum,
                                                       AtenTensorHandle* ret0,
                                                       AtenTensorHandle* ret1) {
  const Tensor& in = Of(self);
  dim = DimOf(in, dim);
  OwnedTensor values = Contiguous(in.rank, in.sizes, in.dtype);
  OwnedTensor indices = Contiguous(in.rank, in.sizes, RTORCH_INT64);
  RTORCH_VARIANT(cumulative_extreme)
  (Read(self), static_cast<std::int32_t>(dim), is_maximum, AsOperand(*values),
   AsOperand(*indices));
  Give(std::move(values), ret0);
  return Give(std::move(indices), ret1);
}

}  // namespace
}  // namespace rules_torch::standalone

extern "C" {

static AOTITorchError aoti_torch_cpu_cumsum(AtenTensorHandle self, std::int64_t dim,
                                            std::int32_t* dtype,
                                            AtenTensorHandle* ret0) {
  return rules_torch::standalone::Cumulate(
      self, dim, dtype, rules_torch::standalone::Cumulation::kSum, ret0);
}

static AOTITorchError aoti_torch_cpu_cumprod(AtenTensorHandle self, std::int64_t dim,
                                             std::int32_t* dtype,
                                             AtenTensorHandle* ret0) {
  return rules_torch::standalone::Cumulate(
      self, dim, dtype, rules_torch::standalone::Cumulation::kProduct, ret0);
}

static AOTITorchError aoti_torch_cpu_logcumsumexp(AtenTensorHandle self,
                                                  std::int64_t dim,
                                                  AtenTensorHandle* ret0) {
  return rules_torch::standalone::Cumulate(
      self, dim, nullptr, rules_torch::standalone::Cumulation::kLogSumExp, ret0);
}

static AOTITorchError aoti_torch_cpu_cummax(AtenTensorHandle self, std::int64_t dim,
                                            AtenTensorHandle* ret0,
                                            AtenTensorHandle* ret1) {
  return rules_torch::standalone::CumulateExtreme(self, dim, true, ret0, ret1);
}

static AOTITorchError aoti_torch_cpu_cummin(AtenTensorHandle self, std::int64_t dim,
                                            AtenTensorHandle* ret0,
                                            AtenTensorHandle* ret1) {
  return rules_torch::standalone::CumulateExtreme(self, dim, false, ret0, ret1);
}

}  // extern "C"

#endif  // RULES_TORCH_STANDALONE_CUMULATIVE_SHIMS_H_
