// Real models that run out of memory, in the generated code and in the runtime. See
// corners.py.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "rules_torch/abi.h"
#include "rules_torch/model.h"
#include "tests/runtime/allocations.h"
#include "tests/runtime/cube.h"

namespace rules_torch::testing {
namespace {

using corners::Cube;

RTorchTensor Ones(std::vector<float>* x) {
  return TensorView<float, 1>(x->data(), {static_cast<std::int64_t>(x->size())}).abi();
}

class CompiledMemoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(api_.create(&api_, nullptr, &model_, nullptr), RTORCH_OK);
  }
  void TearDown() override { api_.destroy(model_); }

  // What a run on n ones says that cannot have the memory for its result.
  std::string ErrorOf(std::size_t n) {
    std::vector<float> x(n, 1);
    const RTorchTensor input = Ones(&x);
    RTorchTensor output{};
    RTorchError error{};
    EXPECT_EQ(api_.run(model_, &input, 1, &output, 1, nullptr, &error),
              RTORCH_RESOURCE_EXHAUSTED);
    EXPECT_EQ(output.data, nullptr);
    return error.message;
  }

  const RTorchModelApi& api_ = Cube::Api();
  RTorchModel* model_ = nullptr;
};

TEST_F(CompiledMemoryTest, MoreThanAProcessCanHave) {
  const std::string message = ErrorOf(std::size_t{1} << 15);  // 2^47 bytes
  EXPECT_EQ(message.find("//tests/runtime:cube: out of memory"), 0u) << message;
  EXPECT_NE(message.find("140737488355328 bytes"), std::string::npos) << message;
}

TEST_F(CompiledMemoryTest, MoreThanThereAreAddresses) {
  const std::string message = ErrorOf(std::size_t{1} << 21);  // 2^65 bytes
  EXPECT_EQ(message.find("//tests/runtime:cube: out of memory"), 0u) << message;
}

TEST_F(CompiledMemoryTest, TheModelWorksOnAfterwards) {
  ErrorOf(std::size_t{1} << 15);
  std::vector<float> x(3, 2);
  const RTorchTensor input = Ones(&x);
  RTorchTensor output{};
  ASSERT_EQ(api_.run(model_, &input, 1, &output, 1, nullptr, nullptr), RTORCH_OK);
  EXPECT_EQ(static_cast<float*>(output.data)[26], 8);
  api_.release(&output);
}

// Whichever allocation of the runtime's or the generated code's fails.
TEST_F(CompiledMemoryTest, AnyAllocationOfARun) {
  std::vector<float> x(3, 2);
  const RTorchTensor input = Ones(&x);
  RTorchTensor output{};
  const int failures = FailuresUntilSuccess([&](int count, RTorchError* error) {
    const OnlyAllocations scarce(count);
    return api_.run(model_, &input, 1, &output, 1, nullptr, error);
  });
  EXPECT_GT(failures, 0);
  EXPECT_EQ(static_cast<float*>(output.data)[26], 8);
  api_.release(&output);
}

TEST_F(CompiledMemoryTest, AnyAllocationOfCreate) {
  RTorchModel* another = nullptr;
  const int failures = FailuresUntilSuccess([&](int count, RTorchError* error) {
    const OnlyAllocations scarce(count);
    return api_.create(&api_, nullptr, &another, error);
  });
  EXPECT_GT(failures, 0);
  api_.destroy(another);
}

}  // namespace
}  // namespace rules_torch::testing
