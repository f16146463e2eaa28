// Many launches from many threads.
#ifndef EXAMPLES_KERNELS_STRESS_H_
#define EXAMPLES_KERNELS_STRESS_H_

#include <cstdint>

#include "rules_torch/gpu.h"

// Launches the SmallProblems from `threads` threads, each of which has its own stream
// and inputs, `launches` times each; checks every result. Prints what it did, or the
// first error of each thread. Returns whether there was none.
bool Stress(const rules_torch::Gpu& gpu, int threads, int launches, std::uint64_t seed);

#endif  // EXAMPLES_KERNELS_STRESS_H_
