// That tests are built with sanitizers where they should be: faults end the program.
#include <climits>
#include <cstdlib>
#include <memory>
#include <thread>

#include "gtest/gtest.h"

#if defined(__has_feature)  // Clang
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__
#endif
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__
#endif
#endif

namespace {

#if defined(__SANITIZE_ADDRESS__)

TEST(SanitizersTest, UseAfterFree) {
  const auto use_after_free = [] {
    auto owner = std::make_unique<volatile int>(1);
    volatile int* const value = owner.get();
    owner.reset();
    *value = 2;
  };
  EXPECT_DEATH(use_after_free(), "heap-use-after-free");
}

TEST(SanitizersTest, Overflow) {
  volatile int value = INT_MAX;
  EXPECT_DEATH(value = value + 1, "signed integer overflow");
}

#elif defined(__SANITIZE_THREAD__)

TEST(SanitizersTest, Race) {
  const auto race = [] {
    int value = 0;
    std::thread other([&] { ++value; });
    ++value;
    other.join();
    std::exit(value == 0);
  };
  EXPECT_EXIT(race(), testing::ExitedWithCode(66), "data race");
}

#else

TEST(SanitizersTest, AreOn) { FAIL() << "built without a sanitizer"; }

#endif

}  // namespace
