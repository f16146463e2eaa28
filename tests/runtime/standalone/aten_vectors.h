// Every function of ATen's vectors that SLEEF computes, each over one block of
// elements.
#ifndef RULES_TORCH_TESTS_RUNTIME_STANDALONE_ATEN_VECTORS_H_
#define RULES_TORCH_TESTS_RUNTIME_STANDALONE_ATEN_VECTORS_H_

// By the names that the C library and at::vec share.
// clang-format off
#define ATEN_UNARY(F) \
  F(acos) F(acosh) F(asin) F(asinh) F(atan) F(atanh) F(cos) F(cosh) F(erf) \
  F(erfc) F(exp) F(exp2) F(expm1) F(lgamma) F(log) F(log10) F(log1p) F(log2) \
  F(sin) F(sinh) F(tan) F(tanh)
// clang-format on
#define ATEN_BINARY(F) F(atan2) F(copysign) F(fmod) F(hypot) F(nextafter) F(pow)

// A multiple of every vector's length.
#define ATEN_BLOCK 32

// Writes the block of f(a), or of f(a, b), for each function in the order above.
// Whoever calls these has seen that the CPU runs them.
extern "C" {
void AtenFloat(const float* a, const float* b, float* out);
void AtenDouble(const double* a, const double* b, double* out);
}

#endif  // RULES_TORCH_TESTS_RUNTIME_STANDALONE_ATEN_VECTORS_H_
