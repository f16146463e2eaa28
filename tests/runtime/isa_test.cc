// Which variant of a model a CPU gets.
#include "runtime/internal/isa.h"

#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "tests/runtime/isas.h"

namespace rules_torch::internal {
namespace {

// CPUs, newest first.
bool RunsAll(const char*) { return true; }
#if defined(__x86_64__)
bool RunsV3(const char* isa) {
  return std::string_view(isa) == "x86-64-v3" || std::string_view(isa) == "x86-64-v2";
}
bool RunsNone(const char*) { return false; }
#endif

class PickVariantTest : public ::testing::Test {
 protected:
  // The name of the variant that is picked, or "" and a reason.
  std::string Pick(const std::vector<const char*>& isas, const char* highest,
                   bool (*runs)(const char*)) {
    std::vector<Variant> variants;
    for (const char* isa : isas) variants.push_back({isa, nullptr});
    const Definition definition = {variants.data(),
                                   static_cast<std::int32_t>(variants.size()), nullptr};
    const Variant* picked = PickVariant(definition, highest, runs, &reason_);
    return picked == nullptr ? "" : picked->isa;
  }

  std::string reason_;
};

TEST_F(PickVariantTest, KnowsWhatTheRulesDo) {
  std::string names;
  const char* lower = nullptr;
  for (const char* isa : kRulesIsas) {
    names += std::string(" ") + isa;
    EXPECT_EQ(Pick({isa}, isa, &RunsAll), isa);
    if (lower != nullptr) {
      EXPECT_EQ(Pick({isa, lower}, lower, &RunsAll), lower) << isa;
    }
    lower = isa;
  }
  EXPECT_EQ(Pick({lower}, "avx2", &RunsAll), "");
  EXPECT_EQ(reason_, "RTORCH_ISA is 'avx2', not one of" + names);
}

#if defined(__x86_64__)

TEST_F(PickVariantTest, TakesTheFirstThatTheCpuRuns) {
  const std::vector<const char*> all = {"x86-64-v4-amx", "x86-64-v4", "x86-64-v3",
                                        "x86-64-v2"};
  EXPECT_EQ(Pick(all, nullptr, &RunsAll), "x86-64-v4-amx");
  EXPECT_EQ(Pick(all, nullptr, &RunsV3), "x86-64-v3");
  EXPECT_EQ(Pick({"x86-64-v4", "x86-64-v2"}, nullptr, &RunsV3), "x86-64-v2");
}

TEST_F(PickVariantTest, TheHighestCanBeNamed) {
  const std::vector<const char*> two = {"x86-64-v4", "x86-64-v2"};
  EXPECT_EQ(Pick(two, "x86-64-v4-amx", &RunsAll), "x86-64-v4");
  EXPECT_EQ(Pick(two, "x86-64-v4", &RunsAll), "x86-64-v4");
  EXPECT_EQ(Pick(two, "x86-64-v3", &RunsAll), "x86-64-v2");
  EXPECT_EQ(Pick(two, "x86-64-v2", &RunsAll), "x86-64-v2");
  EXPECT_EQ(Pick(two, "", &RunsAll), "x86-64-v4") << "as if it were not set";
}

TEST_F(PickVariantTest, NamingMoreThanTheCpuRunsGivesNoMore) {
  EXPECT_EQ(Pick({"x86-64-v4", "x86-64-v3"}, "x86-64-v4", &RunsV3), "x86-64-v3");
}

TEST_F(PickVariantTest, SaysWhatThereWasToPickFrom) {
  EXPECT_EQ(Pick({"x86-64-v4", "x86-64-v3"}, nullptr, &RunsNone), "");
  EXPECT_EQ(reason_, "compiled for x86-64-v4, x86-64-v3, none of which this CPU runs");
  EXPECT_EQ(Pick({"x86-64-v3"}, "x86-64-v2", &RunsAll), "");
  EXPECT_EQ(
      reason_,
      "compiled for x86-64-v3, none of which this CPU runs and RTORCH_ISA=x86-64-v2 "
      "allows");
}

// The compiler's own runtime asks the CPU too. It names features, not all levels.
TEST(CpuRunsTest, AgreesWithTheCompilersRuntime) {
  EXPECT_TRUE(CpuRuns("x86-64-v2")) << "nothing older runs these tests";
  EXPECT_EQ(CpuRuns("x86-64-v3"), __builtin_cpu_supports("avx2") &&
                                      __builtin_cpu_supports("bmi2") &&
                                      __builtin_cpu_supports("fma"));
  EXPECT_EQ(CpuRuns("x86-64-v4"), __builtin_cpu_supports("avx512vl") &&
                                      __builtin_cpu_supports("avx512bw") &&
                                      __builtin_cpu_supports("avx512dq") &&
                                      __builtin_cpu_supports("avx512cd"));
}

#endif

TEST(CpuRunsTest, ALevelIncludesThoseBelow) {
  const char* lower = nullptr;
  for (const char* isa : kRulesIsas) {
    EXPECT_TRUE(lower == nullptr || !CpuRuns(isa) || CpuRuns(lower)) << isa;
    lower = isa;
  }
}

TEST(CpuRunsTest, NoCpuRunsWhatItDoesNotKnow) {
  EXPECT_FALSE(CpuRuns("z80"));
  EXPECT_FALSE(CpuRuns(""));
#if defined(__x86_64__)
  EXPECT_FALSE(CpuRuns("aarch64"));
#elif defined(__aarch64__)
  EXPECT_TRUE(CpuRuns("aarch64"));
  EXPECT_FALSE(CpuRuns("x86-64-v2"));
#endif
}

}  // namespace
}  // namespace rules_torch::internal
