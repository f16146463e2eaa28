// Starts OpenMP's threads for a generated kernel, if there is work for them.
//
// Included by kernels that tools/torch_aot/parallel_regions.py has given regions.
#ifndef RULES_TORCH_INTERNAL_KERNEL_REGIONS_H_
#define RULES_TORCH_INTERNAL_KERNEL_REGIONS_H_

#include <omp.h>

#include <cstdint>

namespace rules_torch::regions {
namespace {

// Iterations of loops over single elements. To enter and leave a region takes a third
// of a microsecond with one thread, more than one with two, and several with many:
// in which one thread does about this much, of simple arithmetic, in vectors.
constexpr std::int64_t kSmallWork = 4096;

[[maybe_unused]] inline bool IsWorthThreads(std::int64_t iterations) {
  return iterations > kSmallWork;
}

// Calls a region, which holds OpenMP's loops, in `threads` threads, 0: as many as there
// are; or in the caller's thread alone. Within a team of the caller's the loops would
// be that team's: then the region gets a team of its own.
template <int threads, typename Region>
void RunRegion(std::int64_t iterations, const Region& region) {
  if (!IsWorthThreads(iterations) && omp_get_level() == 0) return region();
  if constexpr (threads > 0) {
#pragma omp parallel num_threads(threads)
    region();
  } else {
#pragma omp parallel
    region();
  }
}

}  // namespace
}  // namespace rules_torch::regions

#endif  // RULES_TORCH_INTERNAL_KERNEL_REGIONS_H_
