// What generated kernels check: indices that come from data, divisors, assertions.
//
// Only kernels that check something include it. All of it lies in an unnamed namespace:
// models in one binary share no symbol, and concurrent calls share no memory.
//
// An exception must not leave an OpenMP region. So a check throws, the iteration that
// it is in catches, and a `Failure` on the kernel's stack carries what happened from
// the threads of the region to the end of the kernel. Loops stay parallel, and what
// follows a failed check in its iteration, such as the load that it guards, does not
// happen.
#ifndef RULES_TORCH_INTERNAL_KERNEL_CHECKS_H_
#define RULES_TORCH_INTERNAL_KERNEL_CHECKS_H_

#include <c10/util/generic_math.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace rules_torch::internal {
namespace {

// The first failure of a kernel's call. Threads of one call may use it at once.
class Failure {
 public:
  // Whether nothing has failed yet. After a failure, further work is wasted, and may
  // read wrong data.
  bool none() const { return !claimed_.load(std::memory_order_relaxed); }

  // Keeps the exception that is being handled, if it is the first.
  void Keep() noexcept {
    if (claimed_.exchange(true, std::memory_order_relaxed)) return;
    error_ = std::current_exception();
    kept_.store(true, std::memory_order_release);
  }

  // Throws what was kept. Call it when no other thread uses the object.
  void Throw() const {
    if (kept_.load(std::memory_order_acquire)) std::rethrow_exception(error_);
  }

 private:
  std::atomic<bool> claimed_{false};
  std::atomic<bool> kept_{false};
  std::exception_ptr error_;
};

// `where` is the operator and the model's line: "embedding, models/m.py:12".
[[noreturn, gnu::cold, gnu::noinline]] void Fail(const std::string& what,
                                                 const char* where) {
  throw std::runtime_error(what + " (" + where + ")");
}

[[noreturn, gnu::cold, gnu::noinline]] void FailIndex(std::int64_t index,
                                                      std::int64_t size,
                                                      const char* where) {
  Fail("index " + std::to_string(index) + " is out of bounds for size " +
           std::to_string(size),
       where);
}

// One lane of a vector, or the scalar that stands for all of them.
template <typename Value>
std::int64_t Lane(const Value& value, int lane) {
  if constexpr (std::is_arithmetic_v<Value>) {
    return static_cast<std::int64_t>(value);
  } else {
    typename Value::value_type lanes[Value::size()];
    value.store(lanes);
    return static_cast<std::int64_t>(lanes[lane]);
  }
}

// Fails unless `valid`, which is a number, or a mask: then all lanes have to be.
//   index: The model's own number, before a negative one is counted from the end.
template <typename Valid, typename Value>
void CheckIndex(const Valid& valid, const Value& index, std::int64_t size,
                const char* where) {
  int lane = 0;
  if constexpr (std::is_arithmetic_v<Valid>) {
    if (__builtin_expect(static_cast<bool>(valid), 1)) return;
  } else {
    if (__builtin_expect(valid.all_masked(), 1)) return;
    while (valid.is_masked(lane)) ++lane;
  }
  FailIndex(Lane(index, lane), size, where);
}

[[maybe_unused]] inline void CheckAssertion(bool holds, const char* message,
                                            const char* where) {
  if (__builtin_expect(!holds, 0)) Fail(message, where);
}

// Divisions of integers, for divisors that are not zero. The lowest number divided by
// -1, on which the CPU traps, gives what it does modulo 2^n.

struct FloorDivision {
  template <typename T>
  static T Of(T a, T b) {
    return c10::div_floor_integer(a, b);
  }
};

struct TruncatingDivision {
  template <typename T>
  static T Of(T a, T b) {
    if constexpr (std::is_signed_v<T>) {
      if (b == T(-1)) return static_cast<T>(0 - static_cast<std::uint64_t>(a));
    }
    return static_cast<T>(a / b);
  }
};

// The sign is the dividend's, as fmod's is.
struct Modulo {
  template <typename T>
  static T Of(T a, T b) {
    if constexpr (std::is_signed_v<T>) {
      if (b == T(-1)) return T(0);
    }
    return static_cast<T>(a % b);
  }
};

// The sign is the divisor's, as Python's is.
struct Remainder {
  template <typename T>
  static T Of(T a, T b) {
    const T r = Modulo::Of(a, b);
    if constexpr (std::is_signed_v<T>) {
      if (r != 0 && (r < 0) != (b < 0)) return static_cast<T>(r + b);
    }
    return r;
  }
};

// Divides two numbers, and fails if the divisor is zero.
template <typename Division, typename T, typename U>
std::common_type_t<T, U> Divide(T a, U b, const char* where) {
  using C = std::common_type_t<T, U>;
  static_assert(std::is_integral_v<C>);
  if (__builtin_expect(b == 0, 0)) Fail("integer division by zero", where);
  return Division::template Of<C>(static_cast<C>(a), static_cast<C>(b));
}

// Divides the first `count` lanes of two vectors. The others, and those that `mask`
// leaves out, are of no matter: they fail for no divisor, and are zero.
template <typename Division, typename Vector, typename Mask>
Vector Divide(const Vector& a, const Vector& b, std::int64_t count, const Mask& mask,
              const char* where) {
  using T = typename Vector::value_type;
  T divided[Vector::size()];
  T divisors[Vector::size()];
  a.store(divided);
  b.store(divisors);
  for (std::int64_t i = 0; i < Vector::size(); ++i) {
    divided[i] =
        i < count && mask(i) ? Divide<Division>(divided[i], divisors[i], where) : T(0);
  }
  return Vector::loadu(divided);
}

template <typename Division, typename Vector>
Vector Divide(const Vector& a, const Vector& b, std::int64_t count, const char* where) {
  return Divide<Division>(a, b, count, [](std::int64_t) { return true; }, where);
}

}  // namespace
}  // namespace rules_torch::internal

#endif  // RULES_TORCH_INTERNAL_KERNEL_CHECKS_H_
