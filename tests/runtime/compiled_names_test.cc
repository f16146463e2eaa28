// What classes of models say before a model runs: //models:encoder and others.
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "models/counter.h"
#include "models/encoder.h"
#include "rules_torch/signature.h"

namespace rules_torch {
namespace {

using models::Counter;
using models::Encoder;

static_assert(Encoder::kInputNames[0] == "ids");
static_assert(Encoder::kOutputNames.size() == 2);
static_assert(Encoder::FindInput("mask") == 1);
static_assert(Encoder::FindInput("hidden") == -1);
static_assert(Encoder::kMinSizes.ids[1] == 1);
static_assert(Encoder::kMaxSizes.ids[0] == 16);
static_assert(Encoder::kMaxSizes.mask[1] == 128);

TEST(CompiledNamesTest, AreThoseOfTheTable) {
  const RTorchModelApi& api = Encoder::Api();
  ASSERT_EQ(api.num_inputs, 2);
  ASSERT_EQ(api.num_outputs, 2);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(Encoder::kInputNames[i], api.inputs[i].name);
    EXPECT_EQ(Encoder::kOutputNames[i], api.outputs[i].name);
  }
  EXPECT_EQ(FindInput(api, "mask"), 1);
  EXPECT_EQ(FindOutput(api, "pooled"), Encoder::kOutputNames[0] == "pooled" ? 0 : 1);
}

TEST(CompiledNamesTest, SizesAreThoseOfTheTable) {
  const RTorchTensorSpec& mask = Encoder::Api().inputs[1];
  std::array<std::int64_t, 2> sizes{};
  MinSizes(mask, sizes.data());
  EXPECT_EQ(sizes, Encoder::kMinSizes.mask);
  MaxSizes(mask, sizes.data());
  EXPECT_EQ(sizes, Encoder::kMaxSizes.mask);
}

// Buffers can be made before there is a result.
TEST(CompiledNamesTest, OutputSizesAreThoseOfTheResult) {
  const StatusOr<Encoder> model = Encoder::Create();
  ASSERT_TRUE(model.ok()) << model.status();
  Encoder::Symbols symbols{};
  symbols.batch = 3;
  symbols.seq = 5;
  const std::vector<std::int64_t> ids(15, 1);
  const bool mask[15] = {true, true};
  const Encoder::Inputs inputs = {{ids.data(), {symbols.batch, symbols.seq}},
                                  {mask, {symbols.batch, symbols.seq}}};
  const StatusOr<Encoder::Outputs> outputs = model->Run(inputs);
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  const Encoder::OutputShapes sizes = Encoder::OutputSizes(symbols);
  EXPECT_EQ(outputs->hidden.sizes(), sizes.hidden);
  EXPECT_EQ(outputs->pooled.sizes(), sizes.pooled);
}

TEST(CompiledWarmupTest, RunsTheModel) {
  const StatusOr<Encoder> model = Encoder::Create();
  ASSERT_TRUE(model.ok()) << model.status();
  const Status status = model->Warmup();
  EXPECT_TRUE(status.ok()) << status;
}

TEST(CompiledWarmupTest, LeavesTheStateAsItIs) {
  StatusOr<Counter> model = Counter::Create();
  ASSERT_TRUE(model.ok()) << model.status();
  const Status status = model->Warmup();
  EXPECT_TRUE(status.ok()) << status;
  const std::array<float, 4> x = {1, 2, 3, 4};
  const StatusOr<Counter::Outputs> outputs = model->Run({{x.data(), {1, 4}}});
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  EXPECT_EQ(outputs->steps(0), 1);
}

}  // namespace
}  // namespace rules_torch
