// The shim of attention, beside shims.h.
#ifndef RULES_TORCH_STANDALONE_ATTENTION_SHIMS_H_
#define RULES_TORCH_STANDALONE_ATTENTION_SHIMS_H_

#include <cmath>
#include <cstdint>
#include <utility>

#include "rules_torch/abi.h"
#include "runtime/standalone/operand.h"
#include "runtime/standalone/operators.h"
#include "runtime/standalone/shims.h"
#include "runtime/standalone/tensor.h"

extern "C" {

static AOTITorchError aoti_torch_cpu__scaled_dot_product_flash_attention_for_cpu(
    AtenTensorHandle query, AtenTensorHandle key, AtenTensorHandle value, double,
    std::int32_t is_causal, AtenTensorHandle* mask, double* scale,
    AtenTensorHandle* ret0, AtenTensorHandle* ret1) {
  using namespace rules_torch::standalone;
  const Tensor& q = Of(query);
  const std::int64_t lse_sizes[] = {q.sizes[0], q.sizes[1], q.sizes[2]};
  const std::int64_t lse_strides[] = {q.sizes[1] * q.sizes[2], 1, q.sizes[1]};
  OwnedTensor out = EmptyLike(q);
  OwnedTensor lse = Allocate(3, lse_sizes, lse_strides, RTORCH_FLOAT32);
  RunWorkspace workspace;
  const Optional given(mask);
  RTORCH_VARIANT(attention)
  (Read(query), Read(key), Read(value), given.get(), is_causal != 0,
   scale != nullptr ? *scale : 1 / std::sqrt(static_cast<double>(q.sizes[3])),
   AsOperand(*out), AsOperand(*lse), &workspace);
  Give(std::move(out), ret0);
  return Give(std::move(lse), ret1);
}

}  // extern "C"

#endif  // RULES_TORCH_STANDALONE_ATTENTION_SHIMS_H_
