// Layouts of tensors in memory.
#include "runtime/internal/layout.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace rules_torch::internal {
namespace {

using Sizes = std::vector<std::int64_t>;

bool RowMajor(const Sizes& sizes, const Sizes& strides) {
  return IsRowMajor(
      {sizes.data(), strides.data(), static_cast<std::int32_t>(sizes.size())});
}

TEST(LayoutTest, WhatIsRowMajor) {
  EXPECT_TRUE(RowMajor({}, {}));
  EXPECT_TRUE(RowMajor({2, 3}, {3, 1}));
  EXPECT_TRUE(RowMajor({2, 1, 3}, {3, 99, 1})) << "no index is multiplied with 99";
  EXPECT_TRUE(RowMajor({2, 0, 3}, {7, 7, 7})) << "no element is anywhere";
  EXPECT_FALSE(RowMajor({2, 3}, {1, 2}));
  EXPECT_FALSE(RowMajor({2, 3}, {4, 1}));
  EXPECT_FALSE(RowMajor({2, 3}, {0, 1}));
}

TEST(LayoutTest, RowMajorStrides) {
  const Sizes sizes = {2, 3, 4};
  Sizes strides(3);
  SetRowMajor(sizes.data(), 3, strides.data());
  EXPECT_EQ(strides, (Sizes{12, 4, 1}));
  const Sizes empty = {2, 0, 4};
  SetRowMajor(empty.data(), 3, strides.data());
  EXPECT_EQ(strides, (Sizes{4, 4, 1}));
}

// Where element `index` lies; counts the indices up from the last.
std::int64_t Offset(std::int64_t index, const Sizes& sizes, const Sizes& strides) {
  std::int64_t offset = 0;
  for (std::size_t i = sizes.size(); i-- > 0;) {
    offset += index % sizes[i] * strides[i];
    index /= sizes[i];
  }
  return offset;
}

// Against one element at a time.
TEST(LayoutTest, CopiesAndCompares) {
  std::mt19937 random(1);
  const auto below = [&](std::uint32_t bound) {
    return static_cast<std::int64_t>(random() % bound);
  };
  for (int times = 0; times < 2000; ++times) {
    Sizes sizes;
    Sizes strides;
    const auto rank = static_cast<std::int32_t>(below(5));
    for (std::int32_t i = 0; i < rank; ++i) {
      sizes.push_back(below(30) == 0 ? 0 : 1 + below(4));
    }
    Sizes to_strides(sizes.size());
    SetRowMajor(sizes.data(), rank, to_strides.data());
    strides = to_strides;
    // Other orders, gaps, and elements that lie in one place.
    if (rank > 0 && below(4) != 0) {
      std::shuffle(strides.begin(), strides.end(), random);
      strides[0] += below(3);
      if (below(4) == 0) strides.back() = 0;
    }
    if (rank > 0 && below(2) != 0) to_strides[0] += 1 + below(5);

    const std::size_t width = std::size_t{1} << below(4);
    std::vector<std::uint8_t> memory(1024 * width + 1);
    for (std::uint8_t& byte : memory) byte = static_cast<std::uint8_t>(below(256));
    const std::uint8_t* from = memory.data() + below(2);  // in files it is anywhere
    std::vector<std::uint8_t> to(1024 * width, 1);
    std::vector<std::uint8_t> expected = to;
    const std::int64_t count = NumElements(sizes.data(), rank);
    for (std::int64_t i = 0; i < count; ++i) {
      for (std::size_t byte = 0; byte < width; ++byte) {
        expected[static_cast<std::size_t>(Offset(i, sizes, to_strides)) * width +
                 byte] =
            from[static_cast<std::size_t>(Offset(i, sizes, strides)) * width + byte];
      }
    }
    const Layout layout = {sizes.data(), strides.data(), rank};
    CopyElements(from, layout, to.data(), to_strides.data(), width);
    ASSERT_EQ(to, expected);
    EXPECT_TRUE(EqualElements(from, layout, to.data(), to_strides.data(), width));
    if (count > 0) {
      const std::int64_t last = Offset(count - 1, sizes, to_strides);
      to[static_cast<std::size_t>(last + 1) * width - 1] ^= 1;
      EXPECT_FALSE(EqualElements(from, layout, to.data(), to_strides.data(), width));
    }
  }
}

}  // namespace
}  // namespace rules_torch::internal
