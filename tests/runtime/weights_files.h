// Small weights files, and the tables of models that they are for.
#ifndef RULES_TORCH_TESTS_RUNTIME_WEIGHTS_FILES_H_
#define RULES_TORCH_TESTS_RUNTIME_WEIGHTS_FILES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "rules_torch/abi.h"

namespace rules_torch::testing {

using Sizes = std::vector<std::int64_t>;

// A weight of a model. Without strides: row-major contiguous.
struct Weight {
  std::string name;
  RTorchDType dtype;
  Sizes sizes;
  Sizes strides;
};

// An RTorchModelApi that has weights alone, named "//fake:model". Offsets are one after
// another, in order.
class WeightsApi {
 public:
  explicit WeightsApi(std::vector<Weight> weights);
  WeightsApi(const WeightsApi&) = delete;
  WeightsApi& operator=(const WeightsApi&) = delete;

  const RTorchModelApi& api() const { return api_; }

 private:
  std::vector<Weight> weights_;
  std::vector<RTorchWeightSpec> specs_;
  RTorchModelApi api_;
};

// A tensor in a file.
struct Stored {
  std::string name;
  std::string type;  // "F32"
  Sizes shape;
  std::string bytes;
};

// Keys and values of a file's metadata; neither is escaped.
using Metadata = std::vector<std::pair<std::string, std::string>>;

// A file with this header, padded with spaces so that its data is aligned to 64 bytes.
std::string FileOf(std::string header, const std::string& data);

// A file of these tensors, in order. Without metadata, it has no such key.
std::string FileOf(const std::vector<Stored>& tensors, const Metadata& metadata = {});

// What a build's file says of these tensors: format, byte order and digests.
Metadata MetadataOf(const std::vector<Stored>& tensors);

// Puts a copy of a file where its first byte is `misalignment` bytes behind a multiple
// of 64, and its last one is the last of its allocation.
class InMemory {
 public:
  explicit InMemory(const std::string& file, std::size_t misalignment = 0);
  InMemory(const InMemory&) = delete;
  InMemory& operator=(const InMemory&) = delete;
  ~InMemory();

  // `deletions`, if any, counts the calls of the deleter; null: there is none.
  RTorchWeights source(int* deletions = nullptr) const;
  const std::uint8_t* begin() const { return memory_ + misalignment_; }
  const std::uint8_t* end() const { return begin() + size_; }

 private:
  const std::size_t misalignment_;
  const std::size_t size_;
  std::uint8_t* const memory_;
};

// The bytes of values.
template <typename T>
std::string BytesOf(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

}  // namespace rules_torch::testing

#endif  // RULES_TORCH_TESTS_RUNTIME_WEIGHTS_FILES_H_
