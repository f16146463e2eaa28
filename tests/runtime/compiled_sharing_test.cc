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

// Calls `f` with all outputs, which may be const.
template <typename Outputs, typename Function>
auto Apply(Outputs& all, Function f) {
  return f(all.total, all.total_row, all.weight, all.weight_t, all.weight_row,
           all.constant, all.x, all.x_row, all.x_t, all.doubled, all.doubled_row,
           all.empty, all.total_again, all.total_row_again, all.weight_again,
           all.weight_t_again, all.weight_row_again, all.constant_again, all.x_again,
           all.x_row_again, all.x_t_again, all.doubled_again, all.doubled_row_again,
           all.empty_again);
}

std::vector<Floats> Elements(const Sharing::Outputs& outputs) {
  return Apply(outputs, [](const auto&... tensors) {
    return std::vector<Floats>{Floats(tensors.begin(), tensors.end())...};
  });
}

// The results of the n-th call.
std::vector<Floats> Results(float n) {
  std::vector<Floats> results = {
      {n, 2 * n, 3 * n, 4 * n, 5 * n, 6 * n},  // total
      {4 * n, 5 * n, 6 * n},                   // its row
      {0, 1, 2, 3, 4, 5},                      // weight
      {0, 3, 1, 4, 2, 5},                      // transposed
      {3, 4, 5},                               // its row
      {7, 8},                                  // constant
      {1, 2, 3, 4, 5, 6},                      // x
      {4, 5, 6},                               // its row
      {1, 4, 2, 5, 3, 6},                      // transposed
      {2, 4, 6, 8, 10, 12},                    // doubled
      {8, 10, 12},                             // its row
      {},                                      // empty
  };
  const std::vector<Floats> once = results;
  results.insert(results.end(), once.begin(), once.end());
  return results;
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

  // Overwrites each output in turn; the others must keep their values.
  static void Overwrite(Sharing::Outputs* outputs) {
    std::vector<Floats> expected;
    float value = 0;
    const auto overwrite = [&](auto& tensor) {
      std::fill(tensor.begin(), tensor.end(), --value);
      expected.emplace_back(tensor.num_elements(), value);
    };
    Apply(*outputs, [&](auto&... tensors) { (overwrite(tensors), ...); });
    EXPECT_EQ(Elements(*outputs), expected);
  }

  Sharing model_ = Make();
  std::array<float, 6> x_ = {1, 2, 3, 4, 5, 6};
};

TEST_F(CompiledSharingTest, OutputsAreRight) {
  EXPECT_EQ(Elements(Call()), Results(1));
  EXPECT_EQ(Elements(Call()), Results(2));
}

TEST_F(CompiledSharingTest, OutputsShareNothingWithOneAnother) {
  Sharing::Outputs outputs = Call();
  Overwrite(&outputs);
}

TEST_F(CompiledSharingTest, OutputsShareNothingWithTheModel) {
  Sharing::Outputs first = Call();
  Overwrite(&first);
  EXPECT_EQ(Elements(Call()), Results(2));
  // Nor with the weights, which all instances use.
  model_ = Make();
  EXPECT_EQ(Elements(Call()), Results(1));
}

TEST_F(CompiledSharingTest, OutputsShareNothingWithInputs) {
  Sharing::Outputs outputs = Call();
  x_.fill(-100);
  EXPECT_EQ(Elements(outputs), Results(1));
  Overwrite(&outputs);
  EXPECT_EQ(x_, (std::array<float, 6>{-100, -100, -100, -100, -100, -100}));
}

TEST_F(CompiledSharingTest, LaterCallsDoNotChangeOutputs) {
  const Sharing::Outputs first = Call();
  const Sharing::Outputs second = Call();
  EXPECT_EQ(Elements(first), Results(1));
  EXPECT_EQ(Elements(second), Results(2));
}

TEST_F(CompiledSharingTest, OutputsOutliveTheModelsState) {
  const Sharing::Outputs outputs = Call();
  model_ = Make();
  EXPECT_EQ(Elements(outputs), Results(1));
}

TEST_F(CompiledSharingTest, BuffersGetTheSame) {
  Sharing::Outputs memory = Call();
  Overwrite(&memory);
  model_ = Make();
  const auto buffers = Apply(
      memory, [](auto&... tensors) { return Sharing::Buffers{tensors.view()...}; });
  const Status status = model_.Run({{x_.data(), {2, 3}}}, buffers);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(Elements(memory), Results(1));
}

}  // namespace
}  // namespace rules_torch
