// The lines of a tensor along one dimension.
#ifndef RULES_TORCH_STANDALONE_OPERATORS_LINES_H_
#define RULES_TORCH_STANDALONE_OPERATORS_LINES_H_

#include <cstdint>

#include "runtime/standalone/kernels/parallel.h"
#include "runtime/standalone/operand.h"

namespace rules_torch::standalone {
namespace {

// How many there are.
inline std::int64_t LinesOf(const Operand& of, int dim) {
  std::int64_t count = 1;
  for (int i = 0; i < of.rank; ++i) count *= i == dim ? 1 : of.sizes[i];
  return count;
}

// Where one begins, in elements; tensors that differ in `dim` alone count alike.
inline std::int64_t BeginOfLine(const Operand& of, int dim, std::int64_t line) {
  std::int64_t at = 0;
  for (int i = of.rank - 1; i >= 0; --i) {
    if (i == dim) continue;
    at += line % of.sizes[i] * of.strides[i];
    line /= of.sizes[i];
  }
  return at;
}

// How many elements a line has, and how far apart; a number is a line of one.
inline std::int64_t LengthOfLines(const Operand& of, int dim) {
  return of.rank == 0 ? 1 : of.sizes[dim];
}

inline std::int64_t StrideOfLines(const Operand& of, int dim) {
  return of.rank == 0 ? 1 : of.strides[dim];
}

// Calls act(line) for each line, in threads; `work`: operations on one element.
template <typename Act>
void ForEachLine(const Operand& of, int dim, std::int64_t work, const Act& act) {
  const std::int64_t lines = LinesOf(of, dim);
  const int parts = PartsOf(work * lines * LengthOfLines(of, dim), MaxThreads());
  ForEachPart(parts, [&](int part) {
    const Range range = ShareOf(lines, part, parts);
    for (std::int64_t line = range.begin; line < range.end; ++line) act(line);
  });
}

}  // namespace
}  // namespace rules_torch::standalone

#endif  // RULES_TORCH_STANDALONE_OPERATORS_LINES_H_
