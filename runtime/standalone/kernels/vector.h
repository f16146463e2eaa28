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

// The first `lanes` (0 to kLanes) from memory, and zeros.
RTORCH_INLINE Vec Load(const float* from, int lanes) {
  if (lanes == kLanes) return Load(from);
  float all[kLanes] = {};
  int i = 0;
  for (; i + 4 <= lanes; i += 4) __builtin_memcpy(all + i, from + i, 16);
  for (; i < lanes; ++i) all[i] = from[i];
  return Load(all);
}

// The first `lanes` (0 to kLanes) to memory.
RTORCH_INLINE void Store(float* to, Vec v, int lanes) {
  if (lanes == kLanes) return Store(to, v);
  float all[kLanes];
  Store(all, v);
  int i = 0;
  for (; i + 4 <= lanes; i += 4) __builtin_memcpy(to + i, all + i, 16);
  for (; i < lanes; ++i) to[i] = all[i];
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
