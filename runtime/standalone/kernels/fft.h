// Discrete Fourier transforms of many lines at once: each lane of a vector has a line
// of its own.
//
//   X[k] = sum over j of x[j] * exp(-2 pi i j k / n)
//
// Mixed radix (Stockham's, 4, 2 and odd factors to 13); lengths with larger factors by
// Bluestein's convolution, in float64. Twiddle factors are computed in float64. Errors
// grow with log2(n), as those of the method do: the models of tests/standalone are held
// to 1e-5 beside eager's for spectra of size 1. NaN stays in its line. Thread-safe.
#ifndef RULES_TORCH_STANDALONE_KERNELS_FFT_H_
#define RULES_TORCH_STANDALONE_KERNELS_FFT_H_

#include <cmath>
#include <cstdint>

#include "runtime/standalone/kernels/vector.h"

namespace rules_torch::standalone {
namespace {

// The factors of a length, in the order of the passes.
struct Radices {
  static constexpr int kMost = 13;

  int count = 0;
  int factors[64];
  bool is_complete = false;  // no factor is above kMost
};

inline Radices RadicesOf(std::int64_t n) {
  Radices radices;
  const int all[] = {4, 2, 3, 5, 7, 11, 13};
  for (const int factor : all) {
    for (; n % factor == 0 && n > 1; n /= factor) {
      radices.factors[radices.count++] = factor;
    }
  }
  radices.is_complete = n == 1;
  return radices;
}

// The length of the cyclic convolution by which a line of n is transformed: a power
// of 2.
inline std::int64_t ConvolutionLength(std::int64_t n) {
  std::int64_t length = 1;
  while (length < 2 * n - 1) length *= 2;
  return length;
}

// Complex numbers, real and imaginary parts apart.
template <typename T>
struct Complexes {
  T* re;
  T* im;
};

// to[k] = exp(-2 pi i k / n), k < count.
template <typename T>
void FillRoots(std::int64_t n, std::int64_t count, const Complexes<T>& to) {
  for (std::int64_t k = 0; k < count; ++k) {
    const double angle =
        -2 * 3.14159265358979323846 * static_cast<double>(k) / static_cast<double>(n);
    to.re[k] = static_cast<T>(std::cos(angle));
    to.im[k] = static_cast<T>(std::sin(angle));
  }
}

template <typename V, typename T>
struct OneComplex {
  V re;
  V im;

  RTORCH_INLINE OneComplex Times(T w_re, T w_im) const {
    return {re * w_re - im * w_im, re * w_im + im * w_re};
  }
};

// One pass: `done` is the product of the factors before, `rest` that of this one and
// those behind it, n their product.
//   roots: FillRoots(n).
template <int kFactor, typename V, typename T>
void TransformPass(std::int64_t done, std::int64_t rest,
                   const Complexes<const T>& roots, const Complexes<V>& from,
                   const Complexes<V>& to) {
  using One = OneComplex<V, T>;
  const std::int64_t n = done * rest;
  const std::int64_t lines = rest / kFactor;
  for (std::int64_t q = 0; q < lines; ++q) {
    for (std::int64_t r = 0; r < done; ++r) {
      const auto get = [&](int j) RTORCH_INLINE_LAMBDA -> One {
        const std::int64_t at = r + done * (q + lines * j);
        return {from.re[at], from.im[at]};
      };
      const auto put = [&](int k, One value) RTORCH_INLINE_LAMBDA {
        const std::int64_t root = q * k * done;
        if (root != 0) value = value.Times(roots.re[root], roots.im[root]);
        const std::int64_t at = r + done * (kFactor * q + k);
        to.re[at] = value.re;
        to.im[at] = value.im;
      };
      if constexpr (kFactor == 2) {
        const One a = get(0), b = get(1);
        put(0, {a.re + b.re, a.im + b.im});
        put(1, {a.re - b.re, a.im - b.im});
      } else if constexpr (kFactor == 4) {
        const One a = get(0), b = get(1), c = get(2), d = get(3);
        const One sum02 = {a.re + c.re, a.im + c.im};
        const One rest02 = {a.re - c.re, a.im - c.im};
        const One sum13 = {b.re + d.re, b.im + d.im};
        const One rest13 = {b.re - d.re, b.im - d.im};
        put(0, {sum02.re + sum13.re, sum02.im + sum13.im});
        put(1, {rest02.re + rest13.im, rest02.im - rest13.re});
        put(2, {sum02.re - sum13.re, sum02.im - sum13.im});
        put(3, {rest02.re - rest13.im, rest02.im + rest13.re});
      } else {
        constexpr int kHalf = kFactor / 2;
        const One first = get(0);
        One sums[kHalf], differences[kHalf];
        One all = first;
        for (int j = 0; j < kHalf; ++j) {
          const One a = get(j + 1), b = get(kFactor - 1 - j);
          sums[j] = {a.re + b.re, a.im + b.im};
          differences[j] = {a.re - b.re, a.im - b.im};
          all = {all.re + sums[j].re, all.im + sums[j].im};
        }
        put(0, all);
        for (int k = 1; k <= kHalf; ++k) {
          One even = first;
          One odd = {V{}, V{}};
          for (int j = 0; j < kHalf; ++j) {
            const std::int64_t root = (j + 1) * k % kFactor * (n / kFactor);
            const T cosine = roots.re[root];
            const T sine = -roots.im[root];
            even = {even.re + sums[j].re * cosine, even.im + sums[j].im * cosine};
            odd = {odd.re + differences[j].re * sine,
                   odd.im + differences[j].im * sine};
          }
          put(k, {even.re + odd.im, even.im - odd.re});
          put(kFactor - k, {even.re - odd.im, even.im + odd.re});
        }
      }
    }
  }
}

// Transforms lines of n. Returns where the result is: `line`, or `other`, of n as well.
template <typename V, typename T>
Complexes<V> TransformByRadices(std::int64_t n, const Radices& radices,
                                const Complexes<const T>& roots, Complexes<V> line,
                                Complexes<V> other) {
  std::int64_t done = 1;
  for (int i = 0; i < radices.count; ++i) {
    const std::int64_t rest = n / done;
    switch (radices.factors[i]) {
      case 2:
        TransformPass<2>(done, rest, roots, line, other);
        break;
      case 3:
        TransformPass<3>(done, rest, roots, line, other);
        break;
      case 4:
        TransformPass<4>(done, rest, roots, line, other);
        break;
      case 5:
        TransformPass<5>(done, rest, roots, line, other);
        break;
      case 7:
        TransformPass<7>(done, rest, roots, line, other);
        break;
      case 11:
        TransformPass<11>(done, rest, roots, line, other);
        break;
      default:
        TransformPass<13>(done, rest, roots, line, other);
        break;
    }
    done *= radices.factors[i];
    const Complexes<V> swapped = line;
    line = other;
    other = swapped;
  }
  return line;
}

// What transforms of one length share.
template <typename T>
struct FourierPlan {
  std::int64_t n;
  Radices radices;        // of `length`
  std::int64_t length;    // n, or that of the convolution
  Complexes<T> roots;     // of length
  Complexes<T> chirp;     // [n], exp(-pi i k^2 / n); of a convolution
  Complexes<T> spectrum;  // [length], of its conjugate, divided by length

  bool is_convolution() const { return length != n; }
};

// How many numbers of T a plan has.
inline std::int64_t PlanSize(std::int64_t n) {
  if (RadicesOf(n).is_complete) return 2 * n;
  return 2 * (4 * ConvolutionLength(n) + n);
}

template <typename V, typename T>
Complexes<V> Transform(const FourierPlan<T>& plan, Complexes<V> line,
                       Complexes<V> other);

// Makes a plan in PlanSize(n) numbers.
template <typename T>
FourierPlan<T> PlanOf(std::int64_t n, T* memory) {
  FourierPlan<T> plan{};
  plan.n = plan.length = n;
  plan.radices = RadicesOf(n);
  const auto take = [&](std::int64_t count) {
    const Complexes<T> taken = {memory, memory + count};
    memory += 2 * count;
    return taken;
  };
  if (!plan.radices.is_complete) {
    plan.length = ConvolutionLength(n);
    plan.radices = RadicesOf(plan.length);
  }
  plan.roots = take(plan.length);
  FillRoots(plan.length, plan.length, plan.roots);
  if (!plan.is_convolution()) return plan;
  plan.chirp = take(n);
  const Complexes<T> kernel = take(plan.length);
  const Complexes<T> other = take(plan.length);
  plan.spectrum = take(plan.length);
  for (std::int64_t k = 0; k < plan.length; ++k) kernel.re[k] = kernel.im[k] = 0;
  std::int64_t square = 0;  // k^2 modulo 2 n
  for (std::int64_t k = 0; k < n; ++k) {
    const double angle =
        -3.14159265358979323846 * static_cast<double>(square) / static_cast<double>(n);
    plan.chirp.re[k] = static_cast<T>(std::cos(angle));
    plan.chirp.im[k] = static_cast<T>(std::sin(angle));
    const std::int64_t mirrored = k == 0 ? 0 : plan.length - k;
    kernel.re[k] = kernel.re[mirrored] = plan.chirp.re[k];
    kernel.im[k] = kernel.im[mirrored] = -plan.chirp.im[k];
    square = (square + 2 * k + 1) % (2 * n);
  }
  const Complexes<const T> roots = {plan.roots.re, plan.roots.im};
  const Complexes<T> made =
      TransformByRadices(plan.length, plan.radices, roots, kernel, other);
  const T scale = 1 / static_cast<T>(plan.length);
  for (std::int64_t k = 0; k < plan.length; ++k) {
    plan.spectrum.re[k] = made.re[k] * scale;
    plan.spectrum.im[k] = made.im[k] * scale;
  }
  return plan;
}

// Transforms lines of plan.n in memory for plan.length. Returns where the result is.
template <typename V, typename T>
Complexes<V> Transform(const FourierPlan<T>& plan, Complexes<V> line,
                       Complexes<V> other) {
  using One = OneComplex<V, T>;
  const Complexes<const T> roots = {plan.roots.re, plan.roots.im};
  if (!plan.is_convolution()) {
    return TransformByRadices(plan.n, plan.radices, roots, line, other);
  }
  const auto multiply = [](const Complexes<V>& values, std::int64_t k,
                           const Complexes<T>& factors) RTORCH_INLINE_LAMBDA {
    const One product =
        One{values.re[k], values.im[k]}.Times(factors.re[k], factors.im[k]);
    values.re[k] = product.re;
    values.im[k] = product.im;
  };
  for (std::int64_t k = 0; k < plan.n; ++k) multiply(line, k, plan.chirp);
  for (std::int64_t k = plan.n; k < plan.length; ++k) line.re[k] = line.im[k] = V{};
  const Complexes<V> made =
      TransformByRadices(plan.length, plan.radices, roots, line, other);
  for (std::int64_t k = 0; k < plan.length; ++k) multiply(made, k, plan.spectrum);
  // Backwards: with the parts exchanged.
  const Complexes<V> unused = made.re == line.re ? other : line;
  const Complexes<V> back = TransformByRadices(plan.length, plan.radices, roots,
                                               Complexes<V>{made.im, made.re},
                                               Complexes<V>{unused.im, unused.re});
  const Complexes<V> result = {back.im, back.re};
  for (std::int64_t k = 0; k < plan.n; ++k) multiply(result, k, plan.chirp);
  return result;
}

}  // namespace
}  // namespace rules_torch::standalone

#endif  // RULES_TORCH_STANDALONE_KERNELS_FFT_H_
