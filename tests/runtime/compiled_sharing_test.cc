// Outputs that in PyTorch share memory with state, weights, inputs and one another:
// each has to come out as memory of its own. See corners.py.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/runtime/sharing.h"

namespace rules_torch {
namespace {

using corners::Sharing;

using Floats = std::vector<float>;

template <std::size_t kRank>
Floats Elements(const Tensor<float, kRank>& tensor) {
  return Floats(tensor.begin(), tensor.end());
}

class CompiledSharingTest : public ::testing::Test {
 protected:
  static Sharing Make() {
    StatusOr<Sharing> made = Sharing::Create();
    if (!made.ok()) ADD_FAILURE() << made.status().message();
    return *std::move(made);
  }

  Sharing::Outputs Call() {
    StatusOr<Sharing::Outputs> outputs = model_.Run({{x_.data(), {2, 3}}});
    if (!outputs.ok()) ADD_FAILURE() << outputs.status().message();
    return *std::move(outputs);
  }

  // Fails unless these are the results of the n-th call.
  static void ExpectResults(const Sharing::Outputs& outputs, float n) {
    EXPECT_EQ(Elements(outputs.total), (Floats{n, 2 * n, 3 * n, 4 * n, 5 * n, 6 * n}));
    EXPECT_EQ(Elements(outputs.total_row), (Floats{4 * n, 5 * n, 6 * n}));
    EXPECT_EQ(Elements(outputs.weight_t), (Floats{0, 3, 1, 4, 2, 5}));
    EXPECT_EQ(Elements(outputs.weight_row), (Floats{3, 4, 5}));
    EXPECT_EQ(Elements(outputs.x_row), (Floats{4, 5, 6}));
    EXPECT_EQ(Elements(outputs.x_t), (Floats{1, 4, 2, 5, 3, 6}));
    EXPECT_EQ(Elements(outputs.doubled), (Floats{2, 4, 6, 8, 10, 12}));
    EXPECT_EQ(Elements(outputs.doubled_row), (Floats{8, 10, 12}));
  }

  // Overwrites each output in turn; the others must keep their values.
  static void Overwrite(Sharing::Outputs* outputs) {
    const auto fill = [&](auto* tensor, float value) {
      std::fill(tensor->begin(), tensor->end(), value);
    };
    fill(&outputs->total, -1);
    fill(&outputs->total_row, -2);
    fill(&outputs->weight_t, -3);
    fill(&outputs->weight_row, -4);
    fill(&outputs->x_row, -5);
    fill(&outputs->x_t, -6);
    fill(&outputs->doubled, -7);
    fill(&outputs->doubled_row, -8);
    EXPECT_EQ(Elements(outputs->total), Floats(6, -1));
    EXPECT_EQ(Elements(outputs->total_row), Floats(3, -2));
    EXPECT_EQ(Elements(outputs->weight_t), Floats(6, -3));
    EXPECT_EQ(Elements(outputs->weight_row), Floats(3, -4));
    EXPECT_EQ(Elements(outputs->x_row), Floats(3, -5));
    EXPECT_EQ(Elements(outputs->x_t), Floats(6, -6));
    EXPECT_EQ(Elements(outputs->doubled), Floats(6, -7));
    EXPECT_EQ(Elements(outputs->doubled_row), Floats(3, -8));
  }

  Sharing model_ = Make();
  std::array<float, 6> x_ = {1, 2, 3, 4, 5, 6};
};

TEST_F(CompiledSharingTest, OutputsAreRight) {
  ExpectResults(Call(), 1);
  ExpectResults(Call(), 2);
}

TEST_F(CompiledSharingTest, OutputsShareNothingWithOneAnother) {
  Sharing::Outputs outputs = Call();
  Overwrite(&outputs);
}

TEST_F(CompiledSharingTest, OutputsShareNothingWithTheModel) {
  Sharing::Outputs first = Call();
  Overwrite(&first);
  ExpectResults(Call(), 2);
  // Nor with the weights, which all instances use.
  model_ = Make();
  ExpectResults(Call(), 1);
}

TEST_F(CompiledSharingTest, OutputsShareNothingWithInputs) {
  Sharing::Outputs outputs = Call();
  x_.fill(-100);
  ExpectResults(outputs, 1);
  Overwrite(&outputs);
  EXPECT_EQ(x_, (std::array<float, 6>{-100, -100, -100, -100, -100, -100}));
}

TEST_F(CompiledSharingTest, LaterCallsDoNotChangeOutputs) {
  const Sharing::Outputs first = Call();
  const Sharing::Outputs second = Call();
  ExpectResults(first, 1);
  ExpectResults(second, 2);
}

TEST_F(CompiledSharingTest, OutputsOutliveTheModelsState) {
  const Sharing::Outputs outputs = Call();
  model_ = Make();
  ExpectResults(outputs, 1);
}

TEST_F(CompiledSharingTest, BuffersGetTheSame) {
  const Sharing::Outputs expected = Call();
  model_ = Make();
  Floats memory(36, -1);
  const auto at = [&](std::size_t i) { return memory.data() + i; };
  const Status status = model_.Run({{x_.data(), {2, 3}}}, {{at(0), {2, 3}},
                                                           {at(6), {3}},
                                                           {at(9), {3, 2}},
                                                           {at(15), {3}},
                                                           {at(18), {3}},
                                                           {at(21), {3, 2}},
                                                           {at(27), {2, 3}},
                                                           {at(33), {3}}});
  ASSERT_TRUE(status.ok()) << status.message();
  Floats all;
  for (const Floats& part :
       {Elements(expected.total), Elements(expected.total_row),
        Elements(expected.weight_t), Elements(expected.weight_row),
        Elements(expected.x_row), Elements(expected.x_t), Elements(expected.doubled),
        Elements(expected.doubled_row)}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  EXPECT_EQ(memory, all);
}

}  // namespace
}  // namespace rules_torch
