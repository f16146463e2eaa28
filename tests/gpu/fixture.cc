#include "tests/gpu/fixture.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <type_traits>

namespace fake {

using rules_torch::Grid;
using rules_torch::Status;
using rules_torch::internal::KernelDevice;
using rules_torch::internal::KernelFormat;
using rules_torch::internal::KernelTarget;

const Driver& driver() {
  static const Driver found = [] {
    Driver driver = {};
    void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      driver.hip = true;
      library = dlopen("libamdhip64.so.6", RTLD_NOW | RTLD_LOCAL);
    }
    if (library == nullptr || dlsym(library, "fake_state") == nullptr) {
      std::fputs("LD_LIBRARY_PATH has no fake driver\n", stderr);
      std::abort();
    }
    const auto look_up = [&](auto& function, const char* name) {
      function =
          reinterpret_cast<std::decay_t<decltype(function)>>(dlsym(library, name));
    };
    GetState get_state = nullptr;
    look_up(get_state, "fake_state");
    driver.state = get_state();
    look_up(driver.set_context, "fake_set_context");
    look_up(driver.get_context, "fake_get_context");
    look_up(driver.primary, "fake_primary");
    look_up(driver.set_capture_mode, "fake_set_capture_mode");
    look_up(driver.get_capture_mode, "fake_get_capture_mode");
    return driver;
  }();
  return found;
}

void GpuTest::SetUp() {
  State& now = state();
  now.argument_sizes.clear();
  now.failures.clear();
  now.on_launch = nullptr;
  now.clock = 0;
  now.record_time = 1.5;
  now.launches.clear();
  now.loads.clear();
  now.allocations.clear();
  now.attributes.clear();
  now.capture_modes.clear();
  now.calls.clear();
  now.unloads = 0;
  UseDevices({Architecture()});
  SetDevice(0);
  driver().set_capture_mode(0);
}

void GpuTest::TearDown() {
  EXPECT_EQ(state().live_memory, 0);
  EXPECT_EQ(state().live_streams, 0);
  EXPECT_EQ(state().live_events, 0);
}

int GpuTest::Count(const std::string& function) {
  const auto& calls = state().calls;
  return static_cast<int>(std::count(calls.begin(), calls.end(), function));
}

void GpuTest::Fail(const std::string& function, int code, int after, int times) {
  state().failures[function] = {code, after, times};
}

void GpuTest::UseDevices(std::initializer_list<std::string> architectures) {
  state().devices.clear();
  for (const std::string& architecture : architectures) {
    state().devices.push_back({"Fake GPU", architecture, 132, hip() ? 65536 : 232448});
  }
}

void GpuTest::SetDevice(int device) { driver().set_context(driver().primary(device)); }

KernelTarget Target(const char* name) {
  const std::string text = name;
  if (text.rfind("sm_", 0) == 0) {
    return {name, KernelFormat::kCubin, std::atoi(name + 3)};
  }
  if (text.rfind("compute_", 0) == 0) {
    return {name, KernelFormat::kPtx, std::atoi(name + 8)};
  }
  return {name, KernelFormat::kHsaco, 0};
}

const char* Architecture() { return driver().hip ? "gfx942" : "sm_90"; }

TestLibrary::TestLibrary(std::initializer_list<const char*> targets) {
  for (const char* name : targets) {
    const std::string text = std::string(name) + " add scale";
    while (bytes_.size() % 64 != 0) bytes_.push_back(0xee);
    const rules_torch::internal::KernelImage image = {
        bytes_.size(), text.size() + 1, "add", 128, 1, 0, 1, 0, nullptr};
    add_images_.push_back(image);
    scale_images_.push_back(image);
    scale_images_.back().symbol = "scale";
    bytes_.insert(bytes_.end(), text.begin(), text.end());
    bytes_.push_back(0);
    targets_.push_back(Target(name));
  }
  blob_ = {bytes_.data(), bytes_.size()};
  library.label = "//kernels:test";
  library.blob = &blob_;
  library.targets = targets_.data();
  library.num_targets = static_cast<int>(targets_.size());
  add.name = "kernels::add";
  add.library = &library;
  add.images = add_images_.data();
  scale.name = "kernels::scale";
  scale.library = &library;
  scale.images = scale_images_.data();
}

Status TestLibrary::Launch(Grid grid, void* stream) {
  return LaunchWith({nullptr, nullptr}, grid, stream);
}

Status TestLibrary::LaunchWith(std::vector<void*> arguments, Grid grid, void* stream) {
  KernelDevice device;
  Status status;
  if (!FindDevice(library, add.name, &device, &status)) return status;
  return LaunchKernel(add, device, stream, grid, arguments.data(),
                      static_cast<int>(arguments.size()) - 2);
}

void ExpectMessage(const Status& status, std::initializer_list<const char*> parts) {
  EXPECT_FALSE(status.ok());
  for (const char* part : parts) {
    EXPECT_NE(status.message().find(part), std::string::npos)
        << "no \"" << part << "\" in \"" << status.message() << '"';
  }
}

}  // namespace fake
