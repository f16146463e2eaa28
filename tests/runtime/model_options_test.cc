// What Model makes of options, weights and tables, as the other side of the C ABI sees
// it: the functions are the test's.
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "rules_torch/model.h"
#include "rules_torch/options.h"
#include "tests/runtime/allocations.h"

namespace rules_torch {
namespace {

// Only what lives long enough can be asked.
struct Never {
  bool operator()() const { return false; }
};
static_assert(std::is_convertible_v<Never&, Cancelled>);
static_assert(std::is_convertible_v<const Never&, Cancelled>);
static_assert(!std::is_convertible_v<Never, Cancelled>);
static_assert(!std::is_convertible_v<void*, Cancelled>);
static_assert(!std::is_convertible_v<std::vector<bool>&, Cancelled>);
static_assert(!std::is_convertible_v<void*, RunOptions>);

// A model of three inputs, (x: int16[n, 2], y: int64[m], z: bool[]) -> (n: int64[]),
// that tells the test of each call.
class ModelOptionsTest : public ::testing::Test {
 protected:
  struct Instance {
    ModelOptionsTest* test;
    int number;
  };

  ModelOptionsTest() { test_ = this; }

  static RTorchCode Fail(RTorchError* error) {
    error->code = RTORCH_UNAVAILABLE;
    std::strcpy(error->message, "not now");
    return error->code;
  }

  static RTorchCode Create(const RTorchModelApi*, const RTorchCreateOptions* options,
                           RTorchModel** model, RTorchError* error) {
    test_->on_create_(*options);
    if (test_->fails_) return Fail(error);
    auto* instance = new Instance{test_, ++test_->created_};
    *model = reinterpret_cast<RTorchModel*>(instance);
    return RTORCH_OK;
  }
  static void Destroy(RTorchModel* model) {
    ++test_->destroyed_;
    delete reinterpret_cast<Instance*>(model);
  }
  static RTorchCode Run(const RTorchModel* model, const RTorchTensor* inputs,
                        std::int32_t, RTorchTensor* outputs, std::int32_t,
                        const RTorchRunOptions* options, RTorchError* error) {
    test_->ran_ = reinterpret_cast<const Instance*>(model)->number;
    test_->on_run_(inputs, *options);
    if (test_->fails_) return Fail(error);
    outputs[0] = TensorView<std::int64_t, 0>(&test_->result_).abi();
    return RTORCH_OK;
  }
  static void Release(RTorchTensor* output) {
    ++test_->released_;
    *output = RTorchTensor{};
  }
  static RTorchCode Swap(RTorchModel*, const RTorchWeights* weights,
                         RTorchError* error) {
    test_->on_swap_(*weights);
    return test_->fails_ ? Fail(error) : RTorchCode{RTORCH_OK};
  }
  static const char* Isa(const RTorchModel*) { return "x86-64-v2"; }

  void RunsOnce(const Model& model, const RunOptions& options) {
    std::array<RTorchTensor, 3> inputs{};
    RTorchTensor output{};
    const Status status = model.Run(inputs.data(), 3, &output, 1, options);
    EXPECT_TRUE(status.ok()) << status;
  }

  static inline ModelOptionsTest* test_;

  std::function<void(const RTorchCreateOptions&)> on_create_ = [](auto&) {};
  std::function<void(const RTorchTensor*, const RTorchRunOptions&)> on_run_ =
      [](auto*, auto&) {};
  std::function<void(const RTorchWeights&)> on_swap_ = [](auto&) {};
  bool fails_ = false;
  int created_ = 0;
  int destroyed_ = 0;
  int ran_ = 0;
  int released_ = 0;
  std::int64_t result_ = 0;

  const std::array<RTorchSymbol, 2> symbols_ = {{{"n", 0, 8}, {"m", 3, INT64_MAX}}};
  const std::array<RTorchDim, 2> x_ = {{{0, 8, 1, 0, 0, 0}, {2, 2, 0, 0, -1, 0}}};
  const std::array<RTorchDim, 1> y_ = {{{3, INT64_MAX, 1, 0, 1, 0}}};
  const std::array<RTorchTensorSpec, 3> inputs_ = {
      {{"x", "int16[n, 2]", RTORCH_INT16, 2, x_.data(), {}},
       {"y", "int64[m]", RTORCH_INT64, 1, y_.data(), {}},
       {"z", "bool[]", RTORCH_BOOL, 0, nullptr, {}}}};
  const RTorchTensorSpec output_ = {"n", "int64[]", RTORCH_INT64, 0, nullptr, {}};
  RTorchModelApi api_ = [this] {
    RTorchModelApi api{};
    api.abi_version = RTORCH_ABI_VERSION;
    api.struct_size = sizeof api;
    api.name = "//fake:model";
    api.num_inputs = 3;
    api.num_outputs = 1;
    api.num_symbols = 2;
    api.device_type = RTORCH_CPU;
    api.inputs = inputs_.data();
    api.outputs = &output_;
    api.symbols = symbols_.data();
    api.create = &Create;
    api.destroy = &Destroy;
    api.run = &Run;
    api.release = &Release;
    api.swap = &Swap;
    api.isa = &Isa;
    return api;
  }();
};

TEST_F(ModelOptionsTest, ATableOfAnotherVersionIsNotTouched) {
  api_.abi_version = 7;
  api_.create = nullptr;
  const Status status = Model::Create(&api_).status();
  EXPECT_EQ(status, Status(RTORCH_INVALID_ARGUMENT,
                           "the model's ABI version is 7, this program's is 3"));
}

TEST_F(ModelOptionsTest, ATableThatIsCutShortIsNotTouched) {
  // What a library of the same version may lack is private to it.
  constexpr std::uint32_t kNeeded = offsetof(RTorchModelApi, definition);
  api_.struct_size = kNeeded;
  EXPECT_TRUE(Model::Create(&api_).ok());
  api_.struct_size = kNeeded - 1;
  api_.create = nullptr;
  const Status status = Model::Create(&api_).status();
  EXPECT_EQ(status,
            Status(RTORCH_INVALID_ARGUMENT,
                   "the model's table has " + std::to_string(kNeeded - 1) +
                       " bytes, this program needs " + std::to_string(kNeeded)));
}

TEST_F(ModelOptionsTest, CreateSaysNothingUnlessTold) {
  on_create_ = [](const RTorchCreateOptions& options) {
    EXPECT_EQ(options.struct_size, sizeof options);
    EXPECT_EQ(options.threads, 0);
    EXPECT_EQ(options.device, (Device{0, 0}));
    EXPECT_EQ(options.weights, nullptr);
    EXPECT_EQ(options.allocator, nullptr);
  };
  EXPECT_TRUE(Model::Create(&api_).ok());
  EXPECT_EQ(created_, 1);
  EXPECT_EQ(destroyed_, 1);
}

TEST_F(ModelOptionsTest, CreatePassesItsOptionsOn) {
  const RTorchAllocator allocator{};
  on_create_ = [&](const RTorchCreateOptions& options) {
    EXPECT_EQ(options.threads, 3);
    EXPECT_EQ(options.device, (Device{RTORCH_CUDA, 1}));
    EXPECT_EQ(options.allocator, &allocator);
    ASSERT_NE(options.weights, nullptr);
    EXPECT_EQ(options.weights->struct_size, sizeof(RTorchWeights));
    EXPECT_STREQ(options.weights->path, "a.safetensors");
    EXPECT_EQ(options.weights->data, nullptr);
    EXPECT_EQ(options.weights->deleter, nullptr);
  };
  CreateOptions options;
  options.threads = 3;
  options.device = {RTORCH_CUDA, 1};
  options.weights = Weights::File("a.safetensors");
  options.allocator = &allocator;
  EXPECT_TRUE(Model::Create(&api_, options).ok());
  EXPECT_EQ(created_, 1);
}

TEST_F(ModelOptionsTest, TheLibraryDropsTheOwnerOfWeights) {
  auto bytes = std::make_shared<std::vector<char>>(100);
  RTorchWeights taken{};
  on_create_ = [&](const RTorchCreateOptions& options) { taken = *options.weights; };
  {
    CreateOptions options;
    options.weights = Weights::Memory(bytes->data(), bytes->size(), bytes);
    EXPECT_EQ(bytes.use_count(), 2);
    ASSERT_TRUE(Model::Create(&api_, options).ok());
  }
  EXPECT_EQ(taken.path, nullptr);
  EXPECT_EQ(taken.data, bytes->data());
  EXPECT_EQ(taken.size, 100u);
  EXPECT_EQ(bytes.use_count(), 2);
  ASSERT_NE(taken.deleter, nullptr);
  taken.deleter(taken.owner);
  EXPECT_EQ(bytes.use_count(), 1);
}

TEST_F(ModelOptionsTest, FailuresLeaveTheOwnerOfWeightsAlone) {
  auto bytes = std::make_shared<int>(7);
  CreateOptions options;
  options.weights = Weights::Memory(bytes.get(), sizeof(int), bytes);
  StatusOr<Model> model = Model::Create(&api_);
  ASSERT_TRUE(model.ok());
  fails_ = true;
  EXPECT_EQ(Model::Create(&api_, options).status(),
            Status(RTORCH_UNAVAILABLE, "not now"));
  EXPECT_EQ(bytes.use_count(), 2);
  EXPECT_EQ(model->Swap(*options.weights), Status(RTORCH_UNAVAILABLE, "not now"));
  EXPECT_EQ(bytes.use_count(), 2);
}

TEST_F(ModelOptionsTest, WeightsWithoutAnOwnerHaveNoDeleter) {
  const int bytes = 7;
  on_swap_ = [&](const RTorchWeights& weights) {
    EXPECT_EQ(weights.data, &bytes);
    EXPECT_EQ(weights.deleter, nullptr);
  };
  StatusOr<Model> model = Model::Create(&api_);
  EXPECT_TRUE(model->Swap(Weights::Memory(&bytes, sizeof bytes)).ok());
}

TEST_F(ModelOptionsTest, SwapHandsWeightsOver) {
  auto bytes = std::make_shared<int>(7);
  RTorchWeights taken{};
  on_swap_ = [&](const RTorchWeights& weights) { taken = weights; };
  StatusOr<Model> model = Model::Create(&api_);
  EXPECT_TRUE(model->Swap(Weights::Memory(bytes.get(), sizeof(int), bytes)).ok());
  EXPECT_EQ(bytes.use_count(), 2);
  taken.deleter(taken.owner);
  EXPECT_EQ(bytes.use_count(), 1);
}

TEST_F(ModelOptionsTest, RunPassesItsOptionsOn) {
  const StatusOr<Model> model = Model::Create(&api_);
  on_run_ = [](auto*, const RTorchRunOptions& options) {
    EXPECT_EQ(options.struct_size, sizeof options);
    EXPECT_EQ(options.flags, 0u);
    EXPECT_EQ(options.stream, nullptr);
    EXPECT_EQ(options.tracer, nullptr);
    EXPECT_EQ(options.cancelled, nullptr);
  };
  RunsOnce(*model, {});

  RunOptions told;
  const RTorchTracer tracer{};
  told.tracer = &tracer;
  told.stream = this;
  std::atomic<bool> stop{false};
  const auto stopped = [&] { return stop.load(); };
  told.cancelled = stopped;
  on_run_ = [&](auto*, const RTorchRunOptions& options) {
    EXPECT_EQ(options.tracer, &tracer);
    EXPECT_EQ(options.stream, this);
    ASSERT_NE(options.cancelled, nullptr);
    EXPECT_EQ(options.cancelled(options.cancel_context), 0);
    stop = true;
    EXPECT_EQ(options.cancelled(options.cancel_context), 1);
  };
  RunsOnce(*model, told);
}

TEST_F(ModelOptionsTest, RunAllocatesNothing) {
  const StatusOr<Model> model = Model::Create(&api_);
  const std::array<std::int16_t, 6> x = {};
  const std::vector<std::int64_t> y = {1, 2, 3};
  const bool z = false;
  const auto stopped = [] { return false; };
  std::int64_t n = 0;
  bool ok = false;
  {
    const testing::OnlyAllocations none(0);
    const RTorchTensor inputs[] = {
        TensorView<const std::int16_t, 2>(x.data(), {3, 2}).abi(),
        TensorView<const std::int64_t, 1>(y).abi(),
        TensorView<const bool, 0>(&z).abi()};
    RTorchTensor output = TensorView<std::int64_t, 0>(&n).abi();
    RunOptions options;
    options.cancelled = stopped;
    ok = model->RunInto(inputs, 3, &output, 1, options).ok();
    output = {};
    ok = ok && model->Run(inputs, 3, &output, 1, options).ok();
    const Tensor<std::int64_t, 0> result(output);
    ok = ok && result.data() == &result_;
  }
  EXPECT_TRUE(ok);
}

TEST_F(ModelOptionsTest, WarmupRunsOnZeros) {
  on_run_ = [&](const RTorchTensor* inputs, auto&) {
    const auto* x = static_cast<const std::int16_t*>(inputs[0].data);
    const auto* y = static_cast<const std::int64_t*>(inputs[1].data);
    const auto* z = static_cast<const bool*>(inputs[2].data);
    // n may be 0, which would warm nothing.
    EXPECT_EQ(inputs[0].sizes[0], 1);
    EXPECT_EQ(inputs[0].sizes[1], 2);
    EXPECT_EQ(inputs[0].strides[0], 2);
    EXPECT_EQ(inputs[0].strides[1], 1);
    EXPECT_EQ(inputs[1].sizes[0], 3);
    EXPECT_EQ(inputs[0].dtype, RTORCH_INT16);
    EXPECT_EQ(inputs[2].rank, 0);
    EXPECT_EQ(inputs[1].device, kHost);
    EXPECT_EQ(x[0] | x[1], 0);
    EXPECT_EQ(y[0] | y[1] | y[2], 0);
    EXPECT_FALSE(*z);
  };
  const StatusOr<Model> model = Model::Create(&api_);
  const Status status = model->Warmup();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(ran_, 1);
  EXPECT_EQ(released_, 1);
}

TEST_F(ModelOptionsTest, WarmupOfAStatefulModelRunsAnotherInstance) {
  api_.stateful = 1;
  CreateOptions options;
  options.threads = 3;
  StatusOr<Model> model = Model::Create(&api_, options);
  ASSERT_TRUE(model->Swap(Weights::File("b.safetensors")).ok());
  // Made as the first one would be now.
  on_create_ = [](const RTorchCreateOptions& again) {
    EXPECT_EQ(again.threads, 3);
    EXPECT_STREQ(again.weights->path, "b.safetensors");
  };
  const Status status = model->Warmup();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(ran_, 2);
  EXPECT_EQ(destroyed_, 1);
}

TEST_F(ModelOptionsTest, WarmupReturnsErrors) {
  const StatusOr<Model> model = Model::Create(&api_);
  fails_ = true;
  EXPECT_EQ(model->Warmup(), Status(RTORCH_UNAVAILABLE, "not now"));

  api_.stateful = 1;
  fails_ = false;
  const StatusOr<Model> stateful = Model::Create(&api_);
  fails_ = true;
  EXPECT_EQ(stateful->Warmup(), Status(RTORCH_UNAVAILABLE, "not now"));

  api_.device_type = RTORCH_CUDA;
  EXPECT_EQ(
      model->Warmup(),
      Status(RTORCH_UNIMPLEMENTED,
             "//fake:model: inputs of device memory are the caller's to make; run "
             "the model once"));
}

}  // namespace
}  // namespace rules_torch
