// Element types of tensors, and their C++ counterparts.
#ifndef RULES_TORCH_DTYPE_H_
#define RULES_TORCH_DTYPE_H_

#include <cstdint>
#include <cstring>

#include "rules_torch/abi.h"

namespace rules_torch {

namespace internal {

inline std::uint32_t FloatBits(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float BitsFloat(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace internal

// IEEE 754 binary16, stored as its bits; converts to and from float, rounding
// to nearest even.
struct float16 {
  std::uint16_t bits = 0;

  float16() = default;
  explicit float16(float value) {
    const std::uint32_t f = internal::FloatBits(value);
    const std::uint32_t sign = (f >> 16) & 0x8000u;
    const std::uint32_t magnitude = f & 0x7fffffffu;
    std::uint32_t half;
    if (magnitude > 0x7f800000u) {
      half = 0x7e00u | ((magnitude >> 13) & 0x3ffu);  // NaN, made quiet
    } else if (magnitude >= 0x477ff000u) {
      half = 0x7c00u;  // rounds to infinity
    } else if (magnitude >= 0x38800000u) {
      const std::uint32_t odd = (magnitude >> 13) & 1u;
      half = (magnitude - 0x38000000u + 0xfffu + odd) >> 13;
    } else {
      // Subnormal: adding 0.5 puts the wanted bits, rounded, at the low end.
      half = internal::FloatBits(internal::BitsFloat(magnitude) + 0.5f) - 0x3f000000u;
    }
    bits = static_cast<std::uint16_t>(sign | half);
  }
  explicit operator float() const {
    const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
    const std::uint32_t magnitude = bits & 0x7fffu;
    if (magnitude >= 0x7c00u) {
      return internal::BitsFloat(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
    }
    if (magnitude >= 0x0400u) {
      return internal::BitsFloat(sign | ((magnitude << 13) + 0x38000000u));
    }
    const float subnormal = static_cast<float>(magnitude) * 0x1p-24f;
    return sign != 0 ? -subnormal : subnormal;
  }
};

// The upper half of a float32, stored as its bits; rounds to nearest even.
struct bfloat16 {
  std::uint16_t bits = 0;

  bfloat16() = default;
  explicit bfloat16(float value) {
    const std::uint32_t f = internal::FloatBits(value);
    if ((f & 0x7fffffffu) > 0x7f800000u) {
      bits = static_cast<std::uint16_t>((f >> 16) | 0x40u);  // NaN, made quiet
    } else {
      bits = static_cast<std::uint16_t>((f + 0x7fffu + ((f >> 16) & 1u)) >> 16);
    }
  }
  explicit operator float() const {
    return internal::BitsFloat(static_cast<std::uint32_t>(bits) << 16);
  }
};

// Eight-bit floats, stored as their bits, for kernels that take them; nothing here
// converts them. E4M3FN has 4 bits of exponent, 3 of fraction, NaN and no infinity
// (Triton's fp8e4nv); E5M2 is the upper half of a float16 (Triton's fp8e5). The
// names are PyTorch's.
struct float8_e4m3fn {
  std::uint8_t bits = 0;
};
struct float8_e5m2 {
  std::uint8_t bits = 0;
};

// Maps a C++ element type to its RTorchDType.
template <typename T>
struct DTypeOf;
template <typename T>
struct DTypeOf<const T> : DTypeOf<T> {};
template <>
struct DTypeOf<std::uint8_t> {
  static constexpr RTorchDType value = RTORCH_UINT8;
};
template <>
struct DTypeOf<std::int8_t> {
  static constexpr RTorchDType value = RTORCH_INT8;
};
template <>
struct DTypeOf<std::int16_t> {
  static constexpr RTorchDType value = RTORCH_INT16;
};
template <>
struct DTypeOf<std::int32_t> {
  static constexpr RTorchDType value = RTORCH_INT32;
};
template <>
struct DTypeOf<std::int64_t> {
  static constexpr RTorchDType value = RTORCH_INT64;
};
template <>
struct DTypeOf<float16> {
  static constexpr RTorchDType value = RTORCH_FLOAT16;
};
template <>
struct DTypeOf<bfloat16> {
  static constexpr RTorchDType value = RTORCH_BFLOAT16;
};
template <>
struct DTypeOf<float> {
  static constexpr RTorchDType value = RTORCH_FLOAT32;
};
template <>
struct DTypeOf<double> {
  static constexpr RTorchDType value = RTORCH_FLOAT64;
};
template <>
struct DTypeOf<bool> {
  static constexpr RTorchDType value = RTORCH_BOOL;
};

// "float32"; "unknown dtype" for a value that is none of RTorchDType.
const char* DTypeName(RTorchDType dtype);

// Bytes of one element; 0 for a value that is none of RTorchDType.
constexpr std::int64_t DTypeSize(RTorchDType dtype) {
  switch (dtype) {
    case RTORCH_UINT8:
    case RTORCH_INT8:
    case RTORCH_BOOL:
      return 1;
    case RTORCH_INT16:
    case RTORCH_FLOAT16:
    case RTORCH_BFLOAT16:
      return 2;
    case RTORCH_INT32:
    case RTORCH_FLOAT32:
      return 4;
    case RTORCH_INT64:
    case RTORCH_FLOAT64:
      return 8;
    default:
      return 0;
  }
}

}  // namespace rules_torch

#endif  // RULES_TORCH_DTYPE_H_
