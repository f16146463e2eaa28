#include "rules_torch/gpu.h"

#include <cstdio>
#include <new>
#include <utility>

#include "runtime/internal/gpu_driver.h"

namespace rules_torch {

namespace {

using internal::DriverResult;
using internal::DriverStatus;
using internal::FormatStatus;
using internal::GpuDriver;

constexpr unsigned kNonBlockingStream = 1;

// Calls a function of the driver's table.
template <typename Function, typename... Arguments>
DriverResult Call(const Function& function, Arguments... arguments) {
  return {function.name, function(arguments...)};
}

Status ToStatus(const GpuDriver& driver, DriverResult result, const char* doing = "") {
  if (result.code == 0) return Status();
  return DriverStatus(driver, "Gpu", doing, result);
}

// Makes a context current for a scope.
class Current {
 public:
  Current(const GpuDriver& driver, void* context) : driver_(driver) {
    result_ = driver_.GetCurrent(&previous_);
    if (result_.code != 0 || previous_ == context) return;
    result_ = driver_.SetCurrent(context);
    changed_ = result_.code == 0;
  }
  ~Current() {
    if (changed_) driver_.SetCurrent(previous_);
  }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;

  // Makes the call, unless the context could not be made current.
  template <typename Function, typename... Arguments>
  DriverResult Call(const Function& function, Arguments... arguments) const {
    if (result_.code != 0) return result_;
    return rules_torch::Call(function, arguments...);
  }

 private:
  const GpuDriver& driver_;
  DriverResult result_;
  void* previous_ = nullptr;
  bool changed_ = false;
};

}  // namespace

GpuStream::~GpuStream() {
  if (handle_ != nullptr) gpu_->DestroyStream(handle_);
}

Status GpuStream::Synchronize() const { return gpu_->SynchronizeStream(handle_); }

StatusOr<std::unique_ptr<Gpu>> Gpu::Open(int ordinal) {
  const internal::DriverSearch& cuda = internal::FindCudaDriver();
  const GpuDriver* driver =
      cuda.driver != nullptr ? cuda.driver : internal::FindHipDriver().driver;
  if (driver == nullptr) {
    return FormatStatus(RTORCH_UNAVAILABLE,
                        "Gpu: there is no NVIDIA GPU: %s; nor an AMD GPU: %s",
                        cuda.reason, internal::FindHipDriver().reason);
  }
  int devices = 0;
  Status status = ToStatus(*driver, Call(driver->device_count, &devices));
  if (!status.ok()) return status;
  if (ordinal < 0 || ordinal >= devices) {
    return FormatStatus(RTORCH_INVALID_ARGUMENT,
                        "Gpu: there is no device %d: %s has devices 0 to %d", ordinal,
                        driver->name, devices - 1);
  }
  std::unique_ptr<Gpu> gpu(new (std::nothrow) Gpu(driver, ordinal));
  if (gpu == nullptr) return Status(RTORCH_RESOURCE_EXHAUSTED, "out of memory");
  status = gpu->Initialize();
  if (!status.ok()) return status;
  return gpu;
}

Status Gpu::Initialize() {
  char name[256] = "";
  DriverResult result =
      Call(driver_->device_name, name, static_cast<int>(sizeof name), ordinal_);
  char architecture[GpuDriver::kArchitectureSize] = "";
  int number = 0;
  if (result.code == 0) result = driver_->Architecture(ordinal_, architecture, &number);
  if (result.code == 0) {
    result = Call(driver_->device_attribute, &multiprocessors_,
                  driver_->attribute_processors, ordinal_);
  }
  if (result.code == 0) result = Call(driver_->driver_version, &driver_version_);
  if (result.code == 0) {
    result = driver_->RetainContext(ordinal_, &context_);
    retained_ = result.code == 0;
  }
  if (result.code == 0) result = driver_->SetCurrent(context_);
  if (result.code != 0) return ToStatus(*driver_, result);
  try {
    name_ = name;
    architecture_ = architecture;
  } catch (...) {
    return Status(RTORCH_RESOURCE_EXHAUSTED, "out of memory");
  }
  return Status();
}

Gpu::~Gpu() {
  if (retained_) driver_->ReleaseContext(ordinal_);
}

Status Gpu::MakeCurrent() const {
  return ToStatus(*driver_, driver_->SetCurrent(context_));
}

Status Gpu::Synchronize() const {
  const Current current(*driver_, context_);
  return ToStatus(*driver_, current.Call(driver_->synchronize));
}

StatusOr<GpuStream> Gpu::CreateStream() const {
  const Current current(*driver_, context_);
  void* stream = nullptr;
  Status status = ToStatus(
      *driver_, current.Call(driver_->create_stream, &stream, kNonBlockingStream));
  if (!status.ok()) return status;
  return GpuStream(this, stream);
}

Status Gpu::SynchronizeStream(void* stream) const {
  const Current current(*driver_, context_);
  return ToStatus(*driver_, current.Call(driver_->synchronize_stream, stream));
}

void Gpu::DestroyStream(void* stream) const {
  const Current current(*driver_, context_);
  current.Call(driver_->synchronize_stream, stream);
  current.Call(driver_->destroy_stream, stream);
}

StatusOr<void*> Gpu::AllocateElements(std::size_t size,
                                      std::size_t element_size) const {
  void* memory = nullptr;
  if (size == 0) return memory;
  DriverResult result = {driver_->allocate.name, internal::kOutOfMemory};
  std::size_t bytes = 0;
  if (!__builtin_mul_overflow(size, element_size, &bytes)) {
    const Current current(*driver_, context_);
    result = current.Call(driver_->allocate, &memory, bytes);
  }
  if (result.code == 0) return memory;
  char doing[96];
  std::snprintf(doing, sizeof doing, "memory for %zu elements of %zu bytes: ", size,
                element_size);
  return ToStatus(*driver_, result, doing);
}

Status Gpu::CopyToDevice(void* to, const void* from, std::size_t bytes) const {
  const Current current(*driver_, context_);
  DriverResult result = current.Call(driver_->upload, to, from, bytes);
  // The copy is on the legacy stream, and may return before the device has the
  // last of it; streams like GpuStream would not wait.
  if (result.code == 0) result = current.Call(driver_->synchronize_stream, nullptr);
  return ToStatus(*driver_, result);
}

Status Gpu::CopyToHost(void* to, const void* from, std::size_t bytes) const {
  const Current current(*driver_, context_);
  DriverResult result = current.Call(driver_->synchronize);
  if (result.code == 0) result = current.Call(driver_->download, to, from, bytes);
  return ToStatus(*driver_, result);
}

void Gpu::Free(void* memory) const {
  const Current current(*driver_, context_);
  current.Call(driver_->free, memory);
}

Gpu::Timer::~Timer() {
  const Current current(*gpu->driver_, gpu->context_);
  if (start != nullptr) current.Call(gpu->driver_->destroy_event, start);
  if (end != nullptr) current.Call(gpu->driver_->destroy_event, end);
}

Status Gpu::Timer::Start() {
  const GpuDriver& driver = *gpu->driver_;
  const Current current(driver, gpu->context_);
  DriverResult result = current.Call(driver.create_event, &start, 0u);
  if (result.code == 0) result = current.Call(driver.create_event, &end, 0u);
  if (result.code == 0) result = current.Call(driver.record_event, start, stream);
  return ToStatus(driver, result);
}

StatusOr<float> Gpu::Timer::Stop() {
  const GpuDriver& driver = *gpu->driver_;
  const Current current(driver, gpu->context_);
  float milliseconds = 0;
  DriverResult result = current.Call(driver.record_event, end, stream);
  if (result.code == 0) result = current.Call(driver.synchronize_event, end);
  if (result.code == 0) {
    result = current.Call(driver.elapsed_time, &milliseconds, start, end);
  }
  if (result.code != 0) return ToStatus(driver, result);
  return milliseconds;
}

}  // namespace rules_torch
