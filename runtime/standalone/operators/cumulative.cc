// Cumulative sums and their like along one dimension, of any strides.

#include <cstdint>
#include <type_traits>

#include "rules_torch/abi.h"
#include "runtime/standalone/operand.h"
#include "runtime/standalone/operators.h"
#include "runtime/standalone/operators/elements.h"
#include "runtime/standalone/operators/lines.h"

namespace rules_torch::standalone {
namespace {

// log(exp(a) + exp(b)). Builtins: vector.h says why.
template <typename Sum>
Sum LogOfSum(Sum a, Sum b) {
  if constexpr (std::is_floating_point_v<Sum>) {
    if (a != a || b != b) return a + b;
    const Sum most = a > b ? a : b;
    const Sum least = a > b ? b : a;
    if (most == least && __builtin_isinf(most)) return most;
    return most + static_cast<Sum>(__builtin_log1p(__builtin_exp(least - most)));
  }
  return a + b;
}

// Floats are added up in float64, as eager does; integers wrap around.
template <typename Elements>
void Accumulate(const Operand& in, int dim, Cumulation cumulation, const Operand& out) {
  using Element = typename Elements::Accumulator;
  using Sum = std::conditional_t<
      std::is_floating_point_v<Element>,
      std::conditional_t<std::is_same_v<Elements, Plain<float, float>>, double,
                         Element>,
      std::uint64_t>;
  const std::int64_t count = LengthOfLines(in, dim);
  ForEachLine(in, dim, 4, [&](std::int64_t line) {
    std::int64_t from = BeginOfLine(in, dim, line);
    std::int64_t to = BeginOfLine(out, dim, line);
    Sum sum = cumulation == Cumulation::kProduct ? 1 : 0;
    if constexpr (std::is_floating_point_v<Sum>) {
      if (cumulation == Cumulation::kLogSumExp) sum = -__builtin_inf();
    }
    for (std::int64_t i = 0; i < count; ++i) {
      const auto element = static_cast<Sum>(Elements::Load(in.data, from));
      sum = cumulation == Cumulation::kProduct ? sum * element
            : cumulation == Cumulation::kSum   ? sum + element
                                               : LogOfSum(sum, element);
      Elements::Store(out.data, to, static_cast<Element>(sum));
      from += StrideOfLines(in, dim);
      to += StrideOfLines(out, dim);
    }
  });
}

template <typename Elements>
void FindExtremes(const Operand& in, int dim, bool is_maximum, const Operand& values,
                  const Operand& indices) {
  using Element = typename Elements::Accumulator;
  const std::int64_t count = LengthOfLines(in, dim);
  ForEachLine(in, dim, 4, [&](std::int64_t line) {
    std::int64_t from = BeginOfLine(in, dim, line);
    std::int64_t value = BeginOfLine(values, dim, line);
    std::int64_t index = BeginOfLine(indices, dim, line);
    Element extreme{};
    std::int64_t at = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const Element element = Elements::Load(in.data, from);
      const bool is_as_far = is_maximum ? element >= extreme : element <= extreme;
      if (i == 0 || element != element || (extreme == extreme && is_as_far)) {
        extreme = element;
        at = i;
      }
      Elements::Store(values.data, value, extreme);
      static_cast<std::int64_t*>(indices.data)[index] = at;
      from += StrideOfLines(in, dim);
      value += StrideOfLines(values, dim);
      index += StrideOfLines(indices, dim);
    }
  });
}

}  // namespace
}  // namespace rules_torch::standalone

RTORCH_OPERATOR(cumulative)
(const rules_torch::standalone::Operand& in, std::int32_t dim,
 rules_torch::standalone::Cumulation cumulation,
 const rules_torch::standalone::Operand& out) {
  using namespace rules_torch::standalone;
  WithAllElements("cumulative sum", in.dtype, [&](auto elements) {
    Accumulate<decltype(elements)>(in, dim, cumulation, out);
  });
}

RTORCH_OPERATOR(cumulative_extreme)
(const rules_torch::standalone::Operand& in, std::int32_t dim, bool is_maximum,
 const rules_torch::standalone::Operand& values,
 const rules_torch::standalone::Operand& indices) {
  using namespace rules_torch::standalone;
  const std::int32_t dtype = in.dtype == RTORCH_BOOL ? RTORCH_UINT8 : in.dtype;
  WithAllElements("cumulative maximum", dtype, [&](auto elements) {
    FindExtremes<decltype(elements)>(in, dim, is_maximum, values, indices);
  });
}
