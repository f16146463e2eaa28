// The shims of convolutions, beside shims.h.
#ifndef RULES_TORCH_STANDALONE_CONVOLUTION_SHIMS_H_
#define RULES_TORCH_STANDALONE_CONVOLUTION_SHIMS_H_

#include <cstdint>
#include <utility>

#include "runtime/standalone/convolution_shape.h"
#include "runtime/standalone/operand.h"
#include "runtime/standalone/operators.h"
#include "runtime/standalone/shims.h"
#include "runtime/standalone/tensor.h"

extern "C" {

static AOTITorchError aoti_torch_cpu_convolution(
    AtenTensorHandle input, AtenTensorHandle weight, AtenTensorHandle* bias,
    const std::int64_t* stride, std::int64_t stride_len, const std::int64_t* padding,
    std::int64_t padding_len, const std::int64_t* dilation, std::int64_t dilation_len,
    std::int32_t transposed, const std::int64_t* output_padding,
    std::int64_t output_padding_len, std::int64_t groups, AtenTensorHandle* ret0) {
  using namespace rules_torch::standalone;
  const ConvolutionArguments convolution(
      Of(input).rank - 2, {stride, stride_len}, {padding, padding_len},
      {dilation, dilation_len}, groups, transposed != 0);
  OwnedTensor result = AllocateConvolution(Of(input), Of(weight), convolution.shape(),
                                           {output_padding, output_padding_len});
  RunWorkspace workspace;
  const Optional given(bias);
  RTORCH_VARIANT(convolution)
  (Read(input), Read(weight), given.get(), convolution.shape(), AsOperand(*result),
   &workspace);
  return Give(std::move(result), ret0);
}

// rtorch::convolution of fused_operators.py.
static AOTITorchError aoti_torch_cpu_rtorch_convolution_out(
    AtenTensorHandle out, AtenTensorHandle input, AtenTensorHandle weight,
    AtenTensorHandle* factors, AtenTensorHandle* bias, AtenTensorHandle* residual,
    std::int64_t activation, double lowest, double highest, const std::int64_t* stride,
    std::int64_t stride_len, const std::int64_t* padding, std::int64_t padding_len,
    const std::int64_t* dilation, std::int64_t dilation_len, std::int64_t groups,
    const std::int64_t* kernel, std::int64_t, std::int64_t packing) {
  using namespace rules_torch::standalone;
  const FollowingArguments arguments(factors, bias, residual, activation, lowest,
                                     highest);
  const ConvolutionArguments convolution(Of(input).rank - 2, {stride, stride_len},
                                         {padding, padding_len},
                                         {dilation, dilation_len}, groups, false);
  RunWorkspace workspace;
  RTORCH_VARIANT(fused_convolution)
  (Read(input), Read(weight), kernel, static_cast<Packing>(packing),
   arguments.following(), convolution.shape(), Read(out), &workspace);
  return AOTI_TORCH_SUCCESS;
}

}  // extern "C"

#endif  // RULES_TORCH_STANDALONE_CONVOLUTION_SHIMS_H_
