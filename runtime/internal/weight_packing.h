// How weights lie that kernels want otherwise than by strides.
//
// The kernels of runtime/standalone say what each layout is; all instruction sets have
// the same. A build packs weights with tools/torch_aot/weight_packing.py, bit for bit
// as PackWeight does, which is for those that a program brings.
#ifndef RULES_TORCH_INTERNAL_WEIGHT_PACKING_H_
#define RULES_TORCH_INTERNAL_WEIGHT_PACKING_H_

#include <cstdint>
#include <string>

#include "rules_torch/abi.h"

namespace rules_torch::internal {

// RTorchWeightSpec.packing is one of these, and in the bits from 8 on the number of a
// convolution's groups. Weights have float32.
enum class Packing : std::int32_t {
  kNone = 0,
  // Of [n, ..., k], a convolution's filters or a linear layer's weight: for each group
  // the matrix [... x k, n] as kernels/packing.h has it; k is the second dimension.
  kPanels = 1,
  // Of a matrix [k, n]: likewise.
  kColumns = 2,
  // Of filters [n, k, 3, 3]: WinogradTwo's, as kernels/winograd.h has them.
  kWinograd = 3,
  // Of filters with one channel each, [n, 1, ...]: [..., n].
  kTaps = 4,
};

inline Packing PackingOf(const RTorchWeightSpec& spec) {
  return static_cast<Packing>(spec.packing & 0xff);
}

// "panels/2": with the number of groups; "" for none.
std::string PackingText(const RTorchWeightSpec& spec);

// Packs a weight, row-major as spec.sizes says, into spec.bytes bytes.
void PackWeight(const RTorchWeightSpec& spec, const float* from, float* to);

}  // namespace rules_torch::internal

#endif  // RULES_TORCH_INTERNAL_WEIGHT_PACKING_H_
