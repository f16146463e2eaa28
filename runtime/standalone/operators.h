// The operators of the standalone runtime: what a model's wrapper calls. They are
// compiled once for each instruction set, for all models of a program.
//
// Tensors have any strides, and do not overlap, but for those that are read. What an
// operator lacks (a dtype, say) it throws std::runtime_error for. Results do not depend
// on the number of threads.
#ifndef RULES_TORCH_STANDALONE_OPERATORS_H_
#define RULES_TORCH_STANDALONE_OPERATORS_H_

#include <cstdint>

#include "runtime/internal/weight_packing.h"
#include "runtime/standalone/operand.h"

// RTORCH_VARIANT(name): the operator's symbol, rtorch_x86_64_v3_sort. RTORCH_ISA is the
// instruction set, which whoever includes this file defines. Models without threads
// have operators of their own: a program may have both.
#define RTORCH_JOIN_SYMBOL(isa, name) rtorch_##isa##_##name
#define RTORCH_SYMBOL_OF(isa, name) RTORCH_JOIN_SYMBOL(isa, name)
#if defined(_OPENMP)
#define RTORCH_VARIANT(name) RTORCH_SYMBOL_OF(RTORCH_ISA, name)
#else
#define RTORCH_VARIANT(name) RTORCH_SYMBOL_OF(RTORCH_ISA, serial_##name)
#endif

#define RTORCH_OPERATOR(name) \
  extern "C" __attribute__((visibility("hidden"))) void RTORCH_VARIANT(name)

namespace rules_torch::standalone {

// How a filter moves over its input, in each of the spatial dimensions.
struct ConvolutionShape {
  std::int32_t dims;  // 1 to 3
  const std::int64_t* stride;
  const std::int64_t* padding;
  const std::int64_t* dilation;
  std::int64_t groups;
  bool is_transposed;  // it is the gradient of the convolution with such a shape
};

// fused_operators.py has the same.
enum class Activation : std::int64_t {
  kClamp,  // to [lowest, highest]
  kGelu,
  kGeluTanh,
  kHardsigmoid,
  kHardswish,
  kSigmoid,
  kSilu,
  kTanh,
};

// Windows of pooling, in each of the spatial dimensions.
struct PoolingShape {
  struct Axis {
    std::int64_t kernel, stride, padding, dilation;
  };

  std::int32_t dims;  // 2 or 3
  bool is_adaptive;   // the results' sizes say all
  Axis axes[3];
  bool includes_padding;  // in what a sum is divided by
  std::int64_t divisor;   // of sums; 0: the elements of a window
};

// What adds up along a line.
enum class Cumulation { kSum, kProduct, kLogSumExp };

// What becomes of the rows of a bag.
enum class Bag { kSum, kMean, kMaximum };

// How an operand lies that may be a weight. Of one that is packed, sizes and strides
// say nothing.
using internal::Packing;

// What follows a product of floats: activation(factors * product + bias + residual).
struct Following {
  const Operand* factors;   // [channels]; null: 1
  const Operand* bias;      // likewise; null: 0
  const Operand* residual;  // of the product's sizes; null: 0
  Activation activation;
  float lowest;
  float highest;
};

// One layer and direction of a recurrent network: what it reads and writes. `gates` is
// 4 for an LSTM (i, f, g, o), 3 for a GRU (r, z, n), else 1. All have the same dtype.
struct RecurrentOperands {
  std::int64_t kind;      // as torch numbers them: 0: ReLU, 1: tanh, 2: LSTM, 3: GRU
  bool is_reversed;       // from the last step to the first
  Operand input;          // [steps, batch, features]
  Operand input_weights;  // [gates * hidden, features]
  Operand state_weights;  // [gates * hidden, outputs]
  const Operand* projection;    // [outputs, hidden]; null: outputs is hidden
  const Operand* input_biases;  // [gates * hidden]; null: zeros
  const Operand* state_biases;  // the same
  Operand state;                // [batch, outputs]
  const Operand* cells;         // [batch, hidden], of an LSTM; else null
  Operand out;                  // [steps, batch, outputs], the last dimension adjacent
  Operand last_state;           // as state, the last dimension adjacent
  const Operand* last_cells;    // as cells, likewise
};

}  // namespace rules_torch::standalone

// out = beta * bias + alpha * a @ b: of [m, k] and [k, n]. `bias` is broadcast to [m,
// n], null for none.
RTORCH_OPERATOR(matmul)
(const rules_torch::standalone::Operand& a, const rules_torch::standalone::Operand& b,
 const rules_torch::standalone::Operand* bias, double beta, double alpha,
 const rules_torch::standalone::Operand& out,
 rules_torch::standalone::Workspace* workspace);

// out = a @ b and what follows: of float32, [m, k] and [k, n]; channels are columns,
// which are adjacent in out. b is in panels, or not packed.
RTORCH_OPERATOR(fused_matmul)
(const rules_torch::standalone::Operand& a, const rules_torch::standalone::Operand& b,
 rules_torch::standalone::Packing packing,
 const rules_torch::standalone::Following& following,
 const rules_torch::standalone::Operand& out,
 rules_torch::standalone::Workspace* workspace);

// out[i] = a[i] @ b[i]: of [batch, m, k] and [batch, k, n].
RTORCH_OPERATOR(batched_matmul)
(const rules_torch::standalone::Operand& a, const rules_torch::standalone::Operand& b,
 const rules_torch::standalone::Operand& out,
 rules_torch::standalone::Workspace* workspace);

// Input [n, c, ...], weight [oc, c / groups, ...], bias [oc] or null, out [n, oc, ...];
// of a transposed one the weight is [c, oc / groups, ...].
RTORCH_OPERATOR(convolution)
(const rules_torch::standalone::Operand& input,
 const rules_torch::standalone::Operand& weight,
 const rules_torch::standalone::Operand* bias,
 const rules_torch::standalone::ConvolutionShape& shape,
 const rules_torch::standalone::Operand& out,
 rules_torch::standalone::Workspace* workspace);

// The convolution and what follows: of float32, not transposed. `kernel`: the filters'
// sizes. The weight's packing says which kernel computes it.
RTORCH_OPERATOR(fused_convolution)
(const rules_torch::standalone::Operand& input,
 const rules_torch::standalone::Operand& weight, const std::int64_t* kernel,
 rules_torch::standalone::Packing packing,
 const rules_torch::standalone::Following& following,
 const rules_torch::standalone::ConvolutionShape& shape,
 const rules_torch::standalone::Operand& out,
 rules_torch::standalone::Workspace* workspace);

// out = softmax(scale * query @ key^T + mask) @ value; lse: the logarithms of the sums
// of the softmax. Query and out are [batch, heads, m, k], key [batch, heads, n, k],
// value [batch, heads, n, v], mask is broadcast to [batch, heads, m, n] or null, and
// has query's dtype; lse is [batch, heads, m]. A row whose scores are all -inf gives 0.
RTORCH_OPERATOR(attention)
(const rules_torch::standalone::Operand& query,
 const rules_torch::standalone::Operand& key,
 const rules_torch::standalone::Operand& value,
 const rules_torch::standalone::Operand* mask, bool is_causal, double scale,
 const rules_torch::standalone::Operand& out,
 const rules_torch::standalone::Operand& lse,
 rules_torch::standalone::Workspace* workspace);

// Runs a layer over a sequence.
RTORCH_OPERATOR(recurrent_layer)
(const rules_torch::standalone::RecurrentOperands& operands,
 rules_torch::standalone::Workspace* workspace);

// The Fourier transform of the lines along `dim`, times `scale`; backwards, its
// conjugate, without the division by the length. Of complex numbers, or, forwards, of
// real ones, of which the first numbers are made, as many as `out` has; or, backwards,
// of the first half of complex ones whose result is real. In place where both are
// complex.
RTORCH_OPERATOR(fourier)
(const rules_torch::standalone::Operand& in,
 const rules_torch::standalone::Operand& out, std::int32_t dim, bool is_forward,
 double scale, rules_torch::standalone::Workspace* workspace);

// out = |in|, of complex numbers.
RTORCH_OPERATOR(absolute)
(const rules_torch::standalone::Operand& in,
 const rules_torch::standalone::Operand& out);

// Sorts the lines along `dim` stably, NaN above all numbers: `values` gets the first
// elements, as many as it has, and `indices`, int64, where they were.
RTORCH_OPERATOR(sort)
(const rules_torch::standalone::Operand& in, std::int32_t dim, bool descending,
 const rules_torch::standalone::Operand& values,
 const rules_torch::standalone::Operand& indices,
 rules_torch::standalone::Workspace* workspace);

// Cumulative sums along `dim`, or their like; in place, or into a tensor of in's dtype.
RTORCH_OPERATOR(cumulative)
(const rules_torch::standalone::Operand& in, std::int32_t dim,
 rules_torch::standalone::Cumulation cumulation,
 const rules_torch::standalone::Operand& out);

// The largest element up to each along `dim`, or the smallest: `indices`, int64, get
// where the last of them is. From a NaN on it is the last NaN.
RTORCH_OPERATOR(cumulative_extreme)
(const rules_torch::standalone::Operand& in, std::int32_t dim, bool is_maximum,
 const rules_torch::standalone::Operand& values,
 const rules_torch::standalone::Operand& indices);

// Means of windows, of [n, c, ...].
RTORCH_OPERATOR(mean_pool)
(const rules_torch::standalone::Operand& in,
 const rules_torch::standalone::PoolingShape& shape,
 const rules_torch::standalone::Operand& out);

// Maxima of windows, of [n, c, ...]: `indices`, int64, get where they are in the image;
// the first of equal elements, or the last NaN.
RTORCH_OPERATOR(maximum_pool)
(const rules_torch::standalone::Operand& in,
 const rules_torch::standalone::PoolingShape& shape,
 const rules_torch::standalone::Operand& out,
 const rules_torch::standalone::Operand& indices);

// Where `values` [..., m] belong in the sorted lines of `boundaries`, [n] or [..., n]:
// how many elements are less, or, `is_right`, not greater. `sorter`, int64, has the
// order of lines that are not sorted, or is null. `out` is int32 or int64.
RTORCH_OPERATOR(search)
(const rules_torch::standalone::Operand& boundaries,
 const rules_torch::standalone::Operand* sorter,
 const rules_torch::standalone::Operand& values, bool is_right,
 const rules_torch::standalone::Operand& out);

// out[i] = what becomes of the rows of `table` [rows, width] with the indices from
// offsets[i] to offsets[i + 1], or to the last one. Row `padding` is left out, if it is
// not negative. `weights`, of table's dtype, multiply rows, or are null. Indices and
// offsets are int64.
RTORCH_OPERATOR(bags)
(const rules_torch::standalone::Operand& table,
 const rules_torch::standalone::Operand& indices,
 const rules_torch::standalone::Operand& offsets,
 const rules_torch::standalone::Operand* weights, rules_torch::standalone::Bag kind,
 std::int64_t padding, const rules_torch::standalone::Operand& out);

#endif  // RULES_TORCH_STANDALONE_OPERATORS_H_
