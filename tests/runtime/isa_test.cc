// Which variant of a model a CPU gets.
#include "runtime/internal/isa.h"

#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"

namespace rules_torch::internal {
namespace {

#if defined(__x86_64__)

// CPUs, newest first.
bool RunsAll(const char*) { return true; }
bool RunsV3(const char* isa) {
  return std::string_view(isa) == "x86-64-v3" || std::string_view(isa) == "x86-64-v2";
}
bool RunsNone(const char*) { return false; }

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

TEST_F(PickVariantTest, AMisspeltNameIsAnError) {
  EXPECT_EQ(Pick({"x86-64-v2"}, "avx2", &RunsAll), "");
  EXPECT_EQ(reason_,
            "RTORCH_ISA is 'avx2', not one of x86-64-v2 x86-64-v3 x86-64-v4 "
            "x86-64-v4-amx");
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

TEST(CpuRunsTest, ALevelIncludesThoseBelow) {
  const std::vector<const char*> levels = {"x86-64-v2", "x86-64-v3", "x86-64-v4",
                                           "x86-64-v4-amx"};
  for (std::size_t i = 1; i < levels.size(); ++i) {
    EXPECT_TRUE(!CpuRuns(levels[i]) || CpuRuns(levels[i - 1])) << levels[i];
  }
}

#endif

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
