// Generated functions, from the call to what the driver gets.
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "rules_torch/kernel.h"
#include "tests/gpu/fixture.h"
#include "tests/gpu/generated/sample.h"

namespace fake {
namespace {

using rules_torch::bfloat16;
using rules_torch::float16;
using rules_torch::Status;
using ::tests::gpu::generated::fill;
using ::tests::gpu::generated::LoadSample;
using ::tests::gpu::generated::sample;
using ::tests::gpu::generated::UnloadSample;

void* const kStream = reinterpret_cast<void*>(0x1230);

template <typename T>
T* Address(std::uintptr_t address) {
  return reinterpret_cast<T*>(address);
}

class GeneratedTest : public GpuTest {
 protected:
  void SetUp() override {
    GpuTest::SetUp();
    state().argument_sizes["sample"] = {8, 8, 4, 8, 4, 2, 1, 1, 8, 8};
    state().argument_sizes["fill"] = {8, 8, 8, 8};
    state().devices[0].multiprocessors = 78;
  }

  template <typename T>
  static Status Sample(int n, std::uintptr_t out = 0x1000, std::uintptr_t x = 0x2000) {
    return sample(kStream, Address<T>(out), Address<T>(x), n, -5000000000, 0.1f,
                  float16(1.5f), true, -3);
  }

  static unsigned threads(unsigned warps) { return warps * (hip() ? 64 : 32); }
};

TEST_F(GeneratedTest, PassesEveryArgumentsBytes) {
  const Status status = Sample<float>(2048);
  ASSERT_TRUE(status.ok()) << status.message();
  const Launch& launch = state().launches.at(0);
  EXPECT_EQ(launch.kernel, "sample");
  EXPECT_EQ(launch.stream, kStream);
  const auto& arguments = launch.arguments;
  ASSERT_EQ(arguments.size(), 10u);
  EXPECT_EQ(As<std::uintptr_t>(arguments[0]), 0x1000u);
  EXPECT_EQ(As<std::uintptr_t>(arguments[1]), 0x2000u);
  EXPECT_EQ(As<std::int32_t>(arguments[2]), 2048);
  EXPECT_EQ(As<std::int64_t>(arguments[3]), -5000000000);
  EXPECT_EQ(arguments[4], (std::vector<unsigned char>{0xcd, 0xcc, 0xcc, 0x3d}));
  EXPECT_EQ(arguments[5], (std::vector<unsigned char>{0x00, 0x3e}));
  EXPECT_EQ(As<bool>(arguments[6]), true);
  EXPECT_EQ(As<std::int8_t>(arguments[7]), -3);
  EXPECT_EQ(As<void*>(arguments[8]), nullptr);
  EXPECT_EQ(As<void*>(arguments[9]), nullptr);
}

TEST_F(GeneratedTest, LaunchesTheFirstInstantiationThatFits) {
  ASSERT_TRUE(Sample<float>(2048).ok());          // aligned and large
  ASSERT_TRUE(Sample<float>(1008).ok());          // small
  ASSERT_TRUE(Sample<float>(2047).ok());          // no multiple of 16
  ASSERT_TRUE(Sample<float>(2048, 0x1004).ok());  // not aligned
  ASSERT_EQ(state().launches.size(), 4u);
  EXPECT_EQ(state().launches[0].block[0], threads(2));
  EXPECT_EQ(state().launches[0].grid[0], 8u);
  for (int i : {1, 2, 3}) {
    EXPECT_EQ(state().launches[static_cast<std::size_t>(i)].block[0], threads(1)) << i;
  }
  EXPECT_EQ(state().launches[1].grid[0], 16u);
  EXPECT_EQ(state().launches[2].grid[0], 32u);
}

TEST_F(GeneratedTest, ComputesTheGridFromArgumentsAndTheDevice) {
  ASSERT_TRUE(Sample<float>(7).ok());
  ASSERT_TRUE(Sample<float>(2048).ok());
  EXPECT_EQ(state().launches[0].grid[0], 1u);
  EXPECT_EQ(state().launches[0].grid[1], 7u);
  EXPECT_EQ(state().launches[1].grid[1], 78u);
  EXPECT_EQ(state().launches[1].grid[2], 1u);
}

TEST_F(GeneratedTest, TakesTheGridWhereNoneIsDeclared) {
  ASSERT_TRUE(fill(kStream, {5, 3}, Address<std::int64_t>(0x1001), -1).ok());
  EXPECT_EQ(state().launches.at(0).grid[0], 5u);
  EXPECT_EQ(state().launches[0].grid[1], 3u);
  EXPECT_EQ(As<std::int64_t>(state().launches[0].arguments[1]), -1);
}

TEST_F(GeneratedTest, OverloadsByElementType) {
  ASSERT_TRUE(Sample<bfloat16>(2048).ok());
  ExpectMessage(Sample<bfloat16>(200000, 0x1004), {"[T=bf16, n >= 1024, BLOCK=256]"});
  ExpectMessage(Sample<float>(200000, 0x1004), {"[T=fp32, n >= 1024, BLOCK=256]"});
}

TEST_F(GeneratedTest, SaysWhatEachInstantiationNeeds) {
  const Status status = Sample<float>(200000, 0x1004);
  EXPECT_EQ(status.code(), RTORCH_INVALID_ARGUMENT);
  ExpectMessage(
      status,
      {"tests::gpu::generated::sample: no instantiation fits the arguments",
       "[T=fp32, n >= 1024, BLOCK=256] needs that out is aligned to 16 bytes, "
       "but out is 0x1004",
       "[T=fp32, n < 100000, BLOCK=64] needs that n < 100000, but n is 200000"});
  EXPECT_TRUE(state().launches.empty());
}

TEST_F(GeneratedTest, RefusesAGridOfZero) {
  const Status status = Sample<float>(0);
  EXPECT_EQ(status.code(), RTORCH_INVALID_ARGUMENT);
  ExpectMessage(status, {"tests::gpu::generated::sample", "the grid is (0, 0, 1)"});
  ExpectMessage(Sample<float>(-63), {"the grid is (0, -63, 1)"});
  EXPECT_TRUE(state().launches.empty());
}

// On devices that no other test of this process uses.
TEST_F(GeneratedTest, LoadsTheCodeForTheDevice) {
  std::vector<const char*> images = {"sm_80 *", "compute_80 *"};
  if (hip()) {
    UseDevices({"gfx942", "gfx942", "gfx942"});
    images = {"gfx942 *", "gfx942 *"};
  } else {
    UseDevices({"sm_90", "sm_86", "sm_120"});
  }
  ASSERT_TRUE(UnloadSample().ok());  // what other tests have loaded
  for (int device : {1, 2}) {
    SetDevice(device);
    state().loads.clear();
    state().unloads = 0;
    const Status status = LoadSample();
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(state().loads.size(), 5u);
    EXPECT_TRUE(UnloadSample().ok());
    EXPECT_EQ(state().unloads, 5);
    for (const Load& load : state().loads) {
      EXPECT_EQ(load.image, images[static_cast<std::size_t>(device - 1)]);
    }
  }
}

}  // namespace
}  // namespace fake
