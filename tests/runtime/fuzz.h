// How tests with random arguments run: one seed after another.
//
// The environment may say how many:
//
//   RTORCH_FUZZ_SECONDS=3600       as many as there is time for
//   RTORCH_FUZZ_ITERATIONS=100000  so many
//   RTORCH_FUZZ_SEED=2             the first one; 1 if it is not set
#ifndef RULES_TORCH_TESTS_RUNTIME_FUZZ_H_
#define RULES_TORCH_TESTS_RUNTIME_FUZZ_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <random>

namespace rules_torch::testing {

// Calls `act` with `usual` seeds, or as many as the environment says, until a check of
// GoogleTest's fails. Returns how many. What fails says its seed, even where a
// sanitizer ends the process: that one and RTORCH_FUZZ_ITERATIONS=1 repeat it.
std::uint64_t ForEachSeed(std::uint64_t usual,
                          const std::function<void(std::uint64_t seed)>& act);

// Random numbers, the same for the same seed.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(static_cast<std::uint32_t>(seed)) {}

  std::uint64_t Bits() { return std::uint64_t{engine_()} << 32 | engine_(); }

  // From 0 to `bound` - 1; 0 where there is none.
  std::size_t Below(std::size_t bound) {
    return bound == 0 ? 0 : static_cast<std::size_t>(Bits() % bound);
  }

  // True once in `times`.
  bool Once(std::size_t times) { return Below(times) == 0; }

  template <typename T>
  T OneOf(std::initializer_list<T> values) {
    return values.begin()[Below(values.size())];
  }

  std::mt19937* engine() { return &engine_; }

 private:
  std::mt19937 engine_;
};

}  // namespace rules_torch::testing

#endif  // RULES_TORCH_TESTS_RUNTIME_FUZZ_H_
