// All variants of the kernels, and tests that run for each.
#ifndef RULES_TORCH_TESTS_RUNTIME_STANDALONE_VARIANTS_H_
#define RULES_TORCH_TESTS_RUNTIME_STANDALONE_VARIANTS_H_

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/runtime/standalone/kernels.h"

namespace rules_torch::testing {

// What is compiled for this kind of CPU, lowest first.
std::vector<const Kernels*> AllKernels();

// A test of one variant; skipped where the CPU does not run it.
class KernelsTest : public ::testing::TestWithParam<const Kernels*> {
 protected:
  void SetUp() override;
  const Kernels& kernels() const { return *GetParam(); }
};

// An instruction set, as GoogleTest names tests.
std::string TestNameOf(const char* isa);
std::string NameOf(const ::testing::TestParamInfo<const Kernels*>& info);

// The distance that fp32 sums may have from exact ones: of `count` products whose sizes
// sum to `sizes`, in any order.
double SumBound(double count, double sizes);

// The activation in float64.
double ActivateExactly(Activate activation, double x, double lowest, double highest);

// |got - want| <= bound; NaN equals NaN, infinity itself. Where `want` is beyond what a
// float holds, it is infinity.
bool IsNear(float got, double want, double bound);

}  // namespace rules_torch::testing

#endif  // RULES_TORCH_TESTS_RUNTIME_STANDALONE_VARIANTS_H_
