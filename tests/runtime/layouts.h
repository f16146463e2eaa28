// Tensors laid out in memory in every way that strides allow.
#ifndef RULES_TORCH_TESTS_RUNTIME_LAYOUTS_H_
#define RULES_TORCH_TESTS_RUNTIME_LAYOUTS_H_

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "rules_torch/abi.h"

namespace rules_torch::testing {

// Bytes from `data` to each element, in row-major order. Computed from each
// element's number alone: slow, and nothing like the code that it checks.
std::vector<std::int64_t> ByteOffsets(const RTorchTensor& tensor);

// The elements' bytes, one after another in row-major order.
std::vector<std::uint8_t> Gather(const RTorchTensor& tensor);

// A tensor in memory of its own, which starts out random. Must not be copied
// before its last use: `tensor.data` points into `memory`.
struct Placed {
  RTorchTensor tensor;
  std::vector<std::uint8_t> memory;
};

// Lays a tensor out at random: dimensions in any order, gaps between their
// elements, negative strides, odd strides where the size is 1. With `repeats`
// some strides are 0, so that elements share memory.
Placed PlaceAtRandom(std::mt19937* random, std::int32_t dtype,
                     const std::vector<std::int64_t>& sizes, bool repeats);

// Sizes of a random rank up to `max_rank`, few of them 0 or 1.
std::vector<std::int64_t> RandomSizes(std::mt19937* random, int max_rank);

// "sizes [2, 3], strides [3, 1]"
std::string Describe(const RTorchTensor& tensor);

}  // namespace rules_torch::testing

#endif  // RULES_TORCH_TESTS_RUNTIME_LAYOUTS_H_
