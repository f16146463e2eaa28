// Elementary functions of vectors: their errors in ULP, what they do with special
// values, and that neither the vector's length nor the instruction set matters.
//
// Floats are every kStride-th of all 2^32. RTORCH_VECTOR_MATH_STRIDE=1 in the
// environment takes all of them, in some minutes for each function.
#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <ostream>
#include <string>
#include <vector>

#include "runtime/internal/isa.h"
#include "tests/runtime/standalone/vector_math_kernels.h"

namespace rules_torch::testing {
namespace {

// Several vectors of every length.
constexpr std::size_t kBlock = 4096;
// A prime.
constexpr std::uint64_t kStride = 16381;

struct Function {
  const char* name;
  bool binary;
  // In ULP of float, with FMA and without.
  double bound, bound_without_fma;
  double (*reference)(double a, double b);
  // Of doubles: null where they are the reference's for each lane.
  long double (*long_reference)(long double x);
};

void PrintTo(const Function& function, std::ostream* out) { *out << function.name; }

const Function kFunctions[] = {
#define LIBM(Name, function)                              \
  {Name,   false, 0.501, 0.501, [](double x, double) { return std::function(x); }, \
   nullptr}
#define OWN(Name, function, bound, without)                 \
  {Name,   false, bound, without, [](double x, double) { return std::function(x); }, \
   nullptr}
#define BINARY(Name, function)                             \
  {Name,   true, 0.501, 0.501, [](double a, double b) { return std::function(a, b); }, \
   nullptr}
    LIBM("Acos", acos),
    LIBM("Acosh", acosh),
    LIBM("Asin", asin),
    LIBM("Asinh", asinh),
    LIBM("Atan", atan),
    LIBM("Atanh", atanh),
    LIBM("Cosh", cosh),
    LIBM("Erfc", erfc),
    LIBM("Lgamma", lgamma),
    LIBM("Sinh", sinh),
    OWN("Cos", cos, 0.501, 0.501),
    OWN("Sin", sin, 0.501, 0.501),
    OWN("Tan", tan, 0.501, 0.501),
    OWN("Erf", erf, 1, 1.25),
    {"Exp", false, 1, 1, [](double x, double) { return std::exp(x); },
     [](long double x) { return std::exp(x); }},
    OWN("Exp2", exp2, 1, 1.25),
    OWN("Expm1", expm1, 1, 1),
    {"Log", false, 1, 1, [](double x, double) { return std::log(x); },
     [](long double x) { return std::log(x); }},
    OWN("Log10", log10, 1, 1),
    OWN("Log1p", log1p, 1, 1),
    OWN("Log2", log2, 1, 1),
    OWN("Tanh", tanh, 1, 1),
    BINARY("Atan2", atan2),
    BINARY("CopySign", copysign),
    BINARY("Fmod", fmod),
    BINARY("Hypot", hypot),
    BINARY("Pow", pow),
#undef BINARY
#undef OWN
#undef LIBM
};

struct Isa {
  const char* name;
  VectorKernels kernels;
};

// Those that this CPU runs.
std::vector<Isa> Isas() {
  std::vector<Isa> isas;
#if defined(__x86_64__)
  isas = {{"x86-64-v2", x86_64_v2::Kernels()},
          {"x86-64-v3", x86_64_v3::Kernels()},
          {"x86-64-v4", x86_64_v4::Kernels()}};
#elif defined(__aarch64__)
  isas = {{"aarch64", aarch64::Kernels()}};
#endif
  std::vector<Isa> runs;
  for (const Isa& isa : isas) {
    if (internal::CpuRuns(isa.name)) runs.push_back(isa);
  }
  return runs;
}

struct Variant {
  std::string name;
  bool fma;
  const VectorKernel* kernel;
};

std::vector<Variant> Variants(const std::string& function) {
  std::vector<Variant> variants;
  for (const Isa& isa : Isas()) {
    for (std::size_t i = 0; i < isa.kernels.size; ++i) {
      const VectorKernel& kernel = isa.kernels.kernels[i];
      if (kernel.function != function) continue;
      variants.push_back({isa.name + (" of " + std::to_string(kernel.lanes)),
                          isa.kernels.fma, &kernel});
    }
  }
  return variants;
}

template <class To, class From>
To BitCast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof(to));
  return to;
}

// The distance of `got` from the exact result in units of the last place that T has
// there. Infinity counts as the power of two that overflows first. -1: NaN, or the sign
// of zero, is where it should not be, or is not where it should be.
template <class T, class Exact>
double UlpError(T got, Exact exact) {
  using Limits = std::numeric_limits<T>;
  if (std::isnan(exact) || std::isnan(got)) {
    return std::isnan(exact) && std::isnan(got) ? 0 : -1;
  }
  if (std::signbit(got) != std::signbit(exact)) return -1;
  if (std::isinf(exact) && std::isinf(got)) return 0;
  const int exponent =
      exact == 0 ? Limits::min_exponent
                 : std::min(std::max(std::ilogb(exact) + 1, Limits::min_exponent),
                            Limits::max_exponent);
  const Exact ulp = std::ldexp(Exact{1}, exponent - Limits::digits);
  const Exact limit = std::ldexp(Exact{1}, Limits::max_exponent - 1) * 2;
  const auto finite = [&](Exact x) {
    return std::isinf(x) || std::abs(x) > limit ? std::copysign(limit, x) : x;
  };
  return static_cast<double>(std::abs(finite(static_cast<Exact>(got)) - finite(exact)) /
                             ulp);
}

std::uint64_t Mixed(std::uint64_t x) {
  x = (x ^ (x >> 31)) * 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9u;
  return x ^ (x >> 32);
}

// The second argument: any float, a half, or one with which pow(a, b) is finite.
float Second(float a, std::uint64_t i) {
  const std::uint64_t random = Mixed(i);
  const auto bits = static_cast<std::uint32_t>(random);
  switch (random >> 62) {
    case 0:
      return BitCast<float>(bits);
    case 1:
      return static_cast<float>(static_cast<int>(bits % 81) - 40) / 2;
    default: {
      const float unit = static_cast<float>(bits) * 0x1p-31f - 1;
      return 160 * unit / std::log2(std::abs(a));
    }
  }
}

const float kSpecial[] = {0.0f,
                          1.0f,
                          0.5f,
                          2.0f,
                          3.0f,
                          FLT_MIN,
                          FLT_TRUE_MIN,
                          FLT_MAX,
                          0x1p24f,
                          0x1.fffffep23f,
                          16777217.0f,
                          1e6f,
                          1000001.0f,
                          0x1.fffffep-1f,
                          0x1.000002p0f,
                          88.72284f,
                          127.999f,
                          128.0f,
                          149.0f,
                          150.0f,
                          std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()};

class VectorMathTest : public ::testing::TestWithParam<Function> {
 protected:
  void SetUp() override {
    variants_ = Variants(GetParam().name);
    ASSERT_FALSE(variants_.empty());
    worst_.resize(variants_.size());
  }

  // Compares a block with the reference, and the variants with one another.
  void Check(const std::vector<float>& a, const std::vector<float>& b) {
    std::vector<double> exact(a.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
      exact[i] = GetParam().reference(a[i], b[i]);
    }
    std::vector<float> first;
    for (std::size_t v = 0; v < variants_.size(); ++v) {
      const Variant& variant = variants_[v];
      std::vector<float> out(a.size());
      variant.kernel->floats(a.data(), b.data(), out.data(), out.size());
      const double bound =
          variant.fma ? GetParam().bound : GetParam().bound_without_fma;
      if (variant.fma) {
        if (first.empty()) first = out;
        // NaN's bits, too, do not depend on the length.
        EXPECT_EQ(std::memcmp(out.data(), first.data(), out.size() * sizeof(float)), 0)
            << variant.name << " from " << a[0];
        if (v > 0 && variants_[v - 1].fma) continue;
      }
      for (std::size_t i = 0; i < a.size(); ++i) {
        const double error = UlpError(out[i], exact[i]);
        worst_[v] = std::max(worst_[v], error);
        if (error < 0 || error > bound) {
          ADD_FAILURE() << variant.name << ": " << GetParam().name << "(" << a[i]
                        << ", " << b[i] << ") = " << out[i] << ", not " << exact[i]
                        << ", " << error << " ULP";
          if (++failures_ > 10) GTEST_SKIP();
        }
      }
    }
  }

  std::vector<Variant> variants_;
  std::vector<double> worst_;
  int failures_ = 0;
};

TEST_P(VectorMathTest, ErrsByAtMostItsBound) {
  std::uint64_t stride = kStride;
  if (const char* text = std::getenv("RTORCH_VECTOR_MATH_STRIDE")) {
    stride = std::strtoull(text, nullptr, 10);
    ASSERT_GT(stride, 0u);
  }
  std::vector<float> a(kBlock), b(kBlock);
  for (std::uint64_t from = 0; from < 1ull << 32; from += kBlock * stride) {
    for (std::size_t i = 0; i < kBlock; ++i) {
      const std::uint64_t bits = from + i * stride;
      a[i] = BitCast<float>(static_cast<std::uint32_t>(bits));
      b[i] = GetParam().binary ? Second(a[i], bits) : 0;
    }
    Check(a, b);
    if (failures_ > 10) return;
  }
  for (std::size_t v = 0; v < variants_.size(); ++v) {
    if (v > 0 && variants_[v].fma && variants_[v - 1].fma) continue;
    RecordProperty("ulp_" + std::string(variants_[v].fma ? "fma" : "no_fma"),
                   std::to_string(worst_[v]));
    std::printf("%s: %.4f ULP (%s)\n", GetParam().name, worst_[v],
                variants_[v].fma ? "FMA" : "no FMA");
  }
}

TEST_P(VectorMathTest, KnowsSpecialValues) {
  std::vector<float> all;
  for (float x : kSpecial) all.insert(all.end(), {x, -x});
  std::vector<float> a, b;
  for (float x : all) {
    for (float y : all) {
      a.push_back(x);
      b.push_back(y);
    }
  }
  while (a.size() % 16 != 0) {
    a.push_back(1);
    b.push_back(1);
  }
  Check(a, b);
}

TEST_P(VectorMathTest, DoublesErrByAtMostOneUlpOrAreLibms) {
  std::vector<double> a, b;
  const auto add = [&](double x, double y) {
    a.push_back(x);
    b.push_back(y);
  };
  for (float x : kSpecial) {
    for (double y : {0.0, 1.0, -2.5, HUGE_VAL, std::nan("")}) {
      add(x, y);
      add(-static_cast<double>(x), y);
    }
  }
  for (double x : {DBL_MIN, DBL_TRUE_MIN, DBL_MAX, 709.78, 709.79, -745.13, -745.14}) {
    add(x, x);
  }
  for (std::uint64_t i = 0; i < 30000; ++i) {
    const std::uint64_t random = Mixed(i);
    const double unit = static_cast<double>(random >> 11) * 0x1p-53;
    add(BitCast<double>(random), BitCast<double>(Mixed(random)));
    // Where exp is finite, and where log crosses 0.
    add(1460 * unit - 748, 4 * unit);
    add(0.5 + 1.5 * unit, 40 * unit);
  }
  while (a.size() % 8 != 0) add(1, 1);
  std::vector<double> first;
  for (const Variant& variant : variants_) {
    std::vector<double> out(a.size());
    variant.kernel->doubles(a.data(), b.data(), out.data(), out.size());
    if (variant.fma) {
      if (first.empty()) first = out;
      EXPECT_EQ(std::memcmp(out.data(), first.data(), out.size() * sizeof(double)), 0)
          << variant.name;
    }
    double worst = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      const double error = GetParam().long_reference
                               ? UlpError(out[i], GetParam().long_reference(a[i]))
                               : UlpError(out[i], GetParam().reference(a[i], b[i]));
      worst = std::max(worst, error);
      ASSERT_GE(error, 0) << variant.name << ": of " << a[i] << ", " << b[i] << ": "
                          << out[i];
    }
    EXPECT_LE(worst, GetParam().long_reference ? 1 : 0) << variant.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Functions, VectorMathTest, ::testing::ValuesIn(kFunctions),
                         [](const auto& function) { return function.param.name; });

// Of the type itself: a double's neighbour is no float.
TEST(VectorMathTest, NextAfterIsTheNeighbour) {
  for (const Variant& variant : Variants("NextAfter")) {
    std::vector<float> a, b, out;
    std::vector<double> c, d, doubles;
    for (float x : kSpecial) {
      for (float y : kSpecial) {
        a.insert(a.end(), {x, -x, x, -x});
        b.insert(b.end(), {y, y, -y, -y});
      }
    }
    while (a.size() % 16 != 0) {
      a.push_back(1);
      b.push_back(2);
    }
    c.assign(a.begin(), a.end());
    d.assign(b.begin(), b.end());
    out.resize(a.size());
    doubles.resize(a.size());
    variant.kernel->floats(a.data(), b.data(), out.data(), out.size());
    variant.kernel->doubles(c.data(), d.data(), doubles.data(), doubles.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(UlpError(out[i], double{std::nextafter(a[i], b[i])}), 0) << a[i];
      EXPECT_EQ(UlpError(doubles[i], std::nextafter(c[i], d[i])), 0) << c[i];
    }
  }
}

}  // namespace
}  // namespace rules_torch::testing
