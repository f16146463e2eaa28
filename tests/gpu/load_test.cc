// When kernels are loaded, and for what.
#include <atomic>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/gpu/fixture.h"

namespace fake {
namespace {

using rules_torch::Status;
using rules_torch::internal::Kernel;
using rules_torch::internal::LoadKernels;
using rules_torch::internal::UnloadKernels;

using LoadTest = GpuTest;

constexpr int kRelaxed = 2;
constexpr int kMaxDynamicSharedSize = 8;
constexpr int kNonPortableCluster = 14;

TEST_F(LoadTest, LoadsAKernelOnce) {
  TestLibrary library;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(library.Launch().ok());
  ASSERT_EQ(state().loads.size(), 1u);
  EXPECT_EQ(state().loads[0].image, std::string(Architecture()) + " add scale");
  EXPECT_EQ(state().launches.size(), 3u);
}

TEST_F(LoadTest, LoadsAKernelOnceWhenThreadsRace) {
  TestLibrary library;
  std::atomic<int> ready{0};
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      SetDevice(0);
      ++ready;
      while (ready < 8) std::this_thread::yield();
      for (int j = 0; j < 100; ++j) failures += library.Launch().ok() ? 0 : 1;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(state().loads.size(), 1u);
  EXPECT_EQ(state().launches.size(), 800u);
}

TEST_F(LoadTest, LoadsOncePerImageForSeveralDevices) {
  UseDevices({Architecture(), Architecture()});
  TestLibrary library;
  library.image().shared_bytes = hip() ? 0 : 100000;
  for (int device : {0, 1, 0, 1}) {
    SetDevice(device);
    ASSERT_TRUE(library.Launch().ok());
    EXPECT_EQ(state().launches.back().device, device);
  }
  if (hip()) {  // its modules belong to a device
    ASSERT_EQ(state().loads.size(), 2u);
    EXPECT_EQ(state().loads[0].device, 0);
    EXPECT_EQ(state().loads[1].device, 1);
  } else {
    EXPECT_EQ(state().loads.size(), 1u);
    ASSERT_EQ(state().attributes.size(), 2u);
    EXPECT_EQ(state().attributes[0].device, 0);
    EXPECT_EQ(state().attributes[1].device, 1);
  }
}

TEST_F(LoadTest, LoadsForEachArchitecture) {
  const char* const other = hip() ? "gfx90a" : "sm_80";
  UseDevices({Architecture(), other});
  TestLibrary library({other, Architecture()});
  library.image(0).threads = 64;
  for (int device : {1, 0, 1}) {
    SetDevice(device);
    ASSERT_TRUE(library.Launch().ok());
    EXPECT_EQ(state().launches.back().block[0], device == 1 ? 64u : 128u);
  }
  ASSERT_EQ(state().loads.size(), 2u);
  EXPECT_EQ(state().loads[0].image, std::string(other) + " add scale");
  EXPECT_EQ(state().loads[1].image, std::string(Architecture()) + " add scale");
}

TEST_F(LoadTest, WorksInEveryContextOfADevice) {
  if (hip()) GTEST_SKIP() << "no contexts";
  TestLibrary library;
  ASSERT_TRUE(library.Launch().ok());
  Context other = {0};
  driver().set_context(&other);
  ASSERT_TRUE(library.Launch().ok());
  EXPECT_EQ(state().loads.size(), 1u);
  EXPECT_EQ(state().launches.size(), 2u);
}

TEST_F(LoadTest, AsksForSharedMemoryBeyond48KiB) {
  if (hip()) GTEST_SKIP() << "needs no asking";
  TestLibrary little;
  little.image().shared_bytes = 49152;
  ASSERT_TRUE(little.Launch().ok());
  EXPECT_TRUE(state().attributes.empty());

  TestLibrary much;
  much.image().shared_bytes = 49153;
  ASSERT_TRUE(much.Launch().ok());
  ASSERT_EQ(state().attributes.size(), 1u);
  EXPECT_EQ(state().attributes[0].kernel, "add");
  EXPECT_EQ(state().attributes[0].attribute, kMaxDynamicSharedSize);
  EXPECT_EQ(state().attributes[0].value, 49153);
  EXPECT_EQ(state().launches.back().shared_bytes, 49153u);
}

TEST_F(LoadTest, AsksForLargeClusters) {
  if (hip()) GTEST_SKIP() << "no clusters";
  TestLibrary library;
  library.image().cluster = 16;
  ASSERT_TRUE(library.Launch().ok());
  ASSERT_EQ(state().attributes.size(), 1u);
  EXPECT_EQ(state().attributes[0].attribute, kNonPortableCluster);
  EXPECT_EQ(state().attributes[0].value, 1);
}

TEST_F(LoadTest, LoadsInsideACapture) {
  TestLibrary library;
  for (int mode : {0, 1}) {
    driver().set_capture_mode(mode);
    ASSERT_TRUE(library.Launch().ok());
    EXPECT_EQ(driver().get_capture_mode(), mode);
  }
  ASSERT_EQ(state().loads.size(), 1u);
  EXPECT_EQ(state().loads[0].capture_mode, kRelaxed);
  EXPECT_EQ(state().capture_modes, (std::vector<int>{kRelaxed, 0}));
}

TEST_F(LoadTest, RestoresTheCaptureModeAfterAFailure) {
  TestLibrary library;
  driver().set_capture_mode(1);
  Fail(Name("cuLibraryLoadData", "hipModuleLoadData"), 999);
  EXPECT_FALSE(library.Launch().ok());
  EXPECT_EQ(driver().get_capture_mode(), 1);
}

TEST_F(LoadTest, LoadKernelsLoadsAllOfThem) {
  TestLibrary library;
  Kernel* const kernels[] = {&library.add, &library.scale};
  Status status = LoadKernels(library.library, kernels, 2);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(state().loads.size(), 2u);
  EXPECT_TRUE(state().launches.empty());

  ASSERT_TRUE(LoadKernels(library.library, kernels, 2).ok());
  ASSERT_TRUE(library.Launch().ok());
  EXPECT_EQ(state().loads.size(), 2u);
}

TEST_F(LoadTest, LoadKernelsStopsAtTheFirstError) {
  TestLibrary library;
  Kernel* const kernels[] = {&library.add, &library.scale};
  Fail(Name("cuLibraryGetKernel", "hipModuleGetFunction"), 500);
  Status status = LoadKernels(library.library, kernels, 2);
  ExpectMessage(status, {"kernels::add"});
  EXPECT_EQ(state().loads.size(), 1u);
}

TEST_F(LoadTest, LoadKernelsNamesTheLibraryWithoutADevice) {
  UseDevices({hip() ? "gfx1100" : "sm_75"});
  TestLibrary library;
  Status status = LoadKernels(library.library, nullptr, 0);
  EXPECT_EQ(status.code(), RTORCH_UNIMPLEMENTED);
  ExpectMessage(status, {"//kernels:test"});
}

TEST_F(LoadTest, TriesAgainAfterAFailure) {
  for (const char* function : {Name("cuLibraryLoadData", "hipModuleLoadData"),
                               Name("cuLibraryGetKernel", "hipModuleGetFunction"),
                               Name("cuDeviceGetAttribute", "hipDeviceGetAttribute"),
                               Name("cuCtxGetDevice", "hipGetDevice")}) {
    TestLibrary library;
    // Finding a device asks twice.
    Fail(function, 2, 0, 2);
    EXPECT_FALSE(library.Launch().ok()) << function;
    state().failures.clear();
    EXPECT_TRUE(library.Launch().ok()) << function;
  }
}

TEST_F(LoadTest, UnloadsWhatItCannotUse) {
  TestLibrary library;
  Fail(Name("cuKernelGetFunction", "hipModuleGetFunction"), 209);
  EXPECT_FALSE(library.Launch().ok());
  EXPECT_EQ(state().unloads, 1);
  ASSERT_TRUE(library.Launch().ok());
  EXPECT_EQ(state().unloads, 1);
}

TEST_F(LoadTest, UnloadsFromAllDevicesOnRequest) {
  UseDevices({Architecture(), Architecture()});
  TestLibrary library;
  Kernel* const kernels[] = {&library.add, &library.scale};
  const auto unload = [&] { return UnloadKernels(library.library, kernels, 2); };
  EXPECT_TRUE(unload().ok());  // nothing to do
  EXPECT_EQ(state().unloads, 0);
  for (int time = 1; time <= 2; ++time) {
    for (int device : {0, 1}) {
      SetDevice(device);
      ASSERT_TRUE(LoadKernels(library.library, kernels, 2).ok());
      ASSERT_TRUE(library.Launch().ok());
    }
    const Status status = unload();
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(state().loads.size(), static_cast<std::size_t>(state().unloads));
    EXPECT_EQ(state().unloads, time * (hip() ? 4 : 2));
  }
}

TEST_F(LoadTest, UnloadsTheRestAfterAnError) {
  TestLibrary library;
  Kernel* const kernels[] = {&library.add, &library.scale};
  ASSERT_TRUE(LoadKernels(library.library, kernels, 2).ok());
  Fail(Name("cuLibraryUnload", "hipModuleUnload"), 2);
  ExpectMessage(UnloadKernels(library.library, kernels, 2),
                {"//kernels:test: ", Name("cuLibraryUnload", "hipModuleUnload")});
  EXPECT_EQ(state().unloads, 1);
  EXPECT_TRUE(UnloadKernels(library.library, kernels, 2).ok());
  EXPECT_TRUE(library.Launch().ok());
}

TEST_F(LoadTest, KeepsWhatAnotherDeviceUses) {
  if (hip()) GTEST_SKIP() << "its modules belong to a device";
  UseDevices({Architecture(), Architecture()});
  TestLibrary library;
  ASSERT_TRUE(library.Launch().ok());
  SetDevice(1);
  Fail("cuKernelGetFunction", 2);
  EXPECT_FALSE(library.Launch().ok());
  EXPECT_EQ(state().unloads, 0);
  ASSERT_TRUE(library.Launch().ok());
  EXPECT_EQ(state().loads.size(), 1u);
}

}  // namespace
}  // namespace fake
