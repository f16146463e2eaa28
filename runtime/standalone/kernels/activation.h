// What follows a sum in the same kernel: activations, and the epilogue that adds a bias
// and a residual before.
//
// Each activation maps a vector, and says in `kIsShort` whether it is a few
// instructions: those are applied to a tile while it is in registers, the others in a
// loop of their own over a tile in the first cache.
//
// Errors, from the exact result, as tests hold them over all magnitudes of floats:
// Silu's, Sigmoid's and Tanh's, 4 units of its last place, and 0 where exp(-x) is
// beyond what a float holds; Gelu's and GeluTanh's, as much and 2^-22 * |x|, as the 1 +
// erf and 1 + tanh that they hold cancel in fp32, as eager's do; Hardsigmoid's, 2
// units, and 2^-23 next to -3; Hardswish's, 2 units and 2^-23 * |x|; the others are
// exact. NaN gives NaN; infinities give what eager gives.
//
// The methods: Exp, Cody and Waite's reduction by powers of 2, then a polynomial; Erf
// and Tanh, odd polynomials near 0, and else Exp, for Erf with a polynomial in 1 / (1 +
// x / 2). The coefficients were fitted to these forms by Lawson's algorithm.
#ifndef RULES_TORCH_STANDALONE_KERNELS_ACTIVATION_H_
#define RULES_TORCH_STANDALONE_KERNELS_ACTIVATION_H_

#include <cstdint>

#include "runtime/standalone/kernels/vector.h"

namespace rules_torch::standalone {
namespace {

// c[0] + c[1] x + ... by Horner's rule.
template <int kCount>
RTORCH_INLINE Vec Polynomial(Vec x, const float (&c)[kCount]) {
  Vec sum = Broadcast(c[kCount - 1]);
  RTORCH_UNROLL
  for (int i = kCount - 2; i >= 0; --i) sum = sum * x + Broadcast(c[i]);
  return sum;
}

RTORCH_INLINE Vec Exp(Vec x) {
  // Beyond them the result is infinity or 0, and the exponent would overflow.
  const Vec limited = AtMost(AtLeast(x, Broadcast(-104.0f)), Broadcast(89.0f));
  // Adding it leaves the nearest integer in the lowest bits.
  const Vec magic = Broadcast(12582912.0f);  // 1.5 * 2^23
  const Vec shifted = limited * Broadcast(1.44269504088896341f) + magic;
  const Vec whole = shifted - magic;
  const IntVec exponent = Bits(shifted) - Bits(magic);
  // ln 2 in two parts, the first with zeros at its end.
  Vec r = limited - whole * Broadcast(0.693359375f);
  r = r - whole * Broadcast(-2.12194440e-4f);
  const Vec p =
      Polynomial(r, {0.5f, 0.16666573f, 0.041666362f, 0.008363776f, 0.0013942161f});
  const Vec fraction = r * r * p + r + Broadcast(1.0f);
  // Two factors, as 2^exponent itself may be beyond what a float holds.
  const IntVec first = exponent >> 1;
  const IntVec second = exponent - first;
  const IntVec bias = Broadcast(std::int32_t{127});
  return fraction * FromBits((first + bias) << 23) * FromBits((second + bias) << 23);
}

RTORCH_INLINE Vec Erf(Vec x) {
  const Vec size = Absolute(x);
  const Vec square = x * x;
  const Vec near =
      x * Polynomial(square, {1.1283791f, -0.37612626f, 0.112836f, -0.026854444f,
                              0.0051895352f, -8.020841e-4f, 7.889119e-5f});
  // erfc(size); it is 0 to the last place of 1 from 4 on.
  const Vec far_size = AtMost(size, Broadcast(4.0f));
  const Vec t = Broadcast(1.0f) / (Broadcast(1.0f) + Broadcast(0.5f) * far_size);
  const Vec tail =
      t * Exp(-(far_size * far_size)) *
      Polynomial(t, {0.28290343f, 0.27099144f, 0.31197476f, -0.033738904f, 0.47756755f,
                     -0.4067991f, 0.092333235f, 0.0048194416f});
  const Vec far = CopySign(Broadcast(1.0f) - tail, x);
  return size < Broadcast(1.0f) ? near : far;
}

RTORCH_INLINE Vec Tanh(Vec x) {
  const Vec size = Absolute(x);
  const Vec square = x * x;
  const Vec near =
      x + x * square *
              Polynomial(square, {-0.33333334f, 0.13333286f, -0.053955454f, 0.0217391f,
                                  -0.008250243f, 0.0021910875f});
  const Vec far = CopySign(
      Broadcast(1.0f) - Broadcast(2.0f) / (Exp(size + size) + Broadcast(1.0f)), x);
  return size < Broadcast(0.625f) ? near : far;
}

RTORCH_INLINE Vec Sigmoid(Vec x) {
  return Broadcast(1.0f) / (Broadcast(1.0f) + Exp(-x));
}

// To the nearest of [lowest, highest]; highest where lowest is above it, as in torch.
// ReLU's lowest is 0.
struct Clamp {
  static constexpr bool kIsShort = true;
  float lowest = -__builtin_inff();
  float highest = __builtin_inff();
  RTORCH_INLINE Vec operator()(Vec v) const {
    return AtMost(AtLeast(v, Broadcast(lowest)), Broadcast(highest));
  }
};

struct Hardsigmoid {
  static constexpr bool kIsShort = true;
  RTORCH_INLINE Vec operator()(Vec v) const {
    const Vec gate = AtMost(AtLeast(v + Broadcast(3.0f), Vec{}), Broadcast(6.0f));
    return gate / Broadcast(6.0f);
  }
};

struct Hardswish {
  static constexpr bool kIsShort = true;
  RTORCH_INLINE Vec operator()(Vec v) const { return v * Hardsigmoid()(v); }
};

struct SigmoidOf {
  static constexpr bool kIsShort = false;
  RTORCH_INLINE Vec operator()(Vec v) const { return Sigmoid(v); }
};

struct TanhOf {
  static constexpr bool kIsShort = false;
  RTORCH_INLINE Vec operator()(Vec v) const { return Tanh(v); }
};

struct Silu {
  static constexpr bool kIsShort = false;
  RTORCH_INLINE Vec operator()(Vec v) const { return v / (Broadcast(1.0f) + Exp(-v)); }
};

struct Gelu {
  static constexpr bool kIsShort = false;
  RTORCH_INLINE Vec operator()(Vec v) const {
    return Broadcast(0.5f) * v *
           (Broadcast(1.0f) + Erf(v * Broadcast(0.70710678118654752f)));
  }
};

struct GeluTanh {
  static constexpr bool kIsShort = false;
  RTORCH_INLINE Vec operator()(Vec v) const {
    const Vec inner =
        Broadcast(0.79788456080286536f) * (v + Broadcast(0.044715f) * v * v * v);
    return Broadcast(0.5f) * v * (Broadcast(1.0f) + Tanh(inner));
  }
};

// What a kernel does with each sum before it stores it:
//
//   activation(scale * factors[column] * sum + bias[column] +
//              residual[batch, row, column])
//
// A kernel takes any type that has what is public here, but the members: one that the
// generated code writes may read other tensors at the same place. `lanes` of them are
// wanted, from (batch, row, column) on along the columns.
//   factors, bias: [columns], or null for 1 and 0. residual: columns adjacent, or null;
//       it may be the output itself where the kernel says so.
template <typename Activation = Clamp>
struct Epilogue {
  static constexpr bool kIsShort = Activation::kIsShort;

  const float* factors = nullptr;
  const float* bias = nullptr;
  const float* residual = nullptr;
  std::int64_t residual_batch = 0;  // strides, in elements
  std::int64_t residual_row = 0;
  float scale = 1;
  Activation activation = {};

  RTORCH_INLINE Vec operator()(Vec v, std::int64_t batch, std::int64_t row,
                               std::int64_t column, int lanes) const {
    v = v * Broadcast(scale);
    if (factors != nullptr) v = v * Load(factors + column, lanes);
    if (bias != nullptr) v = v + Load(bias + column, lanes);
    if (residual != nullptr) {
      const float* at = residual + batch * residual_batch + row * residual_row + column;
      v = v + Load(at, lanes);
    }
    return activation(v);
  }
};

}  // namespace
}  // namespace rules_torch::standalone

#endif  // RULES_TORCH_STANDALONE_KERNELS_ACTIVATION_H_
