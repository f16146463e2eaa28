// The panels of a matrix that is a weight (kernels/packing.h), which the instances that
// have it share.
#ifndef RULES_TORCH_STANDALONE_OPERATORS_PANELS_H_
#define RULES_TORCH_STANDALONE_OPERATORS_PANELS_H_

#include <cstdint>

#include "runtime/standalone/operand.h"
#include "runtime/standalone/operators.h"

namespace rules_torch::standalone {
namespace {

// Of a matrix [k, n] of any dtype that panels are made of; strides in elements.
inline PackedKey KeyOfPanels(const void* data, std::int64_t k, std::int64_t n,
                             std::int64_t row, std::int64_t column) {
  return {data, {static_cast<std::int64_t>(Packing::kColumns), k, n, row, column}};
}

}  // namespace
}  // namespace rules_torch::standalone

#endif  // RULES_TORCH_STANDALONE_OPERATORS_PANELS_H_
