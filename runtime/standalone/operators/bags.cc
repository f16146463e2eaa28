// Sums, means and maxima of rows of a table: embedding bags.
#include <cstdint>
#include <stdexcept>

#include "rules_torch/abi.h"
#include "runtime/standalone/kernels/parallel.h"
#include "runtime/standalone/kernels/vector.h"
#include "runtime/standalone/operand.h"
#include "runtime/standalone/operators.h"
#include "runtime/standalone/operators/elements.h"

namespace rules_torch::standalone {
namespace {

// The elements of a row that are added up together.
constexpr std::int64_t kColumns = 256;

struct BagsOperands {
  const Operand& table;
  const Operand& indices;
  const Operand& offsets;
  const Operand* weights;
  Bag kind;
  std::int64_t padding;
  const Operand& out;

  std::int64_t Index(std::int64_t i) const {
    return static_cast<const std::int64_t*>(indices.data)[i * indices.strides[0]];
  }
  // Where a bag begins.
  std::int64_t Begin(std::int64_t bag) const {
    if (bag == offsets.sizes[0]) return indices.sizes[0];
    return static_cast<const std::int64_t*>(offsets.data)[bag * offsets.strides[0]];
  }

  // Before threads start: those cannot throw.
  void Check() const {
    for (std::int64_t i = 0; i < indices.sizes[0]; ++i) {
      if (Index(i) < 0 || Index(i) >= table.sizes[0]) {
        throw std::runtime_error("embedding_bag: an index is out of range");
      }
    }
    for (std::int64_t bag = 0; bag < out.sizes[0]; ++bag) {
      if (Begin(bag) < 0 || Begin(bag) > Begin(bag + 1) ||
          Begin(bag + 1) > indices.sizes[0]) {
        throw std::runtime_error(
            "embedding_bag: offsets do not increase, or are out of range");
      }
    }
  }
};

template <typename Elements>
void FillBag(const BagsOperands& bags, std::int64_t bag, std::int64_t begin,
             std::int64_t end) {
  using Number = typename Elements::Accumulator;
  Number row[kColumns];
  for (std::int64_t i = 0; i < end - begin; ++i) row[i] = 0;
  std::int64_t count = 0;
  for (std::int64_t i = bags.Begin(bag); i < bags.Begin(bag + 1); ++i) {
    const std::int64_t index = bags.Index(i);
    if (index == bags.padding) continue;
    const std::int64_t from =
        index * bags.table.strides[0] + begin * bags.table.strides[1];
    const std::int64_t stride = bags.table.strides[1];
    if (bags.kind == Bag::kMaximum) {
      for (std::int64_t j = 0; j < end - begin; ++j) {
        const Number element = Elements::Load(bags.table.data, from + j * stride);
        const bool is_more = count == 0 || element > row[j] || element != element;
        row[j] = is_more ? element : row[j];
      }
    } else {
      const Number weight =
          bags.weights == nullptr
              ? Number{1}
              : Elements::Load(bags.weights->data, i * bags.weights->strides[0]);
      for (std::int64_t j = 0; j < end - begin; ++j) {
        row[j] += weight * Elements::Load(bags.table.data, from + j * stride);
      }
    }
    ++count;
  }
  const Number divisor =
      bags.kind == Bag::kMean && count > 1 ? static_cast<Number>(count) : Number{1};
  const std::int64_t to = bag * bags.out.strides[0] + begin * bags.out.strides[1];
  for (std::int64_t j = 0; j < end - begin; ++j) {
    Elements::Store(bags.out.data, to + j * bags.out.strides[1], row[j] / divisor);
  }
}

template <typename Elements>
void FillBags(const BagsOperands& bags) {
  const std::int64_t count = bags.out.sizes[0];
  const std::int64_t width = bags.out.sizes[1];
  const int parts = PartsOf((bags.indices.sizes[0] + count) * width, MaxThreads());
  ForEachPart(parts, [&](int part) {
    const Range range = ShareOf(count, part, parts);
    for (std::int64_t bag = range.begin; bag < range.end; ++bag) {
      for (std::int64_t begin = 0; begin < width; begin += kColumns) {
        FillBag<Elements>(bags, bag, begin, Least(begin + kColumns, width));
      }
    }
  });
}

}  // namespace
}  // namespace rules_torch::standalone

RTORCH_OPERATOR(bags)
(const rules_torch::standalone::Operand& table,
 const rules_torch::standalone::Operand& indices,
 const rules_torch::standalone::Operand& offsets,
 const rules_torch::standalone::Operand* weights, rules_torch::standalone::Bag kind,
 std::int64_t padding, const rules_torch::standalone::Operand& out) {
  using namespace rules_torch::standalone;
  const BagsOperands bags{table, indices, offsets, weights, kind, padding, out};
  bags.Check();
  const auto fill = [&](auto elements) { FillBags<decltype(elements)>(bags); };
  if (IsHalf(table.dtype)) return WithHalves(table.dtype, fill);
  if (table.dtype == RTORCH_FLOAT64) return fill(Plain<double, double>{});
  if (table.dtype != RTORCH_FLOAT32) RefuseDtype("embedding_bag", table.dtype);
  fill(Plain<float, float>{});
}
