// libcuda.so.1. With FAKE_CUDA_IS_OLD the driver of CUDA 11.8, which has no
// libraries of kernels.
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/gpu/fake_driver.h"

namespace {

// Until a test asks for others.
const bool kHasDevice = [] {
  fake::state().devices = {{"Fake GPU", "sm_90", 132, 232448}};
  return true;
}();

const fake::Device* DeviceAt(int device) {
  if (!fake::IsDevice(device)) return nullptr;
  return &fake::state().devices[static_cast<std::size_t>(device)];
}

int Capability(const fake::Device& device) {
  return std::atoi(device.architecture.c_str() + std::strlen("sm_"));
}

int InitResult() {
  const char* devices = std::getenv("FAKE_CUDA_DEVICES");
  if (devices == nullptr) return 0;
  return std::string(devices) == "0" ? fake::kNoDevice : 999;
}

}  // namespace

#define FAKE_CALL(name)        \
  const fake::Call call(name); \
  if (call.failure() != 0) return call.failure()

extern "C" {

int cuInit(unsigned) {
  FAKE_CALL("cuInit");
  return InitResult();
}

int cuDriverGetVersion(int* version) {
  FAKE_CALL("cuDriverGetVersion");
#ifdef FAKE_CUDA_IS_OLD
  *version = 11080;
#else
  *version = 13000;
#endif
  return 0;
}

int cuDeviceGetCount(int* count) {
  FAKE_CALL("cuDeviceGetCount");
  *count = static_cast<int>(fake::state().devices.size());
  return 0;
}

int cuDeviceGetAttribute(int* value, int attribute, int ordinal) {
  FAKE_CALL("cuDeviceGetAttribute");
  const fake::Device* device = DeviceAt(ordinal);
  if (device == nullptr) return fake::kInvalidDevice;
  switch (attribute) {
    case 16:
      *value = device->multiprocessors;
      return 0;
    case 75:
      *value = Capability(*device) / 10;
      return 0;
    case 76:
      *value = Capability(*device) % 10;
      return 0;
    case 97:
      *value = device->shared_bytes;
      return 0;
    default:
      return fake::kInvalidValue;
  }
}

int cuDeviceGetName(char* name, int size, int device) {
  return fake::DeviceName("cuDeviceGetName", name, size, device);
}

int cuGetErrorName(int code, const char** name) {
  static thread_local std::string text;
  text = std::string("CUDA_") + fake::ErrorName(code);
  *name = text.c_str();
  return 0;
}

int cuGetErrorString(int code, const char** string) {
  static thread_local std::string text;
  text = "what CUDA says of " + std::to_string(code);
  *string = text.c_str();
  return 0;
}

int cuThreadExchangeStreamCaptureMode(int* mode) {
  return fake::ExchangeCaptureMode("cuThreadExchangeStreamCaptureMode", mode);
}

int cuCtxGetDevice(int* device) {
  FAKE_CALL("cuCtxGetDevice");
  if (fake::current == nullptr) return fake::kInvalidContext;
  *device = fake::current->device;
  return 0;
}

int cuCtxGetCurrent(void** context) {
  FAKE_CALL("cuCtxGetCurrent");
  *context = fake::current;
  return 0;
}

int cuCtxSetCurrent(void* context) {
  FAKE_CALL("cuCtxSetCurrent");
  fake::current = static_cast<fake::Context*>(context);
  return 0;
}

int cuDevicePrimaryCtxRetain(void** context, int device) {
  FAKE_CALL("cuDevicePrimaryCtxRetain");
  if (!fake::IsDevice(device)) return fake::kInvalidDevice;
  *context = fake::Primary(device);
  return 0;
}

int cuDevicePrimaryCtxRelease_v2(int) {
  return fake::Nothing("cuDevicePrimaryCtxRelease_v2");
}

#ifndef FAKE_CUDA_IS_OLD
int cuLibraryLoadData(void** library, const void* code, void* jit, void*, unsigned jits,
                      void* options, void*, unsigned num_options) {
  if (jit != nullptr || jits != 0 || options != nullptr || num_options != 0) {
    return fake::kInvalidValue;
  }
  return fake::LoadImage("cuLibraryLoadData", code, library);
}

int cuLibraryUnload(void* library) {
  return fake::UnloadImage("cuLibraryUnload", library);
}

int cuLibraryGetKernel(void** kernel, void* library, const char* name) {
  return fake::FindKernel("cuLibraryGetKernel", kernel, library, name);
}

int cuKernelSetAttribute(int attribute, int value, void* kernel, int device) {
  FAKE_CALL("cuKernelSetAttribute");
  fake::state().attributes.push_back(
      {static_cast<fake::Kernel*>(kernel)->name, attribute, value, device});
  return 0;
}

int cuKernelGetFunction(void** function, void* kernel) {
  FAKE_CALL("cuKernelGetFunction");
  if (fake::current == nullptr) return fake::kInvalidContext;
  const std::string& architecture =
      static_cast<fake::Kernel*>(kernel)->image->architecture;
  const int device = Capability(*DeviceAt(fake::current->device));
  const int number = std::atoi(architecture.c_str() + architecture.find('_') + 1);
  const bool runs =
      number == device || (number < 90 && number < device &&
                           (architecture[0] == 'c' || number / 10 == device / 10));
  if (!runs) return fake::kNoBinaryForGpu;
  *function = kernel;
  return 0;
}
#endif

int cuLaunchKernel(void* kernel, unsigned x, unsigned y, unsigned z, unsigned block_x,
                   unsigned block_y, unsigned block_z, unsigned shared_bytes,
                   void* stream, void** arguments, void** extra) {
  const unsigned grid[] = {x, y, z};
  const unsigned block[] = {block_x, block_y, block_z};
  if (extra != nullptr) return fake::kInvalidValue;
  return fake::LaunchKernel("cuLaunchKernel", kernel, grid, block, shared_bytes, 0,
                            stream, arguments);
}

struct FakeAttribute {
  int id;
  int padding;
  unsigned value[16];
};

struct FakeConfig {
  unsigned grid[3];
  unsigned block[3];
  unsigned shared_bytes;
  void* stream;
  FakeAttribute* attributes;
  unsigned num_attributes;
};

int cuLaunchKernelEx(const FakeConfig* config, void* kernel, void** arguments,
                     void** extra) {
  // The cluster's size, and then to spread its blocks.
  if (extra != nullptr || config->num_attributes != 2) return fake::kInvalidValue;
  const FakeAttribute* attributes = config->attributes;
  if (attributes[0].id != 4 || attributes[0].value[1] != 1 ||
      attributes[0].value[2] != 1 || attributes[1].id != 5 ||
      attributes[1].value[0] != 1) {
    return fake::kInvalidValue;
  }
  return fake::LaunchKernel("cuLaunchKernelEx", kernel, config->grid, config->block,
                            config->shared_bytes, attributes[0].value[0],
                            config->stream, arguments);
}

int cuMemAllocAsync(void** memory, std::size_t bytes, void* stream) {
  return fake::AllocateAsync("cuMemAllocAsync", memory, bytes, stream);
}
int cuMemFreeAsync(void* memory, void* stream) {
  return fake::FreeAsync("cuMemFreeAsync", memory, stream);
}
int cuMemAlloc_v2(void** memory, std::size_t bytes) {
  return fake::Allocate("cuMemAlloc_v2", memory, bytes);
}
int cuMemFree_v2(void* memory) { return fake::Free("cuMemFree_v2", memory); }
int cuMemcpyHtoD_v2(void* to, const void* from, std::size_t bytes) {
  return fake::Copy("cuMemcpyHtoD_v2", to, from, bytes);
}
int cuMemcpyDtoH_v2(void* to, const void* from, std::size_t bytes) {
  return fake::Copy("cuMemcpyDtoH_v2", to, from, bytes);
}
int cuCtxSynchronize() { return fake::Nothing("cuCtxSynchronize"); }
int cuStreamCreate(void** stream, unsigned flags) {
  return fake::CreateStream("cuStreamCreate", stream, flags);
}
int cuStreamDestroy_v2(void* stream) {
  return fake::DestroyStream("cuStreamDestroy_v2", stream);
}
int cuStreamSynchronize(void*) { return fake::Nothing("cuStreamSynchronize"); }
int cuEventCreate(void** event, unsigned flags) {
  return fake::CreateEvent("cuEventCreate", event, flags);
}
int cuEventDestroy_v2(void* event) {
  return fake::DestroyEvent("cuEventDestroy_v2", event);
}
int cuEventRecord(void* event, void*) {
  return fake::RecordEvent("cuEventRecord", event);
}
int cuEventSynchronize(void*) { return fake::Nothing("cuEventSynchronize"); }
int cuEventElapsedTime(float* milliseconds, void* start, void* end) {
  return fake::ElapsedTime("cuEventElapsedTime", milliseconds, start, end);
}

}  // extern "C"
