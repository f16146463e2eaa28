// Activations against float64, over all magnitudes.
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "gtest/gtest.h"
#include "tests/runtime/standalone/kernels.h"
#include "tests/runtime/standalone/variants.h"

namespace rules_torch::testing {
namespace {

using ActivationTest = KernelsTest;

// Every 4999th float, and those that tests of the kind forget.
std::vector<float> Everywhere() {
  std::vector<float> xs;
  for (std::uint64_t bits = 0; bits <= UINT32_MAX; bits += 4999) {
    const auto word = static_cast<std::uint32_t>(bits);
    float x = 0;
    std::memcpy(&x, &word, sizeof(x));
    xs.push_back(x);
  }
  for (float x : {0.0f, 0.625f, 1.0f, 3.0f, 4.0f, 88.7228f, 88.73f, 103.9f, 104.1f,
                  FLT_MAX, FLT_MIN, std::numeric_limits<float>::infinity(),
                  std::numeric_limits<float>::quiet_NaN()}) {
    xs.push_back(x);
    xs.push_back(-x);
  }
  return xs;
}

// What the header states, in terms of the input where it cancels.
double BoundOf(Activate activation, double x, double want) {
  const double place = FLT_EPSILON * std::fabs(want) + FLT_TRUE_MIN;
  switch (activation) {
    case Activate::kNone:
    case Activate::kRelu:
    case Activate::kClamp:
      return 0;
    case Activate::kHardsigmoid:
      return 2 * place + FLT_EPSILON * (x < -2 && x > -4 ? 1 : 0);
    case Activate::kSigmoid:
    case Activate::kTanh:
      return 4 * place + 2 / double{FLT_MAX};
    case Activate::kHardswish:
      // The sum x + 3 is rounded, next to -3 to what is much of it.
      return 2 * place + FLT_EPSILON * std::fabs(x);
    case Activate::kSilu:
      // Where exp(-x) is beyond what a float holds, 0.
      return 4 * place + 90 / double{FLT_MAX};
    default:
      return 4 * place + std::ldexp(std::fabs(x), -22);
  }
}

TEST_P(ActivationTest, AllMagnitudesAreNearFloat64) {
  const std::vector<float> xs = Everywhere();
  std::vector<float> got(xs.size());
  for (Activate activation : kActivations) {
    kernels().activate(activation, xs.data(), static_cast<std::int64_t>(xs.size()),
                       got.data());
    for (std::size_t i = 0; i < xs.size(); ++i) {
      const double x = xs[i];
      double want = ActivateExactly(activation, x, -1, 1);
      // Eager's are NaN there, in any precision.
      if (x == -std::numeric_limits<double>::infinity() &&
          activation >= Activate::kHardswish) {
        want = std::numeric_limits<double>::quiet_NaN();
      }
      if (std::fabs(want) > FLT_MAX) want = std::copysign(INFINITY, want);
      ASSERT_TRUE(IsNear(got[i], want, BoundOf(activation, x, want)))
          << "activation " << static_cast<int>(activation) << " of " << x << ": "
          << got[i] << " instead of " << want;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, ActivationTest, ::testing::ValuesIn(AllKernels()),
                         NameOf);

}  // namespace
}  // namespace rules_torch::testing
