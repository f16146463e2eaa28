// A scripted module with a compiled model within, in a C++ program. $SCRIPTED names it.
#include <gtest/gtest.h>
#include <torch/script.h>

#include <cstdlib>
#include <string>

#include "models/mlp.h"

namespace {

TEST(JitTest, RunsTheModelWithin) {
  torch::jit::Module module = torch::jit::load(std::getenv("SCRIPTED"));
  auto mlp = models::Mlp::Create();
  ASSERT_TRUE(mlp.ok()) << mlp.status().message();
  for (const float sign : {1.0F, -1.0F}) {
    const at::Tensor x = sign * torch::arange(1, 17, at::kFloat).reshape({2, 8});
    const at::Tensor y = module.forward({x}).toTensor();
    auto outputs = mlp->Run({{x.const_data_ptr<float>(), {2, 8}}});
    ASSERT_TRUE(outputs.ok()) << outputs.status().message();
    ASSERT_EQ(y.sizes(), (at::IntArrayRef{2, 4}));
    for (int row = 0; row < 2; ++row) {
      for (int column = 0; column < 4; ++column) {
        EXPECT_EQ(y[row][column].item<float>(), outputs->y(row, column) + sign);
      }
    }
  }
}

TEST(JitTest, WrongSizesAreAnException) {
  torch::jit::Module module = torch::jit::load(std::getenv("SCRIPTED"));
  try {
    module.forward({torch::ones({2, 9})});
    FAIL();
  } catch (const std::exception& error) {
    EXPECT_NE(std::string(error.what()).find("dimension 1 is 9, not 8"),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
