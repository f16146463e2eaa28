// One layer and direction of a recurrent network over a whole sequence, in fp32.
//
// The inputs' product with their weights is made for many steps at once; each step then
// has the product of the state, and one pass over its gates.
//
// Errors: a gate's sigmoid and tanh have 4 units of their last place (activation.h);
// the sums are kernels/matmul.h's. NaN and infinities give what eager gives.
// Thread-safe; results do not depend on the number of threads.
#ifndef RULES_TORCH_STANDALONE_KERNELS_RECURRENT_H_
#define RULES_TORCH_STANDALONE_KERNELS_RECURRENT_H_

#include <cstdint>

#include "runtime/standalone/kernels/activation.h"
#include "runtime/standalone/kernels/matmul.h"
#include "runtime/standalone/kernels/packing.h"
#include "runtime/standalone/kernels/parallel.h"
#include "runtime/standalone/kernels/vector.h"

namespace rules_torch::standalone {
namespace {

// Of torch.nn.LSTM (gates i, f, g, o), GRU (r, z, n), and RNN with either activation.
enum class Recurrence { kRelu, kTanh, kLstm, kGru };

RTORCH_INLINE constexpr std::int64_t GatesOf(Recurrence kind) {
  return kind == Recurrence::kLstm ? 4 : kind == Recurrence::kGru ? 3 : 1;
}

// Columns of all matrices are adjacent, but the input's. `gates` is GatesOf(kind).
struct RecurrentLayer {
  Recurrence kind;
  bool is_reversed;  // from the last step to the first
  std::int64_t steps;
  std::int64_t batch;
  std::int64_t features;  // of the input
  std::int64_t hidden;
  std::int64_t outputs;        // hidden, or those of an LSTM's projection
  Matrices input;              // of each step, [batch, features]
  const float* input_weights;  // packed [features, gates * hidden]
  const float* state_weights;  // packed [outputs, gates * hidden]
  const float* projection;     // packed [hidden, outputs]; null: none
  const float* input_biases;   // [gates * hidden]; null: zeros
  const float* state_biases;   // the same
  float* state;                // [batch, outputs], dense: the first one, and the last
  float* cells;                // [batch, hidden], dense, of an LSTM; else null
  float* out;                  // of each step, [batch, outputs]
  std::int64_t out_step;       // strides, in elements
  std::int64_t out_row;
  int threads = 1;  // at most so many
  // ScratchOf(layer) floats, of any content.
  float* scratch = nullptr;
};

// Steps whose inputs are multiplied at once: they stay in the second cache.
RTORCH_INLINE std::int64_t StepsAtOnce(const RecurrentLayer& l) {
  const std::int64_t floats = l.batch * GatesOf(l.kind) * l.hidden;
  return Least(l.steps, DivideUp(131'072, Greatest<std::int64_t>(1, floats)));
}

// The inputs' shares in the gates of some steps from `first` on.
RTORCH_INLINE Product InputProduct(const RecurrentLayer& l, std::int64_t first,
                                   std::int64_t steps) {
  Product product{};
  product.batch = steps;
  product.m = l.batch;
  product.n = GatesOf(l.kind) * l.hidden;
  product.k = l.features;
  product.a = l.input;
  product.a.matrix.data += first * l.input.stride;
  product.c_row = product.n;
  product.c_batch = l.batch * product.n;
  product.threads = l.threads;
  // The rows of all steps are those of one matrix, where they are equally far apart.
  const bool is_one = l.batch == 1 || l.input.stride == l.batch * l.input.matrix.row;
  if (is_one) {
    if (l.batch == 1) product.a.matrix.row = l.input.stride;
    product.m *= steps;
    product.batch = 1;
  }
  return product;
}

RTORCH_INLINE Product StateProduct(const RecurrentLayer& l) {
  Product product{};
  product.m = l.batch;
  product.n = GatesOf(l.kind) * l.hidden;
  product.k = l.outputs;
  product.a = {{l.state, l.outputs}};
  product.c_row = product.n;
  product.threads = l.threads;
  return product;
}

RTORCH_INLINE Product ProjectionProduct(const RecurrentLayer& l) {
  Product product{};
  product.m = l.batch;
  product.n = l.outputs;
  product.k = l.hidden;
  product.a.matrix.row = l.hidden;
  product.c = l.state;
  product.c_row = l.outputs;
  product.threads = l.threads;
  return product;
}

RTORCH_INLINE std::int64_t ScratchOfProducts(const RecurrentLayer& l) {
  const std::int64_t input = ScratchOfPacked(InputProduct(l, 0, StepsAtOnce(l)));
  const std::int64_t state = ScratchOfPacked(StateProduct(l));
  const std::int64_t projection =
      l.projection == nullptr ? 0 : ScratchOfPacked(ProjectionProduct(l));
  return Greatest(input, Greatest(state, projection));
}

// The floats of scratch that RunLayer needs.
RTORCH_INLINE std::int64_t ScratchOf(const RecurrentLayer& l) {
  const std::int64_t gates = l.batch * GatesOf(l.kind) * l.hidden;
  const std::int64_t projected = l.projection == nullptr ? 0 : l.batch * l.hidden;
  return gates * (StepsAtOnce(l) + 1) + projected + ScratchOfProducts(l);
}

// The new values of some units of one row.
//   input, state: The shares of the input and of the state in the gates, `hidden`
//   apart. before: The state. cells: Of an LSTM, changed.
template <Recurrence kKind>
RTORCH_INLINE Vec NewState(const float* input, const float* state, std::int64_t hidden,
                           const float* before, float* cells, int lanes) {
  const auto sum = [&](int gate) RTORCH_INLINE_LAMBDA {
    return Load(input + gate * hidden, lanes) + Load(state + gate * hidden, lanes);
  };
  if constexpr (kKind == Recurrence::kLstm) {
    const Vec kept = Sigmoid(sum(1)) * Load(cells, lanes);
    const Vec cell = kept + Sigmoid(sum(0)) * Tanh(sum(2));
    Store(cells, cell, lanes);
    return Sigmoid(sum(3)) * Tanh(cell);
  } else if constexpr (kKind == Recurrence::kGru) {
    const Vec of_state = Load(state + 2 * hidden, lanes);
    const Vec fresh =
        Tanh(Load(input + 2 * hidden, lanes) + Sigmoid(sum(0)) * of_state);
    return (Load(before, lanes) - fresh) * Sigmoid(sum(1)) + fresh;
  } else if constexpr (kKind == Recurrence::kTanh) {
    return Tanh(sum(0));
  } else {
    return AtLeast(sum(0), Vec{});
  }
}

// What a step does after its product: of all rows, the new state, written to `to` too.
template <Recurrence kKind>
void Step(const RecurrentLayer& l, const float* input, const float* state, float* to,
          std::int64_t to_row) {
  constexpr std::int64_t kGates = GatesOf(kKind);
  constexpr std::int64_t kWork = 40 * kGates;  // of an element
  const std::int64_t vectors = DivideUp(l.hidden, kLanes);
  const int parts = PartsOf(l.batch * l.hidden * kWork, l.threads);
  ForEachPart(parts, [&](int part) {
    const Range range = ShareOf(l.batch * vectors, part, parts);
    for (std::int64_t unit = range.begin; unit < range.end; ++unit) {
      const std::int64_t row = unit / vectors;
      const std::int64_t column = unit % vectors * kLanes;
      const int lanes =
          static_cast<int>(Least<std::int64_t>(kLanes, l.hidden - column));
      const std::int64_t gate = row * kGates * l.hidden + column;
      float* cells = l.cells == nullptr ? nullptr : l.cells + row * l.hidden + column;
      // A projection has other columns, and reads no state here.
      float* own = l.state + row * l.outputs + column;
      const Vec fresh =
          NewState<kKind>(input + gate, state + gate, l.hidden, own, cells, lanes);
      if (l.projection == nullptr) Store(own, fresh, lanes);
      Store(to + row * to_row + column, fresh, lanes);
    }
  });
}

template <Recurrence kKind>
void RunSteps(const RecurrentLayer& l) {
  const std::int64_t gates = l.batch * GatesOf(kKind) * l.hidden;
  const std::int64_t at_once = StepsAtOnce(l);
  float* inputs = l.scratch;
  float* of_state = inputs + gates * at_once;
  float* projected = of_state + gates;
  float* scratch = projected + (l.projection == nullptr ? 0 : l.batch * l.hidden);
  Epilogue<> of_input, of_states;
  of_input.bias = l.input_biases;
  of_states.bias = l.state_biases;
  for (std::int64_t done = 0; done < l.steps; done += at_once) {
    const std::int64_t steps = Least(at_once, l.steps - done);
    const std::int64_t first = l.is_reversed ? l.steps - done - steps : done;
    Product input = InputProduct(l, first, steps);
    input.c = inputs;
    input.scratch = scratch;
    MatmulPacked(input, l.input_weights, 0, of_input);
    for (std::int64_t i = 0; i < steps; ++i) {
      const std::int64_t step = l.is_reversed ? steps - 1 - i : i;
      Product state = StateProduct(l);
      state.c = of_state;
      state.scratch = scratch;
      MatmulPacked(state, l.state_weights, 0, of_states);
      float* out = l.out + (first + step) * l.out_step;
      if (l.projection == nullptr) {
        Step<kKind>(l, inputs + step * gates, of_state, out, l.out_row);
        continue;
      }
      Step<kKind>(l, inputs + step * gates, of_state, projected, l.hidden);
      Product projection = ProjectionProduct(l);
      projection.a.matrix.data = projected;
      projection.scratch = scratch;
      MatmulPacked(projection, l.projection, 0, Epilogue<>{});
      for (std::int64_t row = 0; row < l.batch; ++row) {
        CopyRows({l.state + row * l.outputs, l.outputs}, 1, l.outputs,
                 out + row * l.out_row, l.out_row);
      }
    }
  }
}

// Runs the layer: writes `out`, and changes `state` and `cells`.
inline void RunLayer(const RecurrentLayer& l) {
  switch (l.kind) {
    case Recurrence::kLstm:
      return RunSteps<Recurrence::kLstm>(l);
    case Recurrence::kGru:
      return RunSteps<Recurrence::kGru>(l);
    case Recurrence::kTanh:
      return RunSteps<Recurrence::kTanh>(l);
    case Recurrence::kRelu:
      return RunSteps<Recurrence::kRelu>(l);
  }
}

}  // namespace
}  // namespace rules_torch::standalone

#endif  // RULES_TORCH_STANDALONE_KERNELS_RECURRENT_H_
