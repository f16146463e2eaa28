#include "tests/runtime/weights_files.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "runtime/internal/blake2b.h"
#include "runtime/internal/layout.h"
#include "runtime/internal/safetensors.h"

namespace rules_torch::testing {
namespace {

constexpr std::align_val_t kAlignment{64};

std::string Joined(const Sizes& numbers) {
  std::string text;
  for (const std::int64_t number : numbers) {
    text += (text.empty() ? "" : ",") + std::to_string(number);
  }
  return text;
}

}  // namespace

WeightsApi::WeightsApi(std::vector<Weight> weights)
    : weights_(std::move(weights)), api_{} {
  for (Weight& weight : weights_) {
    const auto rank = static_cast<std::int32_t>(weight.sizes.size());
    if (weight.strides.empty()) {
      weight.strides.resize(weight.sizes.size());
      internal::SetRowMajor(weight.sizes.data(), rank, weight.strides.data());
    }
    std::int64_t extent = 1;
    for (std::size_t i = 0; i < weight.sizes.size(); ++i) {
      extent += (weight.sizes[i] - 1) * weight.strides[i];
    }
    if (internal::NumElements(weight.sizes.data(), rank) == 0) extent = 0;
    RTorchWeightSpec spec{};
    spec.name = weight.name.c_str();
    spec.dtype = weight.dtype;
    spec.rank = rank;
    spec.sizes = weight.sizes.data();
    spec.strides = weight.strides.data();
    spec.offset = api_.weights_size;
    spec.bytes = static_cast<std::uint64_t>(extent) *
                 internal::FindElementType(weight.dtype)->bytes;
    specs_.push_back(spec);
    api_.weights_size += spec.bytes;
  }
  api_.name = "//fake:model";
  api_.num_weights = static_cast<std::int32_t>(specs_.size());
  api_.weights = specs_.data();
}

std::string FileOf(std::string header, const std::string& data) {
  header.append((64 - (header.size() + 8) % 64) % 64, ' ');
  const std::uint64_t length = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file + header + data;
}

std::string FileOf(const std::vector<Stored>& tensors, const Metadata& metadata) {
  std::string header;
  std::string data;
  for (const auto& [key, value] : metadata) {
    header += (header.empty() ? "{\"__metadata__\":{\"" : ",\"") + key + "\":\"" +
              value + '"';
  }
  header += header.empty() ? "{" : "}";
  for (const Stored& tensor : tensors) {
    header += (header == "{" ? "\"" : ",\"") + tensor.name + R"(":{"dtype":")" +
              tensor.type + R"(","shape":[)" + Joined(tensor.shape) +
              R"(],"data_offsets":[)" + std::to_string(data.size()) + ',';
    data += tensor.bytes;
    header += std::to_string(data.size()) + "]}";
  }
  return FileOf(header + '}', data);
}

Metadata MetadataOf(const std::vector<Stored>& tensors) {
  Metadata metadata = {{"rules_torch.format", "1"},
                       {"rules_torch.byte_order", "little"}};
  for (const Stored& tensor : tensors) {
    metadata.emplace_back(
        "rules_torch.digest." + tensor.name,
        internal::Blake2b256Hex(tensor.bytes.data(), tensor.bytes.size()));
  }
  return metadata;
}

InMemory::InMemory(const std::string& file, std::size_t misalignment)
    : misalignment_(misalignment),
      size_(file.size()),
      memory_(static_cast<std::uint8_t*>(::operator new(
          misalignment + file.size() + (file.empty() ? 1 : 0), kAlignment))) {
  if (!file.empty()) std::memcpy(memory_ + misalignment, file.data(), file.size());
}

InMemory::~InMemory() { ::operator delete(memory_, kAlignment); }

RTorchWeights InMemory::source(int* deletions) const {
  RTorchWeights source{};
  source.struct_size = sizeof source;
  source.data = begin();
  source.size = size_;
  if (deletions != nullptr) {
    source.deleter = [](void* owner) { ++*static_cast<int*>(owner); };
    source.owner = deletions;
  }
  return source;
}

}  // namespace rules_torch::testing
