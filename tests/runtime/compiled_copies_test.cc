// Large inputs and outputs that lie otherwise than row-major: each element arrives,
// whichever thread copies it. See corners.py.
#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "gtest/gtest.h"
#include "tests/runtime/tilted.h"

namespace rules_torch {
namespace {

// Adds 1 to float32[a, b, c].
using corners::Tilted;

using Sizes = std::array<std::int64_t, 3>;

std::int64_t At(const Sizes& strides, std::int64_t i, std::int64_t j, std::int64_t k) {
  return i * strides[0] + j * strides[1] + k * strides[2];
}

class CompiledCopiesTest : public ::testing::TestWithParam<Sizes> {};

// A dimension order of the memory, as strides.
Sizes StridesOf(const Sizes& sizes, const std::array<std::size_t, 3>& order) {
  Sizes strides{};
  std::int64_t stride = 1;
  for (const std::size_t dim : order) {
    strides[dim] = stride;
    stride *= sizes[dim];
  }
  return strides;
}

TEST_P(CompiledCopiesTest, InAnyOrderOfTheDimensions) {
  const Sizes sizes = GetParam();
  const auto model = Tilted::Create();
  ASSERT_TRUE(model.ok()) << model.status();
  std::vector<float> x(static_cast<std::size_t>(sizes[0] * sizes[1] * sizes[2]));
  ASSERT_GE(x.size() * sizeof(float), std::size_t{1} << 20);
  std::iota(x.begin(), x.end(), 0.f);
  for (const auto& order : {std::array<std::size_t, 3>{0, 1, 2},
                            {0, 2, 1},
                            {1, 0, 2},
                            {1, 2, 0},
                            {2, 0, 1}}) {
    const Sizes strides = StridesOf(sizes, order);
    // Inputs lie so, and results go back to front.
    std::vector<float> y(x.size(), -1);
    const Sizes reversed = {-strides[0], -strides[1], -strides[2]};
    float* const last = y.data() + y.size() - 1;
    const Status status =
        model->Run({{x.data(), sizes, strides}}, {{last, sizes, reversed}});
    ASSERT_TRUE(status.ok()) << status;
    std::size_t wrong = 0;
    for (std::int64_t i = 0; i < sizes[0]; ++i) {
      for (std::int64_t j = 0; j < sizes[1]; ++j) {
        for (std::int64_t k = 0; k < sizes[2]; ++k) {
          const float got = last[At(reversed, i, j, k)];
          wrong += got != x[static_cast<std::size_t>(At(strides, i, j, k))] + 1;
        }
      }
    }
    EXPECT_EQ(wrong, 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, CompiledCopiesTest,
                         ::testing::Values(Sizes{64, 64, 65}, Sizes{3, 1, 100000},
                                           Sizes{300000, 1, 1}, Sizes{1, 700, 401}));

}  // namespace
}  // namespace rules_torch
