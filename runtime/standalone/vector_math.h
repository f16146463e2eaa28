// Elementary functions of vectors, one implementation for every vector length.
//
// Vectors are GCC's (`Floats<8>`, `Doubles<4>`): __m256, float32x4_t and the like
// convert to them. Each lane is computed by itself and by the same operations, so a
// result does not depend on the length of the vector or on the lane. Where the target
// has fused multiply-add (x86-64-v3, v4, aarch64) all lengths and instruction sets
// agree bit for bit; without it (x86-64-v2) the last bit may differ from theirs.
// Compile with -ffp-contract=off, as models' kernels are, and without -ffast-math.
//
// Errors are at most 1.0 ULP for float, but 1.25 for Exp2 and Erf without FMA. In
// brackets: the largest measured with FMA, of every float from 2^-30 to 2^8 and a 61st
// of the others. The functions of floats are
//   - own polynomials in float: Erf (0.99), Exp (0.86), Exp2 (0.96), Expm1 (0.87), Log
//     (0.67), Log1p (0.67), Log2 (0.75), Log10 (0.68), Tanh (0.78);
//   - own polynomials in double, rounded once (0.501): Sin, Cos, Tan, Pow. Vectors with
//     a lane above kMaxReduced call libm for Sin, Cos and Tan, which reduces exactly;
//   - libm's function of double for each lane, rounded once (0.501): the rest. They are
//     as slow as a loop.
// Of doubles, Exp and Log are own polynomials (1.0 ULP), and the rest is libm's
// function for each lane, with libm's error (glibc's manual lists them: 1 to 4 ULP).
// NaN, infinities, signed zeros and denormals are as C's Annex F has them.
// Floating-point flags and errno are not.
//
// Coefficients: minimax polynomials by Remez's exchange in 160 bits, for the
// function, the interval and the weight that stand beside them, then rounded.
//
// Everything has internal linkage: a program holds one copy for each instruction set,
// and the linker must not choose among them.
#ifndef RULES_TORCH_STANDALONE_VECTOR_MATH_H_
#define RULES_TORCH_STANDALONE_VECTOR_MATH_H_

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define RULES_TORCH_INLINE inline __attribute__((always_inline))

namespace rules_torch::standalone {
namespace {

// The type of `kLanes` elements, in one register or, where the target has none so wide,
// in several.
template <class T, int kLanes>
struct VectorOf {
  typedef T type __attribute__((vector_size(sizeof(T) * kLanes)));
};
template <int kLanes>
using Floats = typename VectorOf<float, kLanes>::type;
template <int kLanes>
using Doubles = typename VectorOf<double, kLanes>::type;

// Of a vector: its elements and the integers of their size.
template <class T>
struct Format;
template <>
struct Format<float> {
  using Signed = int;
  using Unsigned = unsigned;
  static constexpr int kMantissaBits = 23;
  static constexpr int kBias = 127;
  // Adding it rounds to an integer, which the low bits of the sum hold.
  static constexpr float kRounder = 0x1.8p23f;
  static constexpr unsigned kRounderBits = 0x4b400000u;
  static constexpr unsigned kSignBit = 0x80000000u;
  static constexpr unsigned kRootHalf = 0x3f3504f3u;
  static constexpr float kMinNormal = 0x1p-126f;
  // ln 2 in two parts. The high one is short: its products with exponents are exact.
  static constexpr float kLn2High = 0x1.62e4p-1f;
  static constexpr float kLn2Low = 0x1.7f7d1cp-20f;
  static constexpr float kLog2e = 0x1.715476p0f;
  static constexpr float kInfinity = __builtin_inff();
  static constexpr float kNan = __builtin_nanf("");
};
template <>
struct Format<double> {
  using Signed = long long;
  using Unsigned = unsigned long long;
  static constexpr int kMantissaBits = 52;
  static constexpr int kBias = 1023;
  static constexpr double kRounder = 0x1.8p52;
  static constexpr unsigned long long kRounderBits = 0x4338000000000000ull;
  static constexpr unsigned long long kSignBit = 0x8000000000000000ull;
  static constexpr unsigned long long kRootHalf = 0x3fe6a09e667f3bcdull;
  static constexpr double kMinNormal = 0x1p-1022;
  static constexpr double kLn2High = 0x1.62e42feep-1;
  static constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
  static constexpr double kLog2e = 0x1.71547652b82fep0;
  static constexpr double kInfinity = __builtin_inf();
  static constexpr double kNan = __builtin_nan("");
};

template <class V>
using Element = decltype(V{}[0] + V{}[0]);
template <class V>
inline constexpr int kLanesOf = sizeof(V) / sizeof(Element<V>);
template <class V>
inline constexpr bool kIsDouble = sizeof(Element<V>) == 8;
template <class V>
using Bits =
    typename VectorOf<typename Format<Element<V>>::Unsigned, kLanesOf<V>>::type;
template <class V>
using Mask = typename VectorOf<typename Format<Element<V>>::Signed, kLanesOf<V>>::type;

template <class V>
RULES_TORCH_INLINE V Splat(Element<V> value) {
  return V{} + value;
}

// Whether a lane of the mask is set.
template <class M>
RULES_TORCH_INLINE bool Any(M mask) {
#if defined(__AVX512F__)
  if constexpr (sizeof(M) == 64) {
    return _mm512_test_epi64_mask((__m512i)mask, (__m512i)mask) != 0;
  }
#endif
#if defined(__AVX__)
  if constexpr (sizeof(M) == 32) {
    return !_mm256_testz_si256((__m256i)mask, (__m256i)mask);
  }
#endif
  unsigned long long words[sizeof(M) / 8];
  __builtin_memcpy(words, &mask, sizeof(M));
  unsigned long long any = 0;
  for (unsigned long long word : words) any |= word;
  return any != 0;
}

// a * b + c, rounded once where the target can, for each lane.
template <class V>
RULES_TORCH_INLINE V Fma(V a, V b, V c) {
#if defined(__FMA__)
  if constexpr (__is_same(V, Floats<4>)) return (V)_mm_fmadd_ps(a, b, c);
  if constexpr (__is_same(V, Doubles<2>)) return (V)_mm_fmadd_pd(a, b, c);
  if constexpr (__is_same(V, Floats<8>)) return (V)_mm256_fmadd_ps(a, b, c);
  if constexpr (__is_same(V, Doubles<4>)) return (V)_mm256_fmadd_pd(a, b, c);
#if defined(__AVX512F__)
  if constexpr (__is_same(V, Floats<16>)) return (V)_mm512_fmadd_ps(a, b, c);
  if constexpr (__is_same(V, Doubles<8>)) return (V)_mm512_fmadd_pd(a, b, c);
#endif
#elif defined(__aarch64__)
  if constexpr (__is_same(V, Floats<4>)) return (V)vfmaq_f32(c, a, b);
  if constexpr (__is_same(V, Doubles<2>)) return (V)vfmaq_f64(c, a, b);
#else
  return a * b + c;
#endif
}
template <class V>
RULES_TORCH_INLINE V Fma(V a, V b, Element<V> c) {
  return Fma(a, b, Splat<V>(c));
}
template <class V>
RULES_TORCH_INLINE V Fma(V a, Element<V> b, V c) {
  return Fma(a, Splat<V>(b), c);
}

// c0 + c1 x + c2 x^2 + …, by Horner's rule.
template <class V, class... C>
RULES_TORCH_INLINE V Polynomial(V x, Element<V> c0, C... rest) {
  if constexpr (sizeof...(rest) == 0) {
    return Splat<V>(c0);
  } else {
    return Fma(Polynomial(x, rest...), x, c0);
  }
}

// a * b - product, where `product` is a * b rounded.
template <class V>
RULES_TORCH_INLINE V ProductError(V a, V b, V product) {
#if defined(__FMA__) || defined(__aarch64__)
  return Fma(a, b, -product);
#else
  // Dekker's: halves of the mantissas, whose products are exact.
  const Bits<V> high = ~(Bits<V>{} + 0xfffu);
  const V a_high = (V)((Bits<V>)a & high);
  const V b_high = (V)((Bits<V>)b & high);
  const V a_low = a - a_high;
  const V b_low = b - b_high;
  return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) +
         a_low * b_low;
#endif
}

template <class V>
RULES_TORCH_INLINE V Abs(V x) {
  return (V)((Bits<V>)x & ~(Bits<V>{} + Format<Element<V>>::kSignBit));
}

template <class V>
RULES_TORCH_INLINE V CopySign(V x, V sign) {
  const Bits<V> bit = Bits<V>{} + Format<Element<V>>::kSignBit;
  return (V)(((Bits<V>)x & ~bit) | ((Bits<V>)sign & bit));
}

// libm's functions.
namespace libm {
#define RULES_TORCH_UNARY(function) \
  inline constexpr auto function = [](double x) { return __builtin_##function(x); };
#define RULES_TORCH_BINARY(function)                        \
  inline constexpr auto function = [](double a, double b) { \
    return __builtin_##function(a, b);                      \
  };
RULES_TORCH_UNARY(acos)
RULES_TORCH_UNARY(acosh)
RULES_TORCH_UNARY(asin)
RULES_TORCH_UNARY(asinh)
RULES_TORCH_UNARY(atan)
RULES_TORCH_UNARY(atanh)
RULES_TORCH_UNARY(cos)
RULES_TORCH_UNARY(cosh)
RULES_TORCH_UNARY(erf)
RULES_TORCH_UNARY(erfc)
RULES_TORCH_UNARY(exp2)
RULES_TORCH_UNARY(expm1)
RULES_TORCH_UNARY(lgamma)
RULES_TORCH_UNARY(log10)
RULES_TORCH_UNARY(log1p)
RULES_TORCH_UNARY(log2)
RULES_TORCH_UNARY(sin)
RULES_TORCH_UNARY(sinh)
RULES_TORCH_UNARY(tan)
RULES_TORCH_UNARY(tanh)
RULES_TORCH_BINARY(atan2)
RULES_TORCH_BINARY(fmod)
RULES_TORCH_BINARY(hypot)
RULES_TORCH_BINARY(pow)
#undef RULES_TORCH_UNARY
#undef RULES_TORCH_BINARY
}  // namespace libm

// Before calls of libm, which may be compiled for SSE: its instructions wait for the
// upper halves of registers. GCC sees to it from -O2 on.
RULES_TORCH_INLINE void LeaveAvx() {
#if defined(__AVX__)
  _mm256_zeroupper();
#endif
}

// Each lane by itself, in double.
template <class V, class Function, class... Vs>
RULES_TORCH_INLINE V PerLane(Function function, V x, Vs... rest) {
  struct Lanes {
    Element<V> lane[kLanesOf<V>];
  };
  Lanes result;
  [&](const Lanes& first, const auto&... others) __attribute__((always_inline)) {
    LeaveAvx();
    for (int i = 0; i < kLanesOf<V>; ++i) {
      result.lane[i] = static_cast<Element<V>>(function(
          static_cast<double>(first.lane[i]), static_cast<double>(others.lane[i])...));
    }
  }(__builtin_bit_cast(Lanes, x), __builtin_bit_cast(Lanes, rest)...);
  return __builtin_bit_cast(V, result);
}

// x within [low, high]. NaN stays.
template <class V>
RULES_TORCH_INLINE V Clamp(V x, Element<V> low, Element<V> high) {
  x = x < low ? Splat<V>(low) : x;
  return x > high ? Splat<V>(high) : x;
}

// 2^n of normal results.
template <class V>
RULES_TORCH_INLINE V PowerOf2(Mask<V> n) {
  using F = Format<Element<V>>;
  return (V)((Bits<V>)(n + F::kBias) << F::kMantissaBits);
}

// y * 2^n, rounded once, for n from twice the least exponent to twice the greatest.
template <class V>
RULES_TORCH_INLINE V Scale(V y, Mask<V> n) {
  const Mask<V> half = n >> 1;
  return y * PowerOf2<V>(half) * PowerOf2<V>(n - half);
}

// The integer next to x, as an integer and as a floating-point number.
template <class V>
struct Rounded {
  Mask<V> integer;
  V value;
};
template <class V>
RULES_TORCH_INLINE Rounded<V> RoundProduct(V x, Element<V> factor) {
  using F = Format<Element<V>>;
  const V shifted = Fma(x, factor, Splat<V>(F::kRounder));
  return {(Mask<V>)((Bits<V>)shifted - F::kRounderBits), shifted - F::kRounder};
}

// x = n ln 2 + r + r_low, |r| <= 0.3475.
template <class V>
struct ExpArgument {
  Mask<V> n;
  V r, r_low;
};
template <class V>
RULES_TORCH_INLINE ExpArgument<V> ReduceExp(V x) {
  using F = Format<Element<V>>;
  const Rounded<V> n = RoundProduct(x, F::kLog2e);
  const V high = Fma(n.value, -F::kLn2High, x);
  const V r = Fma(n.value, -F::kLn2Low, high);
  return {n.integer, r, Fma(n.value, -F::kLn2Low, high - r)};
}

// e^r - 1 - r of |r| <= 0.3475: q of (e^r - 1 - r) / r^2, weight r (float) or r^2.
template <class V>
RULES_TORCH_INLINE V ExpTail(ExpArgument<V> a) {
  const V r = a.r;
  if constexpr (!kIsDouble<V>) {
    const V q = Polynomial(r, 0x1p-1f, 0x1.555556p-3f, 0x1.5554acp-5f, 0x1.11108ep-7f,
                           0x1.6d7656p-10f, 0x1.a1a38ep-13f);
    return Fma(r * r, q, a.r_low);
  } else {
    const V q =
        Polynomial(r, 0x1.000000000000cp-1, 0x1.5555555555561p-3, 0x1.555555554fe7bp-5,
                   0x1.111111110d4dbp-7, 0x1.6c16c1860a88ep-10, 0x1.a01a01bb56805p-13,
                   0x1.a019957d3ee86p-16, 0x1.71dddecb87c7ep-19, 0x1.28b1527d853e4p-22,
                   0x1.af871a6f47d6fp-26);
    return Fma(r * r, q, a.r_low);
  }
}

// high + low, unrounded.
template <class V>
struct Sum {
  V high, low;
};
// a + b, exactly, where |a| >= |b| or a is 0.
template <class V>
RULES_TORCH_INLINE Sum<V> ExactSum(V a, V b) {
  const V high = a + b;
  return {high, b - (high - a)};
}

template <class V>
RULES_TORCH_INLINE V Exp(V x) {
  constexpr bool kFloat = !kIsDouble<V>;
  const ExpArgument<V> a = ReduceExp(kFloat ? Clamp(x, -105, 89) : Clamp(x, -746, 710));
  return Scale(1 + (a.r + ExpTail(a)), a.n);
}

template <class V>
RULES_TORCH_INLINE V Exp2(V x) {
  if constexpr (kIsDouble<V>) {
    return PerLane(libm::exp2, x);
  } else {
    x = Clamp(x, -151, 129);
    const Rounded<V> n = RoundProduct(x, 1);
    const V r = x - n.value;
    // (2^r - 1) / r of |r| <= 1/2, weight r.
    const V p = Polynomial(r, 0x1.62e430p-1f, 0x1.ebfbe0p-3f, 0x1.c6aed0p-5f,
                           0x1.3b29aap-7f, 0x1.5f47b2p-10f, 0x1.448fd8p-13f);
    return Scale(Fma(r, p, 1), n.integer);
  }
}

template <class V>
RULES_TORCH_INLINE V Expm1(V x) {
  if constexpr (kIsDouble<V>) {
    return PerLane(libm::expm1, x);
  } else {
    const ExpArgument<V> a = ReduceExp(Clamp(x, -20, 89));
    const V tail = ExpTail(a);
    // 2^n (r + tail) + (2^n - 1), halved, so that 2^n does not overflow.
    const V power = PowerOf2<V>(a.n - 1);
    const V one_less = power - 0.5f;
    const V scaled = power * a.r;
    const V sum = scaled + one_less;
    const V error = (scaled - (sum - one_less)) + ((power - one_less) - 0.5f);
    const V y = 2 * (sum + (error + power * tail));
    return Abs(x) < 0x1p-25f ? x : y;
  }
}

// A positive x = 2^k (1 + f), 1/√2 <= 1 + f < √2.
template <class V>
struct LogArgument {
  V k, f;
};
template <class V>
RULES_TORCH_INLINE LogArgument<V> ReduceLog(V x) {
  using F = Format<Element<V>>;
  constexpr int kShift = F::kMantissaBits + 2;
  constexpr auto kOne = static_cast<typename F::Unsigned>(F::kBias) << F::kMantissaBits;
  const Mask<V> denormal = x < F::kMinNormal;
  x = denormal ? x * static_cast<Element<V>>(1ull << kShift) : x;
  const Bits<V> shifted = (Bits<V>)x + (kOne - F::kRootHalf);
  const Bits<V> exponent = shifted >> F::kMantissaBits;
  const Bits<V> mantissa = (shifted - (exponent << F::kMantissaBits)) + F::kRootHalf;
  // The exponent is small: no conversion is needed.
  const V k = (V)(exponent + F::kRounderBits) - (F::kRounder + F::kBias);
  return {denormal ? k - kShift : k, (V)mantissa - 1};
}

// What log(x), to any base, is where x is not positive and finite.
template <class V>
RULES_TORCH_INLINE V LogCorners(V x, V y) {
  using F = Format<Element<V>>;
  y = x < F::kInfinity ? y : x;
  y = x < 0 ? Splat<V>(F::kNan) : y;
  return x == 0 ? Splat<V>(-F::kInfinity) : y;
}

// log(1 + f) of -0.294 <= f <= 0.4152, f float, as an unrounded sum: 1.442 times its
// error, of Log2, must be small.
template <class V>
RULES_TORCH_INLINE Sum<V> LogNearOne(V f) {
  const V square = f * f;
  const V half = 0.5f * square;
  const V high = f - half;
  // (log(1 + f) - f + f^2/2) / f^3, weight f^3 / log(1 + f).
  const V q =
      Polynomial(f, 0x1.555554p-2f, -0x1.000232p-2f, 0x1.99a06p-3f, -0x1.546f2ap-3f,
                 0x1.22cf48p-3f, -0x1.0d9a32p-3f, 0x1.05b782p-3f, -0x1.392fcep-4f);
  const V lost = Fma(ProductError(f, f, square), -0.5f, (f - high) - half);
  return {high, Fma(square, f * q, lost)};
}

// k * kHigh + f + low, where k times the short kHigh is exact and 0 or above |f|.
template <class V>
RULES_TORCH_INLINE V AddExponent(V k, Element<V> k_high, V f, V low) {
  const Sum<V> sum = ExactSum(k * k_high, f);
  return sum.high + (sum.low + low);
}

template <class V>
RULES_TORCH_INLINE V Log(V x) {
  const LogArgument<V> a = ReduceLog(x);
  if constexpr (!kIsDouble<V>) {
    const Sum<V> log = LogNearOne(a.f);
    const V low = Fma(a.k, Format<float>::kLn2Low, log.low);
    return LogCorners(x, AddExponent(a.k, Format<float>::kLn2High, log.high, low));
  } else {
    // log(1 + f) = 2 atanh(s) = f - s f + s R(s^2), s = f / (2 + f), and s f is
    // f^2/2 - s f^2/2: the large part of the tail has a short error.
    const V s = a.f / (2 + a.f);
    const V s2 = s * s;
    // (2 atanh(s) - 2 s) / s^3 of s^2 <= 0.02966, weight s^2.
    const V r = s2 * Polynomial(s2, 0x1.5555555555595p-1, 0x1.999999997ebbep-2,
                                0x1.24924943041e8p-2, 0x1.c71c511a034b4p-3,
                                0x1.7466731d35947p-3, 0x1.399c2bb9712bcp-3,
                                0x1.2f403c74b1d1ep-3);
    const V half_square = 0.5 * a.f * a.f;
    const V tail =
        Fma(a.k, Format<double>::kLn2Low, s * (half_square + r)) - half_square;
    return LogCorners(x, AddExponent(a.k, Format<double>::kLn2High, a.f, tail));
  }
}

// log(1 + f) * factor, of k * (log 2 to the base) + that.
template <class V>
RULES_TORCH_INLINE V LogToBase(V x, Element<V> factor, Element<V> factor_low,
                               Element<V> k_high, Element<V> k_low) {
  const LogArgument<V> a = ReduceLog(x);
  const Sum<V> log = LogNearOne(a.f);
  const V product = log.high * factor;
  V low = ProductError(log.high, Splat<V>(factor), product);
  low = Fma(log.high, factor_low, low);
  low = Fma(log.low, factor, low);
  low = Fma(a.k, k_low, low);
  return LogCorners(x, AddExponent(a.k, k_high, product, low));
}

template <class V>
RULES_TORCH_INLINE V Log2(V x) {
  if constexpr (kIsDouble<V>) {
    return PerLane(libm::log2, x);
  } else {
    return LogToBase(x, Format<float>::kLog2e, 0x1.4ae0cp-26f, 1, 0);
  }
}

template <class V>
RULES_TORCH_INLINE V Log10(V x) {
  if constexpr (kIsDouble<V>) {
    return PerLane(libm::log10, x);
  } else {
    return LogToBase(x, 0x1.bcb7b2p-2f, -0x1.5b235ep-27f, 0x1.344p-2f, 0x1.3509f8p-18f);
  }
}

template <class V>
RULES_TORCH_INLINE V Log1p(V x) {
  if constexpr (kIsDouble<V>) {
    return PerLane(libm::log1p, x);
  } else {
    const V u = 1 + x;
    const LogArgument<V> a = ReduceLog(u);
    // What 1 + x lost. Near 1, x itself is f, and nothing is lost.
    const V lost = (x > 1 ? 1 - (u - x) : x - (u - 1)) / u;
    const Mask<V> near = a.k == 0;
    const Sum<V> log = LogNearOne(near ? x : a.f);
    const V low = Fma(a.k, Format<float>::kLn2Low, log.low) + (near ? V{} : lost);
    const V y = AddExponent(a.k, Format<float>::kLn2High, log.high, low);
    // The sum of zeros of both signs has lost x's.
    return LogCorners(u, x == 0 ? x : (x < Format<Element<V>>::kInfinity ? y : x));
  }
}

template <class V>
RULES_TORCH_INLINE V Tanh(V x) {
  if constexpr (kIsDouble<V>) {
    return PerLane(libm::tanh, x);
  } else {
    const V t = Abs(x);
    // 1 - 2 / (e^(2t) + 1), with the denominator unrounded: it is 2^n (1 + r + tail)
    // + 1.
    const ExpArgument<V> a = ReduceExp(2 * (t > 10 ? Splat<V>(10) : t));
    const V power = PowerOf2<V>(a.n);
    const Sum<V> near = ExactSum(Splat<V>(1), a.r);
    const Sum<V> whole = ExactSum(power * near.high, Splat<V>(1));
    const Sum<V> d = ExactSum(whole.high, whole.low + power * (near.low + ExpTail(a)));
    const V quotient = 2 / d.high;
    const Sum<V> y = ExactSum(Splat<V>(1), -quotient);
    const V large = y.high + Fma(quotient * quotient, d.low * 0.5f, y.low);
    // (tanh(t) / t - 1) / t^2 of t <= 0.605, weight t^2.
    const V t2 = t * t;
    const V p = Polynomial(t2, -0x1.55553cp-2f, 0x1.11096ap-3f, -0x1.b88de4p-5f,
                           0x1.54625ep-6f, -0x1.8091e6p-8f);
    return CopySign(t < 0.6f ? Fma(t * t2, p, t) : large, x);
  }
}

template <class V>
RULES_TORCH_INLINE V Erf(V x) {
  if constexpr (kIsDouble<V>) {
    return PerLane(libm::erf, x);
  } else {
    const V t = Abs(x);
    // -log(erfc(t)) - t^2 of 0.9 <= t <= 3.95, weight erfc(t). Above, erf rounds to 1.
    const V u = t > 3.95f ? Splat<V>(3.95f) : t;
    const V rest =
        Polynomial(u, 0x1.743c86p-13f, 0x1.20b432p0f, -0x1.73a69ap-2f, 0x1.aa2312p-4f,
                   -0x1.6cfcdap-6f, 0x1.908122p-9f, -0x1.9d850ep-13f);
    const V square = u * u;
    const Sum<V> log_erfc = ExactSum(square, rest);
    ExpArgument<V> a = ReduceExp(-log_erfc.high);
    a.r_low -= log_erfc.low + ProductError(u, u, square);
    const V large = 1 - (1 + (a.r + ExpTail(a))) * PowerOf2<V>(a.n);
    // erf(t) / t - 1 of t <= 0.93.
    const V p =
        Polynomial(t * t, 0x1.06eba8p-3f, -0x1.812744p-2f, 0x1.ce2e1cp-4f,
                   -0x1.b80ff2p-6f, 0x1.54d42cp-8f, -0x1.aaa2dep-11f, 0x1.5e0624p-14f);
    return CopySign(t < 0.92f ? Fma(t, p, t) : large, x);
  }
}

// A function of floats computed in doubles, as many at a time as a register holds.
#if defined(__AVX512F__)
inline constexpr int kDoublesInRegister = 8;
#elif defined(__AVX__)
inline constexpr int kDoublesInRegister = 4;
#else
inline constexpr int kDoublesInRegister = 2;
#endif
template <class V, class Function, class... Vs>
RULES_TORCH_INLINE V InDoubles(Function function, V x, Vs... rest) {
  constexpr int kLanes = kLanesOf<V>;
  if constexpr (kLanes <= kDoublesInRegister) {
    return __builtin_convertvector(
        function(__builtin_convertvector(x, Doubles<kLanes>),
                 __builtin_convertvector(rest, Doubles<kLanes>)...),
        V);
  } else {
    struct Halves {
      Floats<kLanes / 2> low, high;
    };
    const auto split = [](V v) __attribute__((always_inline)) {
      return __builtin_bit_cast(Halves, v);
    };
    return __builtin_bit_cast(
        V, Halves{InDoubles(function, split(x).low, split(rest).low...),
                  InDoubles(function, split(x).high, split(rest).high...)});
  }
}

// Floats up to here are reduced by multiples of π/2 in doubles.
inline constexpr float kMaxReduced = 1e6f;

// Sine and cosine of x, |x| <= kMaxReduced, to 2^-36.
template <class D>
struct SinCos {
  D sin, cos;
};
template <class D>
RULES_TORCH_INLINE SinCos<D> SinCosReduced(D x) {
  const Rounded<D> n = RoundProduct(x, 0x1.45f306dc9c883p-1);
  // π/2 in parts of 33 bits: their products with n are exact.
  D r = Fma(n.value, -0x1.921fb544p0, x);
  r = Fma(n.value, -0x1.0b4611a6p-34, r);
  r = Fma(n.value, -0x1.3198a2e037073p-69, r);
  const D r2 = r * r;
  // (sin(r) / r - 1) / r^2 and (cos(r) - 1) / r^2 of |r| <= 0.7864, weight r^2.
  const D s = Polynomial(r2, -0x1.5555554ca5bc5p-3, 0x1.11110886e7b22p-7,
                         -0x1.a00f90dc42ceap-13, 0x1.6cd53ad453891p-19);
  const D c =
      Polynomial(r2, -0x1.ffffffffebc41p-2, 0x1.55555546d2ff0p-5,
                 -0x1.6c16b3e8691cbp-10, 0x1.a00f044e5b49fp-16, -0x1.23d5887384194p-22);
  const D sine = Fma(r * r2, s, r);
  const D cosine = Fma(r2, c, 1);
  const Mask<D> odd = (n.integer & 1) != 0;
  const Bits<D> sine_sign = (Bits<D>)(n.integer & 2) << 62;
  const Bits<D> cosine_sign = (Bits<D>)((n.integer + 1) & 2) << 62;
  return {(D)((Bits<D>)(odd ? cosine : sine) ^ sine_sign),
          (D)((Bits<D>)(odd ? sine : cosine) ^ cosine_sign)};
}

// `y`, but libm's result in lanes whose x is above kMaxReduced or NaN.
template <class V, class Function>
RULES_TORCH_INLINE V Unreduced(Function libm, V x, V y) {
  const Mask<V> reduced = Abs(x) <= kMaxReduced;
  if (__builtin_expect(Any(~reduced), 0)) {
    const V all = PerLane(libm, x);
    y = reduced ? y : all;
  }
  return y;
}

template <class V>
RULES_TORCH_INLINE V Sin(V x) {
  if constexpr (kIsDouble<V>) {
    return PerLane(libm::sin, x);
  } else {
    const V y = InDoubles(
        [](auto d) __attribute__((always_inline)) { return SinCosReduced(d).sin; }, x);
    // -0 - n π/2 + … is +0.
    return Unreduced(libm::sin, x, x == 0 ? x : y);
  }
}

template <class V>
RULES_TORCH_INLINE V Cos(V x) {
  if constexpr (kIsDouble<V>) {
    return PerLane(libm::cos, x);
  } else {
    const V y = InDoubles(
        [](auto d) __attribute__((always_inline)) { return SinCosReduced(d).cos; }, x);
    return Unreduced(libm::cos, x, y);
  }
}

template <class V>
RULES_TORCH_INLINE V Tan(V x) {
  if constexpr (kIsDouble<V>) {
    return PerLane(libm::tan, x);
  } else {
    const V y = InDoubles(
        [](auto d) __attribute__((always_inline)) {
          const auto both = SinCosReduced(d);
          return both.sin / both.cos;
        },
        x);
    return Unreduced(libm::tan, x, x == 0 ? x : y);
  }
}

// |x|^y of floats in doubles, to 2^-34: 2^(y log2(|x|)).
template <class D>
RULES_TORCH_INLINE D PowReduced(D x, D y) {
  x = Abs(x);
  const LogArgument<D> a = ReduceLog(x);
  const D s = a.f / (2 + a.f);
  // log2((1 + s) / (1 - s)) / s of s^2 <= 0.02966.
  const D p =
      Polynomial(s * s, 0x1.71547652b82ffp1, 0x1.ec709dc39c708p-1, 0x1.2776c516f950ep-1,
                 0x1.a617561258639p-2, 0x1.484fc87e431a9p-2, 0x1.0bb4182069e61p-2,
                 0x1.f1de2827c82d4p-3);
  const D log2 = LogCorners(x, Fma(s, p, a.k));
  // Beyond, the float is 0 or infinity.
  const D t = Clamp(y * log2, -1000, 1000);
  const Rounded<D> n = RoundProduct(t, 1);
  // 2^r of |r| <= 1/2.
  const D power =
      Polynomial(t - n.value, 0x1.ffffffffa7042p-1, 0x1.62e42fef6cd41p-1,
                 0x1.ebfbe0aa14f5dp-3, 0x1.c6b08e06f42b5p-5, 0x1.3b29d8afa6e4ep-7,
                 0x1.5d8715af68777p-10, 0x1.446c81885eb34p-13, 0x1.00f7b399166e5p-16);
  return power * PowerOf2<D>(n.integer);
}

template <class V>
RULES_TORCH_INLINE V Pow(V x, V y) {
  if constexpr (kIsDouble<V>) {
    return PerLane(libm::pow, x, y);
  } else {
    using F = Format<float>;
    V power = InDoubles([](auto a, auto b)
                            __attribute__((always_inline)) { return PowReduced(a, b); },
                        x, y);
    // From 2^24 on, all floats are even.
    const V size = Abs(y);
    const V limited = size < 0x1p24f ? size : V{};
    const V truncated =
        __builtin_convertvector(__builtin_convertvector(limited, Mask<V>), V);
    const Mask<V> integer = (truncated == limited) & (y == y);
    const Mask<V> odd =
        integer & ((__builtin_convertvector(limited, Mask<V>) & 1) != 0);
    power = odd ? CopySign(power, x) : power;
    // Of two NaNs, the compiler may take either: it is always the same here.
    const Mask<V> nan = ((x < 0) & (x > -F::kInfinity) & ~integer) | (power != power);
    power = nan ? Splat<V>(F::kNan) : power;
    const Mask<V> one = (x == 1) | (y == 0) | ((x == -1) & (size == F::kInfinity));
    return one ? Splat<V>(1) : power;
  }
}

// The rest: libm's.
template <class V>
RULES_TORCH_INLINE V Acos(V x) {
  return PerLane(libm::acos, x);
}
template <class V>
RULES_TORCH_INLINE V Acosh(V x) {
  return PerLane(libm::acosh, x);
}
template <class V>
RULES_TORCH_INLINE V Asin(V x) {
  return PerLane(libm::asin, x);
}
template <class V>
RULES_TORCH_INLINE V Asinh(V x) {
  return PerLane(libm::asinh, x);
}
template <class V>
RULES_TORCH_INLINE V Atan(V x) {
  return PerLane(libm::atan, x);
}
template <class V>
RULES_TORCH_INLINE V Atanh(V x) {
  return PerLane(libm::atanh, x);
}
template <class V>
RULES_TORCH_INLINE V Cosh(V x) {
  return PerLane(libm::cosh, x);
}
template <class V>
RULES_TORCH_INLINE V Erfc(V x) {
  return PerLane(libm::erfc, x);
}
template <class V>
RULES_TORCH_INLINE V Lgamma(V x) {
  return PerLane(libm::lgamma, x);
}
template <class V>
RULES_TORCH_INLINE V Sinh(V x) {
  return PerLane(libm::sinh, x);
}
template <class V>
RULES_TORCH_INLINE V Atan2(V a, V b) {
  return PerLane(libm::atan2, a, b);
}
template <class V>
RULES_TORCH_INLINE V Fmod(V a, V b) {
  return PerLane(libm::fmod, a, b);
}
template <class V>
RULES_TORCH_INLINE V Hypot(V a, V b) {
  return PerLane(libm::hypot, a, b);
}

// The one function that rounding from double would spoil.
template <class V>
RULES_TORCH_INLINE V NextAfter(V from, V to) {
  LeaveAvx();
  for (int i = 0; i < kLanesOf<V>; ++i) {
    if constexpr (kIsDouble<V>) {
      from[i] = __builtin_nextafter(from[i], to[i]);
    } else {
      from[i] = __builtin_nextafterf(from[i], to[i]);
    }
  }
  return from;
}

}  // namespace
}  // namespace rules_torch::standalone

#undef RULES_TORCH_INLINE

#endif  // RULES_TORCH_STANDALONE_VECTOR_MATH_H_
