// Weights that a program brings are packed as a build packs its own.
#include "runtime/internal/weight_packing.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rules_torch/abi.h"
#include "runtime/internal/safetensors.h"
#include "runtime/internal/weights_file.h"
#include "tests/runtime/weights_files.h"

namespace rules_torch::internal {
namespace {

using testing::FileOf;
using ::testing::HasSubstr;
using testing::InMemory;
using testing::Metadata;
using testing::MetadataOf;
using testing::Sizes;
using testing::Stored;

constexpr std::int32_t Number(Packing packing, std::int32_t groups = 1) {
  return static_cast<std::int32_t>(packing) | groups << 8;
}

// The weights in packed.safetensors, which the tool's test writes.
const struct Golden {
  const char* name;
  std::int32_t packing;
  const char* text;
} kGolden[] = {
    {"linear", Number(Packing::kPanels), "panels/1"},
    {"image", Number(Packing::kPanels), "panels/1"},
    {"line", Number(Packing::kPanels, 3), "panels/3"},
    {"matrix", Number(Packing::kColumns), "columns/1"},
    {"winograd", Number(Packing::kWinograd), "winograd/1"},
    {"depthwise", Number(Packing::kTaps, 5), "taps/5"},
    {"depthwise_line", Number(Packing::kTaps, 5), "taps/5"},
};

class WeightPackingTest : public ::testing::TestWithParam<Golden> {
 protected:
  WeightPackingTest() {
    std::ifstream file(PACKED, std::ios::binary);
    content_.assign(std::istreambuf_iterator<char>(file), {});
    Safetensors tensors;
    std::string reason;
    EXPECT_EQ(ReadSafetensors(reinterpret_cast<const std::uint8_t*>(content_.data()),
                              content_.size(), &tensors, &reason),
              RTORCH_OK)
        << reason;
    const std::string name = GetParam().name;
    const auto bytes = [&](const StoredTensor& tensor) {
      return std::string(reinterpret_cast<const char*>(tensors.data) + tensor.begin,
                         static_cast<std::size_t>(tensor.end - tensor.begin));
    };
    sizes_ = tensors.tensors.at(name).shape;
    plain_ = {name, "F32", sizes_, bytes(tensors.tensors.at(name))};
    const StoredTensor& packed = tensors.tensors.at(name + ".packed");
    packed_ = {name, "F32", packed.shape, bytes(packed)};
    strides_.assign(sizes_.size(), 0);
    spec_.name = GetParam().name;
    spec_.dtype = RTORCH_FLOAT32;
    spec_.rank = static_cast<std::int32_t>(sizes_.size());
    spec_.sizes = sizes_.data();
    std::int64_t stride = 1;
    for (std::size_t i = sizes_.size(); i-- > 0; stride *= sizes_[i]) {
      strides_[i] = stride;
    }
    spec_.strides = strides_.data();
    spec_.bytes = packed_.bytes.size();
    spec_.packing = GetParam().packing;
    api_.name = "//fake:model";
    api_.num_weights = 1;
    api_.weights = &spec_;
    api_.weights_size = spec_.bytes;
  }

  // What FindWeights gives for a file: the weight's memory, or the reason.
  std::string Find(const std::string& file, std::size_t misalignment = 0) {
    const InMemory memory(file, misalignment);
    std::shared_ptr<const Weights> weights;
    std::string reason;
    if (FindWeights(api_, memory.source(), &weights, &reason) != RTORCH_OK) {
      return reason;
    }
    return {static_cast<const char*>(weights->pointers()[0]), packed_.bytes.size()};
  }

  std::string content_;
  Sizes sizes_;
  Sizes strides_;
  Stored plain_;
  Stored packed_;
  RTorchWeightSpec spec_{};
  RTorchModelApi api_{};
};

TEST_P(WeightPackingTest, IsAsTheBuilds) {
  std::vector<float> from(plain_.bytes.size() / sizeof(float));
  std::memcpy(from.data(), plain_.bytes.data(), plain_.bytes.size());
  std::vector<float> to(packed_.bytes.size() / sizeof(float), -1);
  PackWeight(spec_, from.data(), to.data());
  EXPECT_EQ(std::memcmp(to.data(), packed_.bytes.data(), packed_.bytes.size()), 0);
}

TEST_P(WeightPackingTest, FilesOfOthersArePacked) {
  EXPECT_EQ(Find(FileOf({plain_})), packed_.bytes);
  EXPECT_EQ(Find(FileOf({plain_}), 2), packed_.bytes);
  Stored turned = plain_;
  turned.shape.push_back(1);
  EXPECT_THAT(Find(FileOf({turned})), HasSubstr("of another type or shape"));
  EXPECT_THAT(Find(FileOf({packed_})), HasSubstr("of another type or shape"));
}

TEST_P(WeightPackingTest, FilesOfBuildsAreUsedAsTheyLie) {
  const std::string key = std::string("rules_torch.packing.") + GetParam().name;
  Metadata metadata = MetadataOf({packed_});
  EXPECT_THAT(Find(FileOf({packed_}, metadata)),
              HasSubstr("laid out for the kernels of another build"));
  metadata.emplace_back(key, GetParam().text);
  EXPECT_EQ(Find(FileOf({packed_}, metadata)), packed_.bytes);
  metadata.back().second = "panels/7";
  EXPECT_THAT(Find(FileOf({packed_}, metadata)),
              HasSubstr("laid out for the kernels of another build"));
}

INSTANTIATE_TEST_SUITE_P(Layouts, WeightPackingTest, ::testing::ValuesIn(kGolden),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace rules_torch::internal
