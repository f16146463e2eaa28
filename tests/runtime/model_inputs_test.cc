// What is checked about inputs, and the exact words: the message is all that
// somebody with a wrong shape has to go by.
#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "rules_torch/model.h"
#include "tests/runtime/fake_model.h"

namespace rules_torch::testing {
namespace {

bool NoOutputs(const RTorchTensor*, RTorchTensor*, Result*, std::string*) {
  return true;
}

// Runs a model without outputs; gives its message, or "" if all is well.
std::string MessageOf(const FakeModel& fake, const std::vector<RTorchTensor>& inputs) {
  const StatusOr<Model> model = Model::Create(&fake.api());
  const int before = fake.runs();
  const Status status =
      model->Run(inputs.data(), static_cast<std::int32_t>(inputs.size()), nullptr, 0);
  EXPECT_EQ(status.code(), status.ok() ? RTORCH_OK : RTORCH_INVALID_ARGUMENT);
  EXPECT_EQ(fake.runs() - before, status.ok() ? 1 : 0);
  return status.message();
}

// The symbol 0 is `batch`, 1 to 64.
RTorchDim Batch() { return Symbolic(0, 1, 64); }

class InputsTest : public ::testing::Test {
 protected:
  // The message for right inputs that were changed in one way.
  std::string After(
      const std::function<void(RTorchTensor* image, RTorchTensor* pairs)>& change) {
    RTorchTensor image = TensorView<float, 2>(image_.data(), {4, 3}).abi();
    RTorchTensor pairs = TensorView<std::int64_t, 1>(pairs_.data(), {9}).abi();
    change(&image, &pairs);
    return MessageOf(fake_, {image, pairs});
  }

  const FakeModel fake_{
      {{{"image", "float32[batch, 3]", RTORCH_FLOAT32, {Batch(), Fixed(3)}},
        {"pairs", "int64[2*batch + 1]", RTORCH_INT64, {Symbolic(0, 3, 129, 2, 1)}}},
       {},
       {"batch"}},
      &NoOutputs};
  std::vector<float> image_ = std::vector<float>(65 * 3);
  std::vector<std::int64_t> pairs_ = std::vector<std::int64_t>(131);
};

TEST_F(InputsTest, RightOnesPass) {
  EXPECT_EQ(After([](auto*, auto*) {}), "");
}

TEST_F(InputsTest, EverySizeInTheRangePasses) {
  for (std::int64_t batch = 1; batch <= 64; ++batch) {
    EXPECT_EQ(After([&](auto* image, auto* pairs) {
                image->sizes[0] = batch;
                pairs->sizes[0] = 2 * batch + 1;
              }),
              "");
  }
}

TEST_F(InputsTest, Rank) {
  const std::string text =
      "input 'image': expected float32[batch, 3] with 1 <= batch <= 64, got ";
  EXPECT_EQ(After([](auto* image, auto*) { image->rank = 3; }),
            text + "float32[4, 3, 0]: the rank is 3, not 2");
  EXPECT_EQ(After([](auto* image, auto*) { image->rank = 1; }),
            text + "float32[4]: the rank is 1, not 2");
  EXPECT_EQ(After([](auto* image, auto*) { image->rank = 0; }),
            text + "float32[]: the rank is 0, not 2");
  // Ranks that no tensor can have: there are no sizes to print.
  EXPECT_EQ(After([](auto* image, auto*) { image->rank = -1; }),
            text + "float32[]: the rank is -1, not 2");
  EXPECT_EQ(After([](auto* image, auto*) { image->rank = 1000; }),
            text + "float32[4, 3, 0, 0, 0, 0, 0, 0]: the rank is 1000, not 2");
}

TEST_F(InputsTest, DType) {
  EXPECT_EQ(After([](auto* image, auto*) { image->dtype = RTORCH_FLOAT64; }),
            "input 'image': expected float32[batch, 3] with 1 <= batch <= 64, got "
            "float64[4, 3]: the dtype is float64, not float32");
  EXPECT_EQ(After([](auto*, auto* pairs) { pairs->dtype = -3; }),
            "input 'pairs': expected int64[2*batch + 1] with 1 <= batch <= 64, got "
            "unknown dtype[9]: the dtype is unknown dtype, not int64");
}

TEST_F(InputsTest, FixedSize) {
  EXPECT_EQ(After([](auto* image, auto*) { image->sizes[1] = 4; }),
            "input 'image': expected float32[batch, 3] with 1 <= batch <= 64, got "
            "float32[4, 4]: dimension 1 is 4, not 3");
  EXPECT_EQ(After([](auto* image, auto*) { image->sizes[1] = 0; }),
            "input 'image': expected float32[batch, 3] with 1 <= batch <= 64, got "
            "float32[4, 0]: dimension 1 is 0, not 3");
}

TEST_F(InputsTest, SizeOutOfRange) {
  EXPECT_EQ(After([](auto* image, auto*) { image->sizes[0] = 0; }),
            "input 'image': expected float32[batch, 3] with 1 <= batch <= 64, got "
            "float32[0, 3]: dimension 0 is 0");
  EXPECT_EQ(After([](auto* image, auto*) { image->sizes[0] = 65; }),
            "input 'image': expected float32[batch, 3] with 1 <= batch <= 64, got "
            "float32[65, 3]: dimension 0 is 65");
}

TEST_F(InputsTest, ScaledSize) {
  const std::string text =
      "input 'pairs': expected int64[2*batch + 1] with 1 <= batch <= 64, got ";
  EXPECT_EQ(After([](auto*, auto* pairs) { pairs->sizes[0] = 8; }),
            text + "int64[8]: dimension 0 is 8, which is not 2 * batch + 1");
  EXPECT_EQ(After([](auto*, auto* pairs) { pairs->sizes[0] = 1; }),
            text + "int64[1]: dimension 0 is 1");
  EXPECT_EQ(After([](auto*, auto* pairs) { pairs->sizes[0] = 131; }),
            text + "int64[131]: dimension 0 is 131");
}

TEST_F(InputsTest, SymbolThatDisagrees) {
  EXPECT_EQ(After([](auto*, auto* pairs) { pairs->sizes[0] = 11; }),
            "input 'pairs': expected int64[2*batch + 1] with 1 <= batch <= 64, got "
            "int64[11]: batch is 5 here, but 4 before");
}

TEST_F(InputsTest, NegativeSize) {
  EXPECT_EQ(After([](auto* image, auto*) { image->sizes[0] = -1; }),
            "input 'image': expected float32[batch, 3] with 1 <= batch <= 64, got "
            "float32[-1, 3]: dimension 0 is negative");
  EXPECT_EQ(After([](auto*, auto* pairs) { pairs->sizes[0] = INT64_MIN; }),
            "input 'pairs': expected int64[2*batch + 1] with 1 <= batch <= 64, got "
            "int64[-9223372036854775808]: dimension 0 is negative");
}

TEST_F(InputsTest, NullPointer) {
  EXPECT_EQ(After([](auto* image, auto*) { image->data = nullptr; }),
            "input 'image': expected float32[batch, 3] with 1 <= batch <= 64, got "
            "float32[4, 3]: the data pointer is null");
}

TEST_F(InputsTest, MisalignedPointer) {
  EXPECT_EQ(After([](auto* image, auto*) {
              image->data = static_cast<char*>(image->data) + 2;
            }),
            "input 'image': expected float32[batch, 3] with 1 <= batch <= 64, got "
            "float32[4, 3]: the data pointer is not aligned to 4 bytes");
  EXPECT_EQ(After([](auto*, auto* pairs) {
              pairs->data = static_cast<char*>(pairs->data) + 4;
            }),
            "input 'pairs': expected int64[2*batch + 1] with 1 <= batch <= 64, got "
            "int64[9]: the data pointer is not aligned to 8 bytes");
}

TEST_F(InputsTest, AnElementsWidthIsAlignmentEnough) {
  EXPECT_EQ(After([](auto* image, auto* pairs) {
              image->data = static_cast<char*>(image->data) + 4;
              pairs->data = static_cast<char*>(pairs->data) + 8;
            }),
            "");
}

TEST_F(InputsTest, TheFirstWrongOneIsNamed) {
  const std::string message = After([](auto* image, auto* pairs) {
    image->sizes[1] = 7;
    pairs->rank = 2;
  });
  EXPECT_EQ(message.find("input 'image'"), 0u) << message;
}

// Sizes whose product is no int64, or whose bytes are none: nothing may be
// computed from them.
TEST(InputElementsTest, TooMany) {
  const FakeModel fake({{{"x",
                          "float32[n, m]",
                          RTORCH_FLOAT32,
                          {Symbolic(0, 0, INT64_MAX), Symbolic(1, 0, INT64_MAX)}}},
                        {},
                        {"n", "m"}},
                       &NoOutputs);
  const auto message = [&](std::int64_t n, std::int64_t m) {
    float x = 0;
    return MessageOf(fake, {TensorView<float, 2>(&x, {n, m}).abi()});
  };
  const std::string text =
      "input 'x': expected float32[n, m] with 0 <= n, 0 <= m, got ";
  EXPECT_EQ(message(INT64_MAX, 2),
            text + "float32[9223372036854775807, 2]: it has too many elements");
  EXPECT_EQ(message(std::int64_t{1} << 32, std::int64_t{1} << 32),
            text + "float32[4294967296, 4294967296]: it has too many elements");
  EXPECT_EQ(message(std::int64_t{1} << 61, 1),
            text + "float32[2305843009213693952, 1]: it has too many elements");
  // Of an empty tensor too: its strides could not be computed.
  EXPECT_EQ(message(0, INT64_MAX), text +
                                       "float32[0, 9223372036854775807]: it has "
                                       "too many elements");
  EXPECT_EQ(message(INT64_MAX, 0), text +
                                       "float32[9223372036854775807, 0]: it has "
                                       "too many elements");
}

TEST(InputElementsTest, BeyondTheAddressSpace) {
  const FakeModel fake(
      {{{"x", "int16[2, n]", RTORCH_INT16, {Fixed(2), Symbolic(0, 0, INT64_MAX)}}},
       {},
       {"n"}},
      &NoOutputs);
  const std::array<std::int16_t, 4> x = {};
  const auto message = [&](std::int64_t n, std::int64_t outer, std::int64_t inner) {
    return MessageOf(
        fake,
        {TensorView<const std::int16_t, 2>(x.data(), {2, n}, {outer, inner}).abi()});
  };
  for (const std::int64_t stride :
       {INT64_MAX, INT64_MIN, INT64_MAX / 2, INT64_MIN / 2}) {
    const std::string text =
        "input 'x': expected int16[2, n] with 0 <= n, got int16[2, 2]: its strides "
        "lead "
        "beyond the address space";
    EXPECT_EQ(message(2, stride, 1), text) << stride;
    EXPECT_EQ(message(2, 2, stride), text) << stride;
    // No index is multiplied with it.
    EXPECT_EQ(message(1, 1, stride), "") << stride;
    EXPECT_EQ(message(0, stride, stride), "") << stride;
  }
}

TEST(InputElementsTest, NoneNeedNoMemory) {
  const FakeModel fake(
      {{{"x", "float32[n, 3]", RTORCH_FLOAT32, {Symbolic(0, 0, 8), Fixed(3)}}},
       {},
       {"n"}},
      &NoOutputs);
  EXPECT_EQ(MessageOf(fake, {TensorView<float, 2>(nullptr, {0, 3}).abi()}), "");
  EXPECT_EQ(MessageOf(fake, {TensorView<float, 2>(nullptr, {1, 3}).abi()}),
            "input 'x': expected float32[n, 3] with 0 <= n <= 8, got float32[1, 3]: "
            "the data pointer is null");
  // A view that was never given anything has a shape all the same: a wrong one.
  EXPECT_EQ(MessageOf(fake, {TensorView<float, 2>().abi()}),
            "input 'x': expected float32[n, 3] with 0 <= n <= 8, got float32[0, 0]: "
            "dimension 1 is 0, not 3");
}

TEST(InputElementsTest, AScalarNeedsMemory) {
  const FakeModel fake({{{"x", "int8[]", RTORCH_INT8, {}}}, {}, {}}, &NoOutputs);
  std::int8_t x = 0;
  EXPECT_EQ(MessageOf(fake, {TensorView<std::int8_t, 0>(&x).abi()}), "");
  EXPECT_EQ(MessageOf(fake, {TensorView<std::int8_t, 0>().abi()}),
            "input 'x': expected int8[], got int8[]: the data pointer is null");
}

TEST(InputSymbolsTest, OneMayOccurTwiceInATensor) {
  const FakeModel fake({{{"x",
                          "int8[n, n]",
                          RTORCH_INT8,
                          {Symbolic(0, 2, INT64_MAX), Symbolic(0, 2, INT64_MAX)}}},
                        {},
                        {"n"}},
                       &NoOutputs);
  std::array<std::int8_t, 25> x{};
  EXPECT_EQ(MessageOf(fake, {TensorView<std::int8_t, 2>(x.data(), {5, 5}).abi()}), "");
  EXPECT_EQ(MessageOf(fake, {TensorView<std::int8_t, 2>(x.data(), {5, 4}).abi()}),
            "input 'x': expected int8[n, n] with 2 <= n, got int8[5, 4]: n is 4 here, "
            "but 5 before");
}

TEST(InputSymbolsTest, AreBoundAnewByEachRun) {
  const FakeModel fake({{{"x", "int8[n]", RTORCH_INT8, {Symbolic(0, 0, 9)}},
                         {"y", "int8[n]", RTORCH_INT8, {Symbolic(0, 0, 9)}}},
                        {},
                        {"n"}},
                       &NoOutputs);
  std::array<std::int8_t, 9> x{};
  for (std::int64_t n = 0; n <= 9; ++n) {
    const RTorchTensor input = TensorView<std::int8_t, 1>(x.data(), {n}).abi();
    EXPECT_EQ(MessageOf(fake, {input, input}), "");
  }
}

// The message for an input of the wrong rank, with dimensions of every kind: it
// has to name each symbol's range once.
std::string Expectation(const char* type, std::vector<RTorchDim> dims,
                        std::vector<const char*> symbols) {
  const FakeModel fake({{{"x", type, RTORCH_INT8, std::move(dims)}}, {}, symbols},
                       &NoOutputs);
  std::string message = MessageOf(fake, {TensorView<std::int8_t, 0>().abi()});
  return message.substr(0, message.find(", got "));
}

// Expanded: one byte, and so many elements that n would be one more.
TEST(InputSymbolsTest, ASizeThatNoSymbolHas) {
  const FakeModel fake(
      {{{"x", "int8[n - 1]", RTORCH_INT8, {Symbolic(0, 0, INT64_MAX, 1, -1)}}},
       {},
       {"n"}},
      &NoOutputs);
  const std::int8_t x = 0;
  EXPECT_EQ(
      MessageOf(fake, {TensorView<const std::int8_t, 1>(&x, {INT64_MAX}, {0}).abi()}),
      "input 'x': expected int8[n - 1] with 1 <= n, got int8[9223372036854775807]: "
      "dimension 0 is 9223372036854775807, which is not 1 * n - 1");
}

TEST(InputRangesTest, AreNamedOnceForEachSymbol) {
  const RTorchDim batch = Symbolic(0, 1, 16);
  const RTorchDim length = Symbolic(1, 2, INT64_MAX);
  EXPECT_EQ(Expectation("int8[batch, seq]", {batch, length}, {"batch", "seq"}),
            "input 'x': expected int8[batch, seq] with 1 <= batch <= 16, 2 <= seq");
  EXPECT_EQ(Expectation("int8[n, 2*n + 1, n]", {batch, Symbolic(0, 3, 33, 2, 1), batch},
                        {"n"}),
            "input 'x': expected int8[n, 2*n + 1, n] with 1 <= n <= 16");
  EXPECT_EQ(Expectation("int8[7]", {Fixed(7)}, {}), "input 'x': expected int8[7]");
}

TEST(InputRangesTest, ASymbolWhoseNameStartsAnothersIsNamedToo) {
  const RTorchDim length = Symbolic(0, 1, 8);
  const RTorchDim s = Symbolic(1, 1, INT64_MAX);
  EXPECT_EQ(Expectation("int8[seq, s]", {length, s}, {"seq", "s"}),
            "input 'x': expected int8[seq, s] with 1 <= seq <= 8, 1 <= s");
}

TEST(InputRangesTest, ANegativeOffsetReadsWell) {
  const FakeModel fake(
      {{{"x", "int8[2*n - 1]", RTORCH_INT8, {Symbolic(0, 1, 127, 2, -1)}}}, {}, {"n"}},
      &NoOutputs);
  std::array<std::int8_t, 4> x{};
  EXPECT_EQ(MessageOf(fake, {TensorView<std::int8_t, 1>(x.data(), {4}).abi()}),
            "input 'x': expected int8[2*n - 1] with 1 <= n <= 64, got int8[4]: "
            "dimension 0 is 4, which is not 2 * n - 1");
}

}  // namespace
}  // namespace rules_torch::testing
