// ISA names the instruction set that this is compiled for, with _ for -. Nothing here
// may be inline with external linkage: the linker would take one instruction set's copy
// for all.
#include "tests/runtime/standalone/vector_math_kernels.h"

#include <cstddef>

#include "runtime/standalone/vector_math.h"

namespace rules_torch::testing::ISA {
namespace {

using standalone::Doubles;
using standalone::Element;
using standalone::Floats;

template <class V, class Function>
void Run(const Element<V>* a, const Element<V>* b, Element<V>* out, std::size_t n) {
  for (std::size_t i = 0; i < n; i += standalone::kLanesOf<V>) {
    V x, y;
    __builtin_memcpy(&x, a + i, sizeof(V));
    __builtin_memcpy(&y, b + i, sizeof(V));
    const V z = Function::Call(x, y);
    __builtin_memcpy(out + i, &z, sizeof(V));
  }
}

// clang-format off
#define UNARY(F) \
  F(Acos) F(Acosh) F(Asin) F(Asinh) F(Atan) F(Atanh) F(Cos) F(Cosh) F(Erf) \
  F(Erfc) F(Exp) F(Exp2) F(Expm1) F(Lgamma) F(Log) F(Log10) F(Log1p) F(Log2) \
  F(Sin) F(Sinh) F(Tan) F(Tanh)
// clang-format on
#define BINARY(F) F(Atan2) F(CopySign) F(Fmod) F(Hypot) F(NextAfter) F(Pow)

#define CALL_UNARY(Name)          \
  struct Name {                   \
    template <class V>            \
    static V Call(V x, V) {       \
      return standalone::Name(x); \
    }                             \
  };
#define CALL_BINARY(Name)            \
  struct Name {                      \
    template <class V>               \
    static V Call(V a, V b) {        \
      return standalone::Name(a, b); \
    }                                \
  };
UNARY(CALL_UNARY)
BINARY(CALL_BINARY)

#define KERNEL4(Name) {#Name, 4, Run<Floats<4>, Name>, Run<Doubles<2>, Name>},
#define KERNEL8(Name) {#Name, 8, Run<Floats<8>, Name>, Run<Doubles<4>, Name>},
#define KERNEL16(Name) {#Name, 16, Run<Floats<16>, Name>, Run<Doubles<8>, Name>},

constexpr VectorKernel kKernels[] = {UNARY(KERNEL4) BINARY(KERNEL4)
#if defined(__AVX2__)
                                         UNARY(KERNEL8) BINARY(KERNEL8)
#endif
#if defined(__AVX512F__)
                                             UNARY(KERNEL16) BINARY(KERNEL16)
#endif
};

#if defined(__FMA__) || defined(__aarch64__)
constexpr bool kFma = true;
#else
constexpr bool kFma = false;
#endif

}  // namespace

VectorKernels Kernels() {
  return {kKernels, sizeof(kKernels) / sizeof(kKernels[0]), kFma};
}

}  // namespace rules_torch::testing::ISA
