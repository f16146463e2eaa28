// float16 and bfloat16, against a reference that knows nothing of bits: it
// computes each value and each rounding in double precision, where both are
// exact.
#include "rules_torch/dtype.h"

#include <algorithm>
#include <climits>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "gtest/gtest.h"

namespace rules_torch {
namespace {

static_assert(sizeof(float16) == 2 && alignof(float16) == 2);
static_assert(sizeof(bfloat16) == 2 && alignof(bfloat16) == 2);
static_assert(std::is_trivially_copyable_v<float16>);
static_assert(std::is_trivially_copyable_v<bfloat16>);
// A conversion that rounds is asked for by name.
static_assert(!std::is_convertible_v<float, float16>);
static_assert(!std::is_convertible_v<float16, float>);
static_assert(!std::is_convertible_v<float, bfloat16>);
static_assert(!std::is_convertible_v<bfloat16, float>);
static_assert(!std::is_constructible_v<float16, bfloat16>);

struct Half {
  using Type = float16;
  static constexpr int kMantissaBits = 10;
  static constexpr int kMinExponent = -14;
  static constexpr int kMaxExponent = 15;
};

struct Brain {
  using Type = bfloat16;
  static constexpr int kMantissaBits = 7;
  static constexpr int kMinExponent = -126;
  static constexpr int kMaxExponent = 127;
};

// The value of a pattern of bits.
template <typename Format>
double Value(std::uint16_t bits) {
  const int fraction = bits & ((1 << Format::kMantissaBits) - 1);
  const int exponent = (bits & 0x7fff) >> Format::kMantissaBits;
  const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
  const int unit = Format::kMinExponent - Format::kMantissaBits;
  if (exponent == 0) return sign * std::ldexp(fraction, unit);
  if (exponent == Format::kMaxExponent - Format::kMinExponent + 2) {
    return fraction != 0 ? std::nan("") : sign * HUGE_VAL;
  }
  return sign *
         std::ldexp((1 << Format::kMantissaBits) + fraction, unit + exponent - 1);
}

// The nearest value of the format, of two equally near ones the even one.
template <typename Format>
double Rounded(double value) {
  if (value == 0 || !std::isfinite(value)) return value;
  const int exponent = std::max(std::ilogb(value), Format::kMinExponent);
  const double quantum = std::ldexp(1.0, exponent - Format::kMantissaBits);
  const double rounded = std::nearbyint(value / quantum) * quantum;
  const bool fits = std::fabs(rounded) < std::ldexp(1.0, Format::kMaxExponent + 1);
  return fits ? rounded : std::copysign(HUGE_VAL, value);
}

bool IsNan(const float16& value) { return (value.bits & 0x7fff) > 0x7c00; }
bool IsNan(const bfloat16& value) { return (value.bits & 0x7fff) > 0x7f80; }

// Equal, with a sign of zero; or both NaN.
bool Same(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  return a == b && std::signbit(a) == std::signbit(b);
}

template <typename Format>
class FloatFormatTest : public ::testing::Test {
 protected:
  using Type = typename Format::Type;

  static Type FromBits(std::uint32_t bits) {
    Type value;
    value.bits = static_cast<std::uint16_t>(bits);
    return value;
  }

  // Counts, so that a broken conversion does not print four billion lines.
  void CheckRounding(float value) {
    const Type got(value);
    const double expected = Rounded<Format>(value);
    ++checked_;
    if (Same(Value<Format>(got.bits), expected) && IsNan(got) == std::isnan(value)) {
      return;
    }
    if (++wrong_ > 5) return;
    ADD_FAILURE() << "0x" << std::hex << internal::FloatBits(value) << " became 0x"
                  << got.bits << ", not " << expected;
  }

  void ExpectNoneWrong(std::int64_t at_least) const {
    EXPECT_EQ(wrong_, 0) << "of " << checked_;
    EXPECT_GE(checked_, at_least);
  }

 private:
  std::int64_t checked_ = 0;
  std::int64_t wrong_ = 0;
};

using Formats = ::testing::Types<Half, Brain>;
TYPED_TEST_SUITE(FloatFormatTest, Formats, );

TYPED_TEST(FloatFormatTest, IsZeroByDefault) {
  EXPECT_EQ(typename TypeParam::Type().bits, 0);
}

TYPED_TEST(FloatFormatTest, EveryPatternHasItsValue) {
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const auto value = static_cast<float>(TestFixture::FromBits(bits));
    ASSERT_TRUE(Same(value, Value<TypeParam>(static_cast<std::uint16_t>(bits))))
        << std::hex << bits;
  }
}

TYPED_TEST(FloatFormatTest, EveryPatternSurvivesAFloat) {
  constexpr std::uint32_t kQuiet = 1u << (TypeParam::kMantissaBits - 1);
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const auto value = TestFixture::FromBits(bits);
    const typename TypeParam::Type back(static_cast<float>(value));
    // Of a NaN, sign and payload stay; it becomes quiet.
    ASSERT_EQ(back.bits, IsNan(value) ? bits | kQuiet : bits) << std::hex << bits;
  }
}

TYPED_TEST(FloatFormatTest, RoundsToNearestEvenAtEveryBoundary) {
  constexpr std::uint32_t kInfinity =
      static_cast<std::uint32_t>(TypeParam::kMaxExponent - TypeParam::kMinExponent + 2)
      << TypeParam::kMantissaBits;
  for (std::uint32_t bits = 0; bits < kInfinity; ++bits) {
    const double low = Value<TypeParam>(static_cast<std::uint16_t>(bits));
    const double high = bits + 1 == kInfinity
                            ? std::ldexp(1.0, TypeParam::kMaxExponent + 1)
                            : Value<TypeParam>(static_cast<std::uint16_t>(bits + 1));
    const auto tie = static_cast<float>((low + high) / 2);  // exact
    for (const float sign : {1.0f, -1.0f}) {
      for (const float value : {static_cast<float>(low), tie}) {
        this->CheckRounding(sign * value);
        this->CheckRounding(sign * std::nextafter(value, HUGE_VALF));
        this->CheckRounding(sign * std::nextafter(value, 0.0f));
      }
    }
  }
  this->ExpectNoneWrong(12 * kInfinity);
}

TYPED_TEST(FloatFormatTest, RoundsASampleOfAllFloats) {
  constexpr std::uint64_t kStep = 4093;  // prime, so the low bits vary too
  for (std::uint64_t bits = 0; bits <= UINT32_MAX; bits += kStep) {
    this->CheckRounding(internal::BitsFloat(static_cast<std::uint32_t>(bits)));
  }
  this->ExpectNoneWrong(1 << 20);
}

TYPED_TEST(FloatFormatTest, NanStaysNanWhateverItsPayload) {
  for (std::uint32_t payload = 1; payload < 0x800000; payload = payload * 2 + 1) {
    for (const std::uint32_t sign : {0u, 0x80000000u}) {
      for (const std::uint32_t bits : {payload, payload & ~(payload >> 1)}) {
        const typename TypeParam::Type value(
            internal::BitsFloat(sign | 0x7f800000u | bits));
        EXPECT_TRUE(IsNan(value)) << std::hex << bits;
        EXPECT_EQ(value.bits >> 15, sign >> 31) << std::hex << bits;
      }
    }
  }
}

TYPED_TEST(FloatFormatTest, InfinityStaysInfinity) {
  for (const float infinity : {HUGE_VALF, -HUGE_VALF}) {
    EXPECT_EQ(static_cast<float>(typename TypeParam::Type(infinity)), infinity);
  }
}

// Patterns from the formats' definitions, in case the reference shares a
// mistake with the code.
TEST(Float16Test, KnownPatterns) {
  EXPECT_EQ(float16(0.0f).bits, 0x0000);
  EXPECT_EQ(float16(-0.0f).bits, 0x8000);
  EXPECT_EQ(float16(1.0f).bits, 0x3c00);
  EXPECT_EQ(float16(-2.0f).bits, 0xc000);
  EXPECT_EQ(float16(1.0f / 3.0f).bits, 0x3555);
  EXPECT_EQ(float16(65504.0f).bits, 0x7bff);    // the largest
  EXPECT_EQ(float16(65519.996f).bits, 0x7bff);  // rounds down to it
  EXPECT_EQ(float16(65520.0f).bits, 0x7c00);    // a tie with infinity
  EXPECT_EQ(float16(3.4e38f).bits, 0x7c00);
  EXPECT_EQ(float16(0x1p-14f).bits, 0x0400);          // the smallest normal one
  EXPECT_EQ(float16(0x1.ff8p-15f).bits, 0x0400 - 1);  // the largest subnormal one
  EXPECT_EQ(float16(0x1p-24f).bits, 0x0001);          // the smallest
  EXPECT_EQ(float16(0x1p-25f).bits, 0x0000);          // a tie with zero
  EXPECT_EQ(float16(0x1.000002p-25f).bits, 0x0001);
  EXPECT_EQ(float16(std::numeric_limits<float>::denorm_min()).bits, 0x0000);
}

TEST(Bfloat16Test, KnownPatterns) {
  EXPECT_EQ(bfloat16(0.0f).bits, 0x0000);
  EXPECT_EQ(bfloat16(-0.0f).bits, 0x8000);
  EXPECT_EQ(bfloat16(1.0f).bits, 0x3f80);
  EXPECT_EQ(bfloat16(-2.0f).bits, 0xc000);
  EXPECT_EQ(bfloat16(1.0f / 3.0f).bits, 0x3eab);
  EXPECT_EQ(bfloat16(1.00390625f).bits, 0x3f80);  // a tie, down to even
  EXPECT_EQ(bfloat16(1.01171875f).bits, 0x3f82);  // a tie, up to even
  EXPECT_EQ(bfloat16(std::numeric_limits<float>::max()).bits, 0x7f80);
  EXPECT_EQ(bfloat16(0x1.fep127f).bits, 0x7f7f);  // the largest
  EXPECT_EQ(bfloat16(0x1p-133f).bits, 0x0001);    // the smallest
  EXPECT_EQ(bfloat16(0x1p-134f).bits, 0x0000);    // a tie with zero
}

template <typename T>
void ExpectDType(RTorchDType dtype, const char* name) {
  EXPECT_EQ(DTypeOf<T>::value, dtype);
  EXPECT_EQ(DTypeOf<const T>::value, dtype);
  EXPECT_STREQ(DTypeName(dtype), name);
  EXPECT_EQ(DTypeSize(dtype), static_cast<std::int64_t>(sizeof(T)));
}

TEST(DTypeTest, EveryDTypeHasATypeANameAndASize) {
  ExpectDType<std::uint8_t>(RTORCH_UINT8, "uint8");
  ExpectDType<std::int8_t>(RTORCH_INT8, "int8");
  ExpectDType<std::int16_t>(RTORCH_INT16, "int16");
  ExpectDType<std::int32_t>(RTORCH_INT32, "int32");
  ExpectDType<std::int64_t>(RTORCH_INT64, "int64");
  ExpectDType<float16>(RTORCH_FLOAT16, "float16");
  ExpectDType<bfloat16>(RTORCH_BFLOAT16, "bfloat16");
  ExpectDType<float>(RTORCH_FLOAT32, "float32");
  ExpectDType<double>(RTORCH_FLOAT64, "float64");
  ExpectDType<bool>(RTORCH_BOOL, "bool");
}

TEST(DTypeTest, OtherValuesAreUnknown) {
  // 8 to 10 are PyTorch's complex types, 12 to 14 its quantized ones.
  for (const std::int32_t dtype : {-1, 8, 9, 10, 12, 13, 14, 16, INT_MIN, INT_MAX}) {
    EXPECT_STREQ(DTypeName(dtype), "unknown dtype") << dtype;
    EXPECT_EQ(DTypeSize(dtype), 0) << dtype;
  }
}

}  // namespace
}  // namespace rules_torch
