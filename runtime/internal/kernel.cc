// Launches Triton kernels. A launch whose kernel is loaded takes no lock and
// allocates nothing on the host; what runs once a device is out of line.
#include "runtime/internal/kernel.h"

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/internal/gpu_driver.h"

#define RULES_TORCH_COLD __attribute__((noinline, cold))
#define RULES_TORCH_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

namespace rules_torch::internal {

namespace {

constexpr std::int64_t kMaxGridX = 0x7fffffff;
constexpr std::int64_t kMaxGridYZ = 65535;

// What the drivers' allocators align to.
constexpr std::uint64_t kAllocationAlignment = 256;

// SMs or CUs of each device, for either kind of driver; written before the
// library's `found` is.
std::atomic<int> multiprocessors[2][kMaxDevices];

// Guards loading: a kernel is loaded once, whoever asks first.
std::mutex loading;

// Allows this thread what a stream capture, its own or another thread's, forbids:
// loading code does not go into the graph.
class RelaxedCapture {
 public:
  explicit RelaxedCapture(const GpuDriver& driver) : driver_(driver) {
    exchanged_ = driver_.exchange_capture_mode(&mode_) == 0;
  }
  ~RelaxedCapture() {
    if (exchanged_) driver_.exchange_capture_mode(&mode_);
  }
  RelaxedCapture(const RelaxedCapture&) = delete;
  RelaxedCapture& operator=(const RelaxedCapture&) = delete;

 private:
  const GpuDriver& driver_;
  int mode_ = kRelaxedCapture;
  bool exchanged_;
};

struct Kinds {
  bool cuda = false;
  bool hip = false;
};

Kinds KindsOf(const KernelLibrary& library) {
  Kinds kinds;
  for (int i = 0; i < library.num_targets; ++i) {
    (library.targets[i].format == KernelFormat::kHsaco ? kinds.hip : kinds.cuda) = true;
  }
  return kinds;
}

// The driver that a library's kernels run on: CUDA's if there is a device for it.
const GpuDriver* DriverFor(const KernelLibrary& library) {
  const Kinds kinds = KindsOf(library);
  const GpuDriver* driver = kinds.cuda ? FindCudaDriver().driver : nullptr;
  if (driver == nullptr && kinds.hip) driver = FindHipDriver().driver;
  return driver;
}

RULES_TORCH_COLD Status NoDriver(const KernelLibrary& library, const char* kernel) {
  const Kinds kinds = KindsOf(library);
  return FormatStatus(RTORCH_UNAVAILABLE, "%s: no GPU to run on: %s%s%s", kernel,
                      kinds.cuda ? FindCudaDriver().reason : "",
                      kinds.cuda && kinds.hip ? "; nor an AMD GPU: " : "",
                      kinds.hip ? FindHipDriver().reason : "");
}

// The index of the best target for a CUDA device, or -1. Code for 9.0 and newer is
// compiled for one architecture alone (sm_90a); older code runs on what is newer,
// machine code within its major version.
int BestCudaTarget(const KernelLibrary& library, int device) {
  constexpr int kFirstExact = 90;
  int best = -1;
  int best_rank = -1;
  for (int i = 0; i < library.num_targets; ++i) {
    const KernelTarget& target = library.targets[i];
    const bool exact = target.architecture == device;
    const bool newer =
        target.architecture < kFirstExact && target.architecture < device;
    int rank = -1;
    if (target.format == KernelFormat::kCubin &&
        (exact || (newer && target.architecture / 10 == device / 10))) {
      rank = 1000 + target.architecture;
    } else if (target.format == KernelFormat::kPtx && (exact || newer)) {
      rank = target.architecture;
    }
    if (rank > best_rank) {
      best = i;
      best_rank = rank;
    }
  }
  return best;
}

int HipTarget(const KernelLibrary& library, std::string_view architecture) {
  for (int i = 0; i < library.num_targets; ++i) {
    if (library.targets[i].format == KernelFormat::kHsaco &&
        library.targets[i].name == architecture) {
      return i;
    }
  }
  return -1;
}

RULES_TORCH_COLD Status Unsupported(const KernelLibrary& library, const char* kernel,
                                    const GpuDriver& driver, int device,
                                    const char* architecture) {
  char targets[512] = "";
  std::size_t length = 0;
  for (int i = 0; i < library.num_targets && length < sizeof targets; ++i) {
    const int written = std::snprintf(targets + length, sizeof targets - length, "%s%s",
                                      i != 0 ? ", " : "", library.targets[i].name);
    length += static_cast<std::size_t>(written);
  }
  char name[128] = "";
  if (driver.device_name(name, sizeof name, device) != 0) name[0] = '\0';
  return FormatStatus(
      RTORCH_UNIMPLEMENTED,
      "%s: %s is compiled for %s, and not for device %d%s%s, which is %s: add that to "
      "the library's architectures",
      kernel, library.label, targets, device, name[0] != '\0' ? ", " : "", name,
      architecture);
}

// FindDevice, where the answer is not known yet or is an error.
RULES_TORCH_COLD bool FindDeviceSlowly(KernelLibrary& library, const char* kernel,
                                       KernelDevice* device, Status* status) {
  const GpuDriver* driver = DriverFor(library);
  if (driver == nullptr) {
    *status = NoDriver(library, kernel);
    return false;
  }

  int ordinal = -1;
  const int code = driver->current_device(&ordinal);
  if (code == kInvalidContext) {
    *status = FormatStatus(RTORCH_INVALID_ARGUMENT,
                           "%s: no %s context is current on this thread: call %s first",
                           kernel, driver->name, driver->make_current);
    return false;
  }
  if (code != 0) {
    *status = DriverStatus(*driver, kernel, "", {driver->current_device.name, code});
    return false;
  }
  if (ordinal < 0 || ordinal >= kMaxDevices) {
    *status = FormatStatus(RTORCH_UNIMPLEMENTED,
                           "%s: the current device is %d; there is room for devices 0 "
                           "to %d",
                           kernel, ordinal, kMaxDevices - 1);
    return false;
  }

  char architecture[GpuDriver::kArchitectureSize];
  int number = 0;
  DriverResult result = driver->Architecture(ordinal, architecture, &number);
  int processors = 0;
  if (result.code == 0) {
    result = {
        driver->device_attribute.name,
        driver->device_attribute(&processors, driver->attribute_processors, ordinal)};
  }
  if (result.code != 0) {
    *status = DriverStatus(*driver, kernel, "", result);
    return false;
  }

  const int target = driver->kind == GpuDriver::kCuda
                         ? BestCudaTarget(library, number)
                         : HipTarget(library, architecture);
  if (target < 0) {
    *status = Unsupported(library, kernel, *driver, ordinal, architecture);
    return false;
  }
  multiprocessors[driver->kind][ordinal].store(processors, std::memory_order_relaxed);
  library.found[ordinal].store(static_cast<std::int8_t>(target + 1),
                               std::memory_order_release);
  *device = {driver, ordinal, target, processors};
  return true;
}

// Loads the kernel for a device that has not got it.
RULES_TORCH_COLD Status Load(Kernel& kernel, const KernelDevice& device,
                             void** loaded) {
  const GpuDriver& driver = *device.driver;
  const KernelImage& image = kernel.images[device.target];
  const KernelLibrary& library = *kernel.library;

  int shared_limit = 0;
  const int code = driver.device_attribute(
      &shared_limit, driver.attribute_shared_memory, device.ordinal);
  if (code != 0) {
    return DriverStatus(driver, kernel.name, "", {driver.device_attribute.name, code});
  }
  if (image.shared_bytes > static_cast<unsigned>(shared_limit)) {
    return FormatStatus(RTORCH_RESOURCE_EXHAUSTED,
                        "%s: needs %u bytes of shared memory; a block of device %d has "
                        "%d at most",
                        kernel.name, image.shared_bytes, device.ordinal, shared_limit);
  }
  if (image.cluster > 1 && !driver.has_clusters) {
    return FormatStatus(RTORCH_UNIMPLEMENTED,
                        "%s: clusters (num_ctas = %u) are not there with %s",
                        kernel.name, image.cluster, driver.name);
  }

  const std::lock_guard<std::mutex> lock(loading);
  void* handle = kernel.loaded[device.ordinal].load(std::memory_order_acquire);
  if (handle == nullptr) {
    for (int i = 0; driver.loads_for_all_devices && i < kMaxDevices; ++i) {
      if (library.found[i].load(std::memory_order_acquire) == device.target + 1) {
        handle = kernel.loaded[i].load(std::memory_order_acquire);
        if (handle != nullptr) break;
      }
    }
    const RelaxedCapture relaxed(driver);
    DriverResult result = {nullptr, 0};
    void* loaded_here = nullptr;
    if (handle == nullptr) {
      result = driver.Load(library.blob->begin + image.offset, &loaded_here);
      if (result.code == 0) {
        result = {driver.find_kernel.name,
                  driver.find_kernel(&handle, loaded_here, image.symbol)};
      }
    }
    if (result.code == 0) {
      result =
          driver.Prepare(handle, device.ordinal, image.shared_bytes, image.cluster);
    }
    if (result.code != 0) {
      if (loaded_here != nullptr) driver.unload(loaded_here);
      char doing[256];
      std::snprintf(doing, sizeof doing,
                    "loading the code for %s: ", library.targets[device.target].name);
      return DriverStatus(driver, kernel.name, doing, result);
    }
    kernel.code[device.ordinal] = loaded_here;
    kernel.loaded[device.ordinal].store(handle, std::memory_order_release);
  }
  *loaded = handle;
  return Status();
}

RULES_TORCH_COLD Status GridStatus(const Kernel& kernel, const KernelImage& image,
                                   Grid grid) {
  char clusters[64] = "";
  if (image.cluster > 1) {
    std::snprintf(clusters, sizeof clusters, " (in clusters of %u)", image.cluster);
  }
  return FormatStatus(
      RTORCH_INVALID_ARGUMENT,
      "%s: the grid is (%" PRId64 ", %" PRId64 ", %" PRId64
      "); x must be from 1 to %" PRId64 "%s, y and z from 1 to %" PRId64,
      kernel.name, grid.x, grid.y, grid.z,
      image.cluster > 1 ? kMaxGridX / image.cluster : kMaxGridX, clusters, kMaxGridYZ);
}

// Launches, with the places for the hidden pointers filled.
inline DriverResult Launch(const GpuDriver& driver, void* function,
                           const KernelImage& image, void* stream, Grid grid,
                           void** arguments) {
  const unsigned x = static_cast<unsigned>(grid.x);
  const unsigned y = static_cast<unsigned>(grid.y);
  const unsigned z = static_cast<unsigned>(grid.z);
  if (image.cluster > 1) {
    return driver.LaunchCluster(
        function,
        {x * image.cluster, y, z, image.threads, image.cluster, image.shared_bytes},
        stream, arguments);
  }
  return {driver.launch.name,
          driver.launch(function, x, y, z, image.threads, 1, 1, image.shared_bytes,
                        stream, arguments, nullptr)};
}

// What a launch needs of scratch memory, with room to align it; false if that is
// more than there are addresses.
bool ScratchBytes(const KernelImage& image, Grid grid, std::uint64_t* bytes) {
  const std::uint64_t factors[] = {
      static_cast<std::uint64_t>(grid.x), static_cast<std::uint64_t>(grid.y),
      static_cast<std::uint64_t>(grid.z), image.cluster > 1 ? image.cluster : 1};
  *bytes = image.scratch_bytes;
  for (const std::uint64_t factor : factors) {
    if (__builtin_mul_overflow(*bytes, factor, bytes)) return false;
  }
  return image.scratch_alignment <= kAllocationAlignment ||
         !__builtin_add_overflow(*bytes, std::uint64_t{image.scratch_alignment}, bytes);
}

// Memory from the stream's pool, taken and returned in the stream's order: the
// kernel has it when it runs, and a captured graph has both in it.
Status LaunchWithScratch(const Kernel& kernel, const GpuDriver& driver, void* function,
                         const KernelImage& image, void* stream, Grid grid,
                         void** arguments, void** scratch) {
  std::uint64_t bytes = 0;
  const bool fits = ScratchBytes(image, grid, &bytes);
  void* memory = nullptr;
  DriverResult result = {driver.allocate_async.name, kOutOfMemory};
  if (fits) result.code = driver.allocate_async(&memory, bytes, stream);
  if (RULES_TORCH_UNLIKELY(result.code != 0)) {
    char doing[160];
    if (fits) {
      std::snprintf(doing, sizeof doing,
                    "%" PRIu64 " bytes of scratch memory: ", bytes);
    } else {
      std::snprintf(doing, sizeof doing,
                    "%" PRIu64 " bytes of scratch memory for each of (%" PRId64
                    ", %" PRId64 ", %" PRId64 ") programs: ",
                    image.scratch_bytes, grid.x, grid.y, grid.z);
    }
    return DriverStatus(driver, kernel.name, doing, result);
  }

  *scratch = memory;
  if (image.scratch_alignment > kAllocationAlignment) {
    const std::uintptr_t mask = std::uintptr_t{image.scratch_alignment} - 1;
    *scratch = reinterpret_cast<void*>(
        (reinterpret_cast<std::uintptr_t>(memory) + mask) & ~mask);
  }
  result = Launch(driver, function, image, stream, grid, arguments);
  const DriverResult freed = {driver.free_async.name,
                              driver.free_async(memory, stream)};
  if (result.code == 0) result = freed;
  if (RULES_TORCH_UNLIKELY(result.code != 0)) {
    return DriverStatus(driver, kernel.name, "", result);
  }
  return Status();
}

// An int64 as an argument of a message: "12" or, for a pointer, "0x7f00".
void AppendValue(const KernelMisfit& misfit, std::string* text) {
  char value[32];
  if (misfit.pointer) {
    std::snprintf(value, sizeof value, "0x%" PRIx64,
                  static_cast<std::uint64_t>(misfit.value));
  } else {
    std::snprintf(value, sizeof value, "%" PRId64, misfit.value);
  }
  *text += value;
}

}  // namespace

bool FindDevice(KernelLibrary& library, const char* kernel, KernelDevice* device,
                Status* status) {
  const GpuDriver* driver = DriverFor(library);
  int ordinal = -1;
  if (RULES_TORCH_UNLIKELY(driver == nullptr) ||
      RULES_TORCH_UNLIKELY(driver->current_device(&ordinal) != 0) ||
      RULES_TORCH_UNLIKELY(static_cast<unsigned>(ordinal) >= kMaxDevices)) {
    return FindDeviceSlowly(library, kernel, device, status);
  }
  const int found = library.found[ordinal].load(std::memory_order_acquire);
  if (RULES_TORCH_UNLIKELY(found == 0)) {
    return FindDeviceSlowly(library, kernel, device, status);
  }
  *device = {driver, ordinal, found - 1,
             multiprocessors[driver->kind][ordinal].load(std::memory_order_relaxed)};
  return true;
}

Status LaunchKernel(Kernel& kernel, const KernelDevice& device, void* stream, Grid grid,
                    void** arguments, int num_arguments) {
  const GpuDriver& driver = *device.driver;
  const KernelImage& image = kernel.images[device.target];
  if (RULES_TORCH_UNLIKELY(grid.x < 1 || grid.x > kMaxGridX || grid.y < 1 ||
                           grid.y > kMaxGridYZ || grid.z < 1 || grid.z > kMaxGridYZ ||
                           (image.cluster > 1 && grid.x * image.cluster > kMaxGridX))) {
    return GridStatus(kernel, image, grid);
  }
  void* function = kernel.loaded[device.ordinal].load(std::memory_order_acquire);
  if (RULES_TORCH_UNLIKELY(function == nullptr)) {
    Status status = Load(kernel, device, &function);
    if (!status.ok()) return status;
  }

  void* scratch = nullptr;
  void* profile = nullptr;
  arguments[num_arguments] = &scratch;
  arguments[num_arguments + 1] = &profile;
  if (image.scratch_bytes != 0) {
    return LaunchWithScratch(kernel, driver, function, image, stream, grid, arguments,
                             &scratch);
  }
  const DriverResult result = Launch(driver, function, image, stream, grid, arguments);
  if (RULES_TORCH_UNLIKELY(result.code != 0)) {
    return DriverStatus(driver, kernel.name, "", result);
  }
  return Status();
}

Status LoadKernels(KernelLibrary& library, Kernel* const* kernels, int num_kernels) {
  KernelDevice device;
  Status status;
  if (!FindDevice(library, library.label, &device, &status)) return status;
  for (int i = 0; i < num_kernels && status.ok(); ++i) {
    if (kernels[i]->loaded[device.ordinal].load(std::memory_order_acquire) == nullptr) {
      void* function = nullptr;
      status = Load(*kernels[i], device, &function);
    }
  }
  return status;
}

Status UnloadKernels(const KernelLibrary& library, Kernel* const* kernels,
                     int num_kernels) {
  const GpuDriver* driver = DriverFor(library);
  if (driver == nullptr) return Status();  // nothing was ever loaded
  DriverResult first = {nullptr, 0};
  const std::lock_guard<std::mutex> lock(loading);
  for (int i = 0; i < num_kernels; ++i) {
    Kernel& kernel = *kernels[i];
    for (int device = 0; device < kMaxDevices; ++device) {
      kernel.loaded[device].store(nullptr, std::memory_order_release);
      void* code = std::exchange(kernel.code[device], nullptr);
      if (code == nullptr) continue;
      const DriverResult result = {driver->unload.name, driver->unload(code)};
      if (first.code == 0) first = result;
    }
  }
  if (first.code != 0) return DriverStatus(*driver, library.label, "", first);
  return Status();
}

RULES_TORCH_COLD Status MisfitError(const char* kernel, const KernelMisfit* misfits,
                                    int num_misfits) {
  try {
    std::string text = kernel;
    text += num_misfits > 1 ? ": no instantiation fits the arguments" : "";
    for (int i = 0; i < num_misfits; ++i) {
      const KernelMisfit& misfit = misfits[i];
      text += i == 0 ? ": " : "; ";
      if (misfit.instantiation != nullptr && misfit.instantiation[0] != '\0') {
        text += '[';
        text += misfit.instantiation;
        text += "] ";
      }
      text += "needs that ";
      text += misfit.requirement;
      text += ", but ";
      text += misfit.argument;
      text += " is ";
      AppendValue(misfit, &text);
    }
    return Status(RTORCH_INVALID_ARGUMENT, std::move(text));
  } catch (...) {
    return Status(RTORCH_INVALID_ARGUMENT, "out of memory");
  }
}

}  // namespace rules_torch::internal
