// The seam between the launcher that all Triton libraries share (kernel.cc) and
// the tables that were generated for one.
#ifndef RULES_TORCH_INTERNAL_KERNEL_H_
#define RULES_TORCH_INTERNAL_KERNEL_H_

#include <atomic>
#include <cstdint>

#include "rules_torch/kernel.h"
#include "rules_torch/status.h"
#include "runtime/internal/blob.h"

namespace rules_torch::internal {

// Devices of one process; a higher ordinal is an error.
inline constexpr int kMaxDevices = 64;

enum class KernelFormat : std::uint8_t { kCubin, kPtx, kHsaco };

// An architecture that a library was compiled for.
struct KernelTarget {
  const char* name;  // "sm_90", "compute_80", "gfx942"
  KernelFormat format;
  int architecture;  // 90 for sm_90 and compute_90; 0 for an hsaco
};

// One instantiation of a kernel, compiled for one target.
struct KernelImage {
  std::uint64_t offset;  // in the library's blob, a multiple of 64
  std::uint64_t size;    // PTX counts its terminating zero
  const char* symbol;
  std::uint32_t threads;            // of a program (CTA)
  std::uint32_t cluster;            // CTAs of a cluster (num_ctas); 1: no cluster
  std::uint32_t shared_bytes;       // dynamic, of a program
  std::uint32_t scratch_alignment;  // in bytes, a power of two
  std::uint64_t scratch_bytes;      // global memory of a program; 0: none
  // Values of the constexprs that the generated checks and grids read; their
  // order is the generated code's. May be nullptr.
  const std::int64_t* constants;
};

// All of one cc_triton_library. A zero-initialised `found` is "not yet asked".
struct KernelLibrary {
  const char* label;  // "//kernels:softmax"
  const Blob* blob;
  const KernelTarget* targets;
  int num_targets;
  std::atomic<std::int8_t> found[kMaxDevices];  // index of the device's target, plus 1
};

// One instantiation: `images[i]` is for `library->targets[i]`.
struct Kernel {
  const char* name;  // "kernels::fused_softmax"
  KernelLibrary* library;
  const KernelImage* images;
  std::atomic<void*> loaded[kMaxDevices];  // a CUkernel or hipFunction_t
  // Where `loaded` is from, for GpuDriver.unload; of devices that share it, the first
  // has it. Guarded by what guards loading.
  void* code[kMaxDevices] = {};
};

struct GpuDriver;  // gpu_driver.h: the CUDA or the HIP driver

// Where a call runs.
struct KernelDevice {
  const GpuDriver* driver;
  int ordinal;
  int target;           // index into the library's targets
  int multiprocessors;  // SMs or CUs
};

// Finds the current context's device and the library's best target for it: the
// exact cubin, else one of the same major architecture below 90 (sm_80 runs on
// 8.6), else the highest PTX that is not above the device, from 90 on the exact one
// alone; for HIP the hsaco of the device's architecture. Costs one driver call
// after the first time.
// On failure returns false and fills `status`.
bool FindDevice(KernelLibrary& library, const char* kernel, KernelDevice* device,
                Status* status);

// Loads the kernel if need be, gets scratch memory from the stream's pool if the
// kernel wants it, and launches. `arguments` points to the kernel's arguments, in
// order, and has two more places at the end, which this function fills: Triton
// kernels take two hidden pointers, global and profile scratch.
Status LaunchKernel(Kernel& kernel, const KernelDevice& device, void* stream, Grid grid,
                    void** arguments, int num_arguments);

// Loads kernels for the current context's device.
Status LoadKernels(KernelLibrary& library, Kernel* const* kernels, int num_kernels);

// Unloads kernels from all devices, and reports the first error. None may be in use.
Status UnloadKernels(const KernelLibrary& library, Kernel* const* kernels,
                     int num_kernels);

// Why an instantiation cannot be used for a call.
struct KernelMisfit {
  const char* instantiation;  // "BLOCK=1024, num_warps=4"; may be empty
  const char* requirement;    // "x is aligned to 16 bytes", "columns <= BLOCK (1024)"
  const char* argument;       // "x": the value to show
  std::int64_t value;
  bool pointer;  // show `value` as an address
};

// RTORCH_INVALID_ARGUMENT with a message that says, for each instantiation, what
// it needs and what it got.
Status MisfitError(const char* kernel, const KernelMisfit* misfits, int num_misfits);

inline bool IsAligned(const void* pointer, std::uintptr_t alignment) {
  return (reinterpret_cast<std::uintptr_t>(pointer) & (alignment - 1)) == 0;
}

}  // namespace rules_torch::internal

#endif  // RULES_TORCH_INTERNAL_KERNEL_H_
