// Compiled with sleef.h of the standalone runtime before torch's, and linked without
// libtorch.
#include "tests/runtime/standalone/aten_vectors.h"

#include <ATen/cpu/vec/vec.h>

#if !defined(RULES_TORCH_STANDALONE_SLEEF_H_)
#error torch's sleef.h came first on the include path
#endif

namespace {

using at::vec::Vectorized;

template <class T>
void Run(const T* a, const T* b, T* out) {
  const auto run = [&](auto function) {
    for (int i = 0; i < ATEN_BLOCK; i += Vectorized<T>::size()) {
      function(Vectorized<T>::loadu(a + i), Vectorized<T>::loadu(b + i)).store(out + i);
    }
    out += ATEN_BLOCK;
  };
#define UNARY(name) run([](Vectorized<T> x, Vectorized<T>) { return x.name(); });
#define BINARY(name) run([](Vectorized<T> x, Vectorized<T> y) { return x.name(y); });
  ATEN_UNARY(UNARY)
  ATEN_BINARY(BINARY)
}

}  // namespace

void AtenFloat(const float* a, const float* b, float* out) { Run(a, b, out); }
void AtenDouble(const double* a, const double* b, double* out) { Run(a, b, out); }
