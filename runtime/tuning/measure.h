// Measures the candidates of a kernel against each other.
#ifndef RULES_TORCH_TUNING_MEASURE_H_
#define RULES_TORCH_TUNING_MEASURE_H_

#include <string>
#include <vector>

#include "rules_torch/gpu.h"
#include "rules_torch/status.h"
#include "runtime/tuning/tune.h"

namespace rules_torch::tuning {

// What became of a candidate.
struct Measurement {
  const Candidate* candidate;
  double microseconds;  // of one launch: the median of the rounds
  std::string failure;  // why there is no time; else empty
};

// All candidates, the fastest first and those without a time last. An error if the
// example cannot be set up, or if a candidate leaves the device unusable.
//
// The candidates take turns: a GPU whose clock changes meanwhile is as fast or slow
// for one as for the others. A turn is a batch of launches, which hides what a
// launch costs the host if that is less than the kernel takes.
StatusOr<std::vector<Measurement>> Measure(const Gpu& gpu,
                                           const internal::KernelDevice& device,
                                           const Case& one, int rounds);

}  // namespace rules_torch::tuning

#endif  // RULES_TORCH_TUNING_MEASURE_H_
