// What goes wrong in operators, for models of either runtime.
#include <array>
#include <string>

#include "gtest/gtest.h"
#include "rules_torch/model.h"

extern "C" const RTorchModelApi* CHECKED(void);
extern "C" const RTorchModelApi* MISFIT(void);

namespace rules_torch {
namespace {

// Runs a model of one vector to another; returns the last element, or the error.
std::string LastOf(const RTorchModelApi& api, std::array<float, 4> x) {
  auto model = Model::Create(&api, {});
  if (!model.ok()) return std::string(model.status().message());
  const RTorchTensor in = TensorView<const float, 1>(x).abi();
  RTorchTensor out = {};
  const Status status = model->Run(&in, 1, &out, 1, {});
  if (!status.ok()) {
    EXPECT_EQ(status.code(), RTORCH_INTERNAL);
    return std::string(status.message());
  }
  const Tensor<float, 1> result(out);
  return std::to_string(result(3));
}

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

TEST(ErrorsTest, AnOperatorsOwnErrorIsTheRuns) {
  EXPECT_EQ(LastOf(*CHECKED(), {1, 2, 3, 4}), "5.000000");
  const std::string error = LastOf(*CHECKED(), {1, -2, 3, 4});
  EXPECT_TRUE(EndsWith(error, ": shop::checked: no negative prices")) << error;
  EXPECT_EQ(LastOf(*CHECKED(), {1, 2, 3, 4}), "5.000000");
}

// Generated code would read what is not there.
TEST(ErrorsTest, AResultThatIsNotAsPromised) {
  const std::string error = LastOf(*MISFIT(), {1, 2, 3, 4});
  EXPECT_TRUE(
      EndsWith(error,
               ": shop::misfit made a result of another dtype, sizes or strides "
               "than its fake implementation says"))
      << error;
}

}  // namespace
}  // namespace rules_torch
