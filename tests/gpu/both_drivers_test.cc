// A machine with both drivers. EXPECTED is the architecture of the device that has
// to be used.
#include <cstdlib>
#include <string>

#include "gtest/gtest.h"
#include "rules_torch/gpu.h"
#include "runtime/internal/kernel.h"

namespace {

using rules_torch::Gpu;
using rules_torch::Status;
using rules_torch::internal::FindDevice;
using rules_torch::internal::KernelDevice;
using rules_torch::internal::KernelFormat;
using rules_torch::internal::KernelLibrary;
using rules_torch::internal::KernelTarget;

const KernelTarget kTargets[] = {{"gfx942", KernelFormat::kHsaco, 0},
                                 {"sm_90", KernelFormat::kCubin, 90}};
KernelLibrary kBoth = {"//kernels:both", nullptr, kTargets, 2, {}};
KernelLibrary kHip = {"//kernels:hip", nullptr, kTargets, 1, {}};

TEST(BothDriversTest, UsesCudaIfItHasADevice) {
  auto gpu = Gpu::Open();  // makes a context current
  ASSERT_TRUE(gpu.ok()) << gpu.status().message();
  EXPECT_EQ((*gpu)->architecture(), std::getenv("EXPECTED"));
  KernelDevice device;
  Status status;
  ASSERT_TRUE(FindDevice(kBoth, "f", &device, &status)) << status.message();
  EXPECT_EQ(kTargets[device.target].name, (*gpu)->architecture());
}

TEST(BothDriversTest, UsesHipForWhatIsForHipAlone) {
  KernelDevice device;
  Status status;
  ASSERT_TRUE(FindDevice(kHip, "f", &device, &status)) << status.message();
  EXPECT_EQ(device.target, 0);
}

}  // namespace
