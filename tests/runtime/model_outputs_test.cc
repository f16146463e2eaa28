// Who owns which result, which is copied, and that none is leaked or freed twice
// on any path: FakeModel checks that at the end of each test.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "rules_torch/model.h"
#include "tests/runtime/fake_model.h"
#include "tests/runtime/layouts.h"

namespace rules_torch::testing {
namespace {

using Ints = std::vector<std::int32_t>;

// A model without inputs, whose results the test makes:
// () -> (a: int32[2, 3], b: int32[2, 3])
class OutputsTest : public ::testing::Test {
 protected:
  using Make = std::function<void(RTorchTensor* outputs, Result* results)>;

  // Runs the model once. Its results are of `make`, which starts from two that
  // are owned and contiguous: 0 to 5, and 10 to 15.
  Status RunModel(const Make& make) {
    make_ = make;
    const StatusOr<Model> model = Model::Create(&fake_.api());
    return model->Run(nullptr, 0, outputs_.data(), 2);
  }

  // The elements of an output that `RunModel` allocated.
  Ints Elements(std::size_t i) const {
    const std::vector<std::uint8_t> bytes = Gather(outputs_[i]);
    Ints elements(bytes.size() / sizeof(std::int32_t));
    std::memcpy(elements.data(), bytes.data(), bytes.size());
    return elements;
  }

  void TearDown() override {
    for (RTorchTensor& output : outputs_) fake_.api().release(&output);
  }

  const RTorchDim two_ = Fixed(2);
  const RTorchDim three_ = Fixed(3);
  FakeModel fake_{
      {{},
       {{"a", "int32[2, 3]", RTORCH_INT32, {two_, three_}},
        {"b", "int32[2, 3]", RTORCH_INT32, {two_, three_}}},
       {}},
      [this](auto*, RTorchTensor* outputs, Result* results, auto*) {
        outputs[0] = fake_.NewResult<std::int32_t>({0, 1, 2, 3, 4, 5}, {2, 3});
        outputs[1] = fake_.NewResult<std::int32_t>({10, 11, 12, 13, 14, 15}, {2, 3});
        results[0] = results[1] = Result::kOwned;
        if (make_) make_(outputs, results);
        return true;
      }};
  Make make_;
  std::array<RTorchTensor, 2> outputs_{};
};

TEST_F(OutputsTest, OwnedAndContiguousIsHandedOver) {
  void* made = nullptr;
  ASSERT_TRUE(
      RunModel([&](RTorchTensor* outputs, Result*) { made = outputs[0].data; }).ok());
  EXPECT_EQ(outputs_[0].data, made);
  EXPECT_EQ(outputs_[0].dtype, RTORCH_INT32);
  EXPECT_EQ(outputs_[0].rank, 2);
  EXPECT_EQ(Elements(0), (Ints{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(Elements(1), (Ints{10, 11, 12, 13, 14, 15}));
  EXPECT_EQ(fake_.live_results(), 2);
}

TEST_F(OutputsTest, OutliveTheModel) {
  // RunModel has destroyed its model when it returns.
  ASSERT_TRUE(RunModel(nullptr).ok());
  EXPECT_EQ(fake_.instances(), 0);
  EXPECT_EQ(Elements(0), (Ints{0, 1, 2, 3, 4, 5}));
}

TEST_F(OutputsTest, NotOwnedIsCopied) {
  // As a model does that returns a buffer of its own.
  Ints buffer = {7, 7, 7, 8, 8, 8};
  ASSERT_TRUE(RunModel([&](RTorchTensor* outputs, Result* results) {
                outputs[1].data = buffer.data();
                results[1] = Result::kShared;
              }).ok());
  EXPECT_EQ(fake_.live_results(), 1);  // the handle to the buffer is gone
  EXPECT_NE(outputs_[1].data, buffer.data());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(outputs_[1].data) % 64, 0u);
  EXPECT_NE(outputs_[1].deleter, nullptr);
  buffer[0] = 0;
  EXPECT_EQ(Elements(1), (Ints{7, 7, 7, 8, 8, 8}));
  static_cast<std::int32_t*>(outputs_[1].data)[5] = 0;
  EXPECT_EQ(buffer[5], 8);
}

TEST_F(OutputsTest, NotContiguousIsCopied) {
  ASSERT_TRUE(RunModel([](RTorchTensor* outputs, Result*) {
                outputs[0].strides[0] = 1;
                outputs[0].strides[1] = 2;
              }).ok());
  EXPECT_EQ(fake_.live_results(), 1);
  EXPECT_EQ(Elements(0), (Ints{0, 2, 4, 1, 3, 5}));
  EXPECT_EQ(outputs_[0].strides[0], 3);
  EXPECT_EQ(outputs_[0].strides[1], 1);
}

TEST_F(OutputsTest, SharedMemoryIsCopiedBeforeItIsFreed) {
  ASSERT_TRUE(RunModel([&](RTorchTensor* outputs, Result* results) {
                // b is a view of a's memory, of which a takes care.
                outputs[1].data = outputs[0].data;
                results[1] = Result::kShared;
              }).ok());
  EXPECT_EQ(Elements(0), (Ints{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(Elements(1), (Ints{0, 1, 2, 3, 4, 5}));
  EXPECT_NE(outputs_[0].data, outputs_[1].data);
}

TEST_F(OutputsTest, SharedMemoryStaysUntilTheLastCopy) {
  ASSERT_TRUE(RunModel([&](RTorchTensor* outputs, Result* results) {
                // a is replaced by a contiguous copy; b still needs the original.
                outputs[1].data = outputs[0].data;
                results[1] = Result::kShared;
                outputs[0].strides[0] = 1;
                outputs[0].strides[1] = 2;
              }).ok());
  EXPECT_EQ(Elements(0), (Ints{0, 2, 4, 1, 3, 5}));
  EXPECT_EQ(Elements(1), (Ints{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(fake_.live_results(), 0);
}

TEST_F(OutputsTest, SharedMemoryStaysUntilItIsInTheBuffer) {
  Ints b(6);
  outputs_[1] = TensorView<std::int32_t, 2>(b.data(), {2, 3}).abi();
  ASSERT_TRUE(RunModel([&](RTorchTensor* outputs, Result* results) {
                outputs[1].data = outputs[0].data;
                results[1] = Result::kShared;
                outputs[0].strides[0] = 1;
                outputs[0].strides[1] = 2;
              }).ok());
  EXPECT_EQ(Elements(0), (Ints{0, 2, 4, 1, 3, 5}));
  EXPECT_EQ(b, (Ints{0, 1, 2, 3, 4, 5}));
}

TEST_F(OutputsTest, ContiguousBuffer) {
  Ints a(6);
  outputs_[0] = TensorView<std::int32_t, 2>(a.data(), {2, 3}).abi();
  ASSERT_TRUE(RunModel(nullptr).ok());
  EXPECT_EQ(a, (Ints{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(outputs_[0].data, a.data());
  EXPECT_EQ(outputs_[0].owner, nullptr);
  EXPECT_EQ(outputs_[0].deleter, nullptr);
  // The other one is allocated all the same.
  EXPECT_EQ(Elements(1), (Ints{10, 11, 12, 13, 14, 15}));
  EXPECT_EQ(fake_.live_results(), 1);
}

TEST_F(OutputsTest, StridedBuffers) {
  Ints a(12, -1);
  Ints b(6, -1);
  outputs_[0] = TensorView<std::int32_t, 2>(a.data() + 1, {2, 3}, {6, 2}).abi();
  outputs_[1] = TensorView<std::int32_t, 2>(b.data() + 5, {2, 3}, {-1, -2}).abi();
  ASSERT_TRUE(RunModel(nullptr).ok());
  EXPECT_EQ(a, (Ints{-1, 0, -1, 1, -1, 2, -1, 3, -1, 4, -1, 5}));
  EXPECT_EQ(b, (Ints{15, 12, 14, 11, 13, 10}));
  EXPECT_EQ(fake_.live_results(), 0);
}

TEST_F(OutputsTest, StridedResultIntoStridedBuffer) {
  Ints a(6, -1);
  outputs_[0] = TensorView<std::int32_t, 2>(a.data() + 3, {2, 3}, {-3, 1}).abi();
  ASSERT_TRUE(RunModel([](RTorchTensor* outputs, Result*) {
                outputs[0].strides[0] = 1;
                outputs[0].strides[1] = 2;
              }).ok());
  EXPECT_EQ(a, (Ints{1, 3, 5, 0, 2, 4}));
}

// C programs clear `data` and no more.
TEST_F(OutputsTest, OldOwnersOfClearedOutputsAreIgnored) {
  int calls = 0;
  outputs_[0].owner = &calls;
  outputs_[0].deleter = [](void* owner) { ++*static_cast<int*>(owner); };
  ASSERT_TRUE(RunModel(nullptr).ok());
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(Elements(0), (Ints{0, 1, 2, 3, 4, 5}));
}

// What is wrong with a buffer is said before the model computes anything.
class BuffersTest : public OutputsTest {
 protected:
  std::string After(const std::function<void(RTorchTensor* buffer)>& change) {
    Ints memory(6, -1);
    outputs_[0] = TensorView<std::int32_t, 2>(memory.data(), {2, 3}).abi();
    change(&outputs_[0]);
    const Status status = RunModel(nullptr);
    EXPECT_EQ(status.code(), RTORCH_INVALID_ARGUMENT);
    EXPECT_EQ(fake_.runs(), 0);
    EXPECT_EQ(memory, Ints(6, -1));
    EXPECT_EQ(outputs_[1].data, nullptr);
    outputs_[0] = RTorchTensor{};
    return status.message();
  }
};

TEST_F(BuffersTest, Rank) {
  EXPECT_EQ(After([](RTorchTensor* buffer) { buffer->rank = 1; }),
            "output 'a': expected int32[2, 3], got int32[2]: the rank is 1, not 2");
}

TEST_F(BuffersTest, DType) {
  EXPECT_EQ(After([](RTorchTensor* buffer) { buffer->dtype = RTORCH_BOOL; }),
            "output 'a': expected int32[2, 3], got bool[2, 3]: the dtype is bool, not "
            "int32");
}

TEST_F(BuffersTest, Size) {
  EXPECT_EQ(After([](RTorchTensor* buffer) { buffer->sizes[1] = 2; }),
            "output 'a': expected int32[2, 3], got int32[2, 2]: dimension 1 of the "
            "buffer is 2, but the result's is 3");
  EXPECT_EQ(After([](RTorchTensor* buffer) { buffer->sizes[0] = -2; }),
            "output 'a': expected int32[2, 3], got int32[-2, 3]: dimension 0 is "
            "negative");
}

TEST_F(BuffersTest, ElementsThatAreOne) {
  EXPECT_EQ(After([](RTorchTensor* buffer) { buffer->strides[1] = 0; }),
            "output 'a': expected int32[2, 3], got int32[2, 3]: the buffer's elements "
            "along dimension 1 are one: its stride is 0");
}

TEST_F(BuffersTest, Strides) {
  EXPECT_EQ(
      After([](RTorchTensor* buffer) { buffer->strides[0] = INT64_MIN; }),
      "output 'a': expected int32[2, 3], got int32[2, 3]: its strides lead beyond "
      "the address space");
}

TEST_F(BuffersTest, Alignment) {
  EXPECT_EQ(After([](RTorchTensor* buffer) {
              buffer->data = static_cast<char*>(buffer->data) + 1;
            }),
            "output 'a': expected int32[2, 3], got int32[2, 3]: the data pointer is "
            "not aligned to 4 bytes");
}

// (x: int8[n]) -> (twice: int8[2*n + 1], found: int64[?, 2], fresh: int8[m])
// The run decides how many are found, and what m is.
class SizesTest : public ::testing::Test {
 protected:
  // Runs the model on an x of 3 elements.
  Status RunModel() {
    const std::array<std::int8_t, 3> x{};
    const RTorchTensor input = TensorView<const std::int8_t, 1>(x.data(), {3}).abi();
    const StatusOr<Model> model = Model::Create(&fake_.api());
    return model->Run(&input, 1, outputs_.data(), 3);
  }

  void TearDown() override {
    for (RTorchTensor& output : outputs_) fake_.api().release(&output);
  }

  FakeModel fake_{{{{"x", "int8[n]", RTORCH_INT8, {Symbolic(0, 1, 8)}}},
                   {{"twice", "int8[2*n + 1]", RTORCH_INT8, {Symbolic(0, 3, 17, 2, 1)}},
                    {"found", "int64[?, 2]", RTORCH_INT64, {DataDependent(), Fixed(2)}},
                    {"fresh", "int8[m]", RTORCH_INT8, {Symbolic(1, 1, INT64_MAX)}}},
                   {"n", "m"}},
                  [this](const RTorchTensor* inputs, RTorchTensor* outputs,
                         Result* results, auto*) {
                    const auto n = static_cast<std::size_t>(2 * inputs[0].sizes[0] + 1);
                    outputs[0] = fake_.NewResult(std::vector<std::int8_t>(n, 1),
                                                 {static_cast<std::int64_t>(n)});
                    outputs[1] = fake_.NewResult(
                        found_, {static_cast<std::int64_t>(found_.size()) / 2, 2});
                    outputs[2] = fake_.NewResult<std::int8_t>({1, 2}, {2});
                    results[0] = results[1] = results[2] = Result::kOwned;
                    return true;
                  }};
  std::vector<std::int64_t> found_ = {10, 20, 30, 40};
  std::array<std::int8_t, 9> bytes_{};
  std::array<std::int64_t, 16> words_{};
  std::array<RTorchTensor, 3> outputs_{};
};

TEST_F(SizesTest, AreThoseOfTheResults) {
  ASSERT_TRUE(RunModel().ok());
  EXPECT_EQ(outputs_[0].sizes[0], 7);
  EXPECT_EQ(outputs_[1].sizes[0], 2);
  EXPECT_EQ(outputs_[2].sizes[0], 2);
}

TEST_F(SizesTest, BuffersThatFit) {
  outputs_ = {TensorView<std::int8_t, 1>(bytes_.data(), {7}).abi(),
              TensorView<std::int64_t, 2>(words_.data(), {2, 2}).abi(),
              TensorView<std::int8_t, 1>(bytes_.data() + 7, {2}).abi()};
  const Status status = RunModel();
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(bytes_, (std::array<std::int8_t, 9>{1, 1, 1, 1, 1, 1, 1, 1, 2}));
  EXPECT_EQ(words_[3], 40);
}

TEST_F(SizesTest, OnesThatInputsDecideAreCheckedBeforeTheRun) {
  outputs_[0] = TensorView<std::int8_t, 1>(bytes_.data(), {6}).abi();
  const Status status = RunModel();
  EXPECT_EQ(status.code(), RTORCH_INVALID_ARGUMENT);
  EXPECT_EQ(status.message(),
            "output 'twice': expected int8[2*n + 1] with 1 <= n <= 8, got int8[6]: "
            "dimension 0 of the buffer is 6, but the result's is 7");
  EXPECT_EQ(fake_.runs(), 0);
}

TEST_F(SizesTest, FixedOnesBesideUnknownOnesAreCheckedBeforeTheRun) {
  outputs_[1] = TensorView<std::int64_t, 2>(words_.data(), {2, 3}).abi();
  EXPECT_EQ(RunModel().message(),
            "output 'found': expected int64[?, 2], got int64[2, 3]: dimension 1 of the "
            "buffer is 3, but the result's is 2");
  EXPECT_EQ(fake_.runs(), 0);
}

TEST_F(SizesTest, OnesThatDataDecidesAreCheckedAfterTheRun) {
  outputs_[1] = TensorView<std::int64_t, 2>(words_.data(), {3, 2}).abi();
  const Status status = RunModel();
  EXPECT_EQ(status.code(), RTORCH_INVALID_ARGUMENT);
  EXPECT_EQ(status.message(),
            "output 'found': expected int64[?, 2], got int64[3, 2]: the result is "
            "int64[2, 2]");
  EXPECT_EQ(fake_.runs(), 1);
  // Nothing was written beyond what fits, and the other results are gone.
  EXPECT_EQ(words_[0], 0);
  EXPECT_EQ(outputs_[0].data, nullptr);
  EXPECT_EQ(outputs_[2].data, nullptr);
  EXPECT_EQ(fake_.live_results(), 0);
}

TEST_F(SizesTest, OnesOfSymbolsThatNoInputHasAreCheckedAfterTheRun) {
  outputs_[2] = TensorView<std::int8_t, 1>(bytes_.data(), {5}).abi();
  EXPECT_EQ(RunModel().message(),
            "output 'fresh': expected int8[m] with 1 <= m, got int8[5]: the result is "
            "int8[2]");
  EXPECT_EQ(fake_.runs(), 1);
  EXPECT_EQ(fake_.live_results(), 0);
}

TEST_F(SizesTest, MayBeZero) {
  found_.clear();
  ASSERT_TRUE(RunModel().ok());
  EXPECT_EQ(outputs_[1].sizes[0], 0);
  EXPECT_EQ(outputs_[1].strides[0], 2);
  const Tensor<std::int64_t, 2> found(outputs_[1]);
  outputs_[1] = RTorchTensor{};
  EXPECT_EQ(found.num_elements(), 0);
  EXPECT_EQ(found.begin(), found.end());
}

TEST_F(SizesTest, AnEmptyBufferStaysUntouched) {
  found_.clear();
  outputs_[1] = TensorView<std::int64_t, 2>(words_.data(), {0, 2}, {5, -1}).abi();
  const Status status = RunModel();
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(words_, (std::array<std::int64_t, 16>{}));
}

// An empty input may have any size, and its memory none; what is made of it may not.
TEST(OutputSizesTest, ThatNoTensorHas) {
  const FakeModel fake(
      {{{"x", "int8[n, 0]", RTORCH_INT8, {Symbolic(0, 0, INT64_MAX), Fixed(0)}}},
       {{"y", "int8[2*n]", RTORCH_INT8, {Symbolic(0, 0, INT64_MAX, 2)}}},
       {"n"}},
      [](auto*, auto*, auto*, std::string* reason) {
        *reason = "run";
        return false;
      });
  const RTorchTensor input =
      TensorView<const std::int8_t, 2>(nullptr, {INT64_MAX, 0}).abi();
  std::int8_t y = 0;
  RTorchTensor output = TensorView<std::int8_t, 1>(&y, {1}).abi();
  const StatusOr<Model> model = Model::Create(&fake.api());
  EXPECT_EQ(model->Run(&input, 1, &output, 1).message(),
            "output 'y': expected int8[2*n] with 0 <= n, got int8[1]: dimension 0 of "
            "the result would be too large");
  // Without a buffer, it is the backend's to say.
  output = {};
  EXPECT_EQ(model->Run(&input, 1, &output, 1).message(), "//fake:model: run");
}

TEST(OutputStridesTest, OfSizeOneAreNormalisedWithoutACopy) {
  const void* made = nullptr;
  FakeModel* self = nullptr;
  FakeModel fake({{}, {{"y", "", RTORCH_INT8, {Fixed(1), Fixed(3), Fixed(1)}}}, {}},
                 [&](auto*, RTorchTensor* outputs, Result* results, auto*) {
                   outputs[0] = self->NewResult<std::int8_t>({1, 2, 3}, {1, 3, 1});
                   outputs[0].strides[0] = -7;
                   outputs[0].strides[2] = 999;
                   made = outputs[0].data;
                   results[0] = Result::kOwned;
                   return true;
                 });
  self = &fake;
  const StatusOr<Model> model = Model::Create(&fake.api());
  RTorchTensor output{};
  ASSERT_TRUE(model->Run(nullptr, 0, &output, 1).ok());
  EXPECT_EQ(output.data, made);
  EXPECT_EQ(output.strides[0], 3);
  EXPECT_EQ(output.strides[1], 1);
  EXPECT_EQ(output.strides[2], 1);
  fake.api().release(&output);
}

// Runs a model whose one output is `result`, of any dtype and shape.
Status RunOnce(const RTorchTensor& result, Result how, RTorchTensor* output) {
  std::vector<RTorchDim> dims;
  for (std::int32_t i = 0; i < result.rank; ++i) dims.push_back(Fixed(result.sizes[i]));
  const auto dtype = static_cast<RTorchDType>(result.dtype);
  FakeModel* self = nullptr;
  FakeModel fake({{}, {{"y", "", dtype, dims}}, {}},
                 [&](auto*, RTorchTensor* outputs, Result* results, auto*) {
                   // The result's memory is the test's; this is its owner.
                   const RTorchTensor owner = self->NewResult(dtype, nullptr, 0, {});
                   outputs[0] = result;
                   outputs[0].owner = owner.owner;
                   outputs[0].deleter = owner.deleter;
                   results[0] = how;
                   return true;
                 });
  self = &fake;
  const StatusOr<Model> model = Model::Create(&fake.api());
  return model->Run(nullptr, 0, output, 1);
}

TEST(RandomOutputsTest, ReachAnyBufferAndNothingAround) {
  std::mt19937 random(2);
  const std::array<std::int32_t, 4> dtypes = {RTORCH_BOOL, RTORCH_BFLOAT16,
                                              RTORCH_INT32, RTORCH_INT64};
  for (int trial = 0; trial < 2000; ++trial) {
    const std::int32_t dtype = dtypes[static_cast<std::size_t>(trial % 4)];
    const auto sizes = RandomSizes(&random, RTORCH_MAX_RANK);
    const Placed result = PlaceAtRandom(&random, dtype, sizes, /*repeats=*/true);
    Placed buffer = PlaceAtRandom(&random, dtype, sizes, /*repeats=*/false);
    SCOPED_TRACE(Describe(result.tensor) + " into " + Describe(buffer.tensor));

    // What the buffer's memory should be afterwards.
    std::vector<std::uint8_t> expected = buffer.memory;
    const std::vector<std::uint8_t> elements = Gather(result.tensor);
    const auto width = static_cast<std::size_t>(DTypeSize(dtype));
    const auto start =
        static_cast<std::uint8_t*>(buffer.tensor.data) - buffer.memory.data();
    std::size_t at = 0;
    for (const std::int64_t offset : ByteOffsets(buffer.tensor)) {
      std::memcpy(expected.data() + start + offset, elements.data() + at, width);
      at += width;
    }
    const Status status =
        RunOnce(result.tensor, trial % 3 > 0 ? Result::kOwned : Result::kShared,
                &buffer.tensor);
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_EQ(buffer.memory, expected);
  }
}

TEST(RandomOutputsTest, AreContiguousWhenAllocated) {
  std::mt19937 random(3);
  for (int trial = 0; trial < 500; ++trial) {
    const Placed result = PlaceAtRandom(
        &random, RTORCH_INT16, RandomSizes(&random, RTORCH_MAX_RANK), /*repeats=*/true);
    SCOPED_TRACE(Describe(result.tensor));
    RTorchTensor output{};
    const Status status = RunOnce(result.tensor, Result::kShared, &output);
    ASSERT_TRUE(status.ok()) << status.message();
    const std::vector<std::uint8_t> elements = Gather(result.tensor);
    // Contiguous, so that the elements lie one after another.
    const auto* data = static_cast<const std::uint8_t*>(output.data);
    ASSERT_EQ(std::vector<std::uint8_t>(data, data + elements.size()), elements);
    ASSERT_EQ(Gather(output), elements);
    output.deleter(output.owner);
  }
}

}  // namespace
}  // namespace rules_torch::testing
