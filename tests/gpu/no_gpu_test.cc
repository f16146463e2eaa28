// Machines that have no GPU, or whose driver is of no use. A process asks once, so
// that each such machine is a program of its own; EXPECTED has the parts, separated
// by '|', of what it is to say.
#include <cstdlib>
#include <sstream>
#include <string>

#include "gtest/gtest.h"
#include "rules_torch/gpu.h"
#include "runtime/internal/kernel.h"

namespace {

using rules_torch::Gpu;
using rules_torch::Status;
using rules_torch::internal::Blob;
using rules_torch::internal::FindDevice;
using rules_torch::internal::KernelDevice;
using rules_torch::internal::KernelFormat;
using rules_torch::internal::KernelLibrary;
using rules_torch::internal::KernelTarget;
using rules_torch::internal::LoadKernels;

const KernelTarget kTargets[] = {{"sm_90", KernelFormat::kCubin, 90},
                                 {"gfx942", KernelFormat::kHsaco, 0}};
const Blob kBlob = {nullptr, 0};
KernelLibrary kBoth = {"//kernels:both", &kBlob, kTargets, 2, {}};
KernelLibrary kCuda = {"//kernels:cuda", &kBlob, kTargets, 1, {}};
KernelLibrary kHip = {"//kernels:hip", &kBlob, kTargets + 1, 1, {}};

void ExpectUnavailable(const Status& status, const std::string& parts) {
  EXPECT_EQ(status.code(), RTORCH_UNAVAILABLE) << status.message();
  std::istringstream stream(parts);
  for (std::string part; std::getline(stream, part, '|');) {
    EXPECT_NE(status.message().find(part), std::string::npos)
        << "no \"" << part << "\" in \"" << status.message() << '"';
  }
}

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

constexpr char kNoHip[] =
    "libamdhip64.so.7: cannot open shared object file|libamdhip64.so.6: cannot open|"
    "libamdhip64.so: cannot open|install ROCm's HIP runtime";

TEST(NoGpuTest, ALibraryForCudaSaysWhy) {
  for (int i = 0; i < 2; ++i) {
    KernelDevice device;
    Status status;
    EXPECT_FALSE(FindDevice(kCuda, "kernels::add", &device, &status));
    ExpectUnavailable(status,
                      "kernels::add: no GPU to run on: |" + Environment("EXPECTED"));
    EXPECT_EQ(status.message().find("libamdhip64"), std::string::npos);
  }
}

TEST(NoGpuTest, ALibraryForHipSaysWhy) {
  KernelDevice device;
  Status status;
  EXPECT_FALSE(FindDevice(kHip, "kernels::add", &device, &status));
  ExpectUnavailable(status, kNoHip);
  EXPECT_EQ(status.message().find("CUDA"), std::string::npos);
}

TEST(NoGpuTest, ALibraryForBothSaysBoth) {
  ExpectUnavailable(LoadKernels(kBoth, nullptr, 0),
                    "//kernels:both: no GPU|" + Environment("EXPECTED") + "|" + kNoHip);
}

TEST(NoGpuTest, GpuSaysBoth) {
  auto gpu = Gpu::Open();
  ASSERT_FALSE(gpu.ok());
  ExpectUnavailable(gpu.status(), Environment("EXPECTED") + "|" + kNoHip);
}

}  // namespace
