#include "tests/runtime/fuzz.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>

#include "gtest/gtest.h"

// Sanitizers have it.
extern "C" [[gnu::weak]] void __sanitizer_set_death_callback(void (*callback)());

namespace rules_torch::testing {
namespace {

std::atomic<std::uint64_t> current_seed;

// Where a sanitizer ends the process, GoogleTest says nothing of the seed.
void SaySeed() {
  std::fprintf(stderr, "RTORCH_FUZZ_SEED=%llu\n",
               static_cast<unsigned long long>(current_seed.load()));
}

// The setting, or `otherwise` if it is not set.
std::uint64_t Setting(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace

std::uint64_t ForEachSeed(std::uint64_t usual,
                          const std::function<void(std::uint64_t seed)>& act) {
  using Clock = std::chrono::steady_clock;
  const std::uint64_t seconds = Setting("RTORCH_FUZZ_SECONDS", 0);
  const auto end = Clock::now() + std::chrono::seconds(seconds);
  const std::uint64_t iterations =
      Setting("RTORCH_FUZZ_ITERATIONS", seconds == 0 ? usual : UINT64_MAX);
  const std::uint64_t first = Setting("RTORCH_FUZZ_SEED", 1);
  if (&__sanitizer_set_death_callback != nullptr) {
    __sanitizer_set_death_callback(&SaySeed);
  }
  std::signal(SIGABRT, [](int) { SaySeed(); });  // of one beside another sanitizer
  std::uint64_t done = 0;
  while (done < iterations && (seconds == 0 || Clock::now() < end) &&
         !::testing::Test::HasFailure()) {
    current_seed = first + done;
    SCOPED_TRACE("RTORCH_FUZZ_SEED=" + std::to_string(current_seed));
    act(current_seed);
    ++done;
  }
  ::testing::Test::RecordProperty("seeds", std::to_string(done));
  return done;
}

}  // namespace rules_torch::testing
