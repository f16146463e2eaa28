// Drivers with no GPU behind them: shared libraries with the names and the ABI of
// the CUDA driver and the HIP runtime, which the tests' LD_LIBRARY_PATH leads to.
// They record what they are asked, and fail where a test wants them to.
//
// An image is text: its architecture, then the kernels in it, "sm_90 add scale".
// PTX is "compute_80 add". Real code, sm_80, sm_90, PTX or gfx942, is taken for one
// that has any kernel. Device memory is the host's.
//
// FAKE_CUDA_DEVICES=0 in the environment leaves the CUDA driver without devices,
// FAKE_CUDA_DEVICES=broken makes cuInit fail.
#ifndef TESTS_GPU_FAKE_GPU_H_
#define TESTS_GPU_FAKE_GPU_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace fake {

struct Device {
  std::string name;
  std::string architecture;  // "sm_90", "gfx942:sramecc+:xnack-"
  int multiprocessors;
  int shared_bytes;
};

// A CUcontext; for HIP the tests see devices alone.
struct Context {
  int device;
};

struct Launch {
  std::string kernel;
  int device;
  unsigned grid[3];
  unsigned block[3];
  unsigned shared_bytes;
  unsigned cluster;  // 0: launched without
  void* stream;
  std::vector<std::vector<unsigned char>> arguments;
};

struct Load {
  std::string image;
  int device;        // of the current context, or -1
  int capture_mode;  // of the thread, in the call
};

struct Allocation {
  void* memory;
  std::size_t bytes;
  void* stream;
  bool freed;
  void* freed_on;
};

struct Attribute {
  std::string kernel;
  int attribute;
  int value;
  int device;
};

struct Failure {
  int code;
  int after;  // so many calls succeed first
  int times;
};

struct State {
  std::mutex mutex;
  std::vector<Device> devices;
  std::map<std::string, std::vector<std::size_t>> argument_sizes;  // by kernel
  std::map<std::string, Failure> failures;                         // by function
  std::function<int(const Launch&)> on_launch;  // what the launch returns; may be empty
  double clock = 0;          // of the devices, in milliseconds; on_launch may add to it
  double record_time = 1.5;  // that recording an event takes

  std::vector<Launch> launches;
  std::vector<Load> loads;
  std::vector<Allocation> allocations;  // in the stream's order
  std::vector<Attribute> attributes;
  std::vector<int> capture_modes;  // each that was asked for
  std::vector<std::string> calls;  // every function, in order
  int unloads = 0;
  int live_memory = 0;  // allocations that are not freed, of any sort
  int live_streams = 0;
  int live_events = 0;
};

// In both libraries: their state, and what is the calling thread's.
using GetState = State* (*)();          // fake_state
using SetContext = void (*)(Context*);  // fake_set_context
using GetContext = Context* (*)();      // fake_get_context
using GetPrimary = Context* (*)(int);   // fake_primary
using SetCaptureMode = void (*)(int);   // fake_set_capture_mode
using GetCaptureMode = int (*)();       // fake_get_capture_mode

}  // namespace fake

#endif  // TESTS_GPU_FAKE_GPU_H_
