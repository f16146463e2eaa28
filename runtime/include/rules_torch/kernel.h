// What the headers of Triton libraries (cc_triton_library) have in common.
//
// A generated function launches one kernel:
//
//   Status fused_softmax(void* stream, Grid grid, float* out, const float* x, ...);
//
// - `stream` is a CUstream, cudaStream_t or hipStream_t of the calling thread's
//   current context; nullptr is its legacy default stream. That context's device
//   decides which code and which grid is launched, and pointers are that device's.
// - The call returns once the kernel is enqueued. An error that the kernel
//   itself makes is reported by the stream's next synchronisation.
// - Arguments are checked against what the kernel was compiled for (pointer
//   alignment, divisibility, declared conditions). A broken promise, a grid of
//   zero or over the limit, a device that the library was not compiled for or a
//   missing driver is an error value that names the kernel and the reason;
//   nothing was launched then, and the context is as usable as before.
// - Thread-safe. May be called while the stream is captured into a graph.
//   The first call on a device loads the kernel; to have that done earlier,
//   call the header's Load function.
// - Loaded code stays on its device until the process ends or the program calls the
//   header's Unload function. Call that before dlclose of a shared library that has
//   kernels: dlclose alone leaves the code there.
// - After a fork the child may launch only if the parent had not used the driver yet,
//   here or elsewhere: CUDA and HIP do not survive a fork.
// - The driver is found by dlopen at the first call: a program that links a
//   Triton library starts on a machine with no GPU. No CUDA toolkit, no ROCm
//   and no libtorch is needed to build or to run it.
#ifndef RULES_TORCH_KERNEL_H_
#define RULES_TORCH_KERNEL_H_

#include <cstdint>

#include "rules_torch/dtype.h"
#include "rules_torch/status.h"

namespace rules_torch {

// How many programs a launch has, along each axis: tl.num_programs(0), (1), (2).
// Each at least 1; x at most 2^31-1, y and z at most 65535.
struct Grid {
  std::int64_t x = 1;
  std::int64_t y = 1;
  std::int64_t z = 1;
};

// The least n with n * b >= a, for b > 0: triton.cdiv.
constexpr std::int64_t CeilDiv(std::int64_t a, std::int64_t b) {
  return a / b + (a % b > 0 ? 1 : 0);
}
static_assert(CeilDiv(9, 4) == 3 && CeilDiv(8, 4) == 2 && CeilDiv(-1, 4) == 0);

}  // namespace rules_torch

#endif  // RULES_TORCH_KERNEL_H_
