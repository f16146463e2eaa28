// Matrix products of random shapes, strides and epilogues against float64.
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/runtime/fuzz.h"
#include "tests/runtime/standalone/kernels.h"
#include "tests/runtime/standalone/variants.h"

namespace rules_torch::testing {
namespace {

using MatmulTest = KernelsTest;

constexpr float kUntouched = 12345;

std::int64_t Size(Random* random, std::size_t most) {
  switch (random->Below(8)) {
    case 0:
      return static_cast<std::int64_t>(random->Below(3));
    case 1:
      return random->OneOf<std::int64_t>({1, 6, 14, 16, 32, 64, 128});
    default:
      return static_cast<std::int64_t>(random->Below(most));
  }
}

// Small numbers, among which now and then one that is none.
std::vector<float> Numbers(Random* random, std::int64_t count, bool finite) {
  std::vector<float> numbers(static_cast<std::size_t>(count));
  for (float& x : numbers) {
    x = static_cast<float>(random->Below(2001)) / 1000.0f - 1.0f;
  }
  if (!finite && count > 0) {
    numbers[random->Below(numbers.size())] =
        random->OneOf({std::numeric_limits<float>::quiet_NaN(),
                       std::numeric_limits<float>::infinity(),
                       -std::numeric_limits<float>::infinity(), FLT_MAX});
  }
  return numbers;
}

// A call and its memory. Rows of C and of the scratch are longer than what is theirs.
struct Case {
  MatmulCall call;
  std::vector<float> a, b, packed, factors, bias, residual, c, scratch;
};

Case Draw(const Kernels& kernels, Random* random) {
  Case drawn;
  MatmulCall& call = drawn.call;
  call.batch = random->Once(2) ? 1 : static_cast<std::int64_t>(random->Below(4));
  call.m = random->Once(3) ? Size(random, 6) : Size(random, 40);
  call.n = Size(random, 90);
  call.k = random->Once(6) ? Size(random, 1200) : Size(random, 70);
  const bool finite = !random->Once(4);
  const auto pad = [&] { return static_cast<std::int64_t>(random->Below(3)); };
  const auto strides = [&](std::int64_t rows, std::int64_t columns, std::int64_t* row,
                           std::int64_t* column) {
    switch (random->Below(4)) {
      case 0:  // transposed
        *row = 1;
        *column = rows + pad();
        return *column * columns;
      case 1:
        *column = 2;
        *row = 2 * columns + pad();
        return *row * rows;
      default:
        *column = 1;
        *row = columns + pad();
        return *row * rows;
    }
  };
  call.a_batch = strides(call.m, call.k, &call.a_row, &call.a_column);
  call.b_batch = strides(call.k, call.n, &call.b_row, &call.b_column);
  drawn.a = Numbers(random, call.batch * call.a_batch, finite);
  drawn.b = Numbers(random, call.batch * call.b_batch, finite);
  if (random->Once(4)) call.b_batch = 0;
  call.a = drawn.a.data();
  call.b = drawn.b.data();
  call.packed = random->Once(2);
  call.c_row = call.n + pad();
  call.c_batch = call.m * call.c_row + pad();
  drawn.c.assign(static_cast<std::size_t>(call.batch * call.c_batch), kUntouched);
  call.c = drawn.c.data();
  call.threads = static_cast<int>(random->Below(4)) + 1;
  EpilogueCall& epilogue = call.epilogue;
  epilogue.activation = kActivations[random->Below(std::size(kActivations))];
  epilogue.lowest = -0.5f;
  epilogue.highest = 2;
  epilogue.scale = random->Once(2) ? 1.0f : 0.25f;
  if (random->Once(2)) {
    drawn.factors = Numbers(random, call.n, true);
    epilogue.factors = drawn.factors.data();
  }
  if (random->Once(2)) {
    drawn.bias = Numbers(random, call.n, true);
    epilogue.bias = drawn.bias.data();
  }
  if (random->Once(2)) {
    epilogue.residual_row = call.n + pad();
    epilogue.residual_batch = call.m * epilogue.residual_row;
    drawn.residual = Numbers(random, call.batch * epilogue.residual_batch, true);
    epilogue.residual = drawn.residual.data();
  }
  drawn.scratch.assign(static_cast<std::size_t>(kernels.matmul_scratch(call)) + 1,
                       std::numeric_limits<float>::quiet_NaN());
  call.scratch = drawn.scratch.data();
  return drawn;
}

// Replaces B by what it is packed.
void PackB(const Kernels& kernels, Case* drawn) {
  MatmulCall& call = drawn->call;
  const std::int64_t size = (call.n + 15) / 16 * 16 * call.k;
  drawn->packed.assign(static_cast<std::size_t>(size * call.batch),
                       std::numeric_limits<float>::quiet_NaN());
  for (std::int64_t i = 0; i < call.batch; ++i) {
    kernels.pack(call.b + i * call.b_batch, call.b_row, call.b_column, call.k, call.n,
                 drawn->packed.data() + i * size);
  }
  call.b = drawn->packed.data();
  call.b_batch = size;
}

// Compares each element with float64, from B as it was before it was packed.
void Check(const MatmulCall& call, const float* b, std::int64_t b_batch,
           const std::vector<float>& c) {
  const EpilogueCall& epilogue = call.epilogue;
  for (std::int64_t batch = 0; batch < call.batch; ++batch) {
    for (std::int64_t i = 0; i < call.m; ++i) {
      for (std::int64_t j = 0; j < call.c_row; ++j) {
        const auto place =
            static_cast<std::size_t>(batch * call.c_batch + i * call.c_row + j);
        if (j >= call.n) {
          ASSERT_EQ(c[place], kUntouched) << "column " << j;
          continue;
        }
        double sum = 0;
        double sizes = 0;
        for (std::int64_t p = 0; p < call.k; ++p) {
          const double product =
              double{
                  call.a[batch * call.a_batch + i * call.a_row + p * call.a_column]} *
              double{b[batch * b_batch + p * call.b_row + j * call.b_column]};
          sum += product;
          sizes += std::fabs(product);
        }
        sum *= double{epilogue.scale};
        sizes *= double{epilogue.scale};
        if (epilogue.factors != nullptr) {
          sum *= double{epilogue.factors[j]};
          sizes *= std::fabs(double{epilogue.factors[j]});
        }
        if (epilogue.bias != nullptr) {
          sum += double{epilogue.bias[j]};
          sizes += std::fabs(double{epilogue.bias[j]});
        }
        if (epilogue.residual != nullptr) {
          const double residual = epilogue.residual[batch * epilogue.residual_batch +
                                                    i * epilogue.residual_row + j];
          sum += residual;
          sizes += std::fabs(residual);
        }
        // Eager's sum is in float too: beyond it, infinity.
        if (sizes > FLT_MAX / 4) continue;
        const double want =
            ActivateExactly(epilogue.activation, sum, double{epilogue.lowest},
                            double{epilogue.highest});
        // No activation here is steeper than 1.5.
        const double bound = 1.5 * SumBound(static_cast<double>(call.k), sizes) +
                             1e-6 * std::fabs(sum) + 4 * FLT_EPSILON * std::fabs(want);
        ASSERT_TRUE(IsNear(c[place], want, bound))
            << c[place] << " instead of " << want << " at batch " << batch << ", row "
            << i << ", column " << j << " of " << call.batch << " x " << call.m << " x "
            << call.n << " x " << call.k << (call.packed ? " packed" : "")
            << ", activation " << static_cast<int>(epilogue.activation);
      }
    }
  }
}

TEST_P(MatmulTest, RandomProductsAreNearFloat64) {
  ForEachSeed(400, [&](std::uint64_t seed) {
    Random random(seed);
    Case drawn = Draw(kernels(), &random);
    const float* b = drawn.call.b;
    const std::int64_t b_batch = drawn.call.b_batch;
    if (drawn.call.packed) PackB(kernels(), &drawn);
    kernels().matmul(drawn.call);
    Check(drawn.call, b, b_batch, drawn.c);
    EXPECT_TRUE(std::isnan(drawn.scratch.back())) << "wrote behind the scratch";
  });
}

// Of NaN and infinities, what float64 has: where the sum has one, and nowhere else.
TEST_P(MatmulTest, WhatIsNoNumberStaysInItsRowAndColumn) {
  constexpr std::int64_t kSize = 37;
  for (bool packed : {false, true}) {
    for (float odd : {std::numeric_limits<float>::quiet_NaN(),
                      std::numeric_limits<float>::infinity()}) {
      Case drawn;
      drawn.a.assign(kSize * kSize, 1);
      drawn.b.assign(kSize * kSize, 1);
      drawn.a[5 * kSize + 7] = odd;
      drawn.b[3 * kSize + 36] = odd;
      drawn.c.resize(kSize * kSize);
      drawn.call = {
          1, kSize, kSize, kSize,  drawn.a.data(), 0, kSize, 1, drawn.b.data(),
          0, kSize, 1,     packed, drawn.c.data(), 0, kSize, 1, nullptr,
          {}};
      drawn.scratch.resize(
          static_cast<std::size_t>(kernels().matmul_scratch(drawn.call)));
      drawn.call.scratch = drawn.scratch.data();
      if (packed) PackB(kernels(), &drawn);
      kernels().matmul(drawn.call);
      for (std::int64_t i = 0; i < kSize; ++i) {
        for (std::int64_t j = 0; j < kSize; ++j) {
          const float got = drawn.c[static_cast<std::size_t>(i * kSize + j)];
          if (i != 5 && j != 36) {
            ASSERT_EQ(got, 37.0f) << i << ", " << j;
          } else {
            ASSERT_FALSE(std::isfinite(got)) << i << ", " << j;
            ASSERT_EQ(std::isnan(got), std::isnan(odd)) << i << ", " << j;
          }
        }
      }
    }
  }
}

// A few rows times a matrix in memory, whichever of its strides is 1: a row's bits are
// those that it has alone.
TEST_P(MatmulTest, BitsOfFewRowsDependNeitherOnThreadsNorOnRows) {
  constexpr std::int64_t kRows = 4, kColumns = 1003, kDepth = 709;
  Random random(1);
  const std::vector<float> a = Numbers(&random, kRows * kDepth, true);
  const std::vector<float> b = Numbers(&random, kDepth * kColumns, true);
  for (bool transposed : {false, true}) {
    std::vector<float> first;
    for (std::int64_t rows = kRows; rows > 0; --rows) {
      for (int threads : {1, 2, 3, 7}) {
        std::vector<float> c(static_cast<std::size_t>(rows * kColumns));
        MatmulCall call = {};
        call.batch = 1;
        call.m = rows;
        call.n = kColumns;
        call.k = kDepth;
        call.a = a.data();
        call.a_row = kDepth;
        call.a_column = 1;
        call.b = b.data();
        call.b_row = transposed ? 1 : kColumns;
        call.b_column = transposed ? kDepth : 1;
        call.c = c.data();
        call.c_row = kColumns;
        call.threads = threads;
        std::vector<float> scratch(
            static_cast<std::size_t>(kernels().matmul_scratch(call)));
        call.scratch = scratch.data();
        kernels().matmul(call);
        if (first.empty()) first = c;
        ASSERT_EQ(std::memcmp(first.data(), c.data(), c.size() * sizeof(float)), 0)
            << rows << " rows, " << threads << " threads"
            << (transposed ? ", transposed" : "");
      }
    }
  }
}

// Large enough for several threads and blocks.
TEST_P(MatmulTest, BitsDependNeitherOnThreadsNorOnPacking) {
  Random random(1);
  for (const std::vector<std::int64_t>& shape : std::vector<std::vector<std::int64_t>>{
           {1, 70, 100, 1000},
           {1, 3, 1000, 800},
           {1, 400, 33, 512},
           {5, 40, 50, 512},
           {1, 1, 3000, 700},
       }) {
    std::vector<float> first;
    for (bool packed : {false, true}) {
      for (int threads : {1, 2, 3, 7}) {
        Case drawn;
        Random numbers(2);
        MatmulCall& call = drawn.call;
        call = {};
        call.batch = shape[0];
        call.m = shape[1];
        call.n = shape[2];
        call.k = shape[3];
        call.packed = packed;
        call.threads = threads;
        call.a_row = call.k;
        call.a_column = 1;
        call.a_batch = call.m * call.k;
        call.b_row = call.n;
        call.b_column = 1;
        call.b_batch = call.k * call.n;
        call.c_row = call.n;
        call.c_batch = call.m * call.n;
        drawn.a = Numbers(&numbers, call.batch * call.a_batch, true);
        drawn.b = Numbers(&numbers, call.batch * call.b_batch, true);
        drawn.c.resize(static_cast<std::size_t>(call.batch * call.c_batch));
        drawn.scratch.resize(static_cast<std::size_t>(kernels().matmul_scratch(call)));
        call.a = drawn.a.data();
        call.b = drawn.b.data();
        call.c = drawn.c.data();
        call.scratch = drawn.scratch.data();
        if (packed) PackB(kernels(), &drawn);
        kernels().matmul(call);
        if (first.empty()) first = drawn.c;
        ASSERT_EQ(
            std::memcmp(first.data(), drawn.c.data(), first.size() * sizeof(float)), 0)
            << threads << " threads" << (packed ? ", packed" : "");
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, MatmulTest, ::testing::ValuesIn(AllKernels()), NameOf);

}  // namespace
}  // namespace rules_torch::testing
