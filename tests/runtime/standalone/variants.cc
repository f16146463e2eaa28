#include "tests/runtime/standalone/variants.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/internal/isa.h"
#include "tests/runtime/standalone/kernels.h"

namespace rules_torch::testing {

#if defined(__x86_64__)
extern const Kernels kKernelsX86V2;
extern const Kernels kKernelsX86V3;
extern const Kernels kKernelsX86V4;
#else
extern const Kernels kKernelsAarch64;
#endif

std::vector<const Kernels*> AllKernels() {
#if defined(__x86_64__)
  return {&kKernelsX86V2, &kKernelsX86V3, &kKernelsX86V4};
#else
  return {&kKernelsAarch64};
#endif
}

void KernelsTest::SetUp() {
  if (!internal::CpuRuns(kernels().isa)) {
    GTEST_SKIP() << "this CPU does not run " << kernels().isa;
  }
}

std::string TestNameOf(const char* isa) {
  std::string name = isa;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::string NameOf(const ::testing::TestParamInfo<const Kernels*>& info) {
  return TestNameOf(info.param->isa);
}

double SumBound(double count, double sizes) {
  return (count + 4) * FLT_EPSILON * sizes + FLT_MIN;
}

double ActivateExactly(Activate activation, double x, double lowest, double highest) {
  const auto clamp = [](double v, double low, double high) {
    v = v < low ? low : v;  // NaN stays
    return v > high ? high : v;
  };
  switch (activation) {
    case Activate::kNone:
      return x;
    case Activate::kRelu:
      return x < 0 ? 0 : x;
    case Activate::kClamp:
      return clamp(x, lowest, highest);
    case Activate::kHardsigmoid:
      return clamp(x + 3, 0, 6) / 6;
    case Activate::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case Activate::kTanh:
      return std::tanh(x);
    case Activate::kHardswish:
      return x * clamp(x + 3, 0, 6) / 6;
    case Activate::kSilu:
      return x / (1 + std::exp(-x));
    case Activate::kGelu:
      return 0.5 * x * (1 + std::erf(x * std::sqrt(0.5)));
    case Activate::kGeluTanh:
      return 0.5 * x *
             (1 +
              std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
  }
  return 0;
}

bool IsNear(float got, double want, double bound) {
  if (std::isnan(want)) return std::isnan(got);
  if (std::isinf(got)) {
    // A sum near the largest float may round beyond it.
    return std::isinf(want) ? std::signbit(got) == std::signbit(want)
                            : std::fabs(want) + bound > FLT_MAX;
  }
  if (std::isinf(want)) return false;
  return std::fabs(got - want) <= bound;
}

}  // namespace rules_torch::testing
