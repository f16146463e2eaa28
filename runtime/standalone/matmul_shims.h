// The shims of matrix products, beside shims.h.
#ifndef RULES_TORCH_STANDALONE_MATMUL_SHIMS_H_
#define RULES_TORCH_STANDALONE_MATMUL_SHIMS_H_

#include <cstdint>

#include "runtime/standalone/operand.h"
#include "runtime/standalone/operators.h"
#include "runtime/standalone/shims.h"
#include "runtime/standalone/tensor.h"

extern "C" {

static AOTITorchError aoti_torch_cpu_mm_out(AtenTensorHandle out, AtenTensorHandle self,
                                            AtenTensorHandle mat2) {
  using namespace rules_torch::standalone;
  RunWorkspace workspace;
  RTORCH_VARIANT(matmul)
  (Read(self), Read(mat2), nullptr, 0, 1, Read(out), &workspace);
  return AOTI_TORCH_SUCCESS;
}

static AOTITorchError aoti_torch_cpu_addmm_out(AtenTensorHandle out,
                                               AtenTensorHandle self,
                                               AtenTensorHandle mat1,
                                               AtenTensorHandle mat2, double beta,
                                               double alpha) {
  using namespace rules_torch::standalone;
  RunWorkspace workspace;
  const Operand bias = Read(self);
  RTORCH_VARIANT(matmul)
  (Read(mat1), Read(mat2), &bias, beta, alpha, Read(out), &workspace);
  return AOTI_TORCH_SUCCESS;
}

static AOTITorchError aoti_torch_cpu_bmm_out(AtenTensorHandle out,
                                             AtenTensorHandle self,
                                             AtenTensorHandle mat2) {
  using namespace rules_torch::standalone;
  RunWorkspace workspace;
  RTORCH_VARIANT(batched_matmul)(Read(self), Read(mat2), Read(out), &workspace);
  return AOTI_TORCH_SUCCESS;
}

// rtorch::matmul of fused_operators.py.
static AOTITorchError aoti_torch_cpu_rtorch_matmul_out(
    AtenTensorHandle out, AtenTensorHandle a, AtenTensorHandle b,
    AtenTensorHandle* factors, AtenTensorHandle* bias, AtenTensorHandle* residual,
    std::int64_t activation, double lowest, double highest, std::int64_t packing) {
  using namespace rules_torch::standalone;
  const FollowingArguments arguments(factors, bias, residual, activation, lowest,
                                     highest);
  RunWorkspace workspace;
  RTORCH_VARIANT(fused_matmul)
  (Read(a), Read(b), static_cast<Packing>(packing), arguments.following(), Read(out),
   &workspace);
  return AOTI_TORCH_SUCCESS;
}

}  // extern "C"

#endif  // RULES_TORCH_STANDALONE_MATMUL_SHIMS_H_
