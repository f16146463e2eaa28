// Errors whose messages there is no memory for: no exception leaves.
#include <cstdlib>
#include <new>

#include "gtest/gtest.h"
#include "rules_torch/gpu.h"
#include "runtime/internal/kernel.h"

namespace {

thread_local bool no_memory = false;

}  // namespace

void* operator new(std::size_t bytes) {
  void* memory = no_memory ? nullptr : std::malloc(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* operator new[](std::size_t bytes) { return operator new(bytes); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return no_memory ? nullptr : std::malloc(bytes);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept {
  std::free(memory);
}

namespace {

using rules_torch::Gpu;
using rules_torch::Status;
using rules_torch::internal::KernelDevice;
using rules_torch::internal::KernelFormat;
using rules_torch::internal::KernelLibrary;
using rules_torch::internal::KernelMisfit;
using rules_torch::internal::KernelTarget;

// Runs with no memory for its scope.
class NoMemory {
 public:
  NoMemory() { no_memory = true; }
  ~NoMemory() { no_memory = false; }
};

TEST(OutOfMemoryTest, KeepsTheErrorsCode) {
  const KernelTarget target = {"sm_90", KernelFormat::kCubin, 90};
  KernelLibrary library = {"//kernels:test", nullptr, &target, 1, {}};
  KernelDevice device;
  Status status;
  {
    const NoMemory none;
    EXPECT_FALSE(FindDevice(library, "kernels::add", &device, &status));
  }
  EXPECT_EQ(status.code(), RTORCH_UNAVAILABLE);
  EXPECT_EQ(status.message(), "out of memory");
}

TEST(OutOfMemoryTest, MisfitErrorKeepsItsCode) {
  const KernelMisfit misfit = {"", "x is aligned to 16 bytes", "x", 8, true};
  Status status;
  {
    const NoMemory none;
    status = MisfitError("kernels::add", &misfit, 1);
  }
  EXPECT_EQ(status.code(), RTORCH_INVALID_ARGUMENT);
  EXPECT_EQ(status.message(), "out of memory");
}

TEST(OutOfMemoryTest, GpuSaysSo) {
  RTorchCode code = RTORCH_OK;
  {
    const NoMemory none;
    code = Gpu::Open().status().code();
  }
  EXPECT_EQ(code, RTORCH_UNAVAILABLE);
}

}  // namespace
