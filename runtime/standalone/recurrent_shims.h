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
  const Optional of_projection(projection);
  const Optional of_input(input_biases);
  const Optional of_state(state_biases);
  const Optional of_cells(cells);
  const Operand written = AsOperand(*last_cells);
  RecurrentOperands operands{};
  operands.kind = kind;
  operands.is_reversed = is_reversed != 0;
  operands.input = Read(input);
  operands.input_weights = Read(input_weights);
  operands.state_weights = Read(state_weights);
  operands.projection = of_projection.get();
  operands.input_biases = of_input.get();
  operands.state_biases = of_state.get();
  operands.state = Read(state);
  operands.cells = of_cells.get();
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
