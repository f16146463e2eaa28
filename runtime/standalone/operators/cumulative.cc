// Cumulative sums and products along one dimension, of any strides.

#include <cstdint>
#include <type_traits>

#include "rules_torch/abi.h"
#include "runtime/standalone/kernels/parallel.h"
#include "runtime/standalone/operand.h"
#include "runtime/standalone/operators.h"
#include "runtime/standalone/operators/elements.h"
#include "runtime/standalone/operators/lines.h"

namespace rules_torch::standalone {
namespace {

// Floats are added up in float64, as eager does; integers wrap around.
template <typename Elements>
void Accumulate(const Operand& in, int dim, bool multiplies, const Operand& out) {
  using Element = typename Elements::Accumulator;
  using Sum = std::conditional_t<
      std::is_floating_point_v<Element>,
      std::conditional_t<std::is_same_v<Elements, Plain<float, float>>, double,
                         Element>,
      std::uint64_t>;
  const std::int64_t lines = LinesOf(in, dim);
  const std::int64_t count = LengthOfLines(in, dim);
  const int parts = PartsOf(4 * lines * count, MaxThreads());
  ForEachPart(parts, [&](int part) {
    const Range range = ShareOf(lines, part, parts);
    for (std::int64_t line = range.begin; line < range.end; ++line) {
      std::int64_t from = BeginOfLine(in, dim, line);
      std::int64_t to = BeginOfLine(out, dim, line);
      Sum sum = multiplies ? 1 : 0;
      for (std::int64_t i = 0; i < count; ++i) {
        const auto element = static_cast<Sum>(Elements::Load(in.data, from));
        sum = multiplies ? sum * element : sum + element;
        Elements::Store(out.data, to, static_cast<Element>(sum));
        from += StrideOfLines(in, dim);
        to += StrideOfLines(out, dim);
      }
    }
  });
}

}  // namespace
}  // namespace rules_torch::standalone

RTORCH_OPERATOR(cumulative)
(const rules_torch::standalone::Operand& in, std::int32_t dim, bool multiplies,
 const rules_torch::standalone::Operand& out) {
  using namespace rules_torch::standalone;
  WithAllElements("cumulative sum", in.dtype, [&](auto elements) {
    Accumulate<decltype(elements)>(in, dim, multiplies, out);
  });
}
