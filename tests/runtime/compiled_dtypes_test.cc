// A model with inputs and outputs of every dtype, among them ones that share memory
// in PyTorch: //models:multi.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "models/multi.h"

namespace rules_torch {
namespace {

using models::Multi;

using Sizes = std::array<std::int64_t, 2>;

// Inputs for a batch of two rows, every element of a dtype the same unless a test
// says otherwise.
struct Arguments {
  template <typename T>
  using Rows = std::array<T, 16>;

  Arguments() {
    single.fill(2.0f);
    double_.fill(0.25);
    half.fill(float16(1.5f));
    brain.fill(bfloat16(3.0f));
    tiny.fill(127);
    small.fill(-9);
    medium.fill(1000000);
    big.fill(-7);
    pixels.fill(250);
    keep.fill(true);
  }

  Multi::Inputs Inputs(std::int64_t batch = 2) const {
    const Sizes sizes = {batch, 8};
    return {{single.data(), sizes},
            {double_.data(), sizes},
            {half.data(), sizes},
            {brain.data(), sizes},
            {tiny.data(), sizes},
            {small.data(), sizes},
            {medium.data(), sizes},
            {big.data(), sizes},
            {pixels.data(), sizes},
            {keep.data(), sizes},
            TensorView<const float, 0>(&scale)};
  }

  Rows<float> single;
  Rows<double> double_;
  Rows<float16> half;
  Rows<bfloat16> brain;
  Rows<std::int8_t> tiny;
  Rows<std::int16_t> small;
  Rows<std::int32_t> medium;
  Rows<std::int64_t> big;
  Rows<std::uint8_t> pixels;
  Rows<bool> keep;
  float scale = 4.0f;
};

class CompiledDTypesTest : public ::testing::Test {
 protected:
  static Multi Make() {
    StatusOr<Multi> made = Multi::Create();
    if (!made.ok()) ADD_FAILURE() << made.status().message();
    return *std::move(made);
  }

  Multi::Outputs Run(std::int64_t batch = 2) const {
    StatusOr<Multi::Outputs> outputs = model_.Run(arguments_.Inputs(batch));
    if (!outputs.ok()) ADD_FAILURE() << outputs.status().message();
    return *std::move(outputs);
  }

  const Multi model_ = Make();
  Arguments arguments_;
};

template <typename T, std::size_t kRank>
void ExpectAll(const Tensor<T, kRank>& tensor, T value) {
  EXPECT_EQ(std::count(tensor.begin(), tensor.end(), value), tensor.num_elements());
}

TEST_F(CompiledDTypesTest, EachIsComputedInItsDType) {
  const Multi::Outputs outputs = Run();
  for (const float16& element : outputs.halves_0) {
    EXPECT_EQ(static_cast<float>(element), 3.0f);
  }
  for (const bfloat16& element : outputs.halves_1) {
    EXPECT_EQ(static_cast<float>(element), -3.0f);
  }
  ExpectAll(outputs.double_, 0.25 * 4 + 250);
  ExpectAll<std::int8_t>(outputs.integers_0, -128);  // 127 + 1 wraps around
  ExpectAll<std::int16_t>(outputs.integers_1, -3);   // -9 >> 2
  ExpectAll<std::int32_t>(outputs.integers_2, 1000000 + 9);
  ExpectAll<std::int64_t>(outputs.integers_3, -3);  // -7 // 3
  ExpectAll<std::uint8_t>(outputs.brighter, 255);   // 250 + 16 saturates
  ExpectAll(outputs.both, false);                   // keep, but -7 <= 0
  ExpectAll(outputs.single, 2.0f);
}

TEST_F(CompiledDTypesTest, BooleansAreZeroOrOne) {
  arguments_.keep[1] = false;
  arguments_.big.fill(1);
  const Multi::Outputs outputs = Run();
  for (std::int64_t i = 0; i < 16; ++i) {
    std::uint8_t byte;
    std::memcpy(&byte, outputs.both.data() + i, 1);
    EXPECT_EQ(byte, i == 1 ? 0 : 1);
  }
}

TEST_F(CompiledDTypesTest, ScalarsAreInputs) {
  arguments_.scale = -1.0f;
  ExpectAll(Run().double_, -0.25 + 250);
}

TEST_F(CompiledDTypesTest, AParameterIsAnOutput) {
  const Multi::Outputs outputs = Run();
  for (std::int64_t row = 0; row < 2; ++row) {
    for (std::int64_t i = 0; i < 8; ++i) {
      EXPECT_EQ(outputs.mixed(row, i), 2.0f * 4.0f + outputs.bias(i));
    }
  }
}

TEST_F(CompiledDTypesTest, AReturnedParameterIsACopy) {
  Multi::Outputs first = Run();
  const std::vector<float> bias(first.bias.begin(), first.bias.end());
  std::fill(first.bias.begin(), first.bias.end(), 1e6f);
  const Multi::Outputs second = Run();
  EXPECT_EQ(std::vector<float>(second.bias.begin(), second.bias.end()), bias);
  EXPECT_EQ(second.mixed(0, 0), 8.0f + bias[0]);
  const StatusOr<Multi::Outputs> third = Make().Run(arguments_.Inputs());
  EXPECT_EQ(third->bias(0), bias[0]);
}

TEST_F(CompiledDTypesTest, AReturnedInputIsACopy) {
  Multi::Outputs outputs = Run();
  EXPECT_NE(outputs.single.data(), arguments_.single.data());
  outputs.single(0, 0) = 100;
  EXPECT_EQ(arguments_.single[0], 2.0f);
  arguments_.single[1] = -100;
  EXPECT_EQ(outputs.single(0, 1), 2.0f);
}

TEST_F(CompiledDTypesTest, OutputsThatShareMemoryAreTakenApart) {
  // With one row the transposed view is contiguous too.
  for (const std::int64_t batch : {1, 2}) {
    Multi::Outputs outputs = Run(batch);
    EXPECT_EQ(outputs.mixed.sizes(), (Sizes{batch, 8}));
    EXPECT_EQ(outputs.mixed_t.sizes(), (Sizes{8, batch}));
    for (std::int64_t row = 0; row < batch; ++row) {
      for (std::int64_t i = 0; i < 8; ++i) {
        EXPECT_EQ(outputs.mixed_t(i, row), outputs.mixed(row, i));
      }
    }
    const float before = outputs.mixed_t(3, 0);
    std::fill(outputs.mixed.begin(), outputs.mixed.end(), 1e6f);
    EXPECT_EQ(outputs.mixed_t(3, 0), before);
  }
}

TEST_F(CompiledDTypesTest, EveryOutputGoesIntoItsBuffer) {
  const Multi::Outputs expected = Run();
  // Each buffer is column by column, whatever the output.
  Arguments memory;
  std::array<float, 16> mixed_t{};
  std::array<std::uint8_t, 16> brighter{};
  std::array<bool, 16> both{};
  std::array<float, 16> mixed{};
  std::array<float, 16> bias{};
  const Sizes sizes = {2, 8};
  const Sizes strides = {1, 2};
  const Multi::Buffers buffers = {
      {mixed.data(), sizes, strides},          {mixed_t.data(), {8, 2}, {1, 8}},
      {memory.half.data(), sizes, strides},    {memory.brain.data(), sizes, strides},
      {memory.double_.data(), sizes, strides}, {memory.tiny.data(), sizes, strides},
      {memory.small.data(), sizes, strides},   {memory.medium.data(), sizes, strides},
      {memory.big.data(), sizes, strides},     {brighter.data(), sizes, strides},
      {both.data(), sizes, strides},           {memory.single.data(), sizes, strides},
      {bias.data() + 14, {8}, {-2}},
  };
  const Status status = model_.Run(arguments_.Inputs(), buffers);
  ASSERT_TRUE(status.ok()) << status.message();
  for (std::int64_t row = 0; row < 2; ++row) {
    for (std::int64_t i = 0; i < 8; ++i) {
      EXPECT_EQ(buffers.mixed(row, i), expected.mixed(row, i));
      EXPECT_EQ(buffers.mixed_t(i, row), expected.mixed(row, i));
      EXPECT_EQ(buffers.halves_0(row, i).bits, expected.halves_0(row, i).bits);
      EXPECT_EQ(buffers.halves_1(row, i).bits, expected.halves_1(row, i).bits);
      EXPECT_EQ(buffers.double_(row, i), expected.double_(row, i));
      EXPECT_EQ(buffers.integers_0(row, i), expected.integers_0(row, i));
      EXPECT_EQ(buffers.integers_1(row, i), expected.integers_1(row, i));
      EXPECT_EQ(buffers.integers_2(row, i), expected.integers_2(row, i));
      EXPECT_EQ(buffers.integers_3(row, i), expected.integers_3(row, i));
      EXPECT_EQ(buffers.brighter(row, i), expected.brighter(row, i));
      EXPECT_EQ(buffers.both(row, i), expected.both(row, i));
      EXPECT_EQ(buffers.single(row, i), expected.single(row, i));
      EXPECT_EQ(buffers.bias(i), expected.bias(i));
    }
  }
}

TEST_F(CompiledDTypesTest, EachInputIsNamedWhenItIsWrong) {
  const Multi::Inputs right = arguments_.Inputs();
  const auto name = [&](const Multi::Inputs& inputs) {
    const std::string message = model_.Run(inputs).status().message();
    return message.substr(0, message.find(':'));
  };
  Multi::Inputs inputs = right;
  inputs.reals_1 = {arguments_.double_.data(), {1, 8}};
  EXPECT_EQ(name(inputs), "input 'reals_1'");
  inputs = right;
  inputs.halves_1 = {nullptr, {2, 8}};
  EXPECT_EQ(name(inputs), "input 'halves_1'");
  inputs = right;
  inputs.integers_medium = {arguments_.medium.data(), {2, 7}};
  EXPECT_EQ(name(inputs), "input 'integers_medium'");
  inputs = right;
  inputs.keep = {arguments_.keep.data(), {33, 8}};
  EXPECT_EQ(name(inputs), "input 'keep'");
  inputs = right;
  inputs.scale = {};
  EXPECT_EQ(name(inputs), "input 'scale'");
}

}  // namespace
}  // namespace rules_torch
