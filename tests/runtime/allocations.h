// A program that links this can run out of memory where the test wants it.
#ifndef RULES_TORCH_TESTS_RUNTIME_ALLOCATIONS_H_
#define RULES_TORCH_TESTS_RUNTIME_ALLOCATIONS_H_

#include <atomic>
#include <string>

#include "gtest/gtest.h"
#include "rules_torch/abi.h"

namespace rules_torch::testing {

// How many allocations still succeed; negative: all of them.
extern std::atomic<int> allocations_left;

// Lets `count` allocations succeed while it lives, and none after them.
class OnlyAllocations {
 public:
  explicit OnlyAllocations(int count) { allocations_left = count; }
  ~OnlyAllocations() { allocations_left = -1; }
  OnlyAllocations(const OnlyAllocations&) = delete;
  OnlyAllocations& operator=(const OnlyAllocations&) = delete;

  bool all_used() const { return allocations_left == 0; }
};

// Lets all succeed while it lives: in what the code under test calls of the test's own.
class AnyAllocations {
 public:
  AnyAllocations() : left_(allocations_left.exchange(-1)) {}
  ~AnyAllocations() { allocations_left = left_; }
  AnyAllocations(const AnyAllocations&) = delete;
  AnyAllocations& operator=(const AnyAllocations&) = delete;

 private:
  const int left_;
};

// Calls `act` until it succeeds, with one more allocation to give to the code under
// test each time; `act` returns that code's result. Returns how often it failed.
template <typename Act>
int FailuresUntilSuccess(Act act) {
  for (int count = 0; count < 1000; ++count) {
    RTorchError error{};
    const RTorchCode code = act(count, &error);
    if (code == RTORCH_OK) return count;
    EXPECT_EQ(code, RTORCH_RESOURCE_EXHAUSTED) << "allocation " << count;
    EXPECT_EQ(error.code, code);
    EXPECT_NE(std::string(error.message).find("out of memory"), std::string::npos)
        << error.message;
  }
  ADD_FAILURE() << "never succeeded";
  return 0;
}

}  // namespace rules_torch::testing

#endif  // RULES_TORCH_TESTS_RUNTIME_ALLOCATIONS_H_
