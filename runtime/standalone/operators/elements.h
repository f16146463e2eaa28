// Element types of operators: what they are stored as, and what sums are made in.
#ifndef RULES_TORCH_STANDALONE_OPERATORS_ELEMENTS_H_
#define RULES_TORCH_STANDALONE_OPERATORS_ELEMENTS_H_

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

#include "rules_torch/abi.h"
#include "runtime/standalone/operand.h"

namespace rules_torch::standalone {
namespace {

// Reads element i as the type of sums, and writes it.
template <typename T, typename Sum>
struct Plain {
  using Accumulator = Sum;
  static Sum Load(const void* data, std::int64_t i) {
    return static_cast<Sum>(static_cast<const T*>(data)[i]);
  }
  static void Store(void* data, std::int64_t i, Sum value) {
    static_cast<T*>(data)[i] = static_cast<T>(value);
  }
};

struct BFloat16 {
  using Accumulator = float;
  static float Load(const void* data, std::int64_t i) {
    const std::uint32_t bits = std::uint32_t{static_cast<const std::uint16_t*>(data)[i]}
                               << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
  // Rounds to nearest, ties to even.
  static void Store(void* data, std::int64_t i, float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const std::uint32_t rounded = bits + 0x7fff + ((bits >> 16) & 1);
    const bool is_nan = value != value;
    static_cast<std::uint16_t*>(data)[i] =
        static_cast<std::uint16_t>(is_nan ? 0x7fc0 : rounded >> 16);
  }
};

[[noreturn]] inline void RefuseDtype(const char* name, std::int32_t dtype) {
  throw std::runtime_error(std::string("the standalone runtime has no ") + name +
                           " of dtype " + std::to_string(dtype));
}

inline bool IsHalf(std::int32_t dtype) {
  return dtype == RTORCH_BFLOAT16 || dtype == RTORCH_FLOAT16;
}

// Calls `act` with the Elements of a dtype that IsHalf.
template <typename Act>
void WithHalves(std::int32_t dtype, const Act& act) {
  if (dtype == RTORCH_BFLOAT16) return act(BFloat16{});
  act(Plain<_Float16, float>{});
}

// Calls `act` with the Elements of a dtype, but for halves: most operators copy those
// (float_copy.h).
template <typename Act>
void WithElements(const char* name, std::int32_t dtype, Act act) {
  switch (dtype) {
    case RTORCH_FLOAT32:
      return act(Plain<float, float>{});
    case RTORCH_FLOAT64:
      return act(Plain<double, double>{});
    case RTORCH_INT64:
      return act(Plain<std::int64_t, std::int64_t>{});
    case RTORCH_INT32:
      return act(Plain<std::int32_t, std::int64_t>{});
    case RTORCH_INT16:
      return act(Plain<std::int16_t, std::int64_t>{});
    case RTORCH_INT8:
      return act(Plain<std::int8_t, std::int64_t>{});
    case RTORCH_UINT8:
      return act(Plain<std::uint8_t, std::int64_t>{});
    default:
      RefuseDtype(name, dtype);
  }
}

// Halves too.
template <typename Act>
void WithAllElements(const char* name, std::int32_t dtype, const Act& act) {
  if (IsHalf(dtype)) return WithHalves(dtype, act);
  WithElements(name, dtype, act);
}

}  // namespace
}  // namespace rules_torch::standalone

#endif  // RULES_TORCH_STANDALONE_OPERATORS_ELEMENTS_H_
