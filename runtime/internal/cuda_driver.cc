// The CUDA driver, found by dlopen. The part of its ABI that is used is declared
// here: no CUDA toolkit is needed. The names with _v2 are what cuda.h's macros map
// the plain ones to.
#include <cstdio>

#include "runtime/internal/gpu_driver.h"

namespace rules_torch::internal {

namespace {

// CUdevice_attribute.
constexpr int kMultiprocessorCount = 16;
constexpr int kComputeCapabilityMajor = 75;
constexpr int kComputeCapabilityMinor = 76;
constexpr int kMaxSharedMemoryPerBlockOptin = 97;

// CUfunction_attribute.
constexpr int kMaxDynamicSharedSizeBytes = 8;
constexpr int kNonPortableClusterSizeAllowed = 14;

// What a kernel has without asking.
constexpr unsigned kDefaultSharedBytes = 48 * 1024;
constexpr unsigned kPortableCluster = 8;

// CUlaunchAttribute, with the two of its values that are used.
struct LaunchAttribute {
  int id;
  int padding;
  union {
    char bytes[64];
    unsigned cluster[3];
    int policy;
  } value;
};
constexpr int kClusterDimension = 4;
constexpr int kClusterSchedulingPolicy = 5;
constexpr int kSpread = 1;  // what Triton's own launcher asks for

// CUlaunchConfig.
struct LaunchConfig {
  unsigned grid[3];
  unsigned block[3];
  unsigned shared_bytes;
  void* stream;
  LaunchAttribute* attributes;
  unsigned num_attributes;
};

static_assert(sizeof(LaunchAttribute) == 72 && sizeof(LaunchConfig) == 56);

struct CudaDriver final : GpuDriver {
  // Library, code, then three for the JIT's options and three for the library's.
  DriverFunction<void**, const void*, void*, void*, unsigned, void*, void*, unsigned>
      load_library;
  DriverFunction<int, int, void*, int> set_attribute;  // which, value, kernel, device
  DriverFunction<void**, void*> get_function;
  DriverFunction<const LaunchConfig*, void*, void**, void**> launch_ex;
  DriverFunction<void**, int> retain_context;
  DriverFunction<int> release_context;
  DriverFunction<void**> get_current;
  DriverFunction<void*> set_current;

  explicit CudaDriver(DriverSearch* search) {
    kind = kCuda;
    name = "CUDA";
    product = "the NVIDIA driver";
    required = "CUDA 12.0";
    make_current = "cudaSetDevice or cuCtxSetCurrent";
    loads_for_all_devices = true;
    has_clusters = true;
    attribute_processors = kMultiprocessorCount;
    attribute_shared_memory = kMaxSharedMemoryPerBlockOptin;

    init.name = "cuInit";
    driver_version.name = "cuDriverGetVersion";
    device_count.name = "cuDeviceGetCount";
    device_attribute.name = "cuDeviceGetAttribute";
    device_name.name = "cuDeviceGetName";
    error_name.name = "cuGetErrorName";
    error_string.name = "cuGetErrorString";
    exchange_capture_mode.name = "cuThreadExchangeStreamCaptureMode";
    find_kernel.name = "cuLibraryGetKernel";
    unload.name = "cuLibraryUnload";
    current_device.name = "cuCtxGetDevice";
    launch.name = "cuLaunchKernel";
    allocate_async.name = "cuMemAllocAsync";
    free_async.name = "cuMemFreeAsync";
    allocate.name = "cuMemAlloc_v2";
    free.name = "cuMemFree_v2";
    upload.name = "cuMemcpyHtoD_v2";
    download.name = "cuMemcpyDtoH_v2";
    synchronize.name = "cuCtxSynchronize";
    create_stream.name = "cuStreamCreate";
    destroy_stream.name = "cuStreamDestroy_v2";
    synchronize_stream.name = "cuStreamSynchronize";
    create_event.name = "cuEventCreate";
    destroy_event.name = "cuEventDestroy_v2";
    record_event.name = "cuEventRecord";
    synchronize_event.name = "cuEventSynchronize";
    elapsed_time.name = "cuEventElapsedTime";

    load_library.name = "cuLibraryLoadData";
    set_attribute.name = "cuKernelSetAttribute";
    get_function.name = "cuKernelGetFunction";
    launch_ex.name = "cuLaunchKernelEx";
    retain_context.name = "cuDevicePrimaryCtxRetain";
    release_context.name = "cuDevicePrimaryCtxRelease_v2";
    get_current.name = "cuCtxGetCurrent";
    set_current.name = "cuCtxSetCurrent";

    OpenDriver(*this, {"libcuda.so.1"},
               {&load_library, &set_attribute, &get_function, &launch_ex,
                &retain_context, &release_context, &get_current, &set_current},
               search);
  }

  DriverResult Load(const void* image, void** library) const override {
    return {load_library.name,
            load_library(library, image, nullptr, nullptr, 0, nullptr, nullptr, 0)};
  }

  DriverResult Prepare(void* kernel, int device, unsigned shared_bytes,
                       unsigned cluster) const override {
    int code = 0;
    if (shared_bytes > kDefaultSharedBytes) {
      code = set_attribute(kMaxDynamicSharedSizeBytes, static_cast<int>(shared_bytes),
                           kernel, device);
    }
    if (code == 0 && cluster > kPortableCluster) {
      code = set_attribute(kNonPortableClusterSizeAllowed, 1, kernel, device);
    }
    if (code != 0) return {set_attribute.name, code};
    // Libraries are loaded lazily, a context at a time. This one gets its code now:
    // what is wrong with an image shows here, and not in a captured launch.
    void* function = nullptr;
    return {get_function.name, get_function(&function, kernel)};
  }

  DriverResult LaunchCluster(void* kernel, const LaunchShape& shape, void* stream,
                             void** arguments) const override {
    LaunchAttribute attributes[2] = {};
    attributes[0].id = kClusterDimension;
    attributes[0].value.cluster[0] = shape.cluster;
    attributes[0].value.cluster[1] = 1;
    attributes[0].value.cluster[2] = 1;
    attributes[1].id = kClusterSchedulingPolicy;
    attributes[1].value.policy = kSpread;
    LaunchConfig config = {};
    config.grid[0] = shape.x;
    config.grid[1] = shape.y;
    config.grid[2] = shape.z;
    config.block[0] = shape.threads;
    config.block[1] = 1;
    config.block[2] = 1;
    config.shared_bytes = shape.shared_bytes;
    config.stream = stream;
    config.attributes = attributes;
    config.num_attributes = 2;
    return {launch_ex.name, launch_ex(&config, kernel, arguments, nullptr)};
  }

  DriverResult Architecture(int device, char* architecture,
                            int* number) const override {
    int major = 0;
    int minor = 0;
    int code = device_attribute(&major, kComputeCapabilityMajor, device);
    if (code == 0) code = device_attribute(&minor, kComputeCapabilityMinor, device);
    *number = major * 10 + minor;
    std::snprintf(architecture, kArchitectureSize, "sm_%d", *number);
    return {device_attribute.name, code};
  }

  DriverResult RetainContext(int device, void** context) const override {
    return {retain_context.name, retain_context(context, device)};
  }
  DriverResult ReleaseContext(int device) const override {
    return {release_context.name, release_context(device)};
  }
  DriverResult GetCurrent(void** context) const override {
    return {get_current.name, get_current(context)};
  }
  DriverResult SetCurrent(void* context) const override {
    return {set_current.name, set_current(context)};
  }
};

}  // namespace

const DriverSearch& FindCudaDriver() {
  static DriverSearch search;
  static const CudaDriver driver(&search);
  return search;
}

}  // namespace rules_torch::internal
