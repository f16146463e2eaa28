// Gpu, over a fake driver whose device memory is the host's.
#include "rules_torch/gpu.h"

#include <cstdint>
#include <limits>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/gpu/fixture.h"

namespace fake {
namespace {

using rules_torch::DeviceArray;
using rules_torch::Gpu;
using rules_torch::GpuStream;
using rules_torch::Status;
using rules_torch::StatusOr;

class GpuClassTest : public GpuTest {
 protected:
  static std::unique_ptr<Gpu> Open(int ordinal = 0) {
    StatusOr<std::unique_ptr<Gpu>> gpu = Gpu::Open(ordinal);
    EXPECT_TRUE(gpu.ok()) << gpu.status().message();
    return std::move(gpu.value());
  }
};

TEST_F(GpuClassTest, KnowsTheDevice) {
  UseDevices({Architecture(), hip() ? "gfx90a:sramecc+:xnack-" : "sm_86"});
  state().devices[1].name = "Second GPU";
  state().devices[1].multiprocessors = 84;
  driver().set_context(nullptr);
  const std::unique_ptr<Gpu> gpu = Open(1);
  EXPECT_EQ(gpu->name(), "Second GPU");
  EXPECT_EQ(gpu->architecture(), hip() ? "gfx90a" : "sm_86");
  EXPECT_EQ(gpu->multiprocessors(), 84);
  EXPECT_EQ(gpu->driver_version(), hip() ? 60342134 : 13000);
  ASSERT_NE(driver().get_context(), nullptr);
  EXPECT_EQ(driver().get_context()->device, 1);
}

TEST_F(GpuClassTest, GivesItsContextBack) {
  Open();
  if (!hip()) {
    EXPECT_EQ(Count("cuDevicePrimaryCtxRetain"), 1);
    EXPECT_EQ(Count("cuDevicePrimaryCtxRelease_v2"), 1);
  }
}

TEST_F(GpuClassTest, RefusesDevicesThatAreNotThere) {
  for (int ordinal : {-1, 1}) {
    StatusOr<std::unique_ptr<Gpu>> gpu = Gpu::Open(ordinal);
    EXPECT_EQ(gpu.status().code(), RTORCH_INVALID_ARGUMENT);
    ExpectMessage(gpu.status(), {"there is no device", "0 to 0"});
  }
}

TEST_F(GpuClassTest, LaunchesKernels) {
  driver().set_context(nullptr);
  const std::unique_ptr<Gpu> gpu = Open();
  TestLibrary library;
  StatusOr<GpuStream> stream = gpu->CreateStream();
  ASSERT_TRUE(stream.ok());
  ASSERT_TRUE(library.Launch({}, stream->get()).ok());
  EXPECT_EQ(state().launches.at(0).stream, stream->get());
  EXPECT_TRUE(stream->Synchronize().ok());
}

TEST_F(GpuClassTest, UploadsAndDownloads) {
  const std::unique_ptr<Gpu> gpu = Open();
  const std::vector<float> values = {1.0f, 2.5f, -3.0f};
  StatusOr<DeviceArray<float>> array = gpu->Upload(values);
  ASSERT_TRUE(array.ok());
  EXPECT_EQ(array->size(), 3u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(array->data()) % 256, 0u);
  // Streams that do not wait for the legacy stream must see it.
  EXPECT_EQ(state().calls.back(),
            hip() ? "hipStreamSynchronize" : "cuStreamSynchronize");

  StatusOr<std::vector<float>> copy = gpu->Download(*array);
  ASSERT_TRUE(copy.ok());
  EXPECT_EQ(*copy, values);
}

TEST_F(GpuClassTest, DownloadsWhatIsDone) {
  const std::unique_ptr<Gpu> gpu = Open();
  StatusOr<DeviceArray<int>> array = gpu->Upload(std::vector<int>{1});
  ASSERT_TRUE(array.ok());
  state().calls.clear();
  ASSERT_TRUE(gpu->Download(*array).ok());
  EXPECT_EQ(Count(Name("cuCtxSynchronize", "hipDeviceSynchronize")), 1);
}

TEST_F(GpuClassTest, HasEmptyArrays) {
  const std::unique_ptr<Gpu> gpu = Open();
  StatusOr<DeviceArray<float>> array = gpu->Upload(std::vector<float>());
  ASSERT_TRUE(array.ok());
  EXPECT_EQ(array->data(), nullptr);
  StatusOr<std::vector<float>> copy = gpu->Download(*array);
  ASSERT_TRUE(copy.ok());
  EXPECT_TRUE(copy->empty());
}

TEST_F(GpuClassTest, MovesArraysAndStreams) {
  const std::unique_ptr<Gpu> gpu = Open();
  StatusOr<DeviceArray<int>> first = gpu->Upload(std::vector<int>{1, 2});
  StatusOr<DeviceArray<int>> second = gpu->Allocate<int>(1);
  ASSERT_TRUE(first.ok() && second.ok());
  int* const data = first->data();
  DeviceArray<int> moved = std::move(*first);
  EXPECT_EQ(moved.data(), data);
  EXPECT_EQ(first->data(), nullptr);
  EXPECT_EQ(first->size(), 0u);
  *second = std::move(moved);
  EXPECT_EQ(second->data(), data);
  EXPECT_EQ(second->size(), 2u);

  StatusOr<GpuStream> stream = gpu->CreateStream();
  ASSERT_TRUE(stream.ok());
  const GpuStream other = std::move(*stream);
  EXPECT_NE(other.get(), nullptr);
  EXPECT_EQ(stream->get(), nullptr);
}

TEST_F(GpuClassTest, SaysWhenMemoryRunsOut) {
  const std::unique_ptr<Gpu> gpu = Open();
  for (std::size_t size :
       {std::size_t{1} << 40, std::numeric_limits<std::size_t>::max()}) {
    StatusOr<DeviceArray<double>> array = gpu->Allocate<double>(size);
    EXPECT_EQ(array.status().code(), RTORCH_RESOURCE_EXHAUSTED);
    ExpectMessage(array.status(), {"memory for", "elements of 8 bytes"});
  }
}

TEST_F(GpuClassTest, SaysWhatFailed) {
  const std::unique_ptr<Gpu> gpu = Open();
  const std::vector<int> values = {1};
  StatusOr<DeviceArray<int>> array = gpu->Upload(values);
  ASSERT_TRUE(array.ok());

  Fail(Name("cuMemcpyHtoD_v2", "hipMemcpyHtoD"), 700);
  ExpectMessage(gpu->Upload(values).status(), {"MemcpyHtoD", "ILLEGAL_ADDRESS"});
  Fail(Name("cuMemcpyDtoH_v2", "hipMemcpyDtoH"), 700);
  ExpectMessage(gpu->Download(*array).status(), {"MemcpyDtoH"});
  Fail(Name("cuCtxSynchronize", "hipDeviceSynchronize"), 700);
  ExpectMessage(gpu->Synchronize(), {"Synchronize"});
  Fail(Name("cuStreamCreate", "hipStreamCreateWithFlags"), 2);
  EXPECT_EQ(gpu->CreateStream().status().code(), RTORCH_RESOURCE_EXHAUSTED);
  Fail(Name("cuDeviceGetName", "hipDeviceGetName"), 999);
  ExpectMessage(Gpu::Open().status(), {"DeviceGetName"});
}

TEST_F(GpuClassTest, LeavesTheCurrentDeviceAlone) {
  UseDevices({Architecture(), Architecture()});
  const std::unique_ptr<Gpu> first = Open(0);
  const std::unique_ptr<Gpu> second = Open(1);
  EXPECT_EQ(driver().get_context()->device, 1);
  {
    StatusOr<DeviceArray<int>> array = first->Upload(std::vector<int>{1});
    StatusOr<GpuStream> stream = first->CreateStream();
    ASSERT_TRUE(array.ok() && stream.ok());
    EXPECT_TRUE(first->Download(*array).ok());
    EXPECT_TRUE(first->Synchronize().ok());
    EXPECT_TRUE(stream->Synchronize().ok());
    EXPECT_TRUE(first->Time(*stream, [] { return Status(); }).ok());
    EXPECT_EQ(driver().get_context()->device, 1);
  }
  EXPECT_EQ(driver().get_context()->device, 1);
  ASSERT_TRUE(first->MakeCurrent().ok());
  EXPECT_EQ(driver().get_context()->device, 0);
}

TEST_F(GpuClassTest, WorksOnOtherThreads) {
  const std::unique_ptr<Gpu> gpu = Open();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&gpu, i] {
      const std::vector<int> values = {i, i + 1};
      StatusOr<DeviceArray<int>> array = gpu->Upload(values);
      ASSERT_TRUE(array.ok());
      StatusOr<std::vector<int>> copy = gpu->Download(*array);
      ASSERT_TRUE(copy.ok());
      EXPECT_EQ(*copy, values);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(GpuClassTest, Times) {
  const std::unique_ptr<Gpu> gpu = Open();
  StatusOr<GpuStream> stream = gpu->CreateStream();
  ASSERT_TRUE(stream.ok());
  int runs = 0;
  StatusOr<float> milliseconds = gpu->Time(*stream, [&] {
    ++runs;
    return Status();
  });
  ASSERT_TRUE(milliseconds.ok());
  EXPECT_FLOAT_EQ(*milliseconds, 1.5f);
  EXPECT_EQ(runs, 1);
}

TEST_F(GpuClassTest, TimingFailsWithWhatItTimes) {
  const std::unique_ptr<Gpu> gpu = Open();
  StatusOr<GpuStream> stream = gpu->CreateStream();
  ASSERT_TRUE(stream.ok());
  StatusOr<float> milliseconds = gpu->Time(
      *stream, [] { return Status(RTORCH_INVALID_ARGUMENT, "no such grid"); });
  ExpectMessage(milliseconds.status(), {"no such grid"});
  EXPECT_EQ(state().live_events, 0);

  for (int after : {0, 1}) {
    Fail(Name("cuEventCreate", "hipEventCreateWithFlags"), 2, after);
    EXPECT_FALSE(gpu->Time(*stream, [] { return Status(); }).ok());
    EXPECT_EQ(state().live_events, 0);
  }
  Fail(Name("cuEventSynchronize", "hipEventSynchronize"), 700);
  EXPECT_FALSE(gpu->Time(*stream, [] { return Status(); }).ok());
}

}  // namespace
}  // namespace fake
