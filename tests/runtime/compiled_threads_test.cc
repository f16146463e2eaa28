// Many callers of one instance, of a model without state and of one with it. See
// corners.py.
#include <cstddef>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/runtime/cube.h"
#include "tests/runtime/sharing.h"

namespace rules_torch {
namespace {

using corners::Cube;
using corners::Sharing;

constexpr std::size_t kThreads = 8;
constexpr int kRunsEach = 50;

template <typename Model>
Model Make() {
  StatusOr<Model> made = Model::Create();
  if (!made.ok()) ADD_FAILURE() << made.status().message();
  return *std::move(made);
}

// Calls `act` in several threads at once, with the number of each.
template <typename Act>
void InThreads(Act act) {
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kThreads; ++i) threads.emplace_back(act, i);
  for (std::thread& thread : threads) thread.join();
}

TEST(CompiledThreadsTest, CallersWithSizesOfTheirOwn) {
  const Cube model = Make<Cube>();
  std::vector<int> right(kThreads, 0);
  InThreads([&](std::size_t i) {
    const auto size = static_cast<std::int64_t>(i) + 1;
    const std::vector<float> x(i + 1, static_cast<float>(size));
    for (int run = 0; run < kRunsEach; ++run) {
      const StatusOr<Cube::Outputs> outputs = model.Run({{x.data(), {size}}});
      right[i] += outputs.ok() && outputs->y.num_elements() == size * size * size &&
                  outputs->y(0, size - 1, 0) == static_cast<float>(size * size * size);
    }
  });
  EXPECT_EQ(right, std::vector<int>(kThreads, kRunsEach));
}

TEST(CompiledThreadsTest, CallersOfAModelWithState) {
  Sharing model = Make<Sharing>();
  const std::vector<float> x(6, 1);
  std::vector<int> right(kThreads, 0);
  InThreads([&](std::size_t i) {
    float before = 0;
    for (int run = 0; run < kRunsEach; ++run) {
      const StatusOr<Sharing::Outputs> outputs = model.Run({{x.data(), {2, 3}}});
      // The state of one run, whole: each run adds one.
      right[i] += outputs.ok() && outputs->total(0, 0) > before &&
                  outputs->total(0, 0) == outputs->total(1, 2);
      if (outputs.ok()) before = outputs->total(0, 0);
    }
  });
  EXPECT_EQ(right, std::vector<int>(kThreads, kRunsEach));
  const StatusOr<Sharing::Outputs> last = model.Run({{x.data(), {2, 3}}});
  ASSERT_TRUE(last.ok());
  EXPECT_EQ(last->total(0, 0), kThreads * kRunsEach + 1);
}

TEST(CompiledThreadsTest, InstancesAreMadeAndDestroyedMeanwhile) {
  std::vector<int> right(kThreads, 0);
  const std::vector<float> x(6, 1);
  InThreads([&](std::size_t i) {
    for (int run = 0; run < kRunsEach; ++run) {
      StatusOr<Sharing> model = Sharing::Create();
      if (!model.ok()) continue;
      const StatusOr<Sharing::Outputs> outputs = model->Run({{x.data(), {2, 3}}});
      right[i] += outputs.ok() && outputs->total(0, 0) == 1;
    }
  });
  EXPECT_EQ(right, std::vector<int>(kThreads, kRunsEach));
}

}  // namespace
}  // namespace rules_torch
