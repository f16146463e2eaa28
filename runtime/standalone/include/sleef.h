// The functions of SLEEF's sleef.h that ATen's vector classes call, for kernels that
// are compiled without libtorch: libtorch is what brings SLEEF otherwise. Its folder
// comes before torch's on the include path.
//
// The names are SLEEF's, and so is what they promise (_u10: 1.0 ULP); the functions are
// vector_math.h's, which says where they keep it. They have internal linkage.
//
// With it, all that Inductor's kernels need of libtorch is c10::detail::torchCheckFail,
// for checks of ATen's headers that cannot fail there. -DSTANDALONE_TORCH_HEADER has
// them throw std::runtime_error instead, and -DSTRIP_ERROR_MESSAGES spares the streams
// that format its message.
#ifndef RULES_TORCH_STANDALONE_SLEEF_H_
#define RULES_TORCH_STANDALONE_SLEEF_H_

#include "runtime/standalone/vector_math.h"

// ATen takes their addresses, and names the type of these with it.
#define SLEEF_CONST

#define RULES_TORCH_UNARY(Vector, Lanes, name, Function) \
  static inline Vector name(Vector x) {                  \
    return (Vector)rules_torch::standalone::Function(    \
        (rules_torch::standalone::Lanes)x);              \
  }
#define RULES_TORCH_BINARY(Vector, Lanes, name, Function)                      \
  static inline Vector name(Vector a, Vector b) {                              \
    return (Vector)rules_torch::standalone::Function(                          \
        (rules_torch::standalone::Lanes)a, (rules_torch::standalone::Lanes)b); \
  }

// Of vectors that SLEEF calls `v`: f8 and the like.
#define RULES_TORCH_SLEEF(Vector, Lanes, v)                       \
  RULES_TORCH_UNARY(Vector, Lanes, Sleef_acos##v##_u10, Acos)     \
  RULES_TORCH_UNARY(Vector, Lanes, Sleef_acosh##v##_u10, Acosh)   \
  RULES_TORCH_UNARY(Vector, Lanes, Sleef_asin##v##_u10, Asin)     \
  RULES_TORCH_UNARY(Vector, Lanes, Sleef_asinh##v##_u10, Asinh)   \
  RULES_TORCH_UNARY(Vector, Lanes, Sleef_atan##v##_u10, Atan)     \
  RULES_TORCH_UNARY(Vector, Lanes, Sleef_atanh##v##_u10, Atanh)   \
  RULES_TORCH_UNARY(Vector, Lanes, Sleef_cos##v##_u10, Cos)       \
  RULES_TORCH_UNARY(Vector, Lanes, Sleef_cosh##v##_u10, Cosh)     \
  RULES_TORCH_UNARY(Vector, Lanes, Sleef_erf##v##_u10, Erf)       \
  RULES_TORCH_UNARY(Vector, Lanes, Sleef_exp##v##_u10, Exp)       \
  RULES_TORCH_UNARY(Vector, Lanes, Sleef_exp2##v##_u10, Exp2)     \
  RULES_TORCH_UNARY(Vector, Lanes, Sleef_expm1##v##_u10, Expm1)   \
  RULES_TORCH_UNARY(Vector, Lanes, Sleef_lgamma##v##_u10, Lgamma) \
  RULES_TORCH_UNARY(Vector, Lanes, Sleef_log##v##_u10, Log)       \
  RULES_TORCH_UNARY(Vector, Lanes, Sleef_log10##v##_u10, Log10)   \
  RULES_TORCH_UNARY(Vector, Lanes, Sleef_log1p##v##_u10, Log1p)   \
  RULES_TORCH_UNARY(Vector, Lanes, Sleef_log2##v##_u10, Log2)     \
  RULES_TORCH_UNARY(Vector, Lanes, Sleef_sin##v##_u10, Sin)       \
  RULES_TORCH_UNARY(Vector, Lanes, Sleef_sinh##v##_u10, Sinh)     \
  RULES_TORCH_UNARY(Vector, Lanes, Sleef_tan##v##_u10, Tan)       \
  RULES_TORCH_UNARY(Vector, Lanes, Sleef_tanh##v##_u10, Tanh)     \
  RULES_TORCH_UNARY(Vector, Lanes, Sleef_erfc##v##_u15, Erfc)     \
  RULES_TORCH_BINARY(Vector, Lanes, Sleef_atan2##v##_u10, Atan2)  \
  RULES_TORCH_BINARY(Vector, Lanes, Sleef_pow##v##_u10, Pow)      \
  RULES_TORCH_BINARY(Vector, Lanes, Sleef_hypot##v##_u05, Hypot)  \
  RULES_TORCH_BINARY(Vector, Lanes, Sleef_fmod##v, Fmod)          \
  RULES_TORCH_BINARY(Vector, Lanes, Sleef_copysign##v, CopySign)  \
  RULES_TORCH_BINARY(Vector, Lanes, Sleef_nextafter##v, NextAfter)

// What ATen asks of single precision alone.
#define RULES_TORCH_SLEEF_U35(Vector, Lanes, v)             \
  RULES_TORCH_UNARY(Vector, Lanes, Sleef_cos##v##_u35, Cos) \
  RULES_TORCH_UNARY(Vector, Lanes, Sleef_sin##v##_u35, Sin)

#if defined(__AVX512F__)
RULES_TORCH_SLEEF(__m512, Floats<16>, f16)
RULES_TORCH_SLEEF_U35(__m512, Floats<16>, f16)
RULES_TORCH_SLEEF(__m512d, Doubles<8>, d8)
#endif
#if defined(__AVX2__)
RULES_TORCH_SLEEF(__m256, Floats<8>, f8)
RULES_TORCH_SLEEF_U35(__m256, Floats<8>, f8)
RULES_TORCH_SLEEF(__m256d, Doubles<4>, d4)
#endif
#if defined(__aarch64__)
RULES_TORCH_SLEEF(float32x4_t, Floats<4>, f4)
RULES_TORCH_SLEEF(float64x2_t, Doubles<2>, d2)
#endif

#undef RULES_TORCH_SLEEF_U35
#undef RULES_TORCH_SLEEF
#undef RULES_TORCH_BINARY
#undef RULES_TORCH_UNARY

#endif  // RULES_TORCH_STANDALONE_SLEEF_H_
