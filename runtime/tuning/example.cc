#include "runtime/tuning/example.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <random>
#include <string_view>

#include "rules_torch/dtype.h"

namespace rules_torch::tuning {
namespace {

using Random = std::minstd_rand;

template <typename T>
std::uint64_t BytesOf(T value) {
  std::uint64_t bytes = 0;
  std::memcpy(&bytes, &value, sizeof value);
  return bytes;
}

// A type of Triton's.
struct Type {
  const char* name;
  std::size_t size;
  std::uint64_t (*from_real)(double);  // nullptr: not a floating-point type
  int one;  // of eight bits that are a float: the bits of 1; else 0
};

constexpr Type kTypes[] = {
    // Triton's i1 takes a byte in memory.
    {"i1", 1, nullptr, 0},
    {"i8", 1, nullptr, 0},
    {"u8", 1, nullptr, 0},
    {"i16", 2, nullptr, 0},
    {"u16", 2, nullptr, 0},
    {"i32", 4, nullptr, 0},
    {"u32", 4, nullptr, 0},
    {"i64", 8, nullptr, 0},
    {"u64", 8, nullptr, 0},
    {"fp16", 2, [](double x) { return BytesOf(float16(static_cast<float>(x))); }, 0},
    {"bf16", 2, [](double x) { return BytesOf(bfloat16(static_cast<float>(x))); }, 0},
    {"fp32", 4, [](double x) { return BytesOf(static_cast<float>(x)); }, 0},
    {"fp64", 8, [](double x) { return BytesOf(x); }, 0},
    {"fp8e4nv", 1, nullptr, 0x38},
    {"fp8e5", 1, nullptr, 0x3c},
};

const Type* FindType(std::string_view name) {
  for (const Type& type : kTypes) {
    if (name == type.name) return &type;
  }
  return nullptr;
}

// Random numbers are repeated after so many: a prime, so that rows differ. Drawing
// all of a large array would take longer than to measure with it.
constexpr std::size_t kPeriod = 1000003;

std::vector<std::uint8_t> Contents(const Type& type, std::size_t elements,
                                   Random& random) {
  std::vector<std::uint8_t> bytes(elements * type.size);
  const std::size_t drawn = std::min(elements, kPeriod);
  if (type.from_real != nullptr) {
    std::uniform_real_distribution<double> real(-1, 1);
    for (std::size_t i = 0; i < drawn; ++i) {
      const std::uint64_t value = type.from_real(real(random));
      std::memcpy(bytes.data() + i * type.size, &value, type.size);
    }
  } else if (type.one != 0) {
    // The bits of floats are in the floats' order.
    std::uniform_int_distribution<int> magnitude(0, type.one);
    std::uniform_int_distribution<int> sign(0, 1);
    for (std::size_t i = 0; i < drawn; ++i) {
      bytes[i] = static_cast<std::uint8_t>(magnitude(random) | sign(random) << 7);
    }
  }
  const std::size_t period = kPeriod * type.size;
  for (std::size_t at = period; at < bytes.size(); at += period) {
    std::memcpy(bytes.data() + at, bytes.data(), std::min(period, bytes.size() - at));
  }
  return bytes;
}

std::uint64_t Scalar(const Type& type, const Argument& argument) {
  const bool real = argument.kind == Kind::kReal;
  if (type.from_real != nullptr) {
    return type.from_real(real ? argument.real : static_cast<double>(argument.integer));
  }
  return BytesOf(real ? static_cast<std::int64_t>(argument.real) : argument.integer);
}

}  // namespace

StatusOr<Example> Example::Create(const Gpu& gpu, const Case& one) {
  Example example;
  Random random;
  for (int i = 0; i < one.num_arguments; ++i) {
    const Argument& argument = one.arguments[i];
    const std::string where = std::string("the example's ") + argument.name + ": ";
    const Type* type = FindType(argument.type);
    if (type == nullptr) {
      return Status(RTORCH_INVALID_ARGUMENT,
                    where + "there is no type " + argument.type);
    }
    if (argument.kind != Kind::kPointer) {
      example.values_.push_back(Scalar(*type, argument));
      continue;
    }
    constexpr std::int64_t kMaxElements = std::int64_t{1} << 48;
    if (argument.integer < 0 || argument.integer > kMaxElements) {
      return Status(RTORCH_INVALID_ARGUMENT,
                    where + std::to_string(argument.integer) + " elements");
    }
    StatusOr<DeviceArray<std::uint8_t>> array =
        gpu.Upload(Contents(*type, static_cast<std::size_t>(argument.integer), random));
    if (!array.ok()) {
      return Status(array.status().code(), where + array.status().message());
    }
    example.values_.push_back(BytesOf(array->data()));
    example.arrays_.push_back(*std::move(array));
  }
  for (std::uint64_t& value : example.values_) example.pointers_.push_back(&value);
  example.pointers_.resize(example.values_.size() + 2);
  return example;
}

std::string Describe(const Case& one) {
  std::string text;
  for (int i = 0; i < one.num_arguments; ++i) {
    const Argument& argument = one.arguments[i];
    char value[64];
    if (argument.kind == Kind::kReal) {
      std::snprintf(value, sizeof value, "%g", argument.real);
    } else {
      std::snprintf(value, sizeof value, "%" PRId64, argument.integer);
    }
    text += std::string(i != 0 ? ", " : "") + argument.name + "=" + value;
    if (argument.kind == Kind::kPointer) text += std::string(" x ") + argument.type;
  }
  return text;
}

}  // namespace rules_torch::tuning
