// The CUDA and the HIP driver behind one table. What both have is an entry of the
// table, by two names; what differs is a virtual function. Launcher (kernel.cc) and
// Gpu (gpu.cc) are written over this alone.
//
// The two ABIs agree in what is passed here: handles and device addresses are 64
// bits wide, enumerations are ints, results are ints with 0 for success, and the
// error numbers that matter are the same.
#ifndef RULES_TORCH_INTERNAL_GPU_DRIVER_H_
#define RULES_TORCH_INTERNAL_GPU_DRIVER_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "rules_torch/status.h"

namespace rules_torch::internal {

// A function of the driver's shared library.
struct DriverSymbol {
  const char* name = nullptr;  // "cuLaunchKernel"
  void* address = nullptr;
};

template <typename... Arguments>
struct DriverFunction : DriverSymbol {
  int operator()(Arguments... arguments) const {
    return reinterpret_cast<int (*)(Arguments...)>(address)(arguments...);
  }
};

// What a function of the driver returned; `code` 0 is success.
struct DriverResult {
  const char* function;
  int code;
};

// Error numbers that CUDA and HIP share.
enum DriverError : int {
  kInvalidValue = 1,
  kOutOfMemory = 2,
  kNoDevice = 100,
  kInvalidContext = 201,
  kNoBinaryForGpu = 209,
  kInvalidPtx = 218,
  kUnsupportedPtx = 222,
  kInvalidHandle = 400,
  kSymbolNotFound = 500,
  kIllegalAddress = 700,
  kLaunchOutOfResources = 701,
  kLaunchTimeout = 702,
  kMisalignedAddress = 716,
  kLaunchFailed = 719,
};

// Of cuThreadExchangeStreamCaptureMode: allows the thread what a capture forbids.
inline constexpr int kRelaxedCapture = 2;

struct LaunchShape {
  unsigned x, y, z;  // blocks; x counts all blocks of a cluster
  unsigned threads;  // of a block
  unsigned cluster;  // blocks of a cluster
  unsigned shared_bytes;
};

struct GpuDriver {
  enum Kind { kCuda, kHip };

  Kind kind;
  const char* name;             // "CUDA"
  const char* product;          // "the NVIDIA driver"
  const char* required;         // "CUDA 12.0"
  const char* make_current;     // how a program makes a context current
  bool loads_for_all_devices;   // a kernel handle works on every device
  bool has_clusters;            // launch_cluster works
  int attribute_processors;     // for device_attribute
  int attribute_shared_memory;  // what a block may have at most

  DriverFunction<unsigned> init;
  DriverFunction<int*> driver_version;
  DriverFunction<int*> device_count;
  DriverFunction<int*, int, int> device_attribute;  // value, attribute, device
  DriverFunction<char*, int, int> device_name;      // name, its size, device
  DriverFunction<int, const char**> error_name;
  DriverFunction<int, const char**> error_string;
  DriverFunction<int*> exchange_capture_mode;

  DriverFunction<void**, void*, const char*> find_kernel;  // kernel, library, symbol
  DriverFunction<void*> unload;

  DriverFunction<int*> current_device;
  DriverFunction<void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                 unsigned, void*, void**, void**>
      launch;
  DriverFunction<void**, std::size_t, void*> allocate_async;
  DriverFunction<void*, void*> free_async;

  DriverFunction<void**, std::size_t> allocate;
  DriverFunction<void*> free;
  DriverFunction<void*, const void*, std::size_t> upload;
  DriverFunction<void*, const void*, std::size_t> download;
  DriverFunction<> synchronize;
  DriverFunction<void**, unsigned> create_stream;
  DriverFunction<void*> destroy_stream;
  DriverFunction<void*> synchronize_stream;
  DriverFunction<void**, unsigned> create_event;
  DriverFunction<void*> destroy_event;
  DriverFunction<void*, void*> record_event;
  DriverFunction<void*> synchronize_event;
  DriverFunction<float*, void*, void*> elapsed_time;

  // Loads an image for the current device, and if loads_for_all_devices for the
  // others too. `library` is for find_kernel and unload.
  virtual DriverResult Load(const void* image, void** library) const = 0;

  // Makes a loaded kernel ready for this device, which must be the current one.
  virtual DriverResult Prepare(void* kernel, int device, unsigned shared_bytes,
                               unsigned cluster) const = 0;

  // Launches with blocks in clusters.
  virtual DriverResult LaunchCluster(void* kernel, const LaunchShape& shape,
                                     void* stream, void** arguments) const = 0;

  // "sm_90" and 90; "gfx942" and 0. `name` has kArchitectureSize characters.
  virtual DriverResult Architecture(int device, char* name, int* number) const = 0;
  static constexpr std::size_t kArchitectureSize = 64;

  // The context that the CUDA and HIP runtimes use on this device. HIP has no
  // contexts in its API; its devices play the part.
  virtual DriverResult RetainContext(int device, void** context) const = 0;
  virtual DriverResult ReleaseContext(int device) const = 0;
  virtual DriverResult GetCurrent(void** context) const = 0;
  virtual DriverResult SetCurrent(void* context) const = 0;

 protected:
  // Lives until the process ends; a trivial destructor keeps it usable in others'.
  ~GpuDriver() = default;
};

// A usable driver, or why there is none. Decided once a process.
struct DriverSearch {
  const GpuDriver* driver = nullptr;
  char reason[1024] = {};  // for RTORCH_UNAVAILABLE
};
const DriverSearch& FindCudaDriver();  // cuda_driver.cc
const DriverSearch& FindHipDriver();   // hip_driver.cc

// For the above: opens the first library that is there, looks up the table's
// functions and `others`, initialises the driver and looks for a device.
void OpenDriver(GpuDriver& driver, std::initializer_list<const char*> libraries,
                std::initializer_list<DriverSymbol*> others, DriverSearch* search);

// An error with a message, as printf formats it. Throws nothing: where there is no
// memory for the message, it says that.
Status FormatStatus(RTorchCode code, const char* format, ...)
    __attribute__((format(printf, 2, 3)));

// "kernels::add: cuLaunchKernel failed: CUDA_ERROR_ILLEGAL_ADDRESS (700): an ...".
// `doing` may be empty, or "scratch memory of 64 bytes: ".
Status DriverStatus(const GpuDriver& driver, const char* who, const char* doing,
                    DriverResult result);

}  // namespace rules_torch::internal

#endif  // RULES_TORCH_INTERNAL_GPU_DRIVER_H_
