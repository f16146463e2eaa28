// What the fake CUDA driver and the fake HIP runtime have in common.
#ifndef TESTS_GPU_FAKE_DRIVER_H_
#define TESTS_GPU_FAKE_DRIVER_H_

#include <cstddef>
#include <string>

#include "tests/gpu/fake_gpu.h"

namespace fake {

inline constexpr int kInvalidValue = 1;
inline constexpr int kOutOfMemory = 2;
inline constexpr int kNoDevice = 100;
inline constexpr int kInvalidDevice = 101;
inline constexpr int kInvalidContext = 201;
inline constexpr int kNoBinaryForGpu = 209;
inline constexpr int kSymbolNotFound = 500;

State& state();
extern thread_local Context* current;
extern thread_local int capture_mode;

Context* Primary(int device);

// Notes the call; what it must return at once, or 0. Holds the lock in between.
class Call {
 public:
  explicit Call(const char* function);
  int failure() const { return failure_; }

 private:
  std::lock_guard<std::mutex> lock_;
  int failure_ = 0;
};

struct Image {
  std::string architecture;
  std::string text;
};

struct Kernel {
  Image* image;
  std::string name;
};

bool IsDevice(int device);

// What an image is: its own text, or for real code its architecture and " *".
std::string ImageText(const void* code);

// Each notes its call under the name of the driver's function.
int LoadImage(const char* function, const void* code, void** image);
int UnloadImage(const char* function, void* image);
int FindKernel(const char* function, void** kernel, void* image, const char* name);
int LaunchKernel(const char* function, void* kernel, const unsigned* grid,
                 const unsigned* block, unsigned shared_bytes, unsigned cluster,
                 void* stream, void** arguments);
int AllocateAsync(const char* function, void** memory, std::size_t bytes, void* stream);
int FreeAsync(const char* function, void* memory, void* stream);
int Allocate(const char* function, void** memory, std::size_t bytes);
int Free(const char* function, void* memory);
int Copy(const char* function, void* to, const void* from, std::size_t bytes);
int CreateStream(const char* function, void** stream, unsigned flags);
int DestroyStream(const char* function, void* stream);
int CreateEvent(const char* function, void** event, unsigned flags);
int DestroyEvent(const char* function, void* event);
int RecordEvent(const char* function, void* event);
int ElapsedTime(const char* function, float* milliseconds, void* start, void* end);
int Nothing(const char* function);
int ExchangeCaptureMode(const char* function, int* mode);
int DeviceName(const char* function, char* name, int size, int device);
const char* ErrorName(int code);

}  // namespace fake

#endif  // TESTS_GPU_FAKE_DRIVER_H_
