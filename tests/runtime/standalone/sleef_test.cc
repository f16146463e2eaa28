// ATen's vectors over the standalone runtime's sleef.h: that every name is there, is
// its function, and that nothing of libtorch is missing, as otherwise this does not
// link.
//
// Plain C++ of the build's own instruction set, and no GoogleTest: what both include
// must not come from the object that only some CPUs run.
#include <math.h>
#include <stdio.h>

#include "runtime/internal/isa.h"
#include "tests/runtime/standalone/aten_vectors.h"

namespace {

constexpr const char* kNames[] = {
#define NAME(name) #name,
    ATEN_UNARY(NAME) ATEN_BINARY(NAME)
#undef NAME
};
constexpr int kFunctions = sizeof(kNames) / sizeof(kNames[0]);

double Expected(int function, double x, double y) {
  int i = 0;
#define UNARY(name) \
  if (function == i++) return name(x);
#define BINARY(name) \
  if (function == i++) return name(x, y);
  ATEN_UNARY(UNARY)
  ATEN_BINARY(BINARY)
  return 0;
}

// The number of results farther from the C library's than `tolerance`.
template <class T>
int Wrong(const char* type, void (*aten)(const T*, const T*, T*), double tolerance) {
  T a[ATEN_BLOCK], b[ATEN_BLOCK], out[kFunctions * ATEN_BLOCK];
  for (int i = 0; i < ATEN_BLOCK; ++i) {
    a[i] = static_cast<T>(i - 8) / 16;
    b[i] = static_cast<T>(20 - i) / 4;
  }
  aten(a, b, out);
  int wrong = 0;
  for (int f = 0; f < kFunctions; ++f) {
    for (int i = 0; i < ATEN_BLOCK; ++i) {
      const double got = out[f * ATEN_BLOCK + i];
      const double expected = Expected(f, a[i], b[i]);
      if (isnan(got) ? isnan(expected)
                     : got == expected || fabs(got - expected) <=
                                              tolerance * fmax(1, fabs(expected))) {
        continue;
      }
      printf("%s: %s(%g, %g) = %.17g, not %.17g\n", type, kNames[f], double{a[i]},
             double{b[i]}, got, expected);
      ++wrong;
    }
  }
  return wrong;
}

}  // namespace

int main() {
  if (!rules_torch::internal::CpuRuns(ISA)) {
    printf("This CPU does not run %s; that it links is all that is tested.\n", ISA);
    return 0;
  }
  const int wrong =
      Wrong("float", AtenFloat, 1e-6) + Wrong("double", AtenDouble, 1e-14);
  printf("%d wrong\n", wrong);
  return wrong == 0 ? 0 : 1;
}
