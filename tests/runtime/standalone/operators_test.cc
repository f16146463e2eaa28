// Operators of the standalone runtime of random dtypes, shapes and strides against
// float64, on each instruction set.
#include "tests/runtime/standalone/operators.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "rules_torch/abi.h"
#include "runtime/internal/isa.h"
#include "runtime/standalone/operand.h"
#include "tests/runtime/fuzz.h"
#include "tests/runtime/standalone/variants.h"

namespace rules_torch::testing {

#if defined(__x86_64__)
extern const Operators kOperatorsX86V2;
extern const Operators kOperatorsX86V3;
extern const Operators kOperatorsX86V4;
#else
extern const Operators kOperatorsAarch64;
#endif

namespace {

using Sizes = std::vector<std::int64_t>;

std::vector<const Operators*> AllOperators() {
#if defined(__x86_64__)
  return {&kOperatorsX86V2, &kOperatorsX86V3, &kOperatorsX86V4};
#else
  return {&kOperatorsAarch64};
#endif
}

class OperatorsTest : public ::testing::TestWithParam<const Operators*> {
 protected:
  void SetUp() override {
    if (!internal::CpuRuns(operators().isa)) {
      GTEST_SKIP() << "this CPU does not run " << operators().isa;
    }
  }
  const Operators& operators() const { return *GetParam(); }
};

// Memory for one call; weights are constant for one test's, or never.
class TestWorkspace : public standalone::Workspace {
 public:
  explicit TestWorkspace(bool keeps) : keeps_(keeps) {
    take = [](standalone::Workspace* workspace, std::size_t bytes) {
      return static_cast<TestWorkspace*>(workspace)->Take(bytes);
    };
    keep = [](standalone::Workspace* workspace, const standalone::PackedKey& key,
              std::size_t bytes, void (*fill)(const void* context, void* memory),
              const void* context) -> const void* {
      return static_cast<TestWorkspace*>(workspace)->Keep(key, bytes, fill, context);
    };
  }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };

  // Of the size that was asked for, so that sanitizers see what is beyond; filled with
  // NaN.
  void* Take(std::size_t bytes) {
    void* memory = nullptr;
    if (posix_memalign(&memory, 64, std::max<std::size_t>(bytes, 1)) != 0) std::abort();
    std::memset(memory, 0xff, bytes);
    memory_.emplace_back(memory);
    return memory;
  }

  const void* Keep(const standalone::PackedKey& key, std::size_t bytes,
                   void (*fill)(const void* context, void* memory),
                   const void* context) {
    if (!keeps_) return nullptr;
    for (const auto& entry : kept_) {
      if (entry.first == key) return entry.second;
    }
    void* memory = Take(bytes);
    fill(context, memory);
    kept_.emplace_back(key, memory);
    return memory;
  }

  bool keeps_;
  std::vector<std::unique_ptr<void, Free>> memory_;
  std::vector<std::pair<standalone::PackedKey, void*>> kept_;
};

// The distance from a number to the nearest of a dtype: relative, and next to 0.
struct Precision {
  double relative;
  double least;
};

Precision PrecisionOf(std::int32_t dtype) {
  switch (dtype) {
    case RTORCH_BFLOAT16:
      return {0x1p-8, 0};
    case RTORCH_FLOAT16:
      return {0x1p-11, 0x1p-25};
    default:
      return {0, 0};
  }
}

std::size_t BytesOf(std::int32_t dtype) { return dtype == RTORCH_FLOAT32 ? 4 : 2; }

// A tensor of float32, bfloat16 or float16, with any strides.
class Tensor {
 public:
  Tensor(std::int32_t dtype, Sizes sizes, Random* random)
      : dtype_(dtype), sizes_(std::move(sizes)), strides_(sizes_.size()) {
    // Dimensions in any order, with gaps at times; or one that is broadcast.
    std::vector<std::size_t> order(sizes_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    switch (random->Below(4)) {
      case 0:  // channels last
        if (order.size() > 2)
          std::rotate(order.begin() + 1, order.begin() + 2, order.end());
        break;
      case 1:
        std::shuffle(order.begin(), order.end(), *random->engine());
        break;
      default:
        break;
    }
    const std::int64_t gap = random->Once(5) ? 1 : 0;
    std::int64_t stride = random->Once(6) ? 2 : 1;
    for (std::size_t i = order.size(); i-- > 0;) {
      strides_[order[i]] = stride;
      stride *= std::max<std::int64_t>(sizes_[order[i]], 1);
      stride += gap;
    }
    data_.resize(static_cast<std::size_t>(stride) * BytesOf(dtype) + 1, 0x7f);
  }

  // Numbers that each dtype has.
  Tensor& Fill(Random* random) {
    ForEach([&](const Sizes& at) {
      Set(at, static_cast<double>(random->Below(65)) / 16 - 2);
    });
    return *this;
  }

  // Makes an element, if there is any, one that is no usual number.
  Tensor& Spoil(Random* random) {
    Sizes at;
    for (std::int64_t size : sizes_) {
      if (size == 0) return *this;
      at.push_back(
          static_cast<std::int64_t>(random->Below(static_cast<std::size_t>(size))));
    }
    Set(at, random->OneOf<double>({std::numeric_limits<double>::quiet_NaN(),
                                   std::numeric_limits<double>::infinity(),
                                   -std::numeric_limits<double>::infinity(),
                                   dtype_ == RTORCH_FLOAT16 ? 0x3p-24 : 0x3p-130}));
    return *this;
  }

  standalone::Operand operand() {
    return {data_.data(), dtype_, static_cast<std::int32_t>(sizes_.size()),
            sizes_.data(), strides_.data()};
  }

  const Sizes& sizes() const { return sizes_; }

  double Get(const Sizes& at) const {
    const unsigned char* from = data_.data() + Place(at);
    if (dtype_ == RTORCH_FLOAT32) {
      float value;
      std::memcpy(&value, from, sizeof value);
      return value;
    }
    std::uint16_t bits;
    std::memcpy(&bits, from, sizeof bits);
    if (dtype_ == RTORCH_BFLOAT16) {
      const std::uint32_t wide = std::uint32_t{bits} << 16;
      float value;
      std::memcpy(&value, &wide, sizeof value);
      return value;
    }
    const int exponent = bits >> 10 & 31;
    const int mantissa = bits & 1023;
    const double size = exponent == 31
                            ? (mantissa == 0 ? std::numeric_limits<double>::infinity()
                                             : std::numeric_limits<double>::quiet_NaN())
                        : exponent == 0 ? std::ldexp(mantissa, -24)
                                        : std::ldexp(1024 + mantissa, exponent - 25);
    return (bits & 0x8000) != 0 ? -size : size;
  }

  // Of a number that the dtype has.
  void Set(const Sizes& at, double value) {
    unsigned char* to = data_.data() + Place(at);
    const auto single = static_cast<float>(value);
    std::uint32_t wide;
    std::memcpy(&wide, &single, sizeof wide);
    if (dtype_ == RTORCH_FLOAT32) {
      std::memcpy(to, &wide, sizeof wide);
      return;
    }
    std::uint16_t bits;
    if (dtype_ == RTORCH_BFLOAT16) {
      bits = static_cast<std::uint16_t>(wide >> 16);
    } else {
      int exponent = 0;
      const double fraction = std::frexp(std::fabs(value), &exponent);
      bits = std::isnan(value)   ? 0x7e00
             : std::isinf(value) ? 0x7c00
             : exponent < -13
                 ? static_cast<std::uint16_t>(std::ldexp(std::fabs(value), 24))
                 : static_cast<std::uint16_t>((exponent + 14) * 1024 +
                                              std::ldexp(fraction, 11) - 1024);
      if (std::signbit(value)) bits = static_cast<std::uint16_t>(bits | 0x8000);
    }
    std::memcpy(to, &bits, sizeof bits);
  }

  template <typename Act>
  void ForEach(const Act& act) const {
    Sizes at(sizes_.size(), 0);
    if (std::find(sizes_.begin(), sizes_.end(), 0) != sizes_.end()) return;
    while (true) {
      act(at);
      std::size_t d = sizes_.size();
      while (d > 0 && ++at[d - 1] == sizes_[d - 1]) at[--d] = 0;
      if (d == 0) return;
    }
  }

  std::int32_t dtype() const { return dtype_; }

 private:
  std::size_t Place(const Sizes& at) const {
    std::int64_t place = 0;
    for (std::size_t i = 0; i < at.size(); ++i) place += at[i] * strides_[i];
    return static_cast<std::size_t>(place) * BytesOf(dtype_);
  }

  std::int32_t dtype_;
  Sizes sizes_;
  Sizes strides_;
  std::vector<unsigned char> data_;
};

// A sum of products, and of their sizes.
struct Terms {
  double sum = 0;
  double sizes = 0;
  double count = 0;

  void Add(double term) {
    sum += term;
    sizes += std::fabs(term);
    count += 1;
  }
};

// `bound`: What float32 may differ by, before it is rounded to the dtype.
void Expect(const Tensor& out, const Sizes& at, double want, double bound) {
  const Precision precision = PrecisionOf(out.dtype());
  const double rounding =
      precision.relative * (std::fabs(want) + bound) + precision.least;
  ASSERT_TRUE(IsNear(static_cast<float>(out.Get(at)), want,
                     std::isfinite(want) ? bound + rounding : 0))
      << out.Get(at) << " instead of " << want << " at " << ::testing::PrintToString(at)
      << " of " << ::testing::PrintToString(out.sizes()) << ", dtype " << out.dtype();
}

std::int32_t Dtype(Random* random) {
  return random->OneOf<std::int32_t>({RTORCH_FLOAT32, RTORCH_BFLOAT16, RTORCH_FLOAT16});
}

std::int64_t UpTo(Random* random, std::size_t most) {
  return static_cast<std::int64_t>(random->Below(most + 1));
}

std::int64_t Size(Random* random) {
  return random->Once(3) ? UpTo(random, 5) : UpTo(random, 40);
}

TEST_P(OperatorsTest, ProductsAreNearFloat64) {
  ForEachSeed(300, [&](std::uint64_t seed) {
    Random random(seed);
    const std::int32_t dtype = Dtype(&random);
    const bool is_batched = random.Once(3);
    const std::int64_t batch = is_batched ? UpTo(&random, 3) : 1;
    const std::int64_t m = Size(&random), n = Size(&random), k = Size(&random);
    const auto sizes = [&](std::int64_t rows, std::int64_t columns) {
      return is_batched ? Sizes{batch, rows, columns} : Sizes{rows, columns};
    };
    const auto at = [&](std::int64_t b, std::int64_t i, std::int64_t j) {
      return is_batched ? Sizes{b, i, j} : Sizes{i, j};
    };
    Tensor a = Tensor(dtype, sizes(m, k), &random).Fill(&random);
    Tensor b = Tensor(dtype, sizes(k, n), &random).Fill(&random);
    if (random.Once(5)) a.Spoil(&random);
    if (random.Once(5)) b.Spoil(&random);
    const Sizes bias_sizes = random.Once(3)   ? Sizes{n}
                             : random.Once(2) ? Sizes{m, n}
                                              : Sizes{m, 1};
    Tensor bias = Tensor(dtype, bias_sizes, &random).Fill(&random);
    const bool has_bias = !is_batched && random.Once(2);
    const double beta = is_batched ? 1 : random.OneOf<double>({0, 0.5, 1});
    const double alpha = is_batched ? 1 : random.OneOf<double>({1, 2});
    Tensor out(dtype, sizes(m, n), &random);
    TestWorkspace workspace(random.Once(2));
    const standalone::Operand added = bias.operand();
    for (int run = 0; run < 2; ++run) {  // once more with what was kept
      if (is_batched) {
        operators().batched_matmul(a.operand(), b.operand(), out.operand(), &workspace);
      } else {
        operators().matmul(a.operand(), b.operand(), has_bias ? &added : nullptr, beta,
                           alpha, out.operand(), &workspace);
      }
    }
    out.ForEach([&](const Sizes& place) {
      const std::int64_t image = is_batched ? place[0] : 0;
      const std::int64_t i = place[place.size() - 2], j = place.back();
      Terms terms;
      for (std::int64_t p = 0; p < k; ++p) {
        terms.Add(alpha * a.Get(at(image, i, p)) * b.Get(at(image, p, j)));
      }
      if (has_bias && beta != 0) {
        const Sizes row = {bias.sizes().size() == 1 ? Sizes{j}
                           : bias.sizes()[1] == 1   ? Sizes{i, 0}
                                                    : Sizes{i, j}};
        terms.Add(beta * bias.Get(row));
      }
      Expect(out, place, terms.sum, SumBound(terms.count, terms.sizes));
    });
  });
}

TEST_P(OperatorsTest, ConvolutionsAreNearFloat64) {
  ForEachSeed(400, [&](std::uint64_t seed) {
    Random random(seed);
    const std::int32_t dtype = Dtype(&random);
    const std::size_t dims = 1 + random.Below(3);
    ConvolutionSteps steps = {};
    steps.is_transposed = random.Once(2);
    steps.groups = random.OneOf<std::int64_t>({1, 1, 1, 2, 3, 17});
    const bool is_depthwise = steps.groups > 1 && random.Once(2);
    const std::int64_t in = is_depthwise ? 1 : UpTo(&random, 20);
    const std::int64_t out_channels = is_depthwise ? 1 : 1 + UpTo(&random, 20);
    Sizes x_sizes = {UpTo(&random, 2), in * steps.groups};
    Sizes kernel_sizes = steps.is_transposed ? Sizes{in * steps.groups, out_channels}
                                             : Sizes{out_channels * steps.groups, in};
    Sizes y_sizes = {x_sizes[0], out_channels * steps.groups};
    for (std::size_t d = 0; d < dims; ++d) {
      const std::int64_t size = 1 + UpTo(&random, dims == 1 ? 40 : 6);
      const std::int64_t kernel = 1 + UpTo(&random, dims == 1 ? 9 : 3);
      steps.stride[d] = 1 + UpTo(&random, 3);
      steps.padding[d] = UpTo(&random, 4);
      steps.dilation[d] = 1 + UpTo(&random, 2);
      const std::int64_t reach = (kernel - 1) * steps.dilation[d] + 1;
      const std::int64_t room =
          steps.is_transposed
              ? (size - 1) * steps.stride[d] - 2 * steps.padding[d] + reach +
                    UpTo(&random, static_cast<std::size_t>(steps.stride[d] - 1))
              : size + 2 * steps.padding[d] - reach;
      y_sizes.push_back(steps.is_transposed ? std::max<std::int64_t>(room, 0)
                        : room < 0          ? 0
                                            : room / steps.stride[d] + 1);
      x_sizes.push_back(size);
      kernel_sizes.push_back(kernel);
    }
    Tensor x = Tensor(dtype, x_sizes, &random).Fill(&random);
    Tensor weight = Tensor(dtype, kernel_sizes, &random).Fill(&random);
    if (random.Once(5)) x.Spoil(&random);
    Tensor bias = Tensor(dtype, {y_sizes[1]}, &random).Fill(&random);
    const bool has_bias = random.Once(2);
    Tensor y(dtype, y_sizes, &random);
    TestWorkspace workspace(random.Once(2));
    const standalone::Operand added = bias.operand();
    for (int run = 0; run < 2; ++run) {
      operators().convolution(x.operand(), weight.operand(),
                              has_bias ? &added : nullptr, steps, y.operand(),
                              &workspace);
    }
    const Sizes taps(kernel_sizes.begin() + 2, kernel_sizes.end());
    const std::int64_t all_taps = std::accumulate(
        taps.begin(), taps.end(), std::int64_t{1}, std::multiplies<std::int64_t>());
    y.ForEach([&](const Sizes& place) {
      Terms terms;
      const std::int64_t group = place[1] / out_channels;
      for (std::int64_t tap = 0; tap < all_taps; ++tap) {
        Sizes from = {place[0], 0};
        Sizes filter = {0, 0};
        bool is_inside = true;
        std::int64_t rest = tap;
        std::int64_t before = all_taps;
        for (std::size_t d = 0; d < dims; ++d) {
          before /= taps[d];
          const std::int64_t t = rest / before;
          rest %= before;
          std::int64_t at =
              place[2 + d] * steps.stride[d] - steps.padding[d] + t * steps.dilation[d];
          if (steps.is_transposed) {
            at = place[2 + d] + steps.padding[d] - t * steps.dilation[d];
            is_inside = is_inside && at % steps.stride[d] == 0;
            at /= steps.stride[d];
          }
          is_inside = is_inside && at >= 0 && at < x_sizes[2 + d];
          from.push_back(at);
          filter.push_back(t);
        }
        if (!is_inside) continue;
        for (std::int64_t c = 0; c < in; ++c) {
          from[1] = group * in + c;
          filter[0] = steps.is_transposed ? from[1] : place[1];
          filter[1] = steps.is_transposed ? place[1] % out_channels : c;
          terms.Add(x.Get(from) * weight.Get(filter));
        }
      }
      if (has_bias) terms.Add(bias.Get({place[1]}));
      Expect(y, place, terms.sum, SumBound(terms.count, terms.sizes));
    });
  });
}

TEST_P(OperatorsTest, AttentionIsNearFloat64) {
  constexpr double kNone = -std::numeric_limits<double>::infinity();
  ForEachSeed(200, [&](std::uint64_t seed) {
    Random random(seed);
    const std::int32_t dtype = Dtype(&random);
    const std::int64_t batch = UpTo(&random, 2);
    const std::int64_t shared = 1 + UpTo(&random, 2);
    const std::int64_t heads = shared * (1 + UpTo(&random, 2));
    const std::int64_t rows = Size(&random), columns = Size(&random);
    const std::int64_t width = Size(&random), values = Size(&random);
    const bool is_causal = random.Once(3);
    const double scale = random.OneOf<double>({0.125, 0.5});
    Tensor query = Tensor(dtype, {batch, heads, rows, width}, &random).Fill(&random);
    Tensor key = Tensor(dtype, {batch, shared, columns, width}, &random).Fill(&random);
    Tensor value =
        Tensor(dtype, {batch, shared, columns, values}, &random).Fill(&random);
    Tensor mask = Tensor(dtype,
                         {random.Once(2) ? 1 : batch, random.Once(2) ? 1 : heads,
                          random.Once(2) ? 1 : rows, random.Once(4) ? 1 : columns},
                         &random)
                      .Fill(&random);
    mask.ForEach([&](const Sizes& at) {
      if (random.Once(3)) mask.Set(at, kNone);
    });
    const bool has_mask = random.Once(2);
    Tensor out(dtype, {batch, heads, rows, values}, &random);
    Tensor lse(RTORCH_FLOAT32, {batch, heads, rows}, &random);
    TestWorkspace workspace(false);
    const standalone::Operand added = mask.operand();
    operators().attention(query.operand(), key.operand(), value.operand(),
                          has_mask ? &added : nullptr, is_causal, scale, out.operand(),
                          lse.operand(), &workspace);
    lse.ForEach([&](const Sizes& row) {
      const std::int64_t head = row[1] * shared / heads;
      std::vector<double> scores;
      double error = 0;
      double highest = kNone;
      for (std::int64_t j = 0;
           j < (is_causal ? std::min(row[2] + 1, columns) : columns); ++j) {
        Terms terms;
        for (std::int64_t l = 0; l < width; ++l) {
          terms.Add(scale * query.Get({row[0], row[1], row[2], l}) *
                    key.Get({row[0], head, j, l}));
        }
        if (has_mask) {
          Sizes at = {row[0], row[1], row[2], j};
          for (std::size_t d = 0; d < 4; ++d) {
            if (mask.sizes()[d] == 1) at[d] = 0;
          }
          const double more = mask.Get(at);
          if (more == kNone) {
            scores.push_back(kNone);
            continue;
          }
          terms.Add(more);
        }
        scores.push_back(terms.sum);
        highest = std::max(highest, terms.sum);
        error = std::max(error, SumBound(terms.count, terms.sizes));
      }
      double sum = 0;
      for (double score : scores)
        sum += highest == kNone ? 0 : std::exp(score - highest);
      const double log = highest == kNone ? kNone : highest + std::log(sum);
      // Of each probability, relative: two scores', and those of exp and the sum.
      const double relative =
          2 * error + (static_cast<double>(scores.size()) + 40) * FLT_EPSILON;
      Expect(lse, row, log, relative + FLT_EPSILON * std::fabs(log));
      for (std::int64_t l = 0; l < values; ++l) {
        Terms terms;
        for (std::size_t j = 0; j < scores.size() && sum > 0; ++j) {
          terms.Add(std::exp(scores[j] - highest) / sum *
                    value.Get({row[0], head, static_cast<std::int64_t>(j), l}));
        }
        Expect(out, {row[0], row[1], row[2], l}, terms.sum,
               relative * terms.sizes + SumBound(terms.count, terms.sizes));
      }
    });
  });
}

std::string NameOfOperators(const ::testing::TestParamInfo<const Operators*>& info) {
  return TestNameOf(info.param->isa);
}

INSTANTIATE_TEST_SUITE_P(Isas, OperatorsTest, ::testing::ValuesIn(AllOperators()),
                         NameOfOperators);

}  // namespace
}  // namespace rules_torch::testing
