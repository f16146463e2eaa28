// A compiled model computes its results where the caller wants them. See corners.py.
#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "tests/runtime/cube.h"
#include "tests/runtime/positive.h"
#include "tests/runtime/sharing.h"

namespace {

std::atomic<std::size_t> largest{0};  // of all allocations for tensors, in bytes

}  // namespace

// Stands before libc's, which models ask for the memory of tensors.
extern "C" void* aligned_alloc(std::size_t alignment, std::size_t size) {
  static const auto real =
      reinterpret_cast<decltype(&aligned_alloc)>(dlsym(RTLD_NEXT, "aligned_alloc"));
  std::size_t before = largest;
  while (before < size && !largest.compare_exchange_weak(before, size)) {
  }
  return real(alignment, size);
}

namespace rules_torch {
namespace {

constexpr std::int64_t kSize = 40;
constexpr std::size_t kBytes = kSize * kSize * kSize * sizeof(float);

class CompiledTargetsTest : public ::testing::Test {
 protected:
  std::vector<float> x_ = std::vector<float>(kSize, 2);
  std::vector<float> y_ = std::vector<float>(kSize * kSize * kSize);
};

TEST_F(CompiledTargetsTest, NoMemoryIsAllocatedForThem) {
  const auto model = corners::Cube::Create();
  ASSERT_TRUE(model.ok());
  const corners::Cube::Inputs inputs = {{x_.data(), {kSize}}};
  largest = 0;
  ASSERT_TRUE(model->Run(inputs).ok());
  EXPECT_GE(largest, kBytes);  // so that they are seen

  largest = 0;
  const Status status = model->Run(inputs, {{y_.data(), {kSize, kSize, kSize}}});
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_LT(largest, kBytes);
  EXPECT_EQ(y_, std::vector<float>(y_.size(), 8));
}

TEST_F(CompiledTargetsTest, MayBeTheInputsMemory) {
  const auto model = corners::Positive::Create();
  ASSERT_TRUE(model.ok());
  std::vector<float> x = {-1, 2, -3, 4};
  std::vector<std::int64_t> places(2);
  const Status status =
      model->Run({{x.data(), {4}}}, {{places.data(), {2, 1}}, {x.data(), {4}}});
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(places, (std::vector<std::int64_t>{1, 3}));
  EXPECT_EQ(x, (std::vector<float>{0, 3, -2, 5}));
}

TEST_F(CompiledTargetsTest, OfAnotherSizeThanTheResultAreRefused) {
  const auto model = corners::Positive::Create();
  ASSERT_TRUE(model.ok());
  std::vector<float> x = {-1, 2, -3, 4};
  std::vector<float> next(4);
  std::vector<std::int64_t> places(8);
  for (const std::int64_t size : {1, 3, 8}) {
    const Status status =
        model->Run({{x.data(), {4}}}, {{places.data(), {size, 1}}, {next.data(), {4}}});
    EXPECT_EQ(status.code(), RTORCH_INVALID_ARGUMENT);
    EXPECT_NE(status.message().find("output 'places'"), std::string::npos)
        << status.message();
  }
}

// One of the outputs that share memory in the caller's: the others are copies.
TEST_F(CompiledTargetsTest, AreNotWhereOtherOutputsAreOwned) {
  const RTorchModelApi& api = corners::Sharing::Api();
  std::vector<float> x = {1, 2, 3, 4, 5, 6};
  const RTorchTensor input = TensorView<float, 2>(x.data(), {2, 3}).abi();
  for (std::int32_t i = 0; i < api.num_outputs; ++i) {
    std::vector<float> memory(6, -1);
    std::vector<RTorchTensor> outputs(static_cast<std::size_t>(api.num_outputs));
    RTorchTensor& given = outputs[static_cast<std::size_t>(i)];
    given.data = memory.data();
    given.dtype = RTORCH_FLOAT32;
    given.device = {RTORCH_CPU, 0};
    given.rank = api.outputs[i].rank;
    std::int64_t stride = 1;
    for (std::int32_t d = given.rank; d-- > 0;) {
      given.sizes[d] = api.outputs[i].dims[d].min;
      given.strides[d] = stride;
      stride *= given.sizes[d];
    }
    RTorchModel* model = nullptr;
    ASSERT_EQ(api.create(&api, nullptr, &model, nullptr), RTORCH_OK);
    RTorchError error{};
    ASSERT_EQ(
        api.run(model, &input, 1, outputs.data(), api.num_outputs, nullptr, &error),
        RTORCH_OK)
        << error.message;
    const std::vector<float> result(memory.begin(), memory.begin() + stride);
    std::fill(memory.begin(), memory.end(), -2.f);
    // Its twin has what it has, and keeps it.
    const std::int32_t twin = (i + api.num_outputs / 2) % api.num_outputs;
    const auto* data =
        static_cast<const float*>(outputs[static_cast<std::size_t>(twin)].data);
    EXPECT_EQ(std::vector<float>(data, data + stride), result) << api.outputs[i].name;
    for (RTorchTensor& output : outputs) {
      if (&output != &given) api.release(&output);
    }
    api.destroy(model);
  }
}

}  // namespace
}  // namespace rules_torch
