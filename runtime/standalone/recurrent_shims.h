// The shims of recurrent layers: a part of shims.h.
#ifndef RULES_TORCH_STANDALONE_RECURRENT_SHIMS_H_
#define RULES_TORCH_STANDALONE_RECURRENT_SHIMS_H_

#include <cstdint>

#include "runtime/standalone/shims.h"

namespace rules_torch::standalone {
namespace {

// The only member of a batch: [1, ...] as [...].
inline Operand Only(Operand operand) {
  --operand.rank;
  ++operand.sizes;
  ++operand.strides;
  return operand;
}

inline OwnedTensor Contiguous(std::int64_t rank, const std::int64_t* sizes,
                              std::int32_t dtype) {
  std::int64_t strides[kMaxRank];
  std::int64_t stride = 1;
  for (std::int64_t i = rank - 1; i >= 0; --i) {
    strides[i] = stride;
    stride *= sizes[i];
  }
  return Allocate(rank, sizes, strides, dtype);
}

}  // namespace
}  // namespace rules_torch::standalone

extern "C" {

// One layer and direction of an LSTM, as torch decomposes it: input [steps, batch,
// features], the state and the cells [1, batch, hidden].
static AOTITorchError aoti_torch_cpu_mkldnn_rnn_layer(
    AtenTensorHandle input, AtenTensorHandle weight0, AtenTensorHandle weight1,
    AtenTensorHandle weight2, AtenTensorHandle weight3, AtenTensorHandle hx_,
    AtenTensorHandle cx_, std::int32_t reverse, const std::int64_t*, std::int64_t,
    std::int64_t mode, std::int64_t, std::int64_t, std::int32_t has_biases,
    std::int32_t, std::int32_t, std::int32_t, AtenTensorHandle* ret0,
    AtenTensorHandle* ret1, AtenTensorHandle* ret2, AtenTensorHandle* ret3) {
  using namespace rules_torch::standalone;
  const Tensor& x = Of(input);
  const Tensor& h = Of(hx_);
  const std::int64_t sizes[] = {x.sizes[0], x.sizes[1], h.sizes[2]};
  OwnedTensor out = Contiguous(3, sizes, x.dtype);
  OwnedTensor state = Contiguous(3, h.sizes, x.dtype);
  OwnedTensor cells = Contiguous(3, Of(cx_).sizes, x.dtype);
  const Operand given_cells = Only(Read(cx_));
  const Operand last_cells = Only(AsOperand(*cells));
  const Operand input_biases = Read(weight2);
  const Operand state_biases = Read(weight3);
  RecurrentOperands operands{};
  operands.kind = mode;
  operands.is_reversed = reverse != 0;
  operands.input = Read(input);
  operands.input_weights = Read(weight0);
  operands.state_weights = Read(weight1);
  operands.input_biases = has_biases != 0 ? &input_biases : nullptr;
  operands.state_biases = has_biases != 0 ? &state_biases : nullptr;
  operands.state = Only(Read(hx_));
  operands.cells = &given_cells;
  operands.out = AsOperand(*out);
  operands.last_state = Only(AsOperand(*state));
  operands.last_cells = &last_cells;
  RunWorkspace workspace;
  RTORCH_VARIANT(recurrent_layer)(operands, &workspace);
  Give(std::move(out), ret0);
  Give(std::move(state), ret1);
  Give(std::move(cells), ret2);
  // What training would need of the run.
  const std::int64_t none = 0;
  return Give(Contiguous(1, &none, x.dtype), ret3);
}

}  // extern "C"

#endif  // RULES_TORCH_STANDALONE_RECURRENT_SHIMS_H_
