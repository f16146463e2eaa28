#include "tests/gpu/fake_driver.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <new>

namespace fake {

namespace {

constexpr std::size_t kAlignment = 256;

// Handles that nobody gives back live as long as the process.
std::deque<Image>& images() {
  static auto* images = new std::deque<Image>;
  return *images;
}
std::deque<Kernel>& kernels() {
  static auto* kernels = new std::deque<Kernel>;
  return *kernels;
}

void* NewMemory(std::size_t bytes) {
  ++state().live_memory;
  return ::operator new(bytes, std::align_val_t{kAlignment});
}

void DeleteMemory(void* memory) {
  --state().live_memory;
  ::operator delete(memory, std::align_val_t{kAlignment});
}

}  // namespace

State& state() {
  static auto* state = new State;
  return *state;
}

thread_local Context* current = nullptr;
thread_local int capture_mode = 0;

Context* Primary(int device) {
  static Context contexts[128];
  static const bool numbered = [] {
    for (int i = 0; i < 128; ++i) contexts[i].device = i;
    return true;
  }();
  return numbered ? &contexts[device] : nullptr;
}

Call::Call(const char* function) : lock_(state().mutex) {
  state().calls.push_back(function);
  const auto found = state().failures.find(function);
  if (found == state().failures.end()) return;
  Failure& failure = found->second;
  if (failure.after > 0) {
    --failure.after;
  } else if (failure.times > 0) {
    --failure.times;
    failure_ = failure.code;
  }
}

bool IsDevice(int device) {
  return device >= 0 && static_cast<std::size_t>(device) < state().devices.size();
}

std::string ImageText(const void* code) {
  const char* const bytes = static_cast<const char*>(code);
  if (std::memcmp(bytes,
                  "\x7f"
                  "ELF",
                  4) == 0) {
    std::uint16_t machine;
    std::uint32_t flags;
    std::memcpy(&machine, bytes + 18, sizeof machine);
    std::memcpy(&flags, bytes + 48, sizeof flags);
    constexpr std::uint16_t kCuda = 190;
    constexpr std::uint32_t kGfx942 = 0x4c;  // EF_AMDGPU_MACH
    if (machine == kCuda) return "sm_" + std::to_string(flags >> 16 & 0xff) + " *";
    return (flags & 0xff) == kGfx942 ? "gfx942 *" : "unknown *";
  }
  if (std::memcmp(bytes, "//", 2) == 0) {
    const char* const target = std::strstr(bytes, ".target sm_");
    return "compute_" + std::to_string(std::atoi(target + 11)) + " *";
  }
  return bytes;
}

int LoadImage(const char* function, const void* code, void** image) {
  const Call call(function);
  if (call.failure() != 0) return call.failure();
  const std::string text = ImageText(code);
  state().loads.push_back(
      {text, current != nullptr ? current->device : -1, capture_mode});
  images().push_back({text.substr(0, text.find(' ')), text + " "});
  *image = &images().back();
  return 0;
}

int UnloadImage(const char* function, void*) {
  const Call call(function);
  if (call.failure() == 0) ++state().unloads;
  return call.failure();
}

int FindKernel(const char* function, void** kernel, void* image, const char* name) {
  const Call call(function);
  if (call.failure() != 0) return call.failure();
  Image* const found = static_cast<Image*>(image);
  const bool any = found->text == found->architecture + " * ";
  if (!any && found->text.find(" " + std::string(name) + " ") == std::string::npos) {
    return kSymbolNotFound;
  }
  kernels().push_back({found, name});
  *kernel = &kernels().back();
  return 0;
}

int LaunchKernel(const char* function, void* kernel, const unsigned* grid,
                 const unsigned* block, unsigned shared_bytes, unsigned cluster,
                 void* stream, void** arguments) {
  const Call call(function);
  if (call.failure() != 0) return call.failure();
  if (current == nullptr) return kInvalidContext;
  Launch launch = {static_cast<Kernel*>(kernel)->name,
                   current->device,
                   {grid[0], grid[1], grid[2]},
                   {block[0], block[1], block[2]},
                   shared_bytes,
                   cluster,
                   stream,
                   {}};
  for (const std::size_t size : state().argument_sizes[launch.kernel]) {
    const auto* bytes = static_cast<const unsigned char*>(*arguments++);
    launch.arguments.emplace_back(bytes, bytes + size);
  }
  state().launches.push_back(std::move(launch));
  if (state().on_launch) return state().on_launch(state().launches.back());
  return 0;
}

int AllocateAsync(const char* function, void** memory, std::size_t bytes,
                  void* stream) {
  const Call call(function);
  if (call.failure() != 0) return call.failure();
  if (bytes > (std::size_t{1} << 32)) return kOutOfMemory;
  *memory = NewMemory(bytes);
  state().allocations.push_back({*memory, bytes, stream, false, nullptr});
  return 0;
}

int FreeAsync(const char* function, void* memory, void* stream) {
  const Call call(function);
  if (call.failure() != 0) return call.failure();
  for (Allocation& allocation : state().allocations) {
    if (allocation.memory == memory && !allocation.freed) {
      allocation.freed = true;
      allocation.freed_on = stream;
      DeleteMemory(memory);
      return 0;
    }
  }
  return kInvalidValue;
}

int Allocate(const char* function, void** memory, std::size_t bytes) {
  const Call call(function);
  if (call.failure() != 0) return call.failure();
  if (bytes == 0) return kInvalidValue;
  if (bytes > (std::size_t{1} << 32)) return kOutOfMemory;
  *memory = NewMemory(bytes);
  return 0;
}

int Free(const char* function, void* memory) {
  const Call call(function);
  if (call.failure() != 0) return call.failure();
  DeleteMemory(memory);
  return 0;
}

int Copy(const char* function, void* to, const void* from, std::size_t bytes) {
  const Call call(function);
  if (call.failure() != 0) return call.failure();
  std::memcpy(to, from, bytes);
  return 0;
}

int CreateStream(const char* function, void** stream, unsigned flags) {
  const Call call(function);
  if (call.failure() != 0) return call.failure();
  if (flags != 1) return kInvalidValue;
  ++state().live_streams;
  *stream = new int(0);
  return 0;
}

int DestroyStream(const char* function, void* stream) {
  const Call call(function);
  --state().live_streams;
  delete static_cast<int*>(stream);
  return call.failure();
}

int CreateEvent(const char* function, void** event, unsigned flags) {
  const Call call(function);
  if (call.failure() != 0) return call.failure();
  if (flags != 0) return kInvalidValue;
  ++state().live_events;
  *event = new double(0);
  return 0;
}

int DestroyEvent(const char* function, void* event) {
  const Call call(function);
  --state().live_events;
  delete static_cast<double*>(event);
  return call.failure();
}

int RecordEvent(const char* function, void* event) {
  const Call call(function);
  *static_cast<double*>(event) = state().clock;
  state().clock += state().record_time;
  return call.failure();
}

int ElapsedTime(const char* function, float* milliseconds, void* start, void* end) {
  const Call call(function);
  *milliseconds =
      static_cast<float>(*static_cast<double*>(end) - *static_cast<double*>(start));
  return call.failure();
}

int Nothing(const char* function) {
  const Call call(function);
  return call.failure();
}

int ExchangeCaptureMode(const char* function, int* mode) {
  const Call call(function);
  if (call.failure() != 0) return call.failure();
  state().capture_modes.push_back(*mode);
  std::swap(*mode, capture_mode);
  return 0;
}

int DeviceName(const char* function, char* name, int size, int device) {
  const Call call(function);
  if (call.failure() != 0) return call.failure();
  if (!IsDevice(device)) return kInvalidDevice;
  std::snprintf(name, static_cast<std::size_t>(size), "%s",
                state().devices[static_cast<std::size_t>(device)].name.c_str());
  return 0;
}

const char* ErrorName(int code) {
  switch (code) {
    case kInvalidValue:
      return "ERROR_INVALID_VALUE";
    case kOutOfMemory:
      return "ERROR_OUT_OF_MEMORY";
    case kNoDevice:
      return "ERROR_NO_DEVICE";
    case kInvalidContext:
      return "ERROR_INVALID_CONTEXT";
    case kNoBinaryForGpu:
      return "ERROR_NO_BINARY_FOR_GPU";
    case kSymbolNotFound:
      return "ERROR_NOT_FOUND";
    case 700:
      return "ERROR_ILLEGAL_ADDRESS";
    default:
      return "ERROR_OTHER";
  }
}

}  // namespace fake

extern "C" {

fake::State* fake_state() { return &fake::state(); }
void fake_set_context(fake::Context* context) { fake::current = context; }
fake::Context* fake_get_context() { return fake::current; }
fake::Context* fake_primary(int device) { return fake::Primary(device); }
void fake_set_capture_mode(int mode) { fake::capture_mode = mode; }
int fake_get_capture_mode() { return fake::capture_mode; }

}  // extern "C"
