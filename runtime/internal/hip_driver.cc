// The HIP runtime, found by dlopen. The part of its ABI that is used is declared
// here: no ROCm is needed.
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "runtime/internal/gpu_driver.h"

namespace rules_torch::internal {

namespace {

// hipDeviceAttribute_t.
constexpr int kMultiprocessorCount = 63;
constexpr int kMaxSharedMemoryPerBlock = 74;

// hipDeviceProp_tR0600: its size, with room to grow, and where gcnArchName is.
constexpr std::size_t kPropertiesSize = 8192;
constexpr std::size_t kArchitectureOffset = 1160;
constexpr std::size_t kArchitectureLength = 256;

struct HipDriver final : GpuDriver {
  DriverFunction<void**, const void*> load_module;
  DriverFunction<void*, int> device_properties;
  DriverFunction<int> set_device;

  explicit HipDriver(DriverSearch* search) {
    kind = kHip;
    name = "HIP";
    product = "ROCm's HIP runtime";
    required = "ROCm 6.0";
    make_current = "hipSetDevice";
    loads_for_all_devices = false;
    has_clusters = false;
    attribute_processors = kMultiprocessorCount;
    attribute_shared_memory = kMaxSharedMemoryPerBlock;

    init.name = "hipInit";
    driver_version.name = "hipDriverGetVersion";
    device_count.name = "hipGetDeviceCount";
    device_attribute.name = "hipDeviceGetAttribute";
    device_name.name = "hipDeviceGetName";
    error_name.name = "hipDrvGetErrorName";
    error_string.name = "hipDrvGetErrorString";
    exchange_capture_mode.name = "hipThreadExchangeStreamCaptureMode";
    find_kernel.name = "hipModuleGetFunction";
    unload.name = "hipModuleUnload";
    current_device.name = "hipGetDevice";
    launch.name = "hipModuleLaunchKernel";
    allocate_async.name = "hipMallocAsync";
    free_async.name = "hipFreeAsync";
    allocate.name = "hipMalloc";
    free.name = "hipFree";
    upload.name = "hipMemcpyHtoD";
    download.name = "hipMemcpyDtoH";
    synchronize.name = "hipDeviceSynchronize";
    create_stream.name = "hipStreamCreateWithFlags";
    destroy_stream.name = "hipStreamDestroy";
    synchronize_stream.name = "hipStreamSynchronize";
    create_event.name = "hipEventCreateWithFlags";
    destroy_event.name = "hipEventDestroy";
    record_event.name = "hipEventRecord";
    synchronize_event.name = "hipEventSynchronize";
    elapsed_time.name = "hipEventElapsedTime";

    load_module.name = "hipModuleLoadData";
    device_properties.name = "hipGetDevicePropertiesR0600";
    set_device.name = "hipSetDevice";

    OpenDriver(*this, {"libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so"},
               {&load_module, &device_properties, &set_device}, search);
  }

  DriverResult Load(const void* image, void** library) const override {
    return {load_module.name, load_module(library, image)};
  }

  DriverResult Prepare(void*, int, unsigned, unsigned) const override {
    return {nullptr, 0};  // a block may use all of its shared memory without asking
  }

  DriverResult LaunchCluster(void*, const LaunchShape&, void*, void**) const override {
    return {launch.name, kInvalidValue};  // see has_clusters
  }

  DriverResult Architecture(int device, char* architecture,
                            int* number) const override {
    alignas(16) char properties[kPropertiesSize] = {};
    const int code = device_properties(properties, device);
    // "gfx942:sramecc+:xnack-"; code that does not say is for either setting.
    const char* full = properties + kArchitectureOffset;
    std::size_t length = 0;
    while (length < kArchitectureLength && length < kArchitectureSize - 1 &&
           full[length] != '\0' && full[length] != ':') {
      ++length;
    }
    std::memcpy(architecture, full, length);
    architecture[length] = '\0';
    *number = 0;
    return {device_properties.name, code};
  }

  DriverResult RetainContext(int device, void** context) const override {
    *context = ToContext(device);
    return {nullptr, 0};
  }
  DriverResult ReleaseContext(int) const override { return {nullptr, 0}; }
  DriverResult GetCurrent(void** context) const override {
    int device = 0;
    const int code = current_device(&device);
    *context = ToContext(device);
    return {current_device.name, code};
  }
  DriverResult SetCurrent(void* context) const override {
    const int device = static_cast<int>(reinterpret_cast<std::intptr_t>(context));
    return {set_device.name, set_device(device)};
  }

 private:
  static void* ToContext(int device) {
    return reinterpret_cast<void*>(static_cast<std::intptr_t>(device));
  }
};

}  // namespace

const DriverSearch& FindHipDriver() {
  static DriverSearch search;
  static const HipDriver driver(&search);
  return search;
}

}  // namespace rules_torch::internal
