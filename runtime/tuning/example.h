// The declared example of a kernel as arguments of a launch.
#ifndef RULES_TORCH_TUNING_EXAMPLE_H_
#define RULES_TORCH_TUNING_EXAMPLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "rules_torch/gpu.h"
#include "rules_torch/status.h"
#include "runtime/tuning/tune.h"

namespace rules_torch::tuning {

// Floating-point memory holds random values from [-1, 1], the same in every run:
// zeros would take less power, and so less time. Integers are 0, which is valid
// where they are indices.
class Example {
 public:
  // The Gpu must outlive the example.
  static StatusOr<Example> Create(const Gpu& gpu, const Case& one);

  // What LaunchKernel takes: as many as the kernel has, and two places more.
  void** pointers() { return pointers_.data(); }
  int size() const { return static_cast<int>(values_.size()); }

 private:
  std::vector<DeviceArray<std::uint8_t>> arrays_;
  std::vector<std::uint64_t> values_;  // the bytes of each, from the lowest address
  std::vector<void*> pointers_;        // to values_, whose place a move keeps
};

// "m=4096, out=1048576 x fp16".
std::string Describe(const Case& one);

}  // namespace rules_torch::tuning

#endif  // RULES_TORCH_TUNING_EXAMPLE_H_
