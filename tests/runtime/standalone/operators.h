// The operators of runtime/standalone as tests call them: compiled once for each
// instruction set, all of them in one program, as a library's variants are.
#ifndef RULES_TORCH_TESTS_RUNTIME_STANDALONE_OPERATORS_H_
#define RULES_TORCH_TESTS_RUNTIME_STANDALONE_OPERATORS_H_

#include <cstdint>

#include "runtime/standalone/operand.h"

namespace rules_torch::testing {

// ConvolutionShape's members.
struct ConvolutionSteps {
  std::int64_t stride[3], padding[3], dilation[3];
  std::int64_t groups;
  bool is_transposed;
};

// One instruction set's; the arguments are those of runtime/standalone/operators.h.
struct Operators {
  using Operand = standalone::Operand;
  using Workspace = standalone::Workspace;

  const char* isa;
  void (*matmul)(const Operand& a, const Operand& b, const Operand* bias, double beta,
                 double alpha, const Operand& out, Workspace* workspace);
  void (*batched_matmul)(const Operand& a, const Operand& b, const Operand& out,
                         Workspace* workspace);
  void (*convolution)(const Operand& input, const Operand& weight, const Operand* bias,
                      const ConvolutionSteps& steps, const Operand& out,
                      Workspace* workspace);
  void (*attention)(const Operand& query, const Operand& key, const Operand& value,
                    const Operand* mask, bool is_causal, double scale,
                    const Operand& out, const Operand& lse, Workspace* workspace);
};

}  // namespace rules_torch::testing

#endif  // RULES_TORCH_TESTS_RUNTIME_STANDALONE_OPERATORS_H_
