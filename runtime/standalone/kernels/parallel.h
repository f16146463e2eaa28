// How kernels use threads: a loop over parts, one for each thread, in OpenMP's threads
// or, in a source that is compiled without OpenMP, in the caller's.
//
// Which part computes an element must not change it: parts are ranges of independent
// work, and no sum is split among them.
#ifndef RULES_TORCH_STANDALONE_KERNELS_PARALLEL_H_
#define RULES_TORCH_STANDALONE_KERNELS_PARALLEL_H_

#include <cstdint>

#if defined(_OPENMP)
#include <omp.h>
#endif

#include "runtime/standalone/kernels/vector.h"

namespace rules_torch::standalone {
namespace {

// What a thread should have to do, in operations on floats: starting threads costs some
// microseconds, in which one does about this much.
constexpr std::int64_t kWorkOfThread = 200'000;

// How many threads a kernel may use here: 1 in a thread of OpenMP's.
[[maybe_unused]] inline int MaxThreads() {
#if defined(_OPENMP)
  return omp_in_parallel() ? 1 : omp_get_max_threads();
#else
  return 1;
#endif
}

// In how many parts to do `work` operations on floats, 1 to `threads`.
RTORCH_INLINE int PartsOf(std::int64_t work, int threads) {
#if defined(_OPENMP)
  const std::int64_t worth = work / kWorkOfThread;
  return worth < 2 || threads < 2
             ? 1
             : static_cast<int>(Least<std::int64_t>(worth, threads));
#else
  static_cast<void>(work);
  static_cast<void>(threads);
  return 1;
#endif
}

struct Range {
  std::int64_t begin;
  std::int64_t end;
};

// The share of one part in `count` pieces of work.
RTORCH_INLINE Range ShareOf(std::int64_t count, int part, int parts) {
  return {count * part / parts, count * (part + 1) / parts};
}

// Calls act(part) for each part from 0 on, one part in the caller's thread; returns
// when all have returned. `act` may not throw.
template <typename Act>
void ForEachPart(int parts, const Act& act) {
#if defined(_OPENMP)
  if (parts > 1) {
#pragma omp parallel num_threads(parts)
    // OpenMP may give fewer.
    for (int part = omp_get_thread_num(); part < parts; part += omp_get_num_threads()) {
      act(part);
    }
    return;
  }
#endif
  for (int part = 0; part < parts; ++part) act(part);
}

}  // namespace
}  // namespace rules_torch::standalone

#endif  // RULES_TORCH_STANDALONE_KERNELS_PARALLEL_H_
