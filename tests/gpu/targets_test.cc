// Which of a library's targets a device gets.
#include "gtest/gtest.h"
#include "tests/gpu/fixture.h"

namespace fake {
namespace {

using rules_torch::Status;
using rules_torch::internal::KernelDevice;

class TargetsTest : public GpuTest {
 protected:
  // The chosen target's name, or "none".
  static std::string Choose(const char* device,
                            std::initializer_list<const char*> targets) {
    UseDevices({device});
    TestLibrary library(targets);
    KernelDevice found;
    Status status;
    if (!FindDevice(library.library, "kernels::add", &found, &status)) {
      EXPECT_EQ(status.code(), RTORCH_UNIMPLEMENTED) << status.message();
      return "none";
    }
    // What was chosen loads and runs.
    status = library.Launch();
    EXPECT_TRUE(status.ok()) << status.message();
    return library.library.targets[found.target].name;
  }
};

using CudaTargetsTest = TargetsTest;

TEST_F(CudaTargetsTest, PrefersTheExactCubin) {
  const std::initializer_list<const char*> all = {
      "compute_80", "sm_80", "sm_86", "sm_90", "compute_90", "sm_100", "sm_120"};
  EXPECT_EQ(Choose("sm_80", all), "sm_80");
  EXPECT_EQ(Choose("sm_86", all), "sm_86");
  EXPECT_EQ(Choose("sm_90", all), "sm_90");
  EXPECT_EQ(Choose("sm_100", all), "sm_100");
  EXPECT_EQ(Choose("sm_120", all), "sm_120");
}

TEST_F(CudaTargetsTest, RunsOlderCubinsOfTheSameMajorVersionBelow90) {
  EXPECT_EQ(Choose("sm_86", {"sm_80"}), "sm_80");
  EXPECT_EQ(Choose("sm_89", {"sm_80", "sm_86"}), "sm_86");
  EXPECT_EQ(Choose("sm_89", {"sm_86", "sm_80"}), "sm_86");
  EXPECT_EQ(Choose("sm_80", {"sm_86"}), "none");
  EXPECT_EQ(Choose("sm_86", {"sm_89"}), "none");
  EXPECT_EQ(Choose("sm_80", {"sm_75"}), "none");
  EXPECT_EQ(Choose("sm_90", {"sm_89"}), "none");
}

TEST_F(CudaTargetsTest, RunsCubinsFrom90OnWhereTheyWereCompiledForAlone) {
  EXPECT_EQ(Choose("sm_100", {"sm_90"}), "none");
  EXPECT_EQ(Choose("sm_103", {"sm_100"}), "none");
  EXPECT_EQ(Choose("sm_121", {"sm_120"}), "none");
  EXPECT_EQ(Choose("sm_120", {"sm_80", "sm_90", "sm_100"}), "none");
}

TEST_F(CudaTargetsTest, CompilesPtxWhereNoCubinRuns) {
  EXPECT_EQ(Choose("sm_90", {"sm_80", "compute_80"}), "compute_80");
  EXPECT_EQ(Choose("sm_120", {"compute_75", "compute_80", "sm_90"}), "compute_80");
  EXPECT_EQ(Choose("sm_86", {"compute_86", "sm_80"}), "sm_80");
  EXPECT_EQ(Choose("sm_80", {"compute_80"}), "compute_80");
  EXPECT_EQ(Choose("sm_75", {"compute_80"}), "none");
}

TEST_F(CudaTargetsTest, CompilesPtxFrom90OnWhereItIsForAlone) {
  EXPECT_EQ(Choose("sm_90", {"compute_80", "compute_90"}), "compute_90");
  EXPECT_EQ(Choose("sm_100", {"compute_80", "compute_90"}), "compute_80");
  EXPECT_EQ(Choose("sm_100", {"compute_90"}), "none");
}

TEST_F(CudaTargetsTest, SkipsHsacos) {
  EXPECT_EQ(Choose("sm_90", {"gfx942", "sm_90"}), "sm_90");
}

using HipTargetsTest = TargetsTest;

TEST_F(HipTargetsTest, TakesTheDevicesArchitecture) {
  EXPECT_EQ(Choose("gfx942", {"gfx90a", "gfx942"}), "gfx942");
  EXPECT_EQ(Choose("gfx90a", {"gfx90a", "gfx942"}), "gfx90a");
  EXPECT_EQ(Choose("gfx942", {"gfx90a"}), "none");
  EXPECT_EQ(Choose("gfx90a", {"gfx90"}), "none");
}

TEST_F(HipTargetsTest, TakesEitherSettingOfItsFeatures) {
  EXPECT_EQ(Choose("gfx942:sramecc+:xnack-", {"gfx90a", "gfx942"}), "gfx942");
}

TEST_F(HipTargetsTest, SkipsCubins) {
  EXPECT_EQ(Choose("gfx942", {"sm_90", "compute_80", "gfx942"}), "gfx942");
}

}  // namespace
}  // namespace fake
