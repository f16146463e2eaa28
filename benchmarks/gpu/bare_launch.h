// A kernel launch without the library: cuLaunchKernel with what a generated function
// passes to it.
#ifndef BENCHMARKS_GPU_BARE_LAUNCH_H_
#define BENCHMARKS_GPU_BARE_LAUNCH_H_

#include <cstddef>
#include <vector>

#include "rules_torch/status.h"

// The part of the CUDA driver that this takes. Found by dlopen; every function returns
// a CUresult.
struct BareDriver {
  int (*begin_capture)(void* stream, int mode);
  int (*end_capture)(void* stream, void** graph);
  int (*get_nodes)(void* graph, void** nodes, std::size_t* count);
  int (*node_type)(void* node, int* type);
  int (*kernel_parameters)(void* node, void* parameters);
  int (*destroy_graph)(void* graph);
  int (*launch)(void* function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                unsigned block_x, unsigned block_y, unsigned block_z,
                unsigned shared_bytes, void* stream, void** arguments, void** extra);
  int (*allocate_async)(void** memory, std::size_t bytes, void* stream);
  int (*free_async)(void* memory, void* stream);

  static rules_torch::StatusOr<BareDriver> Find();
};

// CUDA_KERNEL_NODE_PARAMS_v2.
struct KernelParameters {
  void* function;
  unsigned grid[3];
  unsigned block[3];
  unsigned shared_bytes;
  void** arguments;
  void** extra;
  void* kernel;
  void* context;
};

// The launch that was captured from a generated function: the same loaded kernel, grid
// and arguments. Keeps the graph that owns them. Not thread-safe.
class BareLaunch {
 public:
  // `enqueue` calls the generated function on `stream`. `arguments` counts the
  // kernel's, without Triton's two hidden ones.
  template <typename Enqueue>
  static rules_torch::StatusOr<BareLaunch> Capture(const BareDriver& driver,
                                                   void* stream, std::size_t arguments,
                                                   Enqueue enqueue) {
    constexpr int kThreadLocal = 1;
    BareLaunch launch(driver);
    if (const int code = driver.begin_capture(stream, kThreadLocal)) {
      return Error("cuStreamBeginCapture", code);
    }
    const rules_torch::Status status = enqueue(stream);
    const int code = driver.end_capture(stream, &launch.graph_);
    if (!status.ok()) return status;
    if (code != 0) return Error("cuStreamEndCapture", code);
    const rules_torch::Status read = launch.Read(arguments);
    if (!read.ok()) return read;
    return launch;
  }

  BareLaunch(BareLaunch&& other) noexcept;
  BareLaunch& operator=(BareLaunch&&) = delete;
  ~BareLaunch();

  // Whether the kernel takes scratch memory: then Run allocates and frees it.
  bool has_scratch() const { return has_scratch_; }

  // Returns a CUresult.
  int Run(void* stream) {
    if (!has_scratch_) return Launch(stream);
    int code = driver_.allocate_async(&scratch_, kScratchBytes, stream);
    if (code == 0) code = Launch(stream);
    if (code == 0) code = driver_.free_async(scratch_, stream);
    return code;
  }

 private:
  static constexpr std::size_t kScratchBytes = 4096;  // enough for one program

  explicit BareLaunch(const BareDriver& driver) : driver_(driver) {}

  static rules_torch::Status Error(const char* function, int code);
  rules_torch::Status Read(std::size_t arguments);

  int Launch(void* stream) {
    return driver_.launch(function_, parameters_.grid[0], parameters_.grid[1],
                          parameters_.grid[2], parameters_.block[0],
                          parameters_.block[1], parameters_.block[2],
                          parameters_.shared_bytes, stream, arguments_.data(), nullptr);
  }

  BareDriver driver_;
  void* graph_ = nullptr;
  void* function_ = nullptr;
  KernelParameters parameters_ = {};
  bool has_scratch_ = false;
  void* scratch_ = nullptr;
  std::vector<void*> arguments_;
};

#endif  // BENCHMARKS_GPU_BARE_LAUNCH_H_
