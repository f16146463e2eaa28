// Memory that runs out is an error like any other: a status, and nothing leaked
// or half made.
#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "rules_torch/model.h"
#include "tests/runtime/allocations.h"
#include "tests/runtime/fake_model.h"

namespace rules_torch::testing {
namespace {

TEST(OutOfMemoryTest, Create) {
  const FakeModel fake({}, nullptr);
  RTorchModel* model = nullptr;
  const int failures = FailuresUntilSuccess([&](int count, RTorchError* error) {
    model = reinterpret_cast<RTorchModel*>(error);  // anything but null
    RTorchCode code;
    {
      const OnlyAllocations scarce(count);
      code = fake.api().create(&fake.api(), nullptr, &model, error);
    }
    if (code != RTORCH_OK) {
      EXPECT_EQ(model, nullptr);
    }
    return code;
  });
  EXPECT_GT(failures, 0);
  fake.api().destroy(model);
}

// So many tensors that the lists of them need memory; every input has to be copied,
// and of the outputs one is handed over, one is copied, one is a buffer, and so on.
TEST(OutOfMemoryTest, Run) {
  constexpr std::size_t kTensors = 60;
  const std::vector<FakeSpec> specs(kTensors, {"t", "", RTORCH_INT8, {Fixed(2)}});
  std::array<std::int8_t, 2> state = {1, 2};
  FakeModel* self = nullptr;
  FakeModel fake({specs, specs, {}},
                 [&](auto*, RTorchTensor* outputs, Result* results, auto*) {
                   const AnyAllocations any;
                   for (std::size_t i = 0; i < kTensors; ++i) {
                     outputs[i] = self->NewResult<std::int8_t>({7, 8}, {2});
                     results[i] = i % 3 != 1 ? Result::kOwned : Result::kShared;
                     if (i % 3 == 1) outputs[i].data = state.data();
                   }
                   return true;
                 });
  self = &fake;
  RTorchModel* model = nullptr;
  ASSERT_EQ(fake.api().create(&fake.api(), nullptr, &model, nullptr), RTORCH_OK);
  std::array<std::int8_t, 3> strided{};
  std::array<std::int8_t, 2> buffer{};
  const std::vector<RTorchTensor> inputs(
      kTensors, TensorView<std::int8_t, 1>(strided.data(), {2}, {2}).abi());
  std::vector<RTorchTensor> outputs(kTensors);
  const int failures = FailuresUntilSuccess([&](int count, RTorchError* error) {
    for (std::size_t i = 0; i < kTensors; ++i) {
      outputs[i] = i % 3 == 2 ? TensorView<std::int8_t, 1>(buffer.data(), {2}).abi()
                              : RTorchTensor{};
    }
    RTorchCode code;
    {
      const OnlyAllocations scarce(count);
      code = fake.api().run(model, inputs.data(), kTensors, outputs.data(), kTensors,
                            nullptr, error);
    }
    if (code != RTORCH_OK) {
      EXPECT_EQ(fake.live_results(), 0);
      for (std::size_t i = 0; i < kTensors; ++i) {
        EXPECT_EQ(outputs[i].data, i % 3 == 2 ? buffer.data() : nullptr);
      }
    }
    return code;
  });
  EXPECT_GT(failures, 0);
  EXPECT_EQ(static_cast<std::int8_t*>(outputs[0].data)[1], 8);
  EXPECT_EQ(static_cast<std::int8_t*>(outputs[1].data)[1], 2);
  for (RTorchTensor& output : outputs) fake.api().release(&output);
  fake.api().destroy(model);
}

// The words for an error need memory too. No exception may cross the C ABI, so
// each of these has to end in one code or the other.
void ExpectCodes(const RTorchModel* model, const RTorchModelApi& api,
                 const RTorchTensor* inputs, std::int32_t num_inputs) {
  for (int count = 0; count < 100; ++count) {
    RTorchTensor output{};
    RTorchError error{};
    RTorchCode code = RTORCH_OK;
    bool thrown = false;
    bool enough = false;
    {
      const OnlyAllocations scarce(count);
      try {
        code = api.run(model, inputs, num_inputs, &output, 1, nullptr, &error);
      } catch (const std::bad_alloc&) {
        thrown = true;
      }
      enough = !scarce.all_used();
    }
    EXPECT_FALSE(thrown) << "allocation " << count;
    if (enough) {
      EXPECT_EQ(code, RTORCH_INVALID_ARGUMENT);
      return;
    }
  }
  ADD_FAILURE() << "never enough";
}

class MessagesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(fake_.api().create(&fake_.api(), nullptr, &model_, nullptr), RTORCH_OK);
  }
  void TearDown() override { fake_.api().destroy(model_); }

  const FakeModel fake_{{{{"x", "float32[2]", RTORCH_FLOAT32, {Fixed(2)}}},
                         {{"y", "float32[2]", RTORCH_FLOAT32, {Fixed(2)}}},
                         {}},
                        nullptr};
  RTorchModel* model_ = nullptr;
};

TEST_F(MessagesTest, NullModel) { ExpectCodes(nullptr, fake_.api(), nullptr, 1); }

TEST_F(MessagesTest, WrongNumberOfInputs) {
  ExpectCodes(model_, fake_.api(), nullptr, 5);
}

TEST_F(MessagesTest, WrongShape) {
  std::array<float, 3> x{};
  const RTorchTensor input = TensorView<float, 1>(x.data(), {3}).abi();
  ExpectCodes(model_, fake_.api(), &input, 1);
}

class TooLongToStoreInPlace : public std::exception {
 public:
  const char* what() const noexcept override {
    return "a message that a std::string needs memory for";
  }
};

TEST(ExceptionTest, IsReportedWithoutMemory) {
  const FakeModel fake({}, [](auto...) -> bool {
    allocations_left = 0;
    throw TooLongToStoreInPlace();
  });
  RTorchModel* model = nullptr;
  ASSERT_EQ(fake.api().create(&fake.api(), nullptr, &model, nullptr), RTORCH_OK);
  RTorchError error{};
  const RTorchCode code =
      fake.api().run(model, nullptr, 0, nullptr, 0, nullptr, &error);
  allocations_left = -1;
  EXPECT_EQ(code, RTORCH_INTERNAL);
  EXPECT_STREQ(error.message, TooLongToStoreInPlace().what());
  fake.api().destroy(model);
}

// 4 EiB of elements, all of them the same one: contiguous is out of the question.
constexpr std::int64_t kHuge = std::int64_t{1} << 60;

TEST(HugeCopyTest, OfAnInput) {
  const FakeModel fake(
      {{{"x", "", RTORCH_FLOAT32, {Symbolic(0, 0, INT64_MAX)}}}, {}, {"n"}}, nullptr);
  float one = 1;
  const RTorchTensor input = TensorView<float, 1>(&one, {kHuge}, {0}).abi();
  const StatusOr<Model> model = Model::Create(&fake.api());
  const Status status = model->Run(&input, 1, nullptr, 0);
  EXPECT_EQ(status.code(), RTORCH_RESOURCE_EXHAUSTED);
  EXPECT_EQ(status.message(), "out of memory for an input");
  EXPECT_EQ(fake.runs(), 0);
}

TEST(HugeCopyTest, OfAnOutput) {
  FakeModel* self = nullptr;
  FakeModel fake({{},
                  {{"x", "", RTORCH_FLOAT32, {Fixed(1)}},
                   {"y", "", RTORCH_FLOAT32, {DataDependent()}}},
                  {}},
                 [&](auto*, RTorchTensor* outputs, Result* results, auto*) {
                   for (int i = 0; i < 2; ++i) {
                     outputs[i] = self->NewResult<float>({1}, {1});
                     results[i] = Result::kOwned;
                   }
                   outputs[1].sizes[0] = kHuge;
                   outputs[1].strides[0] = 0;
                   return true;
                 });
  self = &fake;
  const StatusOr<Model> model = Model::Create(&fake.api());
  std::array<RTorchTensor, 2> outputs{};
  const Status status = model->Run(nullptr, 0, outputs.data(), 2);
  EXPECT_EQ(status.code(), RTORCH_RESOURCE_EXHAUSTED);
  EXPECT_EQ(status.message(), "out of memory for an output");
  EXPECT_EQ(outputs[0].data, nullptr);
  EXPECT_EQ(outputs[1].data, nullptr);
  EXPECT_EQ(fake.live_results(), 0);
}

}  // namespace
}  // namespace rules_torch::testing
