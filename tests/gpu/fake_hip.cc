// libamdhip64.so.6.
#include <cstdio>
#include <string>

#include "tests/gpu/fake_driver.h"

namespace {

// Until a test asks for others.
const bool kHasDevice = [] {
  fake::state().devices = {{"Fake GPU", "gfx942:sramecc+:xnack-", 132, 65536}};
  return true;
}();

const fake::Device* DeviceAt(int device) {
  if (!fake::IsDevice(device)) return nullptr;
  return &fake::state().devices[static_cast<std::size_t>(device)];
}

// A thread that asked for no device is on the first.
void UseFirst() {
  if (fake::current == nullptr) fake::current = fake::Primary(0);
}

}  // namespace

#define FAKE_CALL(name)        \
  const fake::Call call(name); \
  if (call.failure() != 0) return call.failure()

extern "C" {

int hipInit(unsigned) { return fake::Nothing("hipInit"); }

int hipDriverGetVersion(int* version) {
  FAKE_CALL("hipDriverGetVersion");
  *version = 60342134;
  return 0;
}

int hipGetDeviceCount(int* count) {
  FAKE_CALL("hipGetDeviceCount");
  *count = static_cast<int>(fake::state().devices.size());
  return 0;
}

int hipDeviceGetAttribute(int* value, int attribute, int ordinal) {
  FAKE_CALL("hipDeviceGetAttribute");
  const fake::Device* device = DeviceAt(ordinal);
  if (device == nullptr) return fake::kInvalidDevice;
  switch (attribute) {
    case 63:
      *value = device->multiprocessors;
      return 0;
    case 74:
      *value = device->shared_bytes;
      return 0;
    default:
      return fake::kInvalidValue;
  }
}

int hipDeviceGetName(char* name, int size, int device) {
  return fake::DeviceName("hipDeviceGetName", name, size, device);
}

int hipGetDevicePropertiesR0600(void* properties, int ordinal) {
  FAKE_CALL("hipGetDevicePropertiesR0600");
  const fake::Device* device = DeviceAt(ordinal);
  if (device == nullptr) return fake::kInvalidDevice;
  std::snprintf(static_cast<char*>(properties) + 1160, 256, "%s",
                device->architecture.c_str());
  return 0;
}

int hipDrvGetErrorName(int code, const char** name) {
  static thread_local std::string text;
  text = std::string("HIP_") + fake::ErrorName(code);
  *name = text.c_str();
  return 0;
}

int hipDrvGetErrorString(int code, const char** string) {
  static thread_local std::string text;
  text = "what HIP says of " + std::to_string(code);
  *string = text.c_str();
  return 0;
}

int hipThreadExchangeStreamCaptureMode(int* mode) {
  return fake::ExchangeCaptureMode("hipThreadExchangeStreamCaptureMode", mode);
}

int hipGetDevice(int* device) {
  FAKE_CALL("hipGetDevice");
  UseFirst();
  *device = fake::current->device;
  return 0;
}

int hipSetDevice(int device) {
  FAKE_CALL("hipSetDevice");
  if (!fake::IsDevice(device)) return fake::kInvalidDevice;
  fake::current = fake::Primary(device);
  return 0;
}

int hipModuleLoadData(void** module, const void* code) {
  UseFirst();
  const std::string text = fake::ImageText(code);
  const std::string architecture = text.substr(0, text.find(' '));
  const std::string& device = DeviceAt(fake::current->device)->architecture;
  if (device.substr(0, device.find(':')) != architecture) {
    return fake::kNoBinaryForGpu;
  }
  return fake::LoadImage("hipModuleLoadData", code, module);
}

int hipModuleUnload(void* module) {
  return fake::UnloadImage("hipModuleUnload", module);
}

int hipModuleGetFunction(void** function, void* module, const char* name) {
  return fake::FindKernel("hipModuleGetFunction", function, module, name);
}

int hipModuleLaunchKernel(void* function, unsigned x, unsigned y, unsigned z,
                          unsigned block_x, unsigned block_y, unsigned block_z,
                          unsigned shared_bytes, void* stream, void** arguments,
                          void** extra) {
  UseFirst();
  const unsigned grid[] = {x, y, z};
  const unsigned block[] = {block_x, block_y, block_z};
  if (extra != nullptr) return fake::kInvalidValue;
  return fake::LaunchKernel("hipModuleLaunchKernel", function, grid, block,
                            shared_bytes, 0, stream, arguments);
}

int hipMallocAsync(void** memory, std::size_t bytes, void* stream) {
  return fake::AllocateAsync("hipMallocAsync", memory, bytes, stream);
}
int hipFreeAsync(void* memory, void* stream) {
  return fake::FreeAsync("hipFreeAsync", memory, stream);
}
int hipMalloc(void** memory, std::size_t bytes) {
  return fake::Allocate("hipMalloc", memory, bytes);
}
int hipFree(void* memory) { return fake::Free("hipFree", memory); }
int hipMemcpyHtoD(void* to, const void* from, std::size_t bytes) {
  return fake::Copy("hipMemcpyHtoD", to, from, bytes);
}
int hipMemcpyDtoH(void* to, const void* from, std::size_t bytes) {
  return fake::Copy("hipMemcpyDtoH", to, from, bytes);
}
int hipDeviceSynchronize() { return fake::Nothing("hipDeviceSynchronize"); }
int hipStreamCreateWithFlags(void** stream, unsigned flags) {
  return fake::CreateStream("hipStreamCreateWithFlags", stream, flags);
}
int hipStreamDestroy(void* stream) {
  return fake::DestroyStream("hipStreamDestroy", stream);
}
int hipStreamSynchronize(void*) { return fake::Nothing("hipStreamSynchronize"); }
int hipEventCreateWithFlags(void** event, unsigned flags) {
  return fake::CreateEvent("hipEventCreateWithFlags", event, flags);
}
int hipEventDestroy(void* event) {
  return fake::DestroyEvent("hipEventDestroy", event);
}
int hipEventRecord(void* event, void*) {
  return fake::RecordEvent("hipEventRecord", event);
}
int hipEventSynchronize(void*) { return fake::Nothing("hipEventSynchronize"); }
int hipEventElapsedTime(float* milliseconds, void* start, void* end) {
  return fake::ElapsedTime("hipEventElapsedTime", milliseconds, start, end);
}

}  // extern "C"
