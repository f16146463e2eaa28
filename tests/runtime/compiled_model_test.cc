// The typed class of a compiled model, from creation to errors: //models:mlp.
#include <malloc.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "models/encoder.h"
#include "models/mlp.h"

namespace rules_torch {
namespace {

using models::Encoder;
using models::Mlp;

static_assert(!std::is_copy_constructible_v<Mlp>);
static_assert(std::is_nothrow_move_constructible_v<Mlp>);
static_assert(std::is_nothrow_move_assignable_v<Mlp>);

using Floats = std::vector<float>;

// Different values everywhere, about as large as the model's usual inputs.
Floats Features(std::int64_t batch) {
  Floats x(static_cast<std::size_t>(batch * 8));
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<float>(i * 37 % 101) / 50 - 1;
  }
  return x;
}

// What a model gives for a contiguous input.
Floats ResultOf(const Mlp& model, const Floats& x) {
  const auto batch = static_cast<std::int64_t>(x.size() / 8);
  const StatusOr<Mlp::Outputs> outputs = model.Run({{x.data(), {batch, 8}}});
  if (!outputs.ok()) {
    ADD_FAILURE() << outputs.status().message();
    return {};
  }
  EXPECT_EQ(outputs->y.sizes(), (std::array<std::int64_t, 2>{batch, 4}));
  return Floats(outputs->y.begin(), outputs->y.end());
}

class CompiledModelTest : public ::testing::Test {
 protected:
  static Mlp Make() {
    StatusOr<Mlp> made = Mlp::Create();
    if (!made.ok()) ADD_FAILURE() << made.status().message();
    return *std::move(made);
  }

  const Mlp model_ = Make();
};

TEST_F(CompiledModelTest, ComputesEachRow) {
  const Floats x = Features(3);
  const Floats y = ResultOf(model_, x);
  ASSERT_EQ(y.size(), 12u);
  for (std::size_t row = 0; row < 3; ++row) {
    const auto begin = x.begin() + static_cast<std::ptrdiff_t>(8 * row);
    const Floats alone = ResultOf(model_, Floats(begin, begin + 8));
    for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(alone[i], y[4 * row + i], 1e-6);
  }
  EXPECT_NE(y[0], y[4]);
}

TEST_F(CompiledModelTest, TakesTheSmallestAndTheLargestBatch) {
  EXPECT_EQ(ResultOf(model_, Features(1)).size(), 4u);
  EXPECT_EQ(ResultOf(model_, Features(1024)).size(), 4096u);
}

TEST_F(CompiledModelTest, TakesAnyStrides) {
  const Floats x = Features(5);
  Floats columns(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) columns[i % 8 * 5 + i / 8] = x[i];
  const auto outputs = model_.Run({{columns.data(), {5, 8}, {1, 5}}});
  ASSERT_TRUE(outputs.ok()) << outputs.status().message();
  EXPECT_EQ(Floats(outputs->y.begin(), outputs->y.end()), ResultOf(model_, x));
}

TEST_F(CompiledModelTest, LeavesItsInputsAlone) {
  Floats x = Features(4);
  ResultOf(model_, x);
  EXPECT_EQ(x, Features(4));
}

TEST_F(CompiledModelTest, WritesIntoBuffers) {
  const Floats x = Features(3);
  Floats y(12);
  const Status status = model_.Run({{x.data(), {3, 8}}}, {{y.data(), {3, 4}}});
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(y, ResultOf(model_, x));
}

TEST_F(CompiledModelTest, WritesIntoBuffersWithAnyStrides) {
  const Floats x = Features(3);
  const Floats expected = ResultOf(model_, x);
  Floats y(24, -1);
  // Columns from last to first, and every other element.
  const TensorView<float, 2> buffer(y.data() + 18, {3, 4}, {2, -6});
  const Status status = model_.Run({{x.data(), {3, 8}}}, {buffer});
  ASSERT_TRUE(status.ok()) << status.message();
  for (int row = 0; row < 3; ++row) {
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(buffer(row, i), expected[static_cast<std::size_t>(4 * row + i)]);
    }
  }
  for (std::size_t i = 1; i < y.size(); i += 2) EXPECT_EQ(y[i], -1);
}

TEST_F(CompiledModelTest, NamesTheInputThatIsWrong) {
  const Floats x = Features(1025);
  const auto message = [&](const Mlp::Inputs& inputs) {
    const StatusOr<Mlp::Outputs> outputs = model_.Run(inputs);
    EXPECT_EQ(outputs.status().code(), RTORCH_INVALID_ARGUMENT);
    return outputs.status().message();
  };
  const std::string text =
      "input 'x': expected float32[batch, 8] with 1 <= batch <= 1024, got ";
  EXPECT_EQ(message({{x.data(), {0, 8}}}), text + "float32[0, 8]: dimension 0 is 0");
  EXPECT_EQ(message({{x.data(), {1025, 8}}}),
            text + "float32[1025, 8]: dimension 0 is 1025");
  EXPECT_EQ(message({{x.data(), {2, 7}}}),
            text + "float32[2, 7]: dimension 1 is 7, not 8");
  EXPECT_EQ(message({{nullptr, {2, 8}}}),
            text + "float32[2, 8]: the data pointer is null");
  EXPECT_EQ(message({}), text + "float32[0, 0]: dimension 0 is 0");
  // An error leaves nothing behind.
  EXPECT_EQ(ResultOf(model_, Features(2)).size(), 8u);
}

TEST_F(CompiledModelTest, NamesTheBufferThatIsWrong) {
  const Floats x = Features(2);
  Floats y(12, -1);
  const auto message = [&](const Mlp::Buffers& buffers) {
    const Status status = model_.Run({{x.data(), {2, 8}}}, buffers);
    EXPECT_EQ(status.code(), RTORCH_INVALID_ARGUMENT);
    return status.message();
  };
  EXPECT_EQ(message({{y.data(), {3, 4}}}),
            "output 'y': expected float32[batch, 4] with 1 <= batch <= 1024, got "
            "float32[3, 4]: dimension 0 of the buffer is 3, but the result's is 2");
  EXPECT_EQ(message({}), "output 'y': the buffer is null");
  EXPECT_EQ(y, Floats(12, -1));
}

TEST_F(CompiledModelTest, OutputsOutliveIt) {
  const Floats x = Features(2);
  std::optional<Mlp> model(Make());
  StatusOr<Mlp::Outputs> outputs = model->Run({{x.data(), {2, 8}}});
  ASSERT_TRUE(outputs.ok());
  model.reset();
  EXPECT_EQ(Floats(outputs->y.begin(), outputs->y.end()), ResultOf(model_, x));
}

TEST_F(CompiledModelTest, CanBeMoved) {
  const Floats x = Features(2);
  const Floats expected = ResultOf(model_, x);
  Mlp first = Make();
  Mlp second = std::move(first);
  EXPECT_EQ(ResultOf(second, x), expected);
  first = std::move(second);
  EXPECT_EQ(ResultOf(first, x), expected);
  // What is left behind is an error, not a crash.
  const auto outputs = second.Run({{x.data(), {2, 8}}});  // NOLINT: moved from
  EXPECT_EQ(outputs.status().message(), "the model is null");
}

TEST_F(CompiledModelTest, ManyThreadsGetWhatOneGets) {
  constexpr int kThreads = 8;
  constexpr int kRuns = 100;
  std::vector<Floats> inputs;
  std::vector<Floats> expected;
  for (int i = 0; i < kThreads; ++i) {
    inputs.push_back(Features(1 + 9 * i));
    inputs.back()[0] = static_cast<float>(i);
    expected.push_back(ResultOf(model_, inputs.back()));
  }
  std::vector<int> equal(kThreads, 0);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (int run = 0; run < kRuns; ++run) {
        if (ResultOf(model_, inputs[i]) == expected[i]) ++equal[i];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(equal, std::vector<int>(kThreads, kRuns));
}

TEST_F(CompiledModelTest, DescribesItself) {
  const RTorchModelApi& api = Mlp::Api();
  EXPECT_EQ(api.abi_version, RTORCH_ABI_VERSION);
  EXPECT_STREQ(api.name, "//models:mlp");
  EXPECT_STREQ(api.signature, "(x: float32[batch, 8]) -> (y: float32[batch, 4])");
  EXPECT_EQ(api.stateful, 0);
  ASSERT_EQ(api.num_inputs, 1);
  EXPECT_STREQ(api.inputs[0].name, "x");
  EXPECT_STREQ(api.inputs[0].type, "float32[batch, 8]");
  EXPECT_EQ(api.inputs[0].dtype, RTORCH_FLOAT32);
  ASSERT_EQ(api.inputs[0].rank, 2);
  EXPECT_EQ(api.inputs[0].dims[0].symbol, 0);
  EXPECT_EQ(api.inputs[0].dims[0].max, 1024);
  EXPECT_EQ(api.inputs[0].dims[1].symbol, -1);
  EXPECT_EQ(api.inputs[0].dims[1].min, 8);
  ASSERT_EQ(api.num_outputs, 1);
  EXPECT_STREQ(api.outputs[0].name, "y");
  ASSERT_EQ(api.num_symbols, 1);
  EXPECT_STREQ(api.symbols[0].name, "batch");
  // 8 * 16 + 16 + 16 * 16 + 4 floats: packed, a matrix has a multiple of 16 columns.
  EXPECT_EQ(api.weights_size, 512u + 64 + 1024 + 16);
}

// Bytes that are allocated. A sanitizer's allocator gives 0.
std::size_t HeapInUse() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

TEST(CompiledModelWeightsTest, AreNotCopied) {
  const StatusOr<Encoder> warm = Encoder::Create();
  ASSERT_GT(Encoder::Api().weights_size, 500000u);
  const std::size_t before = HeapInUse();
  std::vector<Encoder> instances;
  for (int i = 0; i < 4; ++i) {
    StatusOr<Encoder> made = Encoder::Create();
    ASSERT_TRUE(made.ok());
    instances.push_back(*std::move(made));
  }
  EXPECT_LT(HeapInUse() - before, Encoder::Api().weights_size / 4);
}

}  // namespace
}  // namespace rules_torch
