// What the CUDA and the HIP driver have in common: finding it, and its errors.
#include "runtime/internal/gpu_driver.h"

#include <dlfcn.h>

#include <cstdarg>
#include <cstdio>
#include <string>

namespace rules_torch::internal {

namespace {

// Writes to the end of `text`, as far as it fits.
__attribute__((format(printf, 3, 4))) void Append(char* text, std::size_t size,
                                                  const char* format, ...) {
  std::size_t length = 0;
  while (length < size && text[length] != '\0') ++length;
  std::va_list list;
  va_start(list, format);
  std::vsnprintf(text + length, size - length, format, list);
  va_end(list);
}

void* OpenLibrary(std::initializer_list<const char*> names, DriverSearch* search) {
  for (const char* name : names) {
    void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library != nullptr) return library;
    const char* error = dlerror();
    Append(search->reason, sizeof search->reason, "%s%s",
           search->reason[0] != '\0' ? "; " : "", error != nullptr ? error : name);
  }
  return nullptr;
}

// Looks all of them up; the name of the first that is missing, or nullptr.
const char* Resolve(void* library, std::initializer_list<DriverSymbol*> symbols) {
  for (DriverSymbol* symbol : symbols) {
    symbol->address = dlsym(library, symbol->name);
    if (symbol->address == nullptr) return symbol->name;
  }
  return nullptr;
}

const char* ErrorText(const DriverFunction<int, const char**>& function, int code) {
  const char* text = nullptr;
  return function(code, &text) == 0 && text != nullptr ? text : "unknown error";
}

// What an error usually means, where the driver's own words do not say it.
const char* Hint(int code) {
  switch (code) {
    case kNoBinaryForGpu:
      return "; the code is for another GPU";
    case kInvalidPtx:
    case kUnsupportedPtx:
      return "; this driver cannot compile the PTX: update the driver, or compile for "
             "this GPU's own architecture";
    case kInvalidHandle:
      return "; the stream is not one of the current context, or was destroyed";
    case kIllegalAddress:
      return "; a kernel that ran before used memory out of bounds, or of another "
             "device. The context cannot be used any more";
    case kLaunchOutOfResources:
      return "; the kernel needs more registers or threads than a block may have";
    case kMisalignedAddress:
      return "; a kernel that ran before used a misaligned pointer. The context cannot "
             "be used any more";
    case kLaunchTimeout:
    case kLaunchFailed:
      return "; a kernel that ran before failed. The context cannot be used any more";
    default:
      return "";
  }
}

RTorchCode CodeFor(int code) {
  switch (code) {
    case kOutOfMemory:
    case kLaunchOutOfResources:
      return RTORCH_RESOURCE_EXHAUSTED;
    case kNoDevice:
      return RTORCH_UNAVAILABLE;
    case kNoBinaryForGpu:
    case kInvalidPtx:
    case kUnsupportedPtx:
      return RTORCH_UNIMPLEMENTED;
    case kInvalidContext:
    case kInvalidHandle:
      return RTORCH_INVALID_ARGUMENT;
    default:
      return RTORCH_INTERNAL;
  }
}

}  // namespace

void OpenDriver(GpuDriver& driver, std::initializer_list<const char*> libraries,
                std::initializer_list<DriverSymbol*> others, DriverSearch* search) {
  constexpr std::size_t kSize = sizeof search->reason;
  char* const reason = search->reason;

  void* library = OpenLibrary(libraries, search);
  if (library == nullptr) {
    Append(reason, kSize, "; install %s", driver.product);
    return;
  }
  reason[0] = '\0';  // of names that were tried before

  const char* missing = Resolve(library, {&driver.driver_version});
  if (missing == nullptr) missing = Resolve(library, others);
  if (missing == nullptr) {
    missing = Resolve(library, {&driver.init,
                                &driver.device_count,
                                &driver.device_attribute,
                                &driver.device_name,
                                &driver.error_name,
                                &driver.error_string,
                                &driver.exchange_capture_mode,
                                &driver.find_kernel,
                                &driver.unload,
                                &driver.current_device,
                                &driver.launch,
                                &driver.allocate_async,
                                &driver.free_async,
                                &driver.allocate,
                                &driver.free,
                                &driver.upload,
                                &driver.download,
                                &driver.synchronize,
                                &driver.create_stream,
                                &driver.destroy_stream,
                                &driver.synchronize_stream,
                                &driver.create_event,
                                &driver.destroy_event,
                                &driver.record_event,
                                &driver.synchronize_event,
                                &driver.elapsed_time});
  }
  if (missing != nullptr) {
    Append(reason, kSize, "the %s driver is too old: it has no %s", driver.name,
           missing);
    int version = 0;
    if (driver.kind == GpuDriver::kCuda && driver.driver_version.address != nullptr &&
        driver.driver_version(&version) == 0) {
      Append(reason, kSize, ", being for CUDA %d.%d", version / 1000,
             version % 1000 / 10);
    }
    Append(reason, kSize, "; %s or newer is needed: update %s", driver.required,
           driver.product);
    return;
  }

  DriverResult result = {driver.init.name, driver.init(0)};
  int devices = 0;
  if (result.code == 0) {
    result = {driver.device_count.name, driver.device_count(&devices)};
  }
  if (result.code == kNoDevice || (result.code == 0 && devices == 0)) {
    Append(reason, kSize, "the %s driver finds no device", driver.name);
  } else if (result.code != 0) {
    Append(reason, kSize, "%s failed: %s (%d): %s", result.function,
           ErrorText(driver.error_name, result.code), result.code,
           ErrorText(driver.error_string, result.code));
  } else {
    search->driver = &driver;
  }
}

Status FormatStatus(RTorchCode code, const char* format, ...) {
  char text[2048];
  std::va_list list;
  va_start(list, format);
  std::vsnprintf(text, sizeof text, format, list);
  va_end(list);
  try {
    return Status(code, text);
  } catch (...) {
    return Status(code, "out of memory");  // short enough to need none
  }
}

Status DriverStatus(const GpuDriver& driver, const char* who, const char* doing,
                    DriverResult result) {
  return FormatStatus(CodeFor(result.code), "%s: %s%s failed: %s (%d): %s%s", who,
                      doing, result.function, ErrorText(driver.error_name, result.code),
                      result.code, ErrorText(driver.error_string, result.code),
                      Hint(result.code));
}

}  // namespace rules_torch::internal
