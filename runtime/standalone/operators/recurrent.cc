// Recurrent layers over whole sequences: LSTM, GRU and RNN, of floating dtypes and any
// strides. Those of float32 are kernels/recurrent.h's.

#include "runtime/standalone/kernels/recurrent.h"

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "rules_torch/abi.h"
#include "runtime/standalone/kernels/matmul.h"
#include "runtime/standalone/kernels/packing.h"
#include "runtime/standalone/kernels/parallel.h"
#include "runtime/standalone/operand.h"
#include "runtime/standalone/operators.h"
#include "runtime/standalone/operators/elements.h"
#include "runtime/standalone/operators/panels.h"

namespace rules_torch::standalone {
namespace {

// A weight [n, k] as MatmulPacked takes its transpose.
inline const float* PackedWeight(const Operand& weight, Workspace* workspace) {
  const std::int64_t n = weight.sizes[0];
  const std::int64_t k = weight.sizes[1];
  const Matrix b = {static_cast<const float*>(weight.data), weight.strides[1],
                    weight.strides[0]};
  const PackedKey key = KeyOfPanels(b.data, k, n, b.row, b.column);
  return PackedFloats(workspace, key, PackedSize(k, n),
                      [&](float* to) { Pack(b, k, n, to); });
}

// A copy of a matrix, dense.
inline float* DenseFloats(const Operand& matrix, Workspace* workspace) {
  const std::int64_t rows = matrix.sizes[0];
  const std::int64_t columns = matrix.sizes[1];
  float* copy = TakeFloats(workspace, rows * columns);
  CopyRows(
      {static_cast<const float*>(matrix.data), matrix.strides[0], matrix.strides[1]},
      rows, columns, copy, columns);
  return copy;
}

inline void WriteFloats(const float* from, const Operand& to) {
  CopyRows({from, to.sizes[1]}, to.sizes[0], to.sizes[1], static_cast<float*>(to.data),
           to.strides[0]);
}

inline void RunFloats(const RecurrentOperands& o, Recurrence kind,
                      Workspace* workspace) {
  RecurrentLayer layer{};
  layer.kind = kind;
  layer.is_reversed = o.is_reversed;
  layer.steps = o.input.sizes[0];
  layer.batch = o.input.sizes[1];
  layer.features = o.input.sizes[2];
  layer.hidden = o.input_weights.sizes[0] / GatesOf(kind);
  layer.outputs = o.state.sizes[1];
  layer.input = {
      {static_cast<const float*>(o.input.data), o.input.strides[1], o.input.strides[2]},
      o.input.strides[0]};
  layer.input_weights = PackedWeight(o.input_weights, workspace);
  layer.state_weights = PackedWeight(o.state_weights, workspace);
  if (o.projection != nullptr) {
    layer.projection = PackedWeight(*o.projection, workspace);
  }
  layer.input_biases = AdjacentFloats(o.input_biases, workspace);
  layer.state_biases = AdjacentFloats(o.state_biases, workspace);
  layer.state = DenseFloats(o.state, workspace);
  if (o.cells != nullptr) layer.cells = DenseFloats(*o.cells, workspace);
  layer.out = static_cast<float*>(o.out.data);
  layer.out_step = o.out.strides[0];
  layer.out_row = o.out.strides[1];
  layer.threads = MaxThreads();
  layer.scratch = TakeFloats(workspace, ScratchOf(layer));
  RunLayer(layer);
  WriteFloats(layer.state, o.last_state);
  if (o.cells != nullptr) WriteFloats(layer.cells, *o.last_cells);
}

// Of other dtypes, element by element; the state has the type of sums.
template <typename Elements>
void RunAny(const RecurrentOperands& o, Recurrence kind, Workspace* workspace) {
  using Sum = typename Elements::Accumulator;
  const std::int64_t batch = o.input.sizes[1];
  const std::int64_t gates = o.input_weights.sizes[0];
  const std::int64_t hidden = gates / GatesOf(kind);
  const std::int64_t outputs = o.state.sizes[1];
  const auto take = [&](std::int64_t count) {
    return static_cast<Sum*>(
        workspace->take(workspace, static_cast<std::size_t>(count) * sizeof(Sum)));
  };
  const auto at = [](const Operand& matrix, std::int64_t i, std::int64_t j) {
    return Elements::Load(matrix.data, i * matrix.strides[0] + j * matrix.strides[1]);
  };
  const auto bias = [](const Operand* vector, std::int64_t i) {
    return vector == nullptr ? Sum{}
                             : Elements::Load(vector->data, i * vector->strides[0]);
  };
  const auto sigmoid = [](Sum v) { return 1 / (1 + std::exp(-v)); };
  Sum* inputs = take(gates);
  Sum* states = take(gates);
  Sum* fresh = take(hidden);
  Sum* state = take(outputs);
  Sum* cells = take(hidden);
  for (std::int64_t row = 0; row < batch; ++row) {
    for (std::int64_t j = 0; j < outputs; ++j) state[j] = at(o.state, row, j);
    if (o.cells != nullptr) {
      for (std::int64_t j = 0; j < hidden; ++j) cells[j] = at(*o.cells, row, j);
    }
    for (std::int64_t i = 0; i < o.input.sizes[0]; ++i) {
      const std::int64_t step = o.is_reversed ? o.input.sizes[0] - 1 - i : i;
      const std::int64_t from = step * o.input.strides[0] + row * o.input.strides[1];
      for (std::int64_t gate = 0; gate < gates; ++gate) {
        inputs[gate] = bias(o.input_biases, gate);
        for (std::int64_t k = 0; k < o.input.sizes[2]; ++k) {
          inputs[gate] += Elements::Load(o.input.data, from + k * o.input.strides[2]) *
                          at(o.input_weights, gate, k);
        }
        states[gate] = bias(o.state_biases, gate);
        for (std::int64_t k = 0; k < outputs; ++k) {
          states[gate] += state[k] * at(o.state_weights, gate, k);
        }
      }
      for (std::int64_t j = 0; j < hidden; ++j) {
        const auto sum = [&](std::int64_t gate) {
          return inputs[gate * hidden + j] + states[gate * hidden + j];
        };
        switch (kind) {
          case Recurrence::kLstm:
            cells[j] = sigmoid(sum(1)) * cells[j] + sigmoid(sum(0)) * std::tanh(sum(2));
            fresh[j] = sigmoid(sum(3)) * std::tanh(cells[j]);
            break;
          case Recurrence::kGru: {
            const Sum made = std::tanh(inputs[2 * hidden + j] +
                                       sigmoid(sum(0)) * states[2 * hidden + j]);
            fresh[j] = (state[j] - made) * sigmoid(sum(1)) + made;
            break;
          }
          case Recurrence::kTanh:
            fresh[j] = std::tanh(sum(0));
            break;
          case Recurrence::kRelu:
            fresh[j] = sum(0) < 0 ? 0 : sum(0);  // NaN stays
            break;
        }
      }
      for (std::int64_t j = 0; j < outputs; ++j) {
        state[j] = o.projection == nullptr ? fresh[j] : Sum{};
        if (o.projection != nullptr) {
          for (std::int64_t k = 0; k < hidden; ++k) {
            state[j] += fresh[k] * at(*o.projection, j, k);
          }
        }
        const std::int64_t to =
            step * o.out.strides[0] + row * o.out.strides[1] + j * o.out.strides[2];
        Elements::Store(o.out.data, to, state[j]);
      }
    }
    const auto write = [&](const Operand& to, const Sum* from) {
      for (std::int64_t j = 0; j < to.sizes[1]; ++j) {
        Elements::Store(to.data, row * to.strides[0] + j * to.strides[1], from[j]);
      }
    };
    write(o.last_state, state);
    if (o.cells != nullptr) write(*o.last_cells, cells);
  }
}

}  // namespace
}  // namespace rules_torch::standalone

RTORCH_OPERATOR(recurrent_layer)
(const rules_torch::standalone::RecurrentOperands& operands,
 rules_torch::standalone::Workspace* workspace) {
  using namespace rules_torch::standalone;
  const auto kind = static_cast<Recurrence>(operands.kind);
  const std::int32_t dtype = operands.out.dtype;
  if (dtype == RTORCH_FLOAT32) return RunFloats(operands, kind, workspace);
  if (dtype == RTORCH_FLOAT64) {
    return RunAny<Plain<double, double>>(operands, kind, workspace);
  }
  if (!IsHalf(dtype)) RefuseDtype("recurrent layer", dtype);
  WithHalves(dtype, [&](auto elements) {
    RunAny<decltype(elements)>(operands, kind, workspace);
  });
}
