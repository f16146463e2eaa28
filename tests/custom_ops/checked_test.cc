#include "tests/custom_ops/checked.h"

#include <array>
#include <string>

#include "gtest/gtest.h"

namespace {

TEST(CheckedTest, AnOperatorsOwnErrorIsTheRuns) {
  auto model = tests::custom_ops::Checked::Create();
  ASSERT_TRUE(model.ok()) << model.status().message();
  const std::array<float, 4> prices = {1, 2, 3, 4};
  auto outputs = model->Run({prices});
  ASSERT_TRUE(outputs.ok()) << outputs.status().message();
  EXPECT_EQ(outputs->output(3), 5.0F);

  const std::array<float, 4> wrong = {1, -2, 3, 4};
  const auto status = model->Run({wrong}).status();
  EXPECT_EQ(status.code(), RTORCH_INTERNAL);
  EXPECT_EQ(std::string(status.message()),
            "//tests/custom_ops:checked: shop::checked: no negative prices");
  EXPECT_TRUE(model->Run({prices}).ok());
}

}  // namespace
