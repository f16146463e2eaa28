// What torch_model_test takes for right: above all that it is not too much.
#include "runtime/testing/judge.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "rules_torch/dtype.h"

namespace rules_torch::testing {
namespace {

const double kInfinity = HUGE_VAL;
const double kNan = std::nan("");

// An output of three computations of the same.
template <typename T>
struct Output {
  std::vector<double> float64;
  std::vector<T> eager;
  std::vector<T> compiled;

  std::int64_t CountWrong(Tolerance tolerance = DefaultTolerance(DTypeOf<T>::value),
                          std::int64_t* worst = nullptr) const {
    Judge judge(DTypeOf<T>::value, tolerance, float64);
    for (std::size_t i = 0; i < eager.size(); ++i) {
      judge.Add(reinterpret_cast<const std::uint8_t*>(&compiled[i]),
                reinterpret_cast<const std::uint8_t*>(&eager[i]));
    }
    const std::int64_t wrong = judge.CountWrong();
    if (worst != nullptr) *worst = judge.worst();
    return wrong;
  }
};

// What two right programs make of values of a size whose terms are a hundred times as
// large: errors that the tolerance of float32 does not cover.
Output<float> Cancelled(std::size_t count, double size = 1, unsigned seed = 1) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal;
  Output<float> output;
  for (std::size_t i = 0; i < count; ++i) {
    const double right = size * normal(generator);
    const double noise = 100 * size * 0x1p-24;
    output.float64.push_back(right);
    output.eager.push_back(static_cast<float>(right + noise * normal(generator)));
    output.compiled.push_back(static_cast<float>(right + noise * normal(generator)));
  }
  return output;
}

TEST(JudgeTest, RoundingIsRight) {
  for (const std::size_t count : {100u, 10000u}) {
    const Output<float> output = Cancelled(count, 1000);
    EXPECT_EQ(output.CountWrong(), 0) << count;
    // Without float64 nobody could tell.
    EXPECT_GT((Output<float>{{}, output.eager, output.compiled}).CountWrong(), 0);
  }
}

// Luck is the larger the fewer elements there are: not one in a hundred outputs may
// fail by it.
TEST(JudgeTest, RoundingOfFewElementsIsRight) {
  for (const std::size_t count : {3u, 10u, 11u, 30u}) {
    int wrong = 0;
    for (unsigned seed = 0; seed < 1000; ++seed) {
      if (Cancelled(count, 1000, seed).CountWrong() > 0) ++wrong;
    }
    EXPECT_LE(wrong, 10) << count;
  }
}

TEST(JudgeTest, OneWrongElementOfAMillionIsFound) {
  Output<float> output = Cancelled(1000000, 1000);
  output.compiled[765432] += 1;  // a thousandth of the values
  std::int64_t worst = -1;
  EXPECT_EQ(output.CountWrong(DefaultTolerance(RTORCH_FLOAT32), &worst), 1);
  EXPECT_EQ(worst, 765432);
}

TEST(JudgeTest, ARelativeErrorOfAThousandthIsFound) {
  for (const double size : {1e-1, 1.0, 1e3, 1e6}) {
    Output<float> output = Cancelled(1000, size);
    for (float& value : output.compiled) value *= 1.001f;
    EXPECT_GT(output.CountWrong(), 0) << size;
  }
}

// One element is a million times as large as the others, and its rounding as theirs.
TEST(JudgeTest, SmallElementsBesideLargeOnesAreMeasuredByTheirSize) {
  Output<float> output = Cancelled(1000);
  output.float64[0] = 1e6 + 0.03;
  output.eager[0] = 1e6f;
  output.compiled[0] = 1e6f + 0.0625f;
  EXPECT_EQ(output.CountWrong(), 0);
  output.compiled[7] += 0.01f;
  std::int64_t worst = -1;
  EXPECT_EQ(output.CountWrong(DefaultTolerance(RTORCH_FLOAT32), &worst), 1);
  EXPECT_EQ(worst, 7);
}

// Eager's error of a value of zero is a thousand times the tolerance. Larger values
// are not measured by that.
TEST(JudgeTest, LargeElementsBesideLostOnesAreMeasuredByTheErrorItself) {
  Output<float> output = Cancelled(1000, 1000);
  output.float64[0] = 0;
  output.eager[0] = 0.01f;
  output.compiled[0] = -0.01f;
  EXPECT_EQ(output.CountWrong(), 0);
  output.float64[7] = output.eager[7] = 1000;
  output.compiled[7] = 1001;
  EXPECT_EQ(output.CountWrong(), 1);
}

// Of a phase: plus or minus pi as a zero's sign falls, here or there.
TEST(JudgeTest, JumpsMayBeElsewhere) {
  Output<float> output = Cancelled(10000);
  const float pi = 3.14159265f;
  for (std::size_t i = 0; i < 100; ++i) {
    output.float64[i] = output.eager[i] = output.compiled[i] = pi;
  }
  for (const std::size_t i : {3u, 50u, 77u}) output.eager[i] = -pi;
  for (const std::size_t i : {4u, 50u, 78u, 79u}) output.compiled[i] = -pi;
  EXPECT_EQ(output.CountWrong(), 0);
  // But no more than ten times as many, and no other error hides behind them.
  for (std::size_t i = 10; i < 50; ++i) output.compiled[i] = -pi;
  EXPECT_GT(output.CountWrong(), 0);
  for (std::size_t i = 10; i < 50; ++i) output.compiled[i] = pi;
  EXPECT_EQ(output.CountWrong(), 0);
  for (float& value : output.compiled) value *= 1.001f;
  EXPECT_GT(output.CountWrong(), 0);
}

// Fused code keeps float32 where eager rounds, and is nearer to the truth.
TEST(JudgeTest, BetterThanEagerIsRight) {
  Output<bfloat16> output{{1.0, 100.0}, {bfloat16(1.0625f), bfloat16(96)}, {}};
  output.compiled = {bfloat16(1), bfloat16(100)};
  EXPECT_EQ(output.CountWrong(), 0);
  EXPECT_GT((Output<bfloat16>{{}, output.eager, output.compiled}).CountWrong(), 0);
}

TEST(JudgeTest, TheToleranceIsAdded) {
  const Tolerance quarter{0.25, 0};
  EXPECT_EQ((Output<float>{{1}, {1}, {1.25f}}).CountWrong(quarter), 0);
  EXPECT_EQ((Output<float>{{1}, {1}, {1.375f}}).CountWrong(quarter), 1);
  // Ten times eager's error, and the tolerance.
  EXPECT_EQ((Output<float>{{1}, {1.125f}, {2.5f}}).CountWrong(quarter), 0);
  EXPECT_EQ((Output<float>{{1}, {1.125f}, {2.625f}}).CountWrong(quarter), 1);
  EXPECT_EQ((Output<float>{{1}, {1.125f}, {-0.5f}}).CountWrong(quarter), 0);
  // There may be none.
  EXPECT_EQ((Output<float>{{1}, {1.125f}, {2.25f}}).CountWrong({0, 0}), 0);
  EXPECT_EQ((Output<float>{{1}, {1.125f}, {2.5f}}).CountWrong({0, 0}), 1);
  EXPECT_EQ((Output<float>{{0, 1}, {0.5f, 1}, {0.5f, 2}}).CountWrong({0, 0}), 0);
}

TEST(JudgeTest, EagersInfinityAndNanAreRight) {
  const auto wrong = [](double float64, double eager, double compiled) {
    return Output<float>{
        {float64}, {static_cast<float>(eager)}, {static_cast<float>(compiled)}}
        .CountWrong();
  };
  for (const double right : {1e39, kNan, kInfinity, 1.0}) {
    EXPECT_EQ(wrong(right, kInfinity, kInfinity), 0) << right;
    EXPECT_EQ(wrong(right, kNan, kNan), 0) << right;
    EXPECT_EQ(wrong(right, kInfinity, -kInfinity), 1) << right;
    EXPECT_EQ(wrong(right, 1, kNan), 1) << right;
    EXPECT_EQ(wrong(right, 1, kInfinity), 1) << right;
  }
  // What overflowed in eager's steps need not, but then it has to be what it is.
  EXPECT_EQ(wrong(1, kInfinity, 1), 0);
  EXPECT_EQ(wrong(1, kNan, 1), 0);
  EXPECT_EQ(wrong(1, kInfinity, 1.1), 1);
  EXPECT_EQ(wrong(kInfinity, kInfinity, 1), 1);
  EXPECT_EQ(wrong(kNan, kNan, 1), 1);
  // Where float64 is no number, eager is right.
  EXPECT_EQ(wrong(kNan, 1, 1), 0);
  EXPECT_EQ(wrong(kNan, 1, 1.1), 1);
}

TEST(JudgeTest, Distances) {
  const std::vector<double> float64 = {4, 0, kInfinity};
  const std::vector<float> eager = {4.5f, 0.125f, HUGE_VALF};
  const std::vector<float> compiled = {5, 0.25f, HUGE_VALF};
  Judge judge(RTORCH_FLOAT32, {10, 0}, float64);
  for (std::size_t i = 0; i < eager.size(); ++i) {
    judge.Add(reinterpret_cast<const std::uint8_t*>(&compiled[i]),
              reinterpret_cast<const std::uint8_t*>(&eager[i]));
  }
  EXPECT_EQ(judge.CountWrong(), 0);
  EXPECT_EQ(judge.compiled_distance().absolute, 1);
  EXPECT_EQ(judge.compiled_distance().relative, 0.25);
  EXPECT_EQ(judge.eager_distance().absolute, 0.5);
  EXPECT_EQ(judge.eager_distance().relative, 0.125);
}

}  // namespace
}  // namespace rules_torch::testing
