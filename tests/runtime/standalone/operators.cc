// Compiled once for each instruction set, which defines
//   ISA: its name.
//   OPERATORS: this program's name for its operators.
//   RTORCH_ISA: the instruction set, in symbols.
#include "tests/runtime/standalone/operators.h"

#include "runtime/standalone/operand.h"
#include "runtime/standalone/operators.h"

namespace rules_torch::testing {
namespace {

void RunConvolution(const standalone::Operand& input, const standalone::Operand& weight,
                    const standalone::Operand* bias, const ConvolutionSteps& steps,
                    const standalone::Operand& out, standalone::Workspace* workspace) {
  const standalone::ConvolutionShape shape = {input.rank - 2, steps.stride,
                                              steps.padding,  steps.dilation,
                                              steps.groups,   steps.is_transposed};
  RTORCH_VARIANT(convolution)(input, weight, bias, shape, out, workspace);
}

}  // namespace

extern const Operators OPERATORS;
const Operators OPERATORS = {ISA, RTORCH_VARIANT(matmul),
                             RTORCH_VARIANT(batched_matmul), RunConvolution,
                             RTORCH_VARIANT(attention)};

}  // namespace rules_torch::testing
