// The shims of recurrent layers, beside shims.h.
#ifndef RULES_TORCH_STANDALONE_RECURRENT_SHIMS_H_
#define RULES_TORCH_STANDALONE_RECURRENT_SHIMS_H_

#include <cstdint>
#include <utility>

#include "runtime/standalone/operand.h"
#include "runtime/standalone/operators.h"
#include "runtime/standalone/shims.h"
#include "runtime/standalone/tensor.h"

extern "C" {

// One layer and direction: tools/torch_aot/recurrent.py. Without cells, ret2 is empty.
static AOTITorchError aoti_torch_cpu_recurrent_layer(
    AtenTensorHandle input, AtenTensorHandle input_weights,
    AtenTensorHandle state_weights, AtenTensorHandle* projection,
    AtenTensorHandle* input_biases, AtenTensorHandle* state_biases,
    AtenTensorHandle state, AtenTensorHandle* cells, std::int64_t kind,
    std::int32_t is_reversed, AtenTensorHandle* ret0, AtenTensorHandle* ret1,
    AtenTensorHandle* ret2) {
  using namespace rules_torch::standalone;
  const Tensor& x = Of(input);
  const std::int64_t none = 0;
  const std::int64_t sizes[] = {x.sizes[0], x.sizes[1], Of(state).sizes[1]};
  OwnedTensor out = Contiguous(3, sizes, x.dtype);
  OwnedTensor last = Contiguous(2, Of(state).sizes, x.dtype);
  OwnedTensor last_cells = cells != nullptr ? Contiguous(2, Of(*cells).sizes, x.dtype)
                                            : Contiguous(1, &none, x.dtype);
  const Operand read[] = {
      projection != nullptr ? Read(*projection) : Operand{},
      input_biases != nullptr ? Read(*input_biases) : Operand{},
      state_biases != nullptr ? Read(*state_biases) : Operand{},
      cells != nullptr ? Read(*cells) : Operand{},
  };
  const Operand written = AsOperand(*last_cells);
  RecurrentOperands operands{};
  operands.kind = kind;
  operands.is_reversed = is_reversed != 0;
  operands.input = Read(input);
  operands.input_weights = Read(input_weights);
  operands.state_weights = Read(state_weights);
  operands.projection = projection != nullptr ? &read[0] : nullptr;
  operands.input_biases = input_biases != nullptr ? &read[1] : nullptr;
  operands.state_biases = state_biases != nullptr ? &read[2] : nullptr;
  operands.state = Read(state);
  operands.cells = cells != nullptr ? &read[3] : nullptr;
  operands.out = AsOperand(*out);
  operands.last_state = AsOperand(*last);
  operands.last_cells = cells != nullptr ? &written : nullptr;
  RunWorkspace workspace;
  RTORCH_VARIANT(recurrent_layer)(operands, &workspace);
  Give(std::move(out), ret0);
  Give(std::move(last), ret1);
  return Give(std::move(last_cells), ret2);
}

}  // extern "C"

#endif  // RULES_TORCH_STANDALONE_RECURRENT_SHIMS_H_
