// A model with buffers that it changes: //models:counter.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "models/counter.h"
#include "models/mlp.h"

namespace rules_torch {
namespace {

using models::Counter;
using models::Mlp;

// To run a model with state is to change it.
template <typename Model>
using RunOf = decltype(std::declval<Model&>().Run(
    std::declval<const typename std::remove_const_t<Model>::Inputs&>()));
template <typename Model, typename = void>
constexpr bool kRuns = false;
template <typename Model>
constexpr bool kRuns<Model, std::void_t<RunOf<Model>>> = true;
static_assert(kRuns<const Mlp>);
static_assert(kRuns<Counter>);
static_assert(!kRuns<const Counter>);

using Floats = std::vector<float>;

class CompiledStateTest : public ::testing::Test {
 protected:
  static Counter Make() {
    StatusOr<Counter> made = Counter::Create();
    if (!made.ok()) ADD_FAILURE() << made.status().message();
    return *std::move(made);
  }

  // Runs on two rows that are `value` everywhere, which is their mean.
  static Counter::Outputs Run(Counter* model, float value) {
    const std::vector<float> x(8, value);
    StatusOr<Counter::Outputs> outputs = model->Run({{x.data(), {2, 4}}});
    if (!outputs.ok()) ADD_FAILURE() << outputs.status().message();
    return *std::move(outputs);
  }

  Counter model_ = Make();
};

TEST_F(CompiledStateTest, IsSaid) { EXPECT_EQ(Counter::Api().stateful, 1); }

TEST_F(CompiledStateTest, IsKeptFromRunToRun) {
  // The mean of 1, 3, 5, ... after n of them is n: no rounding.
  for (int step = 1; step <= 5; ++step) {
    const auto value = static_cast<float>(2 * step - 1);
    const Counter::Outputs outputs = Run(&model_, value);
    EXPECT_EQ(outputs.steps(0), step);
    const auto mean = static_cast<float>(step);
    EXPECT_EQ(Floats(outputs.mean.begin(), outputs.mean.end()), Floats(4, mean));
    EXPECT_EQ(Floats(outputs.centred.begin(), outputs.centred.end()),
              Floats(8, value - mean));
  }
}

TEST_F(CompiledStateTest, IsEachInstancesOwn) {
  Counter other = Make();
  EXPECT_EQ(Run(&model_, 1).steps(0), 1);
  EXPECT_EQ(Run(&model_, 1).steps(0), 2);
  EXPECT_EQ(Run(&other, 7).steps(0), 1);
  EXPECT_EQ(Run(&other, 7).mean(3), 7);
  EXPECT_EQ(Run(&model_, 1).mean(3), 1);
}

TEST_F(CompiledStateTest, StartsAnewInANewInstance) {
  EXPECT_EQ(Run(&model_, 5).steps(0), 1);
  model_ = Make();
  const Counter::Outputs outputs = Run(&model_, 2);
  EXPECT_EQ(outputs.steps(0), 1);
  EXPECT_EQ(outputs.mean(0), 2);
}

TEST_F(CompiledStateTest, MovesWithTheInstance) {
  Run(&model_, 1);
  Counter moved = std::move(model_);
  EXPECT_EQ(Run(&moved, 3).mean(0), 2);
}

TEST_F(CompiledStateTest, DoesNotChangeOnAnError) {
  Run(&model_, 1);
  const std::array<float, 4> x{};
  EXPECT_FALSE(model_.Run({{x.data(), {0, 4}}}).ok());
  EXPECT_FALSE(model_.Run({{x.data(), {1, 4}}}, Counter::Buffers{}).ok());
  EXPECT_EQ(Run(&model_, 3).steps(0), 2);
}

TEST_F(CompiledStateTest, IsNotSharedWithResults) {
  Counter::Outputs first = Run(&model_, 1);
  Counter::Outputs second = Run(&model_, 3);
  EXPECT_EQ(first.steps(0), 1);
  EXPECT_EQ(first.mean(0), 1);
  second.steps(0) = 1000;
  second.mean(0) = 1000;
  const Counter::Outputs third = Run(&model_, 5);
  EXPECT_EQ(third.steps(0), 3);
  EXPECT_EQ(third.mean(0), 3);
}

TEST_F(CompiledStateTest, IsKeptBetweenKindsOfRun) {
  Run(&model_, 1);
  const std::array<float, 4> x = {3, 3, 3, 3};
  std::array<float, 4> centred{};
  std::array<float, 4> mean{};
  std::int64_t steps = 0;
  const Status status =
      model_.Run({{x.data(), {1, 4}}},
                 {{centred.data(), {1, 4}}, {mean.data(), {4}}, {&steps, {1}}});
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(steps, 2);
  EXPECT_EQ(mean, (std::array<float, 4>{2, 2, 2, 2}));
  EXPECT_EQ(centred, (std::array<float, 4>{1, 1, 1, 1}));
  EXPECT_EQ(Run(&model_, 5).steps(0), 3);
}

TEST_F(CompiledStateTest, CountsEveryRunOfEveryThread) {
  constexpr std::size_t kThreads = 8;
  constexpr std::size_t kRunsEach = 100;
  std::array<std::vector<std::int64_t>, kThreads> seen;
  std::vector<std::thread> threads;
  for (auto& steps : seen) {
    threads.emplace_back([&] {
      for (std::size_t run = 0; run < kRunsEach; ++run) {
        steps.push_back(Run(&model_, 1).steps(0));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<std::int64_t> all;
  for (const auto& steps : seen) {
    EXPECT_TRUE(std::is_sorted(steps.begin(), steps.end()));
    all.insert(all.end(), steps.begin(), steps.end());
  }
  std::sort(all.begin(), all.end());
  std::vector<std::int64_t> expected(kThreads * kRunsEach);
  std::iota(expected.begin(), expected.end(), 1);
  EXPECT_EQ(all, expected);
}

}  // namespace
}  // namespace rules_torch
