// Reads the test data that tools/torch_aot/reference.py writes.
#ifndef RULES_TORCH_TESTING_CASES_H_
#define RULES_TORCH_TESTING_CASES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "rules_torch/abi.h"
#include "rules_torch/status.h"

namespace rules_torch::testing {

// A tensor with contiguous elements of its own.
struct HostTensor {
  RTorchTensor abi{};  // without data
  std::vector<std::uint8_t> bytes;
};

struct Case {
  std::vector<HostTensor> inputs;
  std::vector<HostTensor> expected;  // what eager PyTorch made of them
  // One for each of `expected`: its elements in float64. Empty for integers and
  // booleans, and for every output if `why_no_float64` has a reason.
  std::vector<std::vector<double>> float64;
  std::string why_no_float64;
};

// Whether a dtype is one of the floating-point ones.
bool IsFloat(std::int32_t dtype);

// Reads a file of cases; an error for one that is missing or broken.
StatusOr<std::vector<Case>> ReadCases(const std::string& path);

}  // namespace rules_torch::testing

#endif  // RULES_TORCH_TESTING_CASES_H_
