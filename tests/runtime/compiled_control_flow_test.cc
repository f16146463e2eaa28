// A model whose path its data decides: //models:gated. No bias in it, so that zero
// maps to zero and the routes scale with their input.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "models/gated.h"

namespace rules_torch {
namespace {

using models::Gated;

using Floats = std::vector<float>;

constexpr std::int64_t kMaxSteps = 12;
constexpr float kTolerance = 1e-3f;

struct Result {
  Floats y;
  std::int64_t steps;

  float peak() const {
    float peak = 0;
    for (const float element : y) peak = std::max(peak, std::fabs(element));
    return peak;
  }
  bool operator==(const Result& other) const {
    return y == other.y && steps == other.steps;
  }
};

class CompiledControlFlowTest : public ::testing::Test {
 protected:
  static Gated Make() {
    StatusOr<Gated> made = Gated::Create();
    if (!made.ok()) ADD_FAILURE() << made.status().message();
    return *std::move(made);
  }

  Result Run(const Floats& x) const {
    const auto batch = static_cast<std::int64_t>(x.size() / 8);
    const StatusOr<Gated::Outputs> outputs = model_.Run({{x.data(), {batch, 8}}});
    if (!outputs.ok()) {
      ADD_FAILURE() << outputs.status().message();
      return {};
    }
    return {Floats(outputs->y.begin(), outputs->y.end()), outputs->steps()};
  }

  // One input for each route: a positive mean; a negative one with a positive
  // element; nothing positive.
  static std::vector<Floats> Routes(float scale) {
    std::vector<Floats> routes = {{1, 2, -3, 4, 5, -6, 7, 8},
                                  {-1, -2, 3, -4, -5, 6, -7, -8},
                                  {-1, -2, -3, -4, -5, -6, -7, -8}};
    for (Floats& x : routes) {
      for (float& element : x) element *= scale;
    }
    return routes;
  }

  const Gated model_ = Make();
};

TEST_F(CompiledControlFlowTest, ALoopMayNotRunAtAll) {
  const Result result = Run(Floats(16));
  EXPECT_EQ(result.steps, 0);
  EXPECT_EQ(result.y, Floats(16));
}

TEST_F(CompiledControlFlowTest, SmallResultsAreLeftAlone) {
  for (const Floats& x : Routes(1e-3f)) {
    const Result result = Run(x);
    EXPECT_EQ(result.steps, 0);
    EXPECT_GT(result.peak(), 0);
    // Linear but for its ReLUs: twice the input, twice the output.
    Floats doubled = x;
    for (float& element : doubled) element *= 2;
    EXPECT_FLOAT_EQ(Run(doubled).peak(), 2 * result.peak());
  }
}

TEST_F(CompiledControlFlowTest, ALoopRunsUntilItIsDone) {
  for (const Floats& x : Routes(1)) {
    const float peak = Run(x).peak() * 0.5f;
    ASSERT_GT(peak, 0);
    std::int64_t before = 0;
    for (const float scale : {0.01f, 1.0f, 10.0f, 100.0f, 1000.0f}) {
      Floats scaled = x;
      for (float& element : scaled) element *= scale;
      const Result result = Run(scaled);
      EXPECT_GE(result.steps, before);
      EXPECT_LE(result.steps, kMaxSteps);
      if (result.steps < kMaxSteps) {
        EXPECT_LE(result.peak(), 1 + kTolerance);
      }
      before = result.steps;
    }
    EXPECT_GT(before, 0);
  }
}

TEST_F(CompiledControlFlowTest, ALoopStopsAtItsLimit) {
  for (const Floats& x : Routes(1e8f)) {
    const Result result = Run(x);
    EXPECT_EQ(result.steps, kMaxSteps);
    EXPECT_GT(result.peak(), 1 + kTolerance);
  }
}

TEST_F(CompiledControlFlowTest, ScalarsGoIntoBuffers) {
  const Floats x = Routes(1e8f)[0];
  const Result expected = Run(x);
  Floats y(8);
  std::int64_t steps = -1;
  const Status status = model_.Run(
      {{x.data(), {1, 8}}}, {{y.data(), {1, 8}}, TensorView<std::int64_t, 0>(&steps)});
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(steps, expected.steps);
  EXPECT_EQ(y, expected.y);
}

TEST_F(CompiledControlFlowTest, ThreadsTakeTheirOwnPaths) {
  std::vector<Floats> inputs;
  for (const float scale : {1e-3f, 1.0f, 1e8f}) {
    for (const Floats& x : Routes(scale)) inputs.push_back(x);
  }
  std::vector<Result> expected;
  for (const Floats& x : inputs) expected.push_back(Run(x));
  std::vector<int> equal(8, 0);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < equal.size(); ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t run = 0; run < 100; ++run) {
        const std::size_t i = (t + run) % inputs.size();
        if (Run(inputs[i]) == expected[i]) ++equal[t];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(equal, std::vector<int>(8, 100));
}

}  // namespace
}  // namespace rules_torch
