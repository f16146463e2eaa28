// The vector of floats that kernels are written with: as long as a register of the
// instruction set that the source is compiled for. GCC's and Clang's vector extensions,
// no intrinsics: one source for SSE, AVX2, AVX-512 and NEON.
//
// All of kernels/ lies in an unnamed namespace. A source is compiled once for each
// instruction set of a binary, and the linker would else keep one copy of a function
// for all of them. For the same reason, nothing here calls a function template of the
// standard library: std::min of the AVX-512 source is everybody's std::min where it is
// not inlined.
//
// Errors: none. Pointers need the alignment of a float. Thread-safe.
#ifndef RULES_TORCH_STANDALONE_KERNELS_VECTOR_H_
#define RULES_TORCH_STANDALONE_KERNELS_VECTOR_H_

#include <cstdint>

#define RTORCH_INLINE __attribute__((always_inline)) inline
#define RTORCH_INLINE_LAMBDA __attribute__((always_inline))

// Before a loop whose bounds are constants: GCC leaves it a loop, and its arrays in
// memory, where it thinks that code grows too much. Clang does not.
#if defined(__clang__)
#define RTORCH_UNROLL _Pragma("clang loop unroll(full)")
#else
#define RTORCH_UNROLL _Pragma("GCC unroll 64")
#endif

namespace rules_torch::standalone {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Vec __attribute__((vector_size(kLanes * 4)));
typedef std::int32_t IntVec __attribute__((vector_size(kLanes * 4)));
typedef float UnalignedVec
    __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));

template <typename T>
RTORCH_INLINE constexpr T Least(T a, T b) {
  return b < a ? b : a;
}

template <typename T>
RTORCH_INLINE constexpr T Greatest(T a, T b) {
  return a < b ? b : a;
}

// For what is not negative, and divisors above 0.
RTORCH_INLINE constexpr std::int64_t DivideUp(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

RTORCH_INLINE constexpr std::int64_t RoundUp(std::int64_t a, std::int64_t b) {
  return DivideUp(a, b) * b;
}

RTORCH_INLINE Vec Load(const float* from) {
  return *reinterpret_cast<const UnalignedVec*>(from);
}

RTORCH_INLINE void Store(float* to, Vec v) { *reinterpret_cast<UnalignedVec*>(to) = v; }

// x in every lane: -0.0 and NaN as they are.
RTORCH_INLINE Vec Broadcast(float x) { return x - Vec{}; }

RTORCH_INLINE IntVec Broadcast(std::int32_t x) { return x + IntVec{}; }

typedef float Four __attribute__((vector_size(16)));
typedef float UnalignedFour __attribute__((vector_size(16), aligned(4), may_alias));

// As Load and Store of `lanes` below, of four; lanes may be any number.
RTORCH_INLINE Four LoadFour(const float* from, int lanes) {
  if (lanes >= 4) return *reinterpret_cast<const UnalignedFour*>(from);
  Four four{};
  if (lanes > 0) four[0] = from[0];
  if (lanes > 1) four[1] = from[1];
  if (lanes > 2) four[2] = from[2];
  return four;
}

RTORCH_INLINE void StoreFour(float* to, Four four, int lanes) {
  if (lanes >= 4) {
    *reinterpret_cast<UnalignedFour*>(to) = four;
    return;
  }
  if (lanes > 0) to[0] = four[0];
  if (lanes > 1) to[1] = four[1];
  if (lanes > 2) to[2] = four[2];
}

// The first `lanes` (0 to kLanes) from memory, and zeros. Not by way of an array: a
// vector that was stored in parts is long in coming back.
RTORCH_INLINE Vec Load(const float* from, int lanes) {
  if (lanes == kLanes) return Load(from);
  const Four first = LoadFour(from, lanes);
#if defined(__AVX512F__) || defined(__AVX2__)
  const auto low = __builtin_shufflevector(first, LoadFour(from + 4, lanes - 4), 0, 1,
                                           2, 3, 4, 5, 6, 7);
#if defined(__AVX512F__)
  const auto high =
      __builtin_shufflevector(LoadFour(from + 8, lanes - 8),
                              LoadFour(from + 12, lanes - 12), 0, 1, 2, 3, 4, 5, 6, 7);
  return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
                                 13, 14, 15);
#else
  return low;
#endif
#else
  return first;
#endif
}

// The first `lanes` (0 to kLanes) to memory.
RTORCH_INLINE void Store(float* to, Vec v, int lanes) {
  if (lanes == kLanes) return Store(to, v);
  StoreFour(to, __builtin_shufflevector(v, v, 0, 1, 2, 3), lanes);
#if defined(__AVX512F__) || defined(__AVX2__)
  StoreFour(to + 4, __builtin_shufflevector(v, v, 4, 5, 6, 7), lanes - 4);
#endif
#if defined(__AVX512F__)
  StoreFour(to + 8, __builtin_shufflevector(v, v, 8, 9, 10, 11), lanes - 8);
  StoreFour(to + 12, __builtin_shufflevector(v, v, 12, 13, 14, 15), lanes - 12);
#endif
}

// NaN where v is NaN, whatever the limit is.
RTORCH_INLINE Vec AtLeast(Vec v, Vec limit) { return limit > v ? limit : v; }
RTORCH_INLINE Vec AtMost(Vec v, Vec limit) { return limit < v ? limit : v; }

// The lanes' sum, halves first: the same order on every instruction set of one length.
RTORCH_INLINE float Sum(Vec v) {
  float lanes[kLanes];
  Store(lanes, v);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

RTORCH_INLINE IntVec Bits(Vec v) { return reinterpret_cast<IntVec>(v); }
RTORCH_INLINE Vec FromBits(IntVec v) { return reinterpret_cast<Vec>(v); }

RTORCH_INLINE Vec Absolute(Vec v) {
  return FromBits(Bits(v) & Broadcast(std::int32_t{0x7fffffff}));
}

// `size` without its sign, with that of `sign`.
RTORCH_INLINE Vec CopySign(Vec size, Vec sign) {
  return FromBits(Bits(Absolute(size)) |
                  (Bits(sign) & Broadcast(std::int32_t{-0x7fffffff - 1})));
}

}  // namespace
}  // namespace rules_torch::standalone

#endif  // RULES_TORCH_STANDALONE_KERNELS_VECTOR_H_
