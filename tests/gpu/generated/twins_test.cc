// Two libraries in one program, each with a function of the same name and types.
#include "tests/gpu/generated/twins.h"

#include "gtest/gtest.h"
#include "rules_torch/status.h"
#include "tests/gpu/fixture.h"

namespace fake {
namespace {

using TwinsTest = GpuTest;

TEST_F(TwinsTest, EachLaunchesItsOwnCode) {
  state().argument_sizes["fill"] = {8, 8, 8, 8};
  for (const auto fill : {&FillWith1, &FillWith2}) {
    const rules_torch::Status status = fill(nullptr);
    ASSERT_TRUE(status.ok()) << status.message();
  }
  EXPECT_EQ(state().launches.at(0).block[0], 32u);
  EXPECT_EQ(state().launches.at(1).block[0], 64u);
}

}  // namespace
}  // namespace fake
