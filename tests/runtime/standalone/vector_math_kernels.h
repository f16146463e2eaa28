// The functions of runtime/standalone/vector_math.h over arrays, compiled for each
// instruction set and, in each, for each length of vectors.
#ifndef RULES_TORCH_TESTS_RUNTIME_STANDALONE_VECTOR_MATH_KERNELS_H_
#define RULES_TORCH_TESTS_RUNTIME_STANDALONE_VECTOR_MATH_KERNELS_H_

#include <cstddef>

namespace rules_torch::testing {

struct VectorKernel {
  const char* function;
  // Of floats; half as many are of doubles.
  int lanes;
  // out[i] = function(a[i]), or of a[i] and b[i], for i < n, a multiple of `lanes`.
  void (*floats)(const float* a, const float* b, float* out, std::size_t n);
  void (*doubles)(const double* a, const double* b, double* out, std::size_t n);
};

struct VectorKernels {
  const VectorKernel* kernels;
  std::size_t size;
  // Whether multiplications and additions fuse.
  bool fma;
};

namespace x86_64_v2 {
VectorKernels Kernels();
}
namespace x86_64_v3 {
VectorKernels Kernels();
}
namespace x86_64_v4 {
VectorKernels Kernels();
}
namespace aarch64 {
VectorKernels Kernels();
}

}  // namespace rules_torch::testing

#endif  // RULES_TORCH_TESTS_RUNTIME_STANDALONE_VECTOR_MATH_KERNELS_H_
