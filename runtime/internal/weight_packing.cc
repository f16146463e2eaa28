#include "runtime/internal/weight_packing.h"

#include <cstdint>
#include <string>

#include "rules_torch/abi.h"
#include "runtime/standalone/kernels/convolution.h"
#include "runtime/standalone/kernels/packing.h"
#include "runtime/standalone/kernels/winograd.h"

namespace rules_torch::internal {
namespace {

// A weight as the filters of a convolution: 1 x 1 ones are a linear layer's.
standalone::Convolution FiltersOf(const RTorchWeightSpec& spec) {
  standalone::Convolution c = {};
  c.groups = spec.packing >> 8;
  c.out_channels = spec.sizes[0];
  c.channels = spec.sizes[1] * c.groups;
  c.kernel_height = spec.rank == 4 ? spec.sizes[2] : 1;
  c.kernel_width = spec.rank > 2 ? spec.sizes[spec.rank - 1] : 1;
  return c;
}

}  // namespace

std::string PackingText(const RTorchWeightSpec& spec) {
  const char* name = "";
  switch (PackingOf(spec)) {
    case Packing::kNone:
      return "";
    case Packing::kPanels:
      name = "panels";
      break;
    case Packing::kColumns:
      name = "columns";
      break;
    case Packing::kWinograd:
      name = "winograd";
      break;
    case Packing::kTaps:
      name = "taps";
      break;
  }
  return std::string(name) + '/' + std::to_string(spec.packing >> 8);
}

void PackWeight(const RTorchWeightSpec& spec, const float* from, float* to) {
  switch (PackingOf(spec)) {
    case Packing::kNone:
      break;
    case Packing::kPanels:
    case Packing::kTaps:
      standalone::PackFilters(from, FiltersOf(spec), to);
      break;
    case Packing::kColumns:
      standalone::Pack({from, spec.sizes[1], 1}, spec.sizes[0], spec.sizes[1], to);
      break;
    case Packing::kWinograd:
      standalone::PackWinograd<standalone::WinogradTwo>(from, FiltersOf(spec), to);
      break;
  }
}

}  // namespace rules_torch::internal
