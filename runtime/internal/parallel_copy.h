// Copies of many elements in several threads. Needs OpenMP, which the code that all
// models share does without: what includes this is compiled with it.
#ifndef RULES_TORCH_INTERNAL_PARALLEL_COPY_H_
#define RULES_TORCH_INTERNAL_PARALLEL_COPY_H_

#include <algorithm>
#include <cstdint>

#include "rules_torch/abi.h"
#include "runtime/internal/layout.h"

namespace rules_torch::internal {
namespace {

// As CopyElements; each thread copies a part of the longest dimension.
[[maybe_unused]] void CopyInThreads(const RTorchTensor& from, const RTorchTensor& to,
                                    int threads) {
  if (from.rank == 0) return CopyElements(from, to);
  const auto dim = static_cast<std::int32_t>(
      std::max_element(from.sizes, from.sizes + from.rank) - from.sizes);
  const std::int64_t size = from.sizes[dim];
#pragma omp parallel for num_threads(threads)
  for (int part = 0; part < threads; ++part) {
    const std::int64_t begin = size * part / threads;
    const std::int64_t end = size * (part + 1) / threads;
    CopyElements(Slice(from, dim, begin, end), Slice(to, dim, begin, end));
  }
}

}  // namespace
}  // namespace rules_torch::internal

#endif  // RULES_TORCH_INTERNAL_PARALLEL_COPY_H_
