// Scaled dot-product attention, of floating dtypes and any strides.
//
// Of float32 it is two matrix products for some rows of the query at a time, so that
// their scores stay in a cache, with the softmax between them; key and value are packed
// once for each head, or read where they lie for few rows, as those of a decoder's
// step. Of bfloat16 and float16 it is the same with copies in float32.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "rules_torch/abi.h"
#include "runtime/standalone/kernels/activation.h"
#include "runtime/standalone/kernels/matmul.h"
#include "runtime/standalone/kernels/packing.h"
#include "runtime/standalone/kernels/parallel.h"
#include "runtime/standalone/operand.h"
#include "runtime/standalone/operators.h"
#include "runtime/standalone/operators/elements.h"
#include "runtime/standalone/operators/float_copy.h"

namespace rules_torch::standalone {
namespace {

// Where row (b, h, i) of a tensor of rank 4 begins.
inline std::int64_t RowOf(const Operand& operand, std::int64_t b, std::int64_t h,
                          std::int64_t i) {
  std::int64_t at = 0;
  const std::int64_t index[] = {b, h, i};
  for (int d = 0; d < 3; ++d) {
    // The mask is broadcast.
    if (operand.sizes[d] != 1) at += index[d] * operand.strides[d];
  }
  return at;
}

// One call's arguments.
struct Attention {
  const Operand& query;
  const Operand& key;
  const Operand& value;
  const Operand* mask;
  bool is_causal;
  double scale;
  const Operand& out;
  const Operand& lse;
};

// Whether the products can be kernels/matmul.h's.
inline bool HasKernel(const Attention& a) {
  return a.out.dtype == RTORCH_FLOAT32 && a.out.strides[3] == 1 &&
         (a.mask == nullptr || (a.mask->sizes[3] != 1 && a.mask->strides[3] == 1));
}

// The sums of a softmax are divided by where the second product is stored.
struct DivideRows {
  static constexpr bool kIsShort = true;

  const float* factors;

  RTORCH_INLINE Vec operator()(Vec v, std::int64_t, std::int64_t row, std::int64_t,
                               int) const {
    return v * Broadcast(factors[row]);
  }
};

// Makes the first `count` scores of a row exp(score - their maximum), and the others 0,
// up to the end of the last vector. Returns the sum's inverse, 0 if all are -inf.
inline float Softmax(float* scores, std::int64_t count, std::int64_t columns,
                     float* lse) {
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  Vec highest = Broadcast(kNone);
  for (std::int64_t j = 0; j < count; j += kLanes) {
    const int lanes = static_cast<int>(Least<std::int64_t>(kLanes, count - j));
    for (int i = lanes; i < kLanes; ++i) scores[j + i] = kNone;
    highest = AtLeast(Load(scores + j), highest);
  }
  float most = kNone;
  for (int i = 0; i < kLanes; ++i) most = highest[i] > most ? highest[i] : most;
  Vec sums{};
  if (most != kNone) {
    for (std::int64_t j = 0; j < count; j += kLanes) {
      // Beside 1 they are nothing, and denormal numbers take the CPU long.
      const Vec least = Broadcast(-87.0f);
      const Vec below = Load(scores + j) - Broadcast(most);
      const Vec exponentials = below < least ? Vec{} : Exp(AtLeast(below, least));
      Store(scores + j, exponentials);
      sums += exponentials;
    }
  }
  const std::int64_t done = most == kNone ? 0 : RoundUp(count, kLanes);
  for (std::int64_t j = done; j < columns; ++j) scores[j] = 0;
  const float sum = Sum(sums);
  *lse = most + std::log(sum);
  return sum == 0 ? 0 : 1 / sum;
}

inline void AttendFloats(const Attention& a, Workspace* workspace) {
  constexpr std::int64_t kRows = 48;  // of the query at a time
  const std::int64_t heads = a.query.sizes[1];
  const std::int64_t rows = a.query.sizes[2];
  const std::int64_t width = a.query.sizes[3];
  const std::int64_t columns = a.key.sizes[2];
  const std::int64_t values = a.value.sizes[3];
  const std::int64_t units = a.query.sizes[0] * heads;
  const std::int64_t row_of_scores = RoundUp(columns, 16);
  const auto floats = [](const Operand& operand, std::int64_t at) {
    return static_cast<float*>(operand.data) + at;
  };

  Product scores{};
  scores.n = columns;
  scores.k = width;
  scores.c_row = row_of_scores;
  scores.a.matrix.row = a.query.strides[2];
  scores.a.matrix.column = a.query.strides[3];
  Product results{};
  results.n = values;
  results.k = columns;
  results.c_row = a.out.strides[2];
  results.a.matrix.row = row_of_scores;
  scores.m = results.m = Least(kRows, rows);
  const bool packs = rows > kFewRows;
  const std::int64_t packed_key = packs ? PackedSize(width, columns) : 0;
  const std::int64_t packed_value = packs ? PackedSize(columns, values) : 0;
  const std::int64_t scratch =
      packs ? Greatest(ScratchOfPacked(scores), ScratchOfPacked(results))
            : Greatest(ScratchOf(scores), ScratchOf(results));
  const std::int64_t all = RoundUp(packed_key, 16) + RoundUp(packed_value, 16) +
                           kRows * row_of_scores + RoundUp(kRows, 16) + scratch;
  const int parts = static_cast<int>(Least<std::int64_t>(
      PartsOf(2 * units * rows * columns * (width + values), MaxThreads()),
      Greatest<std::int64_t>(units, 1)));
  float* const memory = TakeFloats(workspace, all * parts);

  ForEachPart(parts, [&](int part) {
    float* const key = memory + part * all;
    float* const value = key + RoundUp(packed_key, 16);
    float* const block = value + RoundUp(packed_value, 16);
    float* const factors = block + kRows * row_of_scores;
    Product to_scores = scores;
    Product to_results = results;
    to_scores.scratch = to_results.scratch = factors + RoundUp(kRows, 16);
    to_scores.c = block;
    to_results.a.matrix.data = block;
    const Range range = ShareOf(units, part, parts);
    for (std::int64_t unit = range.begin; unit < range.end; ++unit) {
      const std::int64_t b = unit / heads;
      const std::int64_t h = unit % heads;
      const std::int64_t shared = h * a.key.sizes[1] / heads;
      const Matrix turned_key = {floats(a.key, RowOf(a.key, b, shared, 0)),
                                 a.key.strides[3], a.key.strides[2]};
      const Matrix all_values = {floats(a.value, RowOf(a.value, b, shared, 0)),
                                 a.value.strides[2], a.value.strides[3]};
      if (packs) {
        Pack(turned_key, width, columns, key);
        Pack(all_values, columns, values, value);
      }
      for (std::int64_t row = 0; row < rows; row += kRows) {
        const std::int64_t count = Least(kRows, rows - row);
        to_scores.m = to_results.m = count;
        to_scores.a.matrix.data = floats(a.query, RowOf(a.query, b, h, row));
        Epilogue<> epilogue;
        epilogue.scale = static_cast<float>(a.scale);
        if (a.mask != nullptr) {
          epilogue.residual = floats(*a.mask, RowOf(*a.mask, b, h, row));
          epilogue.residual_row = a.mask->sizes[2] != 1 ? a.mask->strides[2] : 0;
        }
        if (packs) {
          MatmulPacked(to_scores, key, 0, epilogue);
        } else {
          Matmul(to_scores, {turned_key}, epilogue);
        }
        for (std::int64_t i = 0; i < count; ++i) {
          const std::int64_t seen = a.is_causal ? Least(row + i + 1, columns) : columns;
          float* lse = floats(a.lse, b * a.lse.strides[0] + h * a.lse.strides[1] +
                                         (row + i) * a.lse.strides[2]);
          factors[i] = Softmax(block + i * row_of_scores, seen, row_of_scores, lse);
        }
        to_results.c = floats(a.out, RowOf(a.out, b, h, row));
        if (packs) {
          MatmulPacked(to_results, value, 0, DivideRows{factors});
        } else {
          Matmul(to_results, {all_values}, DivideRows{factors});
        }
      }
    }
  });
}

template <typename Elements>
void AttendAny(const Operand& query, const Operand& key, const Operand& value,
               const Operand* mask, bool is_causal, double scale, const Operand& out,
               const Operand& lse, Workspace* workspace) {
  using Sum = typename Elements::Accumulator;
  const std::int64_t batch = query.sizes[0], heads = query.sizes[1];
  const std::int64_t rows = query.sizes[2], width = query.sizes[3];
  const std::int64_t columns = key.sizes[2], values = value.sizes[3];
  const std::int64_t kept = std::max<std::int64_t>(columns + values, 1);
  const std::int64_t total = batch * heads * rows;
  auto* all = static_cast<Sum*>(
      workspace->take(workspace, static_cast<std::size_t>(total * kept) * sizeof(Sum)));
  const int parts = PartsOf(2 * total * columns * (width + values), MaxThreads());
  ForEachPart(parts, [&](int part) {
    const Range range = ShareOf(total, part, parts);
    for (std::int64_t row = range.begin; row < range.end; ++row) {
      const std::int64_t i = row % rows;
      const std::int64_t h = row / rows % heads;
      const std::int64_t b = row / rows / heads;
      Sum* scores = all + row * kept;
      Sum* sums = scores + columns;
      const std::int64_t last = is_causal ? std::min(i + 1, columns) : columns;
      const std::int64_t q = RowOf(query, b, h, i);
      const std::int64_t m = mask != nullptr ? RowOf(*mask, b, h, i) : 0;
      const std::int64_t mask_step =
          mask != nullptr && mask->sizes[3] != 1 ? mask->strides[3] : 0;
      Sum highest = -std::numeric_limits<Sum>::infinity();
      for (std::int64_t j = 0; j < last; ++j) {
        const std::int64_t k = RowOf(key, b, h * key.sizes[1] / heads, j);
        Sum score = 0;
        for (std::int64_t l = 0; l < width; ++l) {
          score += Elements::Load(query.data, q + l * query.strides[3]) *
                   Elements::Load(key.data, k + l * key.strides[3]);
        }
        score *= static_cast<Sum>(scale);
        if (mask != nullptr) score += Elements::Load(mask->data, m + j * mask_step);
        scores[j] = score;
        highest = score > highest || score != score ? score : highest;
      }
      const bool is_empty = highest == -std::numeric_limits<Sum>::infinity();
      Sum sum = 0;
      for (std::int64_t j = 0; j < last; ++j) {
        scores[j] = is_empty ? Sum{0} : std::exp(scores[j] - highest);
        sum += scores[j];
      }
      std::fill_n(sums, values, Sum{0});
      for (std::int64_t j = 0; j < last; ++j) {
        const std::int64_t v = RowOf(value, b, h * value.sizes[1] / heads, j);
        for (std::int64_t l = 0; l < values; ++l) {
          sums[l] += scores[j] * Elements::Load(value.data, v + l * value.strides[3]);
        }
      }
      const std::int64_t o = RowOf(out, b, h, i);
      for (std::int64_t l = 0; l < values; ++l) {
        Elements::Store(out.data, o + l * out.strides[3],
                        is_empty ? Sum{0} : sums[l] / sum);
      }
      static_cast<float*>(
          lse.data)[b * lse.strides[0] + h * lse.strides[1] + i * lse.strides[2]] =
          static_cast<float>(highest + std::log(sum));
    }
  });
}

// As the operator, but of no halves.
inline void Attend(const Attention& a, Workspace* workspace) {
  if (HasKernel(a)) return AttendFloats(a, workspace);
  WithElements("attention", a.out.dtype, [&](auto elements) {
    using Elements = decltype(elements);
    if constexpr (std::is_floating_point_v<typename Elements::Accumulator>) {
      AttendAny<Elements>(a.query, a.key, a.value, a.mask, a.is_causal, a.scale, a.out,
                          a.lse, workspace);
    } else {
      RefuseDtype("attention", a.out.dtype);
    }
  });
}

}  // namespace
}  // namespace rules_torch::standalone

RTORCH_OPERATOR(attention)
(const rules_torch::standalone::Operand& query,
 const rules_torch::standalone::Operand& key,
 const rules_torch::standalone::Operand& value,
 const rules_torch::standalone::Operand* mask, bool is_causal, double scale,
 const rules_torch::standalone::Operand& out,
 const rules_torch::standalone::Operand& lse,
 rules_torch::standalone::Workspace* workspace) {
  using namespace rules_torch::standalone;
  if (!IsHalf(out.dtype)) {
    return Attend({query, key, value, mask, is_causal, scale, out, lse}, workspace);
  }
  const FloatCopy result(out, Order::kRowMajor, workspace);
  const FloatCopy float_query(query, Order::kSame, workspace);
  const FloatCopy float_key(key, Order::kSame, workspace);
  const FloatCopy float_value(value, Order::kSame, workspace);
  WithFloats(mask, Order::kRowMajor, workspace, [&](const Operand* float_mask) {
    Attend({float_query.Load().operand(), float_key.Load().operand(),
            float_value.Load().operand(), float_mask, is_causal, scale,
            result.operand(), lse},
           workspace);
  });
  result.Store();
}
