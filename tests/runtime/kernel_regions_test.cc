#include "runtime/internal/kernel_regions.h"

#include <omp.h>

#include <atomic>
#include <vector>

#include "gtest/gtest.h"

namespace rules_torch::regions {
namespace {

constexpr std::int64_t kLarge = kSmallWork + 1;

// Adds 1 to each element, in a loop that a team shares; returns the team's size.
template <int threads>
int AddOne(std::int64_t iterations, std::vector<int>* elements) {
  std::atomic<int> team{0};
  RunRegion<threads>(iterations, [&] {
    const auto size = static_cast<int>(elements->size());
    team = omp_get_num_threads();
#pragma omp for
    for (int i = 0; i < size; ++i) ++(*elements)[static_cast<std::size_t>(i)];
  });
  return team;
}

TEST(RunRegionTest, SmallWorkStaysInTheCallersThread) {
  omp_set_num_threads(3);
  std::vector<int> elements(100);
  EXPECT_EQ(AddOne<0>(0, &elements), 1);
  EXPECT_EQ(AddOne<0>(kSmallWork, &elements), 1);
  EXPECT_EQ(AddOne<2>(kSmallWork, &elements), 1);
  EXPECT_EQ(elements, std::vector<int>(100, 3));
}

TEST(RunRegionTest, ThreadsShareLargeWork) {
  omp_set_num_threads(3);
  std::vector<int> elements(100);
  EXPECT_EQ(AddOne<0>(kLarge, &elements), 3);
  EXPECT_EQ(AddOne<2>(kLarge, &elements), 2);
  EXPECT_EQ(elements, std::vector<int>(100, 2));
}

// Each thread of the caller's has work of its own, which its team may not share.
TEST(RunRegionTest, ATeamOfTheCallersSharesNothing) {
  constexpr int kThreads = 3;
  for (const std::int64_t iterations : {kSmallWork, kLarge}) {
    std::vector<std::vector<int>> elements(kThreads, std::vector<int>(100));
#pragma omp parallel num_threads(kThreads)
    AddOne<0>(iterations, &elements[static_cast<std::size_t>(omp_get_thread_num())]);
    for (const std::vector<int>& each : elements) {
      EXPECT_EQ(each, std::vector<int>(100, 1));
    }
  }
}

}  // namespace
}  // namespace rules_torch::regions
