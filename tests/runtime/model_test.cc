// Making, running and destroying models: everything but what depends on the
// arguments' shapes.
#include "rules_torch/model.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/runtime/fake_model.h"

namespace rules_torch::testing {
namespace {

static_assert(!std::is_copy_constructible_v<Model>);
static_assert(std::is_nothrow_move_constructible_v<Model>);

// (x: float32[2]) -> (y: float32[2])
FakeSignature OneToOne() {
  return {{{"x", "float32[2]", RTORCH_FLOAT32, {Fixed(2)}}},
          {{"y", "float32[2]", RTORCH_FLOAT32, {Fixed(2)}}},
          {}};
}

class ModelTest : public ::testing::Test {
 protected:
  // y = 2 * x
  bool Double(const RTorchTensor* inputs, RTorchTensor* outputs, Result* results) {
    const auto* x = static_cast<const float*>(inputs[0].data);
    outputs[0] = fake_.NewResult<float>({2 * x[0], 2 * x[1]}, {2});
    results[0] = Result::kOwned;
    return true;
  }

  FakeModel fake_{OneToOne(),
                  [this](auto* inputs, auto* outputs, auto* results, auto*) {
                    return Double(inputs, outputs, results);
                  }};
  const RTorchModelApi& api_ = fake_.api();
  std::array<float, 2> x_ = {1.0f, 3.0f};
  const RTorchTensor input_ = TensorView<float, 1>(x_.data(), {2}).abi();
  RTorchTensor output_{};
};

TEST_F(ModelTest, Runs) {
  const StatusOr<Model> model = Model::Create(&api_);
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(&model->api(), &api_);
  const Status status = model->Run(&input_, 1, &output_, 1);
  ASSERT_TRUE(status.ok()) << status.message();
  const Tensor<float, 1> y(output_);
  EXPECT_EQ(y(0), 2.0f);
  EXPECT_EQ(y(1), 6.0f);
}

TEST_F(ModelTest, EachHasAnInstanceOfItsOwn) {
  {
    const StatusOr<Model> first = Model::Create(&api_);
    const StatusOr<Model> second = Model::Create(&api_);
    EXPECT_EQ(fake_.instances(), 2);
  }
  EXPECT_EQ(fake_.instances(), 0);
}

TEST_F(ModelTest, MovingKeepsTheInstance) {
  StatusOr<Model> made = Model::Create(&api_);
  ASSERT_TRUE(made.ok());
  const Model moved = *std::move(made);
  EXPECT_EQ(fake_.instances(), 1);
  EXPECT_TRUE(moved.Run(&input_, 1, &output_, 1).ok());
  api_.release(&output_);
}

TEST_F(ModelTest, OneThatWasMovedFromIsAnError) {
  StatusOr<Model> made = Model::Create(&api_);
  ASSERT_TRUE(made.ok());
  const Model moved = *std::move(made);
  const Status status = made->Run(&input_, 1, &output_, 1);  // NOLINT: on purpose
  EXPECT_EQ(status.code(), RTORCH_INVALID_ARGUMENT);
  EXPECT_EQ(status.message(), "the model is null");
}

TEST_F(ModelTest, MoveAssignmentDestroysTheOldInstance) {
  StatusOr<Model> first = Model::Create(&api_);
  StatusOr<Model> second = Model::Create(&api_);
  ASSERT_TRUE(first.ok() && second.ok());
  *first = *std::move(second);
  EXPECT_EQ(fake_.instances(), 1);
  EXPECT_TRUE(first->Run(&input_, 1, &output_, 1).ok());
  api_.release(&output_);
}

TEST_F(ModelTest, ReleaseClearsTheOutput) {
  const StatusOr<Model> model = Model::Create(&api_);
  ASSERT_TRUE(model->Run(&input_, 1, &output_, 1).ok());
  EXPECT_EQ(fake_.live_results(), 1);
  api_.release(&output_);
  EXPECT_EQ(fake_.live_results(), 0);
  const RTorchTensor cleared{};
  EXPECT_EQ(std::memcmp(&output_, &cleared, sizeof cleared), 0);
  api_.release(&output_);  // again: nothing to do
}

TEST_F(ModelTest, AWrongNumberOfTensorsIsAnError) {
  const StatusOr<Model> model = Model::Create(&api_);
  const std::array<RTorchTensor, 2> inputs = {input_, input_};
  std::array<RTorchTensor, 2> outputs{};
  const auto message = [&](const RTorchTensor* in, int count_in, RTorchTensor* out,
                           int count_out) {
    const Status status = model->Run(in, count_in, out, count_out);
    EXPECT_EQ(status.code(), RTORCH_INVALID_ARGUMENT);
    EXPECT_EQ(outputs[0].data, nullptr);
    return status.message();
  };
  const std::string text = "//fake:model takes 1 inputs and gives 1 outputs, not ";
  EXPECT_EQ(message(inputs.data(), 0, outputs.data(), 1),
            text + "0 and 1, nor null arrays");
  EXPECT_EQ(message(inputs.data(), 2, outputs.data(), 1),
            text + "2 and 1, nor null arrays");
  EXPECT_EQ(message(inputs.data(), 1, outputs.data(), 0),
            text + "1 and 0, nor null arrays");
  EXPECT_EQ(message(inputs.data(), 1, outputs.data(), 2),
            text + "1 and 2, nor null arrays");
  EXPECT_EQ(message(inputs.data(), -1, outputs.data(), 1),
            text + "-1 and 1, nor null arrays");
  EXPECT_EQ(message(nullptr, 1, outputs.data(), 1), text + "1 and 1, nor null arrays");
  EXPECT_EQ(message(inputs.data(), 1, nullptr, 1), text + "1 and 1, nor null arrays");
  EXPECT_EQ(fake_.runs(), 0);
}

TEST_F(ModelTest, RunIntoWantsABufferForEveryOutput) {
  const StatusOr<Model> model = Model::Create(&api_);
  const Status status = model->RunInto(&input_, 1, &output_, 1);
  EXPECT_EQ(status.code(), RTORCH_INVALID_ARGUMENT);
  EXPECT_EQ(status.message(), "output 'y': the buffer is null");
  EXPECT_EQ(fake_.runs(), 0);
}

// Nothing can be written there, so that null is as good as any address.
TEST(RunIntoTest, TheBufferOfAnEmptyOutputMayBeNull) {
  std::int64_t found = 0;
  FakeModel* self = nullptr;
  FakeModel fake({{}, {{"y", "int8[?]", RTORCH_INT8, {DataDependent()}}}, {}},
                 [&](auto*, auto* outputs, auto* results, auto*) {
                   const std::vector<std::int8_t> y(static_cast<std::size_t>(found));
                   outputs[0] = self->NewResult(y, {found});
                   results[0] = Result::kOwned;
                   return true;
                 });
  self = &fake;
  const StatusOr<Model> model = Model::Create(&fake.api());
  RTorchTensor buffer = TensorView<std::int8_t, 1>(nullptr, {0}).abi();
  const Status status = model->RunInto(nullptr, 0, &buffer, 1);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(buffer.data, nullptr);
  EXPECT_EQ(buffer.deleter, nullptr);

  // One of another size than the result's is an error as ever.
  found = 2;
  EXPECT_EQ(model->RunInto(nullptr, 0, &buffer, 1).message(),
            "output 'y': expected int8[?], got int8[0]: the result is int8[2]");
  EXPECT_EQ(buffer.data, nullptr);
  buffer.sizes[0] = 2;
  EXPECT_EQ(model->RunInto(nullptr, 0, &buffer, 1).message(),
            "output 'y': the buffer is null");
  EXPECT_EQ(fake.runs(), 2);
}

TEST_F(ModelTest, RunIntoWritesIntoTheBuffers) {
  const StatusOr<Model> model = Model::Create(&api_);
  std::array<float, 2> y{};
  RTorchTensor buffer = TensorView<float, 1>(y.data(), {2}).abi();
  const Status status = model->RunInto(&input_, 1, &buffer, 1);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(y, (std::array<float, 2>{2.0f, 6.0f}));
  EXPECT_EQ(buffer.data, y.data());
  EXPECT_EQ(buffer.deleter, nullptr);
  EXPECT_EQ(fake_.live_results(), 0);
}

// RunInto names the output whose buffer is missing, and must not look for the
// name of one that the model does not have.
TEST_F(ModelTest, RunIntoAlsoChecksTheNumberOfOutputs) {
  const StatusOr<Model> model = Model::Create(&api_);
  std::array<float, 2> y{};
  std::array<RTorchTensor, 2> buffers = {TensorView<float, 1>(y.data(), {2}).abi()};
  const std::string text =
      "//fake:model takes 1 inputs and gives 1 outputs, not 1 and 2, nor null arrays";
  EXPECT_EQ(model->RunInto(&input_, 1, buffers.data(), 2).message(), text);
}

TEST_F(ModelTest, RunIntoAllowsNoNullArray) {
  const StatusOr<Model> model = Model::Create(&api_);
  const std::string text =
      "//fake:model takes 1 inputs and gives 1 outputs, not 1 and 1, nor null arrays";
  EXPECT_EQ(model->RunInto(&input_, 1, nullptr, 1).message(), text);
}

// The same failures through the C ABI by a caller who does not want to know why.
TEST_F(ModelTest, TheErrorMayBeNull) {
  RTorchModel* model = nullptr;
  ASSERT_EQ(api_.create(&api_, nullptr, &model, nullptr), RTORCH_OK);
  EXPECT_EQ(api_.run(nullptr, &input_, 1, &output_, 1, nullptr, nullptr),
            RTORCH_INVALID_ARGUMENT);
  EXPECT_EQ(api_.run(model, &input_, 0, &output_, 1, nullptr, nullptr),
            RTORCH_INVALID_ARGUMENT);
  RTorchTensor wrong = input_;
  wrong.rank = 3;
  EXPECT_EQ(api_.run(model, &wrong, 1, &output_, 1, nullptr, nullptr),
            RTORCH_INVALID_ARGUMENT);
  EXPECT_EQ(api_.run(model, &input_, 1, &output_, 1, nullptr, nullptr), RTORCH_OK);
  api_.release(&output_);
  api_.destroy(model);
}

// Each function of the C ABI, with null for each argument.
TEST_F(ModelTest, NullsAreErrors) {
  const auto refuses = [](const char* message, auto&& call) {
    RTorchError error{};
    EXPECT_EQ(call(&error), RTORCH_INVALID_ARGUMENT);
    EXPECT_EQ(error.code, RTORCH_INVALID_ARGUMENT);
    EXPECT_STREQ(error.message, message);
    EXPECT_EQ(call(nullptr), RTORCH_INVALID_ARGUMENT);
  };
  RTorchModel* model = reinterpret_cast<RTorchModel*>(this);  // anything but null
  refuses("the table is null", [&](RTorchError* error) {
    return api_.create(nullptr, nullptr, &model, error);
  });
  EXPECT_EQ(model, nullptr);
  refuses("there is no place for the model", [&](RTorchError* error) {
    return api_.create(&api_, nullptr, nullptr, error);
  });
  refuses("there is no place for the model", [&](RTorchError* error) {
    return api_.create(nullptr, nullptr, nullptr, error);
  });
  EXPECT_EQ(fake_.instances(), 0);
  refuses("the model is null", [&](RTorchError* error) {
    return api_.run(nullptr, &input_, 1, &output_, 1, nullptr, error);
  });
  api_.destroy(nullptr);
  api_.release(nullptr);
  EXPECT_STREQ(api_.isa(nullptr), "");
}

TEST_F(ModelTest, ANullTableIsAnError) {
  const StatusOr<Model> model = Model::Create(nullptr);
  EXPECT_EQ(model.status().code(), RTORCH_INVALID_ARGUMENT);
  EXPECT_EQ(model.status().message(), "the table is null");
}

TEST(ModelWithoutInputsTest, NeedsNoArray) {
  FakeModel* self = nullptr;
  FakeModel fake({{}, {{"y", "int8[1]", RTORCH_INT8, {Fixed(1)}}}, {}},
                 [&](auto*, auto* outputs, auto* results, auto*) {
                   outputs[0] = self->NewResult<std::int8_t>({5}, {1});
                   results[0] = Result::kOwned;
                   return true;
                 });
  self = &fake;
  const StatusOr<Model> model = Model::Create(&fake.api());
  RTorchTensor output{};
  const Status status = model->Run(nullptr, 0, &output, 1);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ((Tensor<std::int8_t, 1>(output)(0)), 5);
}

// A model whose run ends in the way that the test says.
class FailingModel {
 public:
  explicit FailingModel(FakeModel::Body body) : fake_(OneToOne(), std::move(body)) {}

  // What a run returns; whatever it is, the output must be as it was.
  Status Run() const {
    const StatusOr<Model> model = Model::Create(&fake_.api());
    std::array<float, 2> x{};
    const RTorchTensor input = TensorView<float, 1>(x.data(), {2}).abi();
    RTorchTensor output{};
    Status status = model->Run(&input, 1, &output, 1);
    EXPECT_EQ(output.data, nullptr);
    EXPECT_EQ(output.owner, nullptr);
    EXPECT_EQ(output.deleter, nullptr);
    EXPECT_EQ(fake_.runs(), 1);
    return status;
  }

 private:
  FakeModel fake_;
};

TEST(FailingModelTest, GivesTheReason) {
  const Status status = FailingModel([](auto*, auto*, auto*, std::string* reason) {
                          *reason = "index out of bounds";
                          return false;
                        }).Run();
  EXPECT_EQ(status.code(), RTORCH_INTERNAL);
  EXPECT_EQ(status.message(), "//fake:model: index out of bounds");
}

TEST(FailingModelTest, ALongReasonIsCut) {
  const std::string reason(5000, 'x');
  const Status status = FailingModel([&](auto*, auto*, auto*, std::string* error) {
                          *error = reason;
                          return false;
                        }).Run();
  const std::string whole = "//fake:model: " + reason;
  EXPECT_EQ(status.message(), whole.substr(0, RTORCH_MAX_MESSAGE - 1));
}

// Backends throw std::bad_alloc alone, but what they call might throw more.
TEST(FailingModelTest, AnExceptionIsAnError) {
  const Status status = FailingModel([](auto*, auto*, auto*, auto*) -> bool {
                          throw std::runtime_error("oh");
                        }).Run();
  EXPECT_EQ(status.code(), RTORCH_INTERNAL);
  EXPECT_EQ(status.message(), "oh");
}

TEST(FailingModelTest, SoIsAnythingElseThatIsThrown) {
  const Status status = FailingModel([](auto*, auto*, auto*, auto*) -> bool {
                          throw 7;  // NOLINT: on purpose
                        }).Run();
  EXPECT_EQ(status.code(), RTORCH_INTERNAL);
  EXPECT_EQ(status.message(), "an exception of an unknown type");
}

TEST(FailingModelTest, OutOfMemoryHasACodeOfItsOwn) {
  const Status status = FailingModel([](auto*, auto*, auto*, auto*) -> bool {
                          throw std::bad_alloc();
                        }).Run();
  EXPECT_EQ(status.code(), RTORCH_RESOURCE_EXHAUSTED);
  EXPECT_EQ(status.message(), "out of memory");
}

bool NeverRuns(const RTorchTensor*, RTorchTensor*, Result*, std::string*) {
  ADD_FAILURE() << "there is no instance to run";
  return false;
}

TEST(FailingCreationTest, GivesTheReason) {
  const FakeModel fake(OneToOne(), &NeverRuns, [] { return "no weights"; });
  const StatusOr<Model> made = Model::Create(&fake.api());
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.status().code(), RTORCH_INTERNAL);
  EXPECT_EQ(made.status().message(), "//fake:model: no weights");
}

TEST(FailingCreationTest, GivesNoModel) {
  const FakeModel fake(OneToOne(), &NeverRuns, [] { return "no weights"; });
  auto* model = reinterpret_cast<RTorchModel*>(&NeverRuns);  // anything but null
  EXPECT_EQ(fake.api().create(&fake.api(), nullptr, &model, nullptr), RTORCH_INTERNAL);
  EXPECT_EQ(model, nullptr);
}

TEST(FailingCreationTest, AnExceptionIsAnError) {
  const FakeModel fake(OneToOne(), &NeverRuns,
                       []() -> std::string { throw std::runtime_error("oh"); });
  const StatusOr<Model> made = Model::Create(&fake.api());
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.status().code(), RTORCH_INTERNAL);
  EXPECT_EQ(made.status().message(), "oh");
}

TEST(FailingCreationTest, OutOfMemoryHasACodeOfItsOwn) {
  const FakeModel fake(OneToOne(), &NeverRuns,
                       []() -> std::string { throw std::bad_alloc(); });
  const StatusOr<Model> made = Model::Create(&fake.api());
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.status().code(), RTORCH_RESOURCE_EXHAUSTED);
  EXPECT_EQ(made.status().message(), "out of memory");
}

}  // namespace
}  // namespace rules_torch::testing
