// Where results are computed: in the caller's memory, or its allocator's, wherever that
// is right.
#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <numeric>
#include <vector>

#include "gtest/gtest.h"
#include "rules_torch/model.h"
#include "tests/runtime/arena.h"
#include "tests/runtime/fake_model.h"

namespace rules_torch::testing {
namespace {

using Ints = std::vector<std::int32_t>;

// (x: int32[n]) -> (a: int32[n], b: int32[n], c: int32[?]). The model writes 10, 11...
// to a, 20, 21... to b and 30, 31... to c, each where it is offered memory for it.
class TargetsTest : public ::testing::Test {
 protected:
  // What the model does beyond that.
  using Change = std::function<void(const RTorchTensor& x, RTorchTensor* outputs,
                                    Result* results)>;

  Status RunModel(const CreateOptions& options = {}) {
    const StatusOr<Model> model = Model::Create(&fake_.api(), options);
    const RTorchTensor x = View(&x_);
    return model->Run(&x, 1, outputs_.data(), 3);
  }

  static RTorchTensor View(Ints* elements) {
    return TensorView<std::int32_t, 1>(elements->data(),
                                       {static_cast<std::int64_t>(elements->size())})
        .abi();
  }

  Ints Elements(std::size_t i) const {
    const auto* data = static_cast<const std::int32_t*>(outputs_[i].data);
    return Ints(data, data + outputs_[i].sizes[0]);
  }

  void TearDown() override {
    for (RTorchTensor& output : outputs_) fake_.api().release(&output);
  }

  bool Compute(const RTorchTensor* inputs, RTorchTensor* outputs, Result* results) {
    const std::int64_t size = inputs[0].sizes[0];
    for (std::int32_t i = 0; i < 3; ++i) {
      offered_[static_cast<std::size_t>(i)] = outputs[i];
      Ints elements(static_cast<std::size_t>(size));
      std::iota(elements.begin(), elements.end(), 10 * (i + 1));
      if (outputs[i].data != nullptr) {
        std::copy(elements.begin(), elements.end(),
                  static_cast<std::int32_t*>(outputs[i].data));
        results[i] = Result::kWritten;
      } else {
        outputs[i] = fake_.NewResult(elements, {size});
        results[i] = Result::kOwned;
      }
    }
    if (change_) change_(inputs[0], outputs, results);
    return !fails_;
  }

  Ints x_ = {1, 2, 3};
  std::array<RTorchTensor, 3> outputs_{};
  std::array<RTorchTensor, 3> offered_{};
  Change change_;
  bool fails_ = false;
  FakeModel fake_{
      {{{"x", "int32[n]", RTORCH_INT32, {Symbolic(0, 1, 8)}}},
       {{"a", "int32[n]", RTORCH_INT32, {Symbolic(0, 1, 8)}},
        {"b", "int32[n]", RTORCH_INT32, {Symbolic(0, 1, 8)}},
        {"c", "int32[?]", RTORCH_INT32, {DataDependent()}}},
       {"n"}},
      [this](const RTorchTensor* inputs, RTorchTensor* outputs, Result* results,
             auto*) { return Compute(inputs, outputs, results); }};
};

TEST_F(TargetsTest, AreTheCallersMemory) {
  Ints a(3), c(3);
  outputs_[0] = View(&a);
  outputs_[2] = View(&c);
  ASSERT_TRUE(RunModel().ok());
  EXPECT_EQ(offered_[0].data, a.data());
  EXPECT_EQ(offered_[1].data, nullptr);
  EXPECT_EQ(offered_[2].data, c.data());
  EXPECT_EQ(a, (Ints{10, 11, 12}));
  EXPECT_EQ(Elements(1), (Ints{20, 21, 22}));
  EXPECT_EQ(c, (Ints{30, 31, 32}));
  EXPECT_EQ(outputs_[0].owner, nullptr);
}

TEST_F(TargetsTest, AreNotWithHoles) {
  Ints a(6, -1);
  outputs_[0] = TensorView<std::int32_t, 1>(a.data(), {3}, {2}).abi();
  ASSERT_TRUE(RunModel().ok());
  EXPECT_EQ(offered_[0].data, nullptr);
  EXPECT_EQ(a, (Ints{10, -1, 11, -1, 12, -1}));
}

TEST_F(TargetsTest, AreNotWhereAnInputIs) {
  Ints memory = {1, 2, 3, 4};
  x_ = memory;
  outputs_[0] = TensorView<std::int32_t, 1>(x_.data(), {4}).abi();
  change_ = [&](const RTorchTensor& x, RTorchTensor* outputs, Result*) {
    const auto* data = static_cast<const std::int32_t*>(x.data);
    fake_.api().release(&outputs[0]);
    outputs[0] = fake_.NewResult(Ints(data, data + 4), {4});
    std::reverse(static_cast<std::int32_t*>(outputs[0].data),
                 static_cast<std::int32_t*>(outputs[0].data) + 4);
  };
  ASSERT_TRUE(RunModel().ok());
  EXPECT_EQ(offered_[0].data, nullptr);
  EXPECT_EQ(x_, (Ints{4, 3, 2, 1}));
}

// b is x itself, and x's memory gets a.
TEST_F(TargetsTest, OverAnInputLeaveWhatIsMadeOfItAsItWas) {
  Ints b(3);
  outputs_[0] = View(&x_);
  outputs_[1] = View(&b);
  change_ = [](const RTorchTensor& x, RTorchTensor* outputs, Result* results) {
    outputs[1] = x;
    results[1] = Result::kShared;
  };
  ASSERT_TRUE(RunModel().ok());
  EXPECT_EQ(x_, (Ints{10, 11, 12}));
  EXPECT_EQ(b, (Ints{1, 2, 3}));
}

// a is x from its second element on, and goes to x's memory from the first on.
TEST_F(TargetsTest, OverAnInputGetThatInput) {
  x_ = {1, 2, 3, 4, 5, 6};
  outputs_[2] = TensorView<std::int32_t, 1>(x_.data(), {5}).abi();
  change_ = [&](const RTorchTensor& x, RTorchTensor* outputs, Result* results) {
    fake_.api().release(&outputs[2]);
    outputs[2] = x;
    outputs[2].data = static_cast<std::int32_t*>(x.data) + 1;
    outputs[2].sizes[0] = 5;
    results[2] = Result::kShared;
  };
  ASSERT_TRUE(RunModel().ok());
  EXPECT_EQ(x_, (Ints{2, 3, 4, 5, 6, 6}));
}

// a goes to x's memory; b and c are views of one tensor.
TEST_F(TargetsTest, OverAnInputLeaveOtherResultsAsTheyAre) {
  outputs_[0] = View(&x_);
  change_ = [&](const RTorchTensor&, RTorchTensor* outputs, Result* results) {
    fake_.api().release(&outputs[2]);
    outputs[2] = outputs[1];
    outputs[2].owner = nullptr;
    outputs[2].deleter = nullptr;
    results[1] = results[2] = Result::kShared;
  };
  ASSERT_TRUE(RunModel().ok());
  EXPECT_EQ(x_, (Ints{10, 11, 12}));
  EXPECT_EQ(Elements(1), (Ints{20, 21, 22}));
  EXPECT_EQ(Elements(2), (Ints{20, 21, 22}));
}

class AllocatorTest : public TargetsTest {
 protected:
  Status RunModel() {
    CreateOptions options;
    options.allocator = &arena_.abi();
    return TargetsTest::RunModel(options);
  }

  void TearDown() override {
    TargetsTest::TearDown();
    EXPECT_EQ(arena_.live(), 0);
  }

  Arena arena_;
};

TEST_F(AllocatorTest, GivesTheMemoryThatResultsAreComputedIn) {
  ASSERT_TRUE(RunModel().ok());
  ASSERT_EQ(arena_.given().size(), 3u);
  EXPECT_EQ(offered_[0].data, arena_.given()[0].data);
  EXPECT_EQ(offered_[1].data, arena_.given()[1].data);
  EXPECT_EQ(offered_[2].data, nullptr);  // of an unknown size
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(outputs_[i].data, arena_.given()[i].data);
    EXPECT_EQ(outputs_[i].owner, arena_.given()[i].owner);
    const auto first = static_cast<std::int32_t>(10 * (i + 1));
    EXPECT_EQ(Elements(i), (Ints{first, first + 1, first + 2}));
  }
  EXPECT_EQ(fake_.live_results(), 0);
}

TEST_F(AllocatorTest, IsNotAskedForWhatTheCallerGives) {
  Ints a(3), b(3);
  outputs_[0] = View(&a);
  outputs_[1] = View(&b);
  ASSERT_TRUE(RunModel().ok());
  EXPECT_EQ(arena_.given().size(), 1u);
}

TEST_F(AllocatorTest, GetsACopyOfWhatIsElsewhere) {
  change_ = [&](const RTorchTensor&, RTorchTensor* outputs, Result* results) {
    outputs[0] = fake_.NewResult(Ints{7, 8, 9}, {3});
    results[0] = Result::kOwned;
  };
  ASSERT_TRUE(RunModel().ok());
  EXPECT_EQ(outputs_[0].data, arena_.given()[0].data);
  EXPECT_EQ(Elements(0), (Ints{7, 8, 9}));
}

TEST_F(AllocatorTest, GetsItsMemoryBackWhenTheRunFails) {
  fails_ = true;
  change_ = [&](const RTorchTensor&, RTorchTensor* outputs, Result*) {
    fake_.api().release(&outputs[2]);  // on failure no output has an owner
  };
  EXPECT_EQ(RunModel().code(), RTORCH_INTERNAL);
  EXPECT_EQ(arena_.given().size(), 2u);
  EXPECT_EQ(arena_.live(), 0);
}

// It is not asked for more bytes than there can be.
TEST(AllocatorSizesTest, ThatNoTensorHas) {
  Arena arena;
  const FakeModel fake(
      {{{"x", "int8[n, 0]", RTORCH_INT8, {Symbolic(0, 0, INT64_MAX), Fixed(0)}}},
       {{"y",
         "int64[n, n]",
         RTORCH_INT64,
         {Symbolic(0, 0, INT64_MAX), Symbolic(0, 0, INT64_MAX)}}},
       {"n"}},
      nullptr);
  CreateOptions options;
  options.allocator = &arena.abi();
  const StatusOr<Model> model = Model::Create(&fake.api(), options);
  for (const std::int64_t n :
       {INT64_MAX, std::int64_t{1} << 60, std::int64_t{1} << 30}) {
    const RTorchTensor input = TensorView<const std::int8_t, 2>(nullptr, {n, 0}).abi();
    RTorchTensor output{};
    EXPECT_EQ(model->Run(&input, 1, &output, 1).code(), RTORCH_RESOURCE_EXHAUSTED) << n;
    EXPECT_EQ(output.data, nullptr);
  }
  EXPECT_EQ(arena.live(), 0);
}

// Memory that is not there says so, whatever the code is.
TEST_F(AllocatorTest, MayGiveNull) {
  RTorchAllocator null = arena_.abi();
  null.allocate = [](void*, std::uint64_t, std::uint64_t, RTorchTensor*) {
    return RTorchCode{RTORCH_OK};
  };
  CreateOptions options;
  options.allocator = &null;
  EXPECT_EQ(TargetsTest::RunModel(options).code(), RTORCH_RESOURCE_EXHAUSTED);
}

// An output is where the model's are, whatever it is a view of.
TEST_F(AllocatorTest, GivesMemoryOfTheModelsDevice) {
  change_ = [&](const RTorchTensor&, RTorchTensor* outputs, Result*) {
    outputs[2].device = {RTORCH_CUDA_HOST, 1};
  };
  ASSERT_TRUE(RunModel().ok());
  EXPECT_EQ(outputs_[2].device, kHost);
}

TEST_F(AllocatorTest, MayHaveNone) {
  for (int left = 0; left < 3; ++left) {
    arena_.set_left(left);
    EXPECT_EQ(RunModel().code(), RTORCH_RESOURCE_EXHAUSTED);
    EXPECT_EQ(arena_.live(), 0);
    for (const RTorchTensor& output : outputs_) EXPECT_EQ(output.data, nullptr);
  }
  arena_.set_left(3);
  EXPECT_TRUE(RunModel().ok());
}

}  // namespace
}  // namespace rules_torch::testing
