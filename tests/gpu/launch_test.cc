// What a launch passes to the driver.
#include <cstdint>

#include "gtest/gtest.h"
#include "rules_torch/kernel.h"
#include "tests/gpu/fixture.h"

namespace fake {
namespace {

using rules_torch::float16;
using rules_torch::Grid;
using rules_torch::Status;
using rules_torch::internal::Kernel;
using rules_torch::internal::KernelDevice;
using rules_torch::internal::KernelImage;
using rules_torch::internal::KernelLibrary;

using LaunchTest = GpuTest;

void* const kStream = reinterpret_cast<void*>(0x1230);

TEST_F(LaunchTest, PassesEachArgumentsBytes) {
  TestLibrary library;
  state().argument_sizes["add"] = {8, 4, 8, 1, 2, 8, 1, 4, 8, 8};
  float* pointer = reinterpret_cast<float*>(0x7f0012345600);
  float f = 0.1f;
  std::int64_t i64 = -5000000000;
  std::int8_t i8 = -3;
  float16 f16(1.5f);
  double f64 = 0.1;
  bool flag = true;
  std::uint32_t u32 = 0xfedcba98;
  Status status = library.LaunchWith(
      {&pointer, &f, &i64, &i8, &f16, &f64, &flag, &u32, nullptr, nullptr});
  ASSERT_TRUE(status.ok()) << status.message();

  ASSERT_EQ(state().launches.size(), 1u);
  const auto& arguments = state().launches[0].arguments;
  ASSERT_EQ(arguments.size(), 10u);
  EXPECT_EQ(As<float*>(arguments[0]), pointer);
  EXPECT_EQ(arguments[1], (std::vector<unsigned char>{0xcd, 0xcc, 0xcc, 0x3d}));
  EXPECT_EQ(As<std::int64_t>(arguments[2]), i64);
  EXPECT_EQ(As<std::int8_t>(arguments[3]), i8);
  EXPECT_EQ(arguments[4], (std::vector<unsigned char>{0x00, 0x3e}));
  EXPECT_EQ(As<double>(arguments[5]), f64);
  EXPECT_EQ(As<bool>(arguments[6]), true);
  EXPECT_EQ(As<std::uint32_t>(arguments[7]), u32);
  // The hidden ones: global and profile scratch.
  EXPECT_EQ(As<void*>(arguments[8]), nullptr);
  EXPECT_EQ(As<void*>(arguments[9]), nullptr);
}

TEST_F(LaunchTest, PassesTheShapeAndTheStream) {
  TestLibrary library;
  library.image().threads = 256;
  library.image().shared_bytes = 1024;
  ASSERT_TRUE(library.Launch({7, 5, 3}, kStream).ok());

  const Launch& launch = state().launches.at(0);
  EXPECT_EQ(launch.kernel, "add");
  EXPECT_EQ(launch.grid[0], 7u);
  EXPECT_EQ(launch.grid[1], 5u);
  EXPECT_EQ(launch.grid[2], 3u);
  EXPECT_EQ(launch.block[0], 256u);
  EXPECT_EQ(launch.block[1], 1u);
  EXPECT_EQ(launch.block[2], 1u);
  EXPECT_EQ(launch.shared_bytes, 1024u);
  EXPECT_EQ(launch.stream, kStream);
  EXPECT_EQ(launch.cluster, 0u);
}

TEST_F(LaunchTest, TakesGridsUpToTheLimit) {
  TestLibrary library;
  ASSERT_TRUE(library.Launch({0x7fffffff, 65535, 65535}).ok());
  EXPECT_EQ(state().launches.at(0).grid[0], 0x7fffffffu);
  EXPECT_EQ(state().launches.at(0).grid[2], 65535u);
}

TEST_F(LaunchTest, MultipliesTheGridByTheCluster) {
  if (hip()) GTEST_SKIP() << "no clusters";
  TestLibrary library;
  library.image().cluster = 4;
  ASSERT_TRUE(library.Launch({7, 5, 3}, kStream).ok());

  const Launch& launch = state().launches.at(0);
  EXPECT_EQ(launch.cluster, 4u);
  EXPECT_EQ(launch.grid[0], 28u);
  EXPECT_EQ(launch.grid[1], 5u);
  EXPECT_EQ(launch.grid[2], 3u);
  EXPECT_EQ(launch.stream, kStream);
  EXPECT_TRUE(state().attributes.empty());
}

TEST_F(LaunchTest, GivesTheLegacyStreamAsItIs) {
  TestLibrary library;
  ASSERT_TRUE(library.Launch().ok());
  EXPECT_EQ(state().launches.at(0).stream, nullptr);
}

TEST_F(LaunchTest, KnowsTheDevicesMultiprocessors) {
  state().devices[0].multiprocessors = 78;
  TestLibrary library;
  for (int i = 0; i < 2; ++i) {  // asked for, then known
    KernelDevice device;
    Status status;
    ASSERT_TRUE(FindDevice(library.library, "kernels::add", &device, &status));
    EXPECT_EQ(device.multiprocessors, 78);
    EXPECT_EQ(device.ordinal, 0);
    EXPECT_EQ(device.target, 0);
  }
}

TEST_F(LaunchTest, CostsTwoDriverCallsOnceLoaded) {
  TestLibrary library;
  ASSERT_TRUE(library.Launch().ok());
  state().calls.clear();
  ASSERT_TRUE(library.Launch().ok());
  EXPECT_EQ(state().calls, (std::vector<std::string>{
                               Name("cuCtxGetDevice", "hipGetDevice"),
                               Name("cuLaunchKernel", "hipModuleLaunchKernel")}));
}

// Scratch memory.

TEST_F(LaunchTest, GetsScratchFromTheStreamAndGivesItBack) {
  TestLibrary library;
  library.image().scratch_bytes = 128;
  library.image().scratch_alignment = 128;
  state().argument_sizes["add"] = {8, 8};
  ASSERT_TRUE(library.Launch({3, 5, 2}, kStream).ok());

  ASSERT_EQ(state().allocations.size(), 1u);
  const Allocation& allocation = state().allocations[0];
  EXPECT_EQ(allocation.bytes, 128u * 30);
  EXPECT_EQ(allocation.stream, kStream);
  EXPECT_TRUE(allocation.freed);
  EXPECT_EQ(allocation.freed_on, kStream);
  const auto& arguments = state().launches.at(0).arguments;
  EXPECT_EQ(As<void*>(arguments.at(0)), allocation.memory);
  EXPECT_EQ(As<void*>(arguments.at(1)), nullptr);
  // In this order, or the kernel would run without it.
  const auto& calls = state().calls;
  ASSERT_GE(calls.size(), 3u);
  EXPECT_EQ(calls[calls.size() - 3], Name("cuMemAllocAsync", "hipMallocAsync"));
  EXPECT_EQ(calls[calls.size() - 1], Name("cuMemFreeAsync", "hipFreeAsync"));
}

TEST_F(LaunchTest, CountsAClustersBlocksForScratch) {
  if (hip()) GTEST_SKIP() << "no clusters";
  TestLibrary library;
  library.image().scratch_bytes = 64;
  library.image().cluster = 2;
  ASSERT_TRUE(library.Launch({3, 1, 1}).ok());
  EXPECT_EQ(state().allocations.at(0).bytes, 64u * 6);
}

TEST_F(LaunchTest, AlignsScratchBeyondWhatTheDriverDoes) {
  TestLibrary library;
  library.image().scratch_bytes = 100;
  library.image().scratch_alignment = 4096;
  state().argument_sizes["add"] = {8, 8};
  ASSERT_TRUE(library.Launch({2, 1, 1}).ok());

  const Allocation& allocation = state().allocations.at(0);
  const auto begin = reinterpret_cast<std::uintptr_t>(allocation.memory);
  const auto scratch = As<std::uintptr_t>(state().launches.at(0).arguments.at(0));
  EXPECT_EQ(scratch % 4096, 0u);
  EXPECT_GE(scratch, begin);
  EXPECT_LE(scratch + 200, begin + allocation.bytes);
  EXPECT_TRUE(allocation.freed);
}

// Tables as generated sources write them: no code runs to set them up.

const rules_torch::internal::KernelTarget kTargets[] = {Target("sm_90"),
                                                        Target("gfx942")};
constexpr std::uint8_t kBytes[] =
    "sm_90 add\0...................................."
    "..............gfx942 add";
static_assert(sizeof kBytes > 64);
const rules_torch::internal::Blob kBlob = {kBytes, sizeof kBytes};
constexpr std::int64_t kConstants0[] = {1024};
constexpr std::int64_t kConstants1[] = {512};
KernelLibrary kLibrary = {"//kernels:static", &kBlob, kTargets, 2, {}};
const KernelImage kImages[] = {{0, 10, "add", 128, 1, 0, 1, 0, kConstants0},
                               {60, 11, "add", 256, 1, 0, 1, 0, kConstants1}};
Kernel kKernel = {"kernels::add", &kLibrary, kImages, {}};

TEST_F(LaunchTest, WorksWithStaticTables) {
  KernelDevice device;
  Status status;
  ASSERT_TRUE(FindDevice(kLibrary, "kernels::add", &device, &status));
  EXPECT_EQ(device.target, hip() ? 1 : 0);
  EXPECT_EQ(kKernel.images[device.target].constants[0], hip() ? 512 : 1024);
  std::int32_t n = 77;
  void* arguments[] = {&n, nullptr, nullptr};
  state().argument_sizes["add"] = {4, 8, 8};
  status = LaunchKernel(kKernel, device, kStream, Grid{2, 1, 1}, arguments, 1);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(As<std::int32_t>(state().launches.at(0).arguments.at(0)), 77);
}

TEST(CeilDivTest, RoundsUp) {
  EXPECT_EQ(rules_torch::CeilDiv(0, 4), 0);
  EXPECT_EQ(rules_torch::CeilDiv(1, 4), 1);
  EXPECT_EQ(rules_torch::CeilDiv(4, 4), 1);
  EXPECT_EQ(rules_torch::CeilDiv(5, 4), 2);
  EXPECT_EQ(rules_torch::CeilDiv(INT64_MAX, 2), INT64_MAX / 2 + 1);
}

}  // namespace
}  // namespace fake
