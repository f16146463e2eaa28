// Binary search in sorted lines.
#include <cstdint>

#include "rules_torch/abi.h"
#include "runtime/standalone/kernels/parallel.h"
#include "runtime/standalone/operand.h"
#include "runtime/standalone/operators.h"
#include "runtime/standalone/operators/elements.h"
#include "runtime/standalone/operators/lines.h"

namespace rules_torch::standalone {
namespace {

template <typename Elements>
void SearchLines(const Operand& boundaries, const Operand* sorter,
                 const Operand& values, bool is_right, const Operand& out) {
  using Number = typename Elements::Accumulator;
  const int dim = values.rank - 1;
  const std::int64_t lines = LinesOf(values, dim);
  const std::int64_t count = LengthOfLines(values, dim);
  const int of = boundaries.rank - 1;
  const std::int64_t length = boundaries.sizes[of];
  std::int64_t steps = 1;
  while (std::int64_t{1} << steps < length) ++steps;
  const int parts = PartsOf(4 * lines * count * steps, MaxThreads());
  ForEachPart(parts, [&](int part) {
    const Range range = ShareOf(lines * count, part, parts);
    std::int64_t first = 0;
    std::int64_t order = 0;
    std::int64_t from = 0;
    std::int64_t to = 0;
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      const std::int64_t in_line = i % count;
      if (i == range.begin || in_line == 0) {
        const std::int64_t line = i / count;
        // One line of boundaries is for all.
        const bool is_shared = boundaries.rank == 1;
        first = is_shared ? 0 : BeginOfLine(boundaries, of, line);
        order = is_shared || sorter == nullptr ? 0 : BeginOfLine(*sorter, of, line);
        from = BeginOfLine(values, dim, line);
        to = BeginOfLine(out, dim, line);
      }
      const Number value =
          Elements::Load(values.data, from + in_line * StrideOfLines(values, dim));
      std::int64_t low = 0;
      std::int64_t high = length;
      while (low < high) {
        const std::int64_t middle = low + (high - low) / 2;
        const std::int64_t at =
            sorter == nullptr ? middle
                              : static_cast<const std::int64_t*>(
                                    sorter->data)[order + middle * sorter->strides[of]];
        const Number boundary =
            Elements::Load(boundaries.data, first + at * boundaries.strides[of]);
        // A NaN is behind all numbers.
        const bool is_before = is_right ? !(boundary > value) : !(boundary >= value);
        if (is_before) {
          low = middle + 1;
        } else {
          high = middle;
        }
      }
      const std::int64_t place = to + in_line * StrideOfLines(out, dim);
      if (out.dtype == RTORCH_INT32) {
        static_cast<std::int32_t*>(out.data)[place] = static_cast<std::int32_t>(low);
      } else {
        static_cast<std::int64_t*>(out.data)[place] = low;
      }
    }
  });
}

}  // namespace
}  // namespace rules_torch::standalone

RTORCH_OPERATOR(search)
(const rules_torch::standalone::Operand& boundaries,
 const rules_torch::standalone::Operand* sorter,
 const rules_torch::standalone::Operand& values, bool is_right,
 const rules_torch::standalone::Operand& out) {
  using namespace rules_torch::standalone;
  WithAllElements("search", boundaries.dtype, [&](auto elements) {
    SearchLines<decltype(elements)>(boundaries, sorter, values, is_right, out);
  });
}
