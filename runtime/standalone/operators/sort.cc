// Sorting along one dimension, of any strides.

#include <cstddef>
#include <cstdint>

#include "rules_torch/abi.h"
#include "runtime/standalone/kernels/parallel.h"
#include "runtime/standalone/operand.h"
#include "runtime/standalone/operators.h"
#include "runtime/standalone/operators/elements.h"
#include "runtime/standalone/operators/lines.h"

namespace rules_torch::standalone {
namespace {

template <typename Key>
struct Ranked {
  Key key;
  std::int64_t index;
};

// Sorts stably, with NaN above all numbers: returns where the result is, `items` or
// `other`. No function of the standard library: vector.h says why.
template <typename Key>
Ranked<Key>* MergeSort(Ranked<Key>* items, Ranked<Key>* other, std::int64_t count,
                       bool descending) {
  const auto is_before = [descending](Key a, Key b) {
    const bool a_is_nan = a != a;
    const bool b_is_nan = b != b;
    return descending ? a > b || (a_is_nan && !b_is_nan)
                      : a < b || (b_is_nan && !a_is_nan);
  };
  for (std::int64_t width = 1; width < count; width *= 2) {
    for (std::int64_t begin = 0; begin < count; begin += 2 * width) {
      const std::int64_t middle = Least(begin + width, count);
      const std::int64_t end = Least(begin + 2 * width, count);
      std::int64_t left = begin;
      std::int64_t right = middle;
      for (std::int64_t to = begin; to < end; ++to) {
        const bool takes_right =
            left == middle ||
            (right < end && is_before(items[right].key, items[left].key));
        other[to] = items[takes_right ? right++ : left++];
      }
    }
    Ranked<Key>* swapped = items;
    items = other;
    other = swapped;
  }
  return items;
}

template <typename Elements>
void SortLines(const Operand& in, int dim, bool descending, const Operand& values,
               const Operand& indices, Workspace* workspace) {
  using Item = Ranked<typename Elements::Accumulator>;
  const std::int64_t lines = LinesOf(in, dim);
  const std::int64_t count = LengthOfLines(in, dim);
  const std::int64_t kept = LengthOfLines(values, dim);
  if (lines == 0 || count == 0) return;
  std::int64_t passes = 1;
  while (std::int64_t{1} << passes < count) ++passes;
  constexpr std::int64_t kWork = 10;  // of an element in a pass
  const int parts = PartsOf(kWork * lines * count * passes, MaxThreads());
  auto* memory = static_cast<Item*>(workspace->take(
      workspace, static_cast<std::size_t>(2 * count * parts) * sizeof(Item)));
  ForEachPart(parts, [&](int part) {
    Item* items = memory + 2 * count * part;
    const Range range = ShareOf(lines, part, parts);
    for (std::int64_t line = range.begin; line < range.end; ++line) {
      const std::int64_t from = BeginOfLine(in, dim, line);
      for (std::int64_t i = 0; i < count; ++i) {
        items[i] = {Elements::Load(in.data, from + i * StrideOfLines(in, dim)), i};
      }
      const Item* sorted = MergeSort(items, items + count, count, descending);
      const std::int64_t value = BeginOfLine(values, dim, line);
      const std::int64_t index = BeginOfLine(indices, dim, line);
      for (std::int64_t i = 0; i < kept; ++i) {
        Elements::Store(values.data, value + i * StrideOfLines(values, dim),
                        sorted[i].key);
        static_cast<std::int64_t*>(
            indices.data)[index + i * StrideOfLines(indices, dim)] = sorted[i].index;
      }
    }
  });
}

}  // namespace
}  // namespace rules_torch::standalone

RTORCH_OPERATOR(sort)
(const rules_torch::standalone::Operand& in, std::int32_t dim, bool descending,
 const rules_torch::standalone::Operand& values,
 const rules_torch::standalone::Operand& indices,
 rules_torch::standalone::Workspace* workspace) {
  using namespace rules_torch::standalone;
  const std::int32_t dtype = in.dtype == RTORCH_BOOL ? RTORCH_UINT8 : in.dtype;
  WithAllElements("sorting", dtype, [&](auto elements) {
    SortLines<decltype(elements)>(in, dim, descending, values, indices, workspace);
  });
}
