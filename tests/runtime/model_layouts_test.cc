// Backends see contiguous inputs only, whatever the caller's strides.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "rules_torch/model.h"
#include "tests/runtime/fake_model.h"
#include "tests/runtime/layouts.h"

namespace rules_torch::testing {
namespace {

// What a backend saw of an input.
struct Seen {
  RTorchTensor tensor;
  std::vector<std::uint8_t> bytes;
};

// Runs a model with one input of exactly this dtype and these sizes.
Seen See(const RTorchTensor& input) {
  std::vector<RTorchDim> dims;
  for (std::int32_t i = 0; i < input.rank; ++i) dims.push_back(Fixed(input.sizes[i]));
  Seen seen{};
  const FakeModel fake(
      {{{"x", "", static_cast<RTorchDType>(input.dtype), dims}}, {}, {}},
      [&](const RTorchTensor* inputs, auto*, auto*, auto*) {
        seen.tensor = inputs[0];
        seen.bytes = Gather(inputs[0]);
        return true;
      });
  const StatusOr<Model> model = Model::Create(&fake.api());
  const Status status = model->Run(&input, 1, nullptr, 0);
  EXPECT_TRUE(status.ok()) << status.message();
  return seen;
}

template <std::size_t kRank>
std::array<std::int64_t, kRank> Strides(const Seen& seen) {
  std::array<std::int64_t, kRank> strides{};
  for (std::size_t i = 0; i < kRank; ++i) strides[i] = seen.tensor.strides[i];
  return strides;
}

template <typename T>
std::vector<T> Elements(const Seen& seen) {
  std::vector<T> elements(seen.bytes.size() / sizeof(T));
  std::memcpy(elements.data(), seen.bytes.data(), seen.bytes.size());
  return elements;
}

using Ints = std::vector<std::int32_t>;

class LayoutsTest : public ::testing::Test {
 protected:
  Ints data_ = {0, 1, 2, 3, 4, 5};
};

TEST_F(LayoutsTest, ContiguousIsNotCopied) {
  const Seen seen = See(TensorView<std::int32_t, 2>(data_.data(), {2, 3}).abi());
  EXPECT_EQ(seen.tensor.data, data_.data());
  EXPECT_EQ(Elements<std::int32_t>(seen), data_);
}

TEST_F(LayoutsTest, Transposed) {
  const Seen seen =
      See(TensorView<std::int32_t, 2>(data_.data(), {3, 2}, {1, 3}).abi());
  EXPECT_NE(seen.tensor.data, data_.data());
  EXPECT_EQ(Elements<std::int32_t>(seen), (Ints{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(Strides<2>(seen), (std::array<std::int64_t, 2>{2, 1}));
}

TEST_F(LayoutsTest, Backwards) {
  const TensorView<std::int32_t, 2> view(data_.data() + 5, {2, 3}, {-3, -1});
  EXPECT_EQ(Elements<std::int32_t>(See(view.abi())), (Ints{5, 4, 3, 2, 1, 0}));
  const TensorView<std::int32_t, 2> rows(data_.data() + 3, {2, 3}, {-3, 1});
  EXPECT_EQ(Elements<std::int32_t>(See(rows.abi())), (Ints{3, 4, 5, 0, 1, 2}));
}

TEST_F(LayoutsTest, Broadcast) {
  const TensorView<std::int32_t, 2> rows(data_.data(), {2, 3}, {0, 1});
  EXPECT_EQ(Elements<std::int32_t>(See(rows.abi())), (Ints{0, 1, 2, 0, 1, 2}));
  const TensorView<std::int32_t, 2> columns(data_.data(), {2, 3}, {1, 0});
  EXPECT_EQ(Elements<std::int32_t>(See(columns.abi())), (Ints{0, 0, 0, 1, 1, 1}));
  const TensorView<std::int32_t, 1> one(data_.data() + 4, {5}, {0});
  EXPECT_EQ(Elements<std::int32_t>(See(one.abi())), (Ints{4, 4, 4, 4, 4}));
}

TEST_F(LayoutsTest, EveryOther) {
  const TensorView<std::int32_t, 1> view(data_.data() + 1, {3}, {2});
  EXPECT_EQ(Elements<std::int32_t>(See(view.abi())), (Ints{1, 3, 5}));
}

TEST_F(LayoutsTest, PaddedRows) {
  const TensorView<std::int32_t, 2> view(data_.data(), {2, 2}, {3, 1});
  EXPECT_EQ(Elements<std::int32_t>(See(view.abi())), (Ints{0, 1, 3, 4}));
}

TEST_F(LayoutsTest, StridesOfSizeOneAreNormalisedWithoutACopy) {
  const TensorView<std::int32_t, 4> view(data_.data(), {1, 2, 1, 3}, {-9, 3, 999, 1});
  const Seen seen = See(view.abi());
  EXPECT_EQ(seen.tensor.data, data_.data());
  EXPECT_EQ(Strides<4>(seen), (std::array<std::int64_t, 4>{6, 3, 3, 1}));
}

TEST_F(LayoutsTest, StridesOfNothingAreNormalised) {
  const TensorView<std::int32_t, 3> view(data_.data(), {2, 0, 3}, {-5, 7, 0});
  const Seen seen = See(view.abi());
  EXPECT_EQ(Strides<3>(seen), (std::array<std::int64_t, 3>{3, 3, 1}));
  EXPECT_TRUE(seen.bytes.empty());
}

TEST_F(LayoutsTest, Scalar) {
  const Seen seen = See(TensorView<std::int32_t, 0>(data_.data() + 2).abi());
  EXPECT_EQ(seen.tensor.data, data_.data() + 2);
  EXPECT_EQ(Elements<std::int32_t>(seen), (Ints{2}));
}

TEST_F(LayoutsTest, ACopyIsAlignedForVectorCode) {
  const TensorView<std::int32_t, 2> view(data_.data(), {3, 2}, {1, 3});
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(See(view.abi()).tensor.data) % 64, 0u);
}

TEST_F(LayoutsTest, EachInputIsCopiedForItself) {
  const FakeModel fake({{{"a", "", RTORCH_INT32, {Fixed(3)}},
                         {"b", "", RTORCH_INT32, {Fixed(3)}},
                         {"c", "", RTORCH_INT32, {Fixed(3)}}},
                        {},
                        {}},
                       [&](const RTorchTensor* inputs, auto*, auto*, auto*) {
                         std::vector<std::uint8_t> all;
                         for (int i = 0; i < 3; ++i) {
                           const auto bytes = Gather(inputs[i]);
                           all.insert(all.end(), bytes.begin(), bytes.end());
                         }
                         Ints elements(9);
                         std::memcpy(elements.data(), all.data(), all.size());
                         EXPECT_EQ(elements, (Ints{4, 2, 0, 1, 2, 3, 1, 3, 5}));
                         EXPECT_EQ(inputs[1].data, data_.data() + 1);
                         return true;
                       });
  const std::array<RTorchTensor, 3> inputs = {
      TensorView<std::int32_t, 1>(data_.data() + 4, {3}, {-2}).abi(),
      TensorView<std::int32_t, 1>(data_.data() + 1, {3}).abi(),
      TensorView<std::int32_t, 1>(data_.data() + 1, {3}, {2}).abi()};
  const StatusOr<Model> model = Model::Create(&fake.api());
  EXPECT_TRUE(model->Run(inputs.data(), 3, nullptr, 0).ok());
  EXPECT_EQ(fake.runs(), 1);
}

// Every width of element, every rank, and layouts that nobody thinks of.
TEST(RandomLayoutsTest, ArriveContiguousAndWhole) {
  std::mt19937 random(1);
  const std::array<std::int32_t, 4> dtypes = {RTORCH_UINT8, RTORCH_FLOAT16,
                                              RTORCH_FLOAT32, RTORCH_FLOAT64};
  for (int trial = 0; trial < 2000; ++trial) {
    const std::int32_t dtype = dtypes[static_cast<std::size_t>(trial % 4)];
    const Placed input = PlaceAtRandom(
        &random, dtype, RandomSizes(&random, RTORCH_MAX_RANK), /*repeats=*/true);
    SCOPED_TRACE(Describe(input.tensor));
    const Seen seen = See(input.tensor);
    ASSERT_EQ(seen.bytes, Gather(input.tensor));
    std::int64_t stride = 1;
    for (std::int32_t i = input.tensor.rank; i-- > 0;) {
      ASSERT_EQ(seen.tensor.sizes[i], input.tensor.sizes[i]);
      ASSERT_EQ(seen.tensor.strides[i], stride);
      stride *= std::max<std::int64_t>(input.tensor.sizes[i], 1);
    }
  }
}

}  // namespace
}  // namespace rules_torch::testing
