// Models that fail for some of their inputs: see checked.py. A failing call says what
// and where, in the model's words; it ends no process, reaches no other call, and the
// lanes of a vector that hold no element fail for nothing.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/runtime/asserted.h"
#include "tests/runtime/divided.h"
#include "tests/runtime/looked.h"
#include "tests/runtime/placed.h"
#include "tests/runtime/wrapped.h"

// The kernels' OpenMP runtime, which is in the binary: this file starts no threads by
// pragmas, or two runtimes might be.
extern "C" void omp_set_num_threads(int);
extern "C" int omp_get_max_threads();
extern "C" void GOMP_parallel(void (*)(void*), void*, unsigned, unsigned);

namespace rules_torch {
namespace {

using checked::Asserted;
using checked::Divided;
using checked::Looked;
using checked::Placed;
using checked::Wrapped;

using Ints = std::vector<std::int64_t>;

constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min();

template <typename Model>
Model Make() {
  StatusOr<Model> made = Model::Create();
  if (!made.ok()) ADD_FAILURE() << made.status().message();
  return *std::move(made);
}

// Runs the calling code once in each of `threads` threads of an OpenMP region.
template <typename Body>
void InParallel(unsigned threads, Body body) {
  GOMP_parallel([](void* data) { (*static_cast<Body*>(data))(); }, &body, threads, 0);
}

template <typename T, std::size_t kRank>
std::vector<T> Elements(const Tensor<T, kRank>& tensor) {
  return std::vector<T>(tensor.begin(), tensor.end());
}

StatusOr<Divided::Outputs> Divide(const Divided& model, const Ints& a, const Ints& b) {
  const std::array<std::int64_t, 1> sizes = {static_cast<std::int64_t>(a.size())};
  return model.Run({{a.data(), sizes}, {b.data(), sizes}});
}

// With each instruction set that this CPU has and the libraries are built for.
class CompiledChecksTest : public ::testing::TestWithParam<const char*> {
 protected:
  CompiledChecksTest() { setenv("RTORCH_ISA", GetParam(), 1); }
  ~CompiledChecksTest() override { unsetenv("RTORCH_ISA"); }
};

INSTANTIATE_TEST_SUITE_P(Isas, CompiledChecksTest,
                         ::testing::Values("x86-64-v2", "x86-64-v3", "x86-64-v4"));

TEST_P(CompiledChecksTest, DivisionsAreExact) {
  const Divided model = Make<Divided>();
  const Ints a = {7, -7, 7, -7, 6, -6, 0, kLowest, kLowest, kLowest, 1};
  const Ints b = {2, 2, -2, -2, 3, -3, -5, -1, 1, kLowest, kLowest};
  const auto outputs = Divide(model, a, b);
  ASSERT_TRUE(outputs.ok()) << outputs.status().message();
  EXPECT_EQ(Elements(outputs->remainder),
            (Ints{1, 1, -1, -1, 0, 0, 0, 0, 0, 0, kLowest + 1}));
  EXPECT_EQ(Elements(outputs->floor),
            (Ints{3, -4, -4, 3, 2, 2, 0, kLowest, kLowest, 1, -1}));
  EXPECT_EQ(Elements(outputs->trunc),
            (Ints{3, -3, -3, 3, 2, 2, 0, kLowest, kLowest, 1, 0}));
  EXPECT_EQ(Elements(outputs->fmod), (Ints{1, -1, 1, -1, 0, 0, 0, 0, 0, 0, 1}));
}

TEST_P(CompiledChecksTest, ADivisorOfZeroIsNamed) {
  const Divided model = Make<Divided>();
  for (const std::size_t n : {std::size_t{2}, std::size_t{13}, std::size_t{4096}}) {
    for (const std::size_t at : {std::size_t{0}, n / 2, n - 1}) {
      Ints b(n, 3);
      ASSERT_TRUE(Divide(model, Ints(n, 10), b).ok());
      b[at] = 0;
      const auto outputs = Divide(model, Ints(n, 10), b);
      ASSERT_FALSE(outputs.ok()) << n << ", " << at;
      EXPECT_EQ(outputs.status().code(), RTORCH_INTERNAL);
      EXPECT_EQ(outputs.status().message(),
                "//tests/runtime:divided: integer division by zero (remainder, "
                "tests/runtime/checked.py:19)");
    }
  }
}

TEST_P(CompiledChecksTest, OneCallersZeroIsNoOtherCallers) {
  const Divided model = Make<Divided>();
  for (const std::size_t n : {std::size_t{4}, std::size_t{4096}}) {
    std::atomic<int> right{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        const Ints a(n, 10);
        Ints b(n, 3);
        if (t % 2 == 1) b[n - 1] = 0;
        for (int run = 0; run < 1000; ++run) {
          const auto outputs = Divide(model, a, b);
          right += t % 2 == 1
                       ? !outputs.ok() && outputs.status().message().find(
                                              "division by zero") != std::string::npos
                       : outputs.ok() && Elements(outputs->floor) == Ints(n, 3) &&
                             Elements(outputs->remainder) == Ints(n, 1);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(right, 4000) << n;
  }
}

TEST_P(CompiledChecksTest, CallersMayBeInARegionOfTheirOwn) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "libgomp is not sanitized: its barriers are unknown, and all races";
#endif
  const Divided divided = Make<Divided>();
  const Looked looked = Make<Looked>();
  const int before = omp_get_max_threads();
  for (const int inner : {1, 3}) {
    // What the threads of the region inherit.
    omp_set_num_threads(inner);
    std::atomic<int> caller{0};
    std::atomic<int> right{0};
    InParallel(4, [&] {
      const bool bad = caller++ % 2 == 1;
      const std::int64_t n = 1000;
      const Ints a(n, 10);
      Ints b(n, 3);
      Ints ids(n, 1);
      if (bad) b[n / 2] = 0;
      if (bad) ids[n / 2] = 4;
      const Ints rows = {0, 1};
      const std::vector<float> x(3 * 64, 0);
      for (int run = 0; run < 200; ++run) {
        const auto quotients = Divide(divided, a, b);
        right += quotients.ok() != bad;
        const auto found =
            looked.Run({{ids.data(), {n}}, {rows.data(), {2}}, {x.data(), {3, 64}}});
        // 8 + … + 15 for each.
        right += bad ? !found.ok() : found.ok() && *found->sum.begin() == 92.0f * n;
      }
    });
    EXPECT_EQ(right, caller * 2 * 200) << inner;
    EXPECT_EQ(caller, 4);
  }
  omp_set_num_threads(before);
}

template <typename T>
T FloorQuotient(T a, T b) {
  const auto q = a / b;
  return static_cast<T>(a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q);
}

template <typename T, typename Low, typename Other, typename Padded>
void ExpectQuotients(const Ints& x, const Ints& low, const Ints& high,
                     const Low& remainder, const Other& floor, const Other& trunc,
                     const Other& fmod, const Padded& padded) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    const T a = static_cast<T>(x[i] - low[i]);
    const T b = static_cast<T>(high[i] - low[i]);
    const T q = FloorQuotient(a, b);
    EXPECT_EQ(remainder.data()[i], low[i] + (a - q * b)) << i;
    EXPECT_EQ(floor.data()[i], q) << i;
    EXPECT_EQ(trunc.data()[i], static_cast<T>(a / b)) << i;
    EXPECT_EQ(fmod.data()[i], static_cast<T>(a % b)) << i;
    EXPECT_EQ(padded.data()[i + 3], q) << i;
  }
}

TEST_P(CompiledChecksTest, WhatLiesPastTheEndDividesNothing) {
  const Wrapped model = Make<Wrapped>();
  for (const std::int64_t first : {0, 9, 20}) {
    Ints x(13);
    Ints low(13);
    Ints high(13);
    for (std::size_t i = 0; i < 13; ++i) {
      x[i] = first + static_cast<std::int64_t>(i);
      low[i] = 9;
      high[i] = 12 + static_cast<std::int64_t>(i);
    }
    const auto outputs =
        model.Run({{x.data(), {13}}, {low.data(), {13}}, {high.data(), {13}}});
    ASSERT_TRUE(outputs.ok()) << outputs.status().message();
    const auto& o = *outputs;
    ExpectQuotients<std::int64_t>(x, low, high, o.remainder_int64, o.floor_int64,
                                  o.trunc_int64, o.fmod_int64, o.padded_int64);
    ExpectQuotients<std::int32_t>(x, low, high, o.remainder_int32, o.floor_int32,
                                  o.trunc_int32, o.fmod_int32, o.padded_int32);
    ExpectQuotients<std::int8_t>(x, low, high, o.remainder_int8, o.floor_int8,
                                 o.trunc_int8, o.fmod_int8, o.padded_int8);
    ExpectQuotients<std::uint8_t>(x, low, high, o.remainder_uint8, o.floor_uint8,
                                  o.trunc_uint8, o.fmod_uint8, o.padded_uint8);
  }
}

class CompiledIndicesTest : public CompiledChecksTest {
 protected:
  StatusOr<Looked::Outputs> Run(const Ints& ids, const Ints& rows,
                                const std::vector<float>& x) const {
    return model_.Run({{ids.data(), {static_cast<std::int64_t>(ids.size())}},
                       {rows.data(), {static_cast<std::int64_t>(rows.size())}},
                       {x.data(), {3, 64}}});
  }

  std::string Error(const Ints& ids, const Ints& rows, float largest = 0) const {
    std::vector<float> x(3 * 64, 0);
    x[100] = largest;
    const auto outputs = Run(ids, rows, x);
    return outputs.ok() ? "" : outputs.status().message();
  }

  const Looked model_ = Make<Looked>();
};

INSTANTIATE_TEST_SUITE_P(Isas, CompiledIndicesTest,
                         ::testing::Values("x86-64-v2", "x86-64-v3", "x86-64-v4"));

TEST_P(CompiledIndicesTest, ValidOnesAreLookedUp) {
  std::vector<float> x(3 * 64, 0);
  x[100] = 2;
  const auto outputs = Run({3, 0, 1, 1, 2}, {-1, 0}, x);
  ASSERT_TRUE(outputs.ok()) << outputs.status().message();
  EXPECT_EQ(*outputs->sum.begin(), 220 + 28 + 92 + 92 + 156);
  EXPECT_EQ(outputs->rows.data()[0], 24);
  EXPECT_EQ(outputs->rows.data()[8], 0);
  EXPECT_EQ(Elements(outputs->padded),
            (std::vector<float>{0, 0, 0, 25, 1, 9, 9, 17, 0, 0}));
  EXPECT_EQ(Elements(outputs->best), (std::vector<float>{9, 25, 9}));
}

TEST_P(CompiledIndicesTest, OthersAreNamed) {
  const std::string label = "//tests/runtime:looked: ";
  const std::string file = ", tests/runtime/checked.py:";
  EXPECT_EQ(Error({0, 1}, {0, 1}), "");
  EXPECT_EQ(Error({0, 4}, {0, 1}),
            label + "index 4 is out of bounds for size 4 (embedding" + file + "72)");
  EXPECT_EQ(Error({-1, 0}, {0, 1}),
            label + "index -1 is out of bounds for size 4 (embedding" + file + "72)");
  EXPECT_EQ(Error({0, 1}, {0, 4}),
            label + "index 4 is out of bounds for size 4 (index" + file + "73)");
  // The model's own number, not what it is from the end.
  EXPECT_EQ(Error({0, 1}, {0, -5}),
            label + "index -5 is out of bounds for size 4 (index" + file + "73)");
  EXPECT_EQ(Error({0, 1}, {0, 1}, 3.5),
            label + "index 4 is out of bounds for size 4 (index" + file + "77)");
}

TEST_P(CompiledIndicesTest, OneAmongManyIsFoundWhereverItIs) {
  for (const std::int64_t bad : {std::int64_t{-1}, std::int64_t{4}, kLowest}) {
    for (const std::size_t at :
         {std::size_t{0}, std::size_t{7}, std::size_t{2000}, std::size_t{4090}}) {
      Ints ids(4091, 2);
      ids[at] = bad;
      EXPECT_NE(Error(ids, {0, 1}).find("index " + std::to_string(bad) + " is out of"),
                std::string::npos)
          << bad << ", " << at;
    }
  }
  // All of them at once: the first failure is enough.
  EXPECT_NE(Error(Ints(4096, 99), {0, 1}), "");
}

TEST_P(CompiledChecksTest, AnOperatorThatFailsIsNoResult) {
  const Placed model = Make<Placed>();
  const std::array<float, 4> x = {1, 2, 3, 4};
  const std::array<float, 2> values = {5, 6};
  const auto place = [&](const std::array<bool, 4>& mask, const Ints& index) {
    return model.Run({{x.data(), {4}},
                      {mask.data(), {4}},
                      {index.data(), {2}},
                      {values.data(), {2}}});
  };
  const auto outputs = place({true, false, false, true}, {3, 1});
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  EXPECT_EQ(Elements(outputs->masked), (std::vector<float>{5, 2, 3, 6}));
  EXPECT_EQ(Elements(outputs->greatest), (std::vector<float>{1, 6, 3, 5}));

  const std::string label = "//tests/runtime:placed: ";
  EXPECT_EQ(place({true, true, false, true}, {3, 1}).status(),
            Status(RTORCH_INTERNAL,
                   label + "shape mismatch: value tensor of "
                           "shape [2] cannot be broadcast to indexing result of shape "
                           "[3]"));
  EXPECT_EQ(place({true, false, false, true}, {4, 1}).status(),
            Status(RTORCH_INTERNAL, label + "index 4 is out of "
                                            "bounds for dimension 0 with size 4"));
}

TEST_P(CompiledChecksTest, AnAssertionOfTheModelsIsInItsWords) {
  const Asserted model = Make<Asserted>();
  std::vector<float> x(64, 1);
  EXPECT_TRUE(model.Run({{x.data(), {64}}}).ok());
  x[63] = 0;
  const auto outputs = model.Run({{x.data(), {64}}});
  ASSERT_FALSE(outputs.ok());
  EXPECT_EQ(outputs.status().message(),
            "//tests/runtime:asserted: x is not \"positive\" (_assert_async, "
            "tests/runtime/checked.py:102)");
}

}  // namespace
}  // namespace rules_torch
