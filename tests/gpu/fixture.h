// Tests of the launcher over one of the fake drivers: the one that LD_LIBRARY_PATH
// leads to.
#ifndef TESTS_GPU_FIXTURE_H_
#define TESTS_GPU_FIXTURE_H_

#include <cstdint>
#include <cstring>
#include <deque>
#include <initializer_list>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/internal/blob.h"
#include "runtime/internal/kernel.h"
#include "tests/gpu/fake_gpu.h"

namespace fake {

// What the fake library exports; looked up once.
struct Driver {
  bool hip;
  State* state;
  SetContext set_context;
  GetContext get_context;
  GetPrimary primary;
  SetCaptureMode set_capture_mode;
  GetCaptureMode get_capture_mode;
};
const Driver& driver();

class GpuTest : public ::testing::Test {
 protected:
  // One device, of Architecture(), with a current context.
  void SetUp() override;
  void TearDown() override;

  static bool hip() { return driver().hip; }
  static State& state() { return *driver().state; }

  // The name that the driver at hand has for a function.
  static const char* Name(const char* cuda, const char* hip_name) {
    return hip() ? hip_name : cuda;
  }
  static int Count(const std::string& function);
  static void Fail(const std::string& function, int code, int after = 0, int times = 1);

  static void UseDevices(std::initializer_list<std::string> architectures);
  static void SetDevice(int device);
};

// "sm_90", "compute_80" or "gfx942".
rules_torch::internal::KernelTarget Target(const char* name);

// The architecture that GpuTest's device has.
const char* Architecture();

// A library as cc_triton_library generates it, with the kernels "add" and "scale".
class TestLibrary {
 public:
  explicit TestLibrary(std::initializer_list<const char*> targets);
  TestLibrary() : TestLibrary({Architecture()}) {}

  rules_torch::internal::KernelLibrary library{};
  rules_torch::internal::Kernel add{};
  rules_torch::internal::Kernel scale{};

  // To be changed before the first launch.
  rules_torch::internal::KernelImage& image(std::size_t target = 0) {
    return add_images_[target];
  }

  // What a generated function does: finds the device, launches "add".
  rules_torch::Status Launch(rules_torch::Grid grid = {}, void* stream = nullptr);

  // The same with arguments; `arguments` has two more places.
  rules_torch::Status LaunchWith(std::vector<void*> arguments,
                                 rules_torch::Grid grid = {}, void* stream = nullptr);

 private:
  std::vector<rules_torch::internal::KernelTarget> targets_;
  std::vector<rules_torch::internal::KernelImage> add_images_;
  std::vector<rules_torch::internal::KernelImage> scale_images_;
  std::vector<std::uint8_t> bytes_;
  rules_torch::internal::Blob blob_{};
};

template <typename T>
T As(const std::vector<unsigned char>& bytes) {
  T value{};
  EXPECT_EQ(bytes.size(), sizeof value);
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

// All parts, in any order.
void ExpectMessage(const rules_torch::Status& status,
                   std::initializer_list<const char*> parts);

}  // namespace fake

#endif  // TESTS_GPU_FIXTURE_H_
