// An output whose size only the run can tell. See corners.py.
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/runtime/positive.h"

namespace rules_torch {
namespace {

using corners::Positive;

class CompiledSizesTest : public ::testing::Test {
 protected:
  static Positive Make() {
    StatusOr<Positive> made = Positive::Create();
    if (!made.ok()) ADD_FAILURE() << made.status().message();
    return *std::move(made);
  }

  static Positive::Inputs Inputs(const std::vector<float>& x) {
    return {{x.data(), {static_cast<std::int64_t>(x.size())}}};
  }

  const Positive model_ = Make();
};

// What is known of them before the run.
static_assert(Positive::OutputSizes({7}).places[0] == -1);
static_assert(Positive::OutputSizes({7}).places[1] == 1);
static_assert(Positive::OutputSizes({7}).next[0] == 7);

TEST_F(CompiledSizesTest, AreThoseOfTheResult) {
  const std::vector<float> x = {1, -1, 0, 2, 3};
  const StatusOr<Positive::Outputs> outputs = model_.Run(Inputs(x));
  ASSERT_TRUE(outputs.ok()) << outputs.status().message();
  EXPECT_EQ(outputs->places.sizes(), (std::array<std::int64_t, 2>{3, 1}));
  EXPECT_EQ(std::vector<std::int64_t>(outputs->places.begin(), outputs->places.end()),
            (std::vector<std::int64_t>{0, 3, 4}));
}

TEST_F(CompiledSizesTest, MayBeZero) {
  const StatusOr<Positive::Outputs> outputs = model_.Run(Inputs({-1, 0}));
  ASSERT_TRUE(outputs.ok()) << outputs.status().message();
  EXPECT_EQ(outputs->places.sizes(), (std::array<std::int64_t, 2>{0, 1}));
  EXPECT_EQ(outputs->places.begin(), outputs->places.end());
}

TEST_F(CompiledSizesTest, MustBeTheBuffers) {
  const std::vector<float> x = {1, -1, 0, 2, 3};
  std::array<std::int64_t, 6> places = {9, 9, 9, 9, 9, 9};
  std::array<float, 5> next{};
  const auto run = [&](std::int64_t count) {
    return model_.Run(Inputs(x),
                      {{places.data(), {count, 1}, {2, 1}}, {next.data(), {5}}});
  };
  const Status status = run(3);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(places, (std::array<std::int64_t, 6>{0, 9, 3, 9, 4, 9}));
  EXPECT_EQ(next[4], 4);

  places.fill(9);
  const Status too_small = run(2);
  EXPECT_EQ(too_small.code(), RTORCH_INVALID_ARGUMENT);
  EXPECT_EQ(too_small.message(),
            "output 'places': expected int64[?, 1], got int64[2, 1]: the result is "
            "int64[3, 1]");
  EXPECT_EQ(places, (std::array<std::int64_t, 6>{9, 9, 9, 9, 9, 9}));
  EXPECT_FALSE(run(4).ok());
}

}  // namespace
}  // namespace rules_torch
