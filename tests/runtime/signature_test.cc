#include "rules_torch/signature.h"

#include <array>
#include <cstdint>

#include "gtest/gtest.h"
#include "rules_torch/abi.h"

namespace rules_torch {
namespace {

// (image: float32[n, 2*n + 1, 3], ids: int64[m]) -> (found: int64[?, n])
constexpr RTorchSymbol kSymbols[] = {{"n", 1, 8}, {"m", 0, INT64_MAX}};
constexpr RTorchDim kImage[] = {
    {1, 8, 1, 0, 0, 0}, {3, 17, 2, 1, 0, 0}, {3, 3, 0, 0, -1, 0}};
constexpr RTorchDim kIds[] = {{0, INT64_MAX, 1, 0, 1, 0}};
constexpr RTorchDim kFound[] = {{0, INT64_MAX, 0, 0, -2, 0}, {1, 8, 1, 0, 0, 0}};
constexpr RTorchTensorSpec kInputs[] = {
    {"image", "float32[n, 2*n + 1, 3]", RTORCH_FLOAT32, 3, kImage, {}},
    {"ids", "int64[m]", RTORCH_INT64, 1, kIds, {}}};
constexpr RTorchTensorSpec kOutputs[] = {
    {"found", "int64[?, n]", RTORCH_INT64, 2, kFound, {}}};

RTorchModelApi Api() {
  RTorchModelApi api{};
  api.num_inputs = 2;
  api.num_outputs = 1;
  api.num_symbols = 2;
  api.inputs = kInputs;
  api.outputs = kOutputs;
  api.symbols = kSymbols;
  return api;
}

TEST(FindTest, FindsByName) {
  const RTorchModelApi api = Api();
  EXPECT_EQ(FindInput(api, "image"), 0);
  EXPECT_EQ(FindInput(api, "ids"), 1);
  EXPECT_EQ(FindOutput(api, "found"), 0);
  EXPECT_EQ(FindSymbol(api, "m"), 1);
}

TEST(FindTest, IsMinusOneForOtherNames) {
  const RTorchModelApi api = Api();
  EXPECT_EQ(FindInput(api, "found"), -1);
  EXPECT_EQ(FindInput(api, ""), -1);
  EXPECT_EQ(FindInput(api, "imag"), -1);
  EXPECT_EQ(FindInput(api, "image2"), -1);
  EXPECT_EQ(FindOutput(api, "image"), -1);
  EXPECT_EQ(FindSymbol(api, "k"), -1);
  EXPECT_EQ(FindInput(RTorchModelApi{}, "image"), -1);
}

TEST(SizesTest, AreBetweenMinAndMax) {
  std::array<std::int64_t, 3> sizes{};
  MinSizes(kInputs[0], sizes.data());
  EXPECT_EQ(sizes, (std::array<std::int64_t, 3>{1, 3, 3}));
  MaxSizes(kInputs[0], sizes.data());
  EXPECT_EQ(sizes, (std::array<std::int64_t, 3>{8, 17, 3}));
  MaxSizes(kInputs[1], sizes.data());
  EXPECT_EQ(sizes[0], INT64_MAX);
}

TEST(SizesTest, FollowTheSymbols) {
  constexpr std::array<std::int64_t, 2> kValues = {4, 100};
  std::array<std::int64_t, 3> sizes{};
  SizesOf(kInputs[0], kValues.data(), sizes.data());
  EXPECT_EQ(sizes, (std::array<std::int64_t, 3>{4, 9, 3}));
  SizesOf(kInputs[1], kValues.data(), sizes.data());
  EXPECT_EQ(sizes[0], 100);
}

TEST(SizesTest, AreMinusOneWhereOnlyTheRunCanTell) {
  constexpr std::array<std::int64_t, 2> kValues = {4, 100};
  std::array<std::int64_t, 2> sizes{};
  SizesOf(kOutputs[0], kValues.data(), sizes.data());
  EXPECT_EQ(sizes, (std::array<std::int64_t, 2>{-1, 4}));
}

// In a constant, an overflow would not compile.
TEST(SizesTest, OfHugeSymbolsWrapAround) {
  constexpr std::int64_t kHuge = INT64_MAX;
  constexpr std::int64_t kSize = SizeOf(kImage[1], &kHuge);
  EXPECT_EQ(kSize, -1);
}

}  // namespace
}  // namespace rules_torch
