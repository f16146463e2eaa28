// Weights that are given at run time: shared by instances, and replaced under runs.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "rules_torch/model.h"
#include "tests/runtime/fake_model.h"
#include "tests/runtime/weights_files.h"

namespace rules_torch::testing {
namespace {

constexpr std::int64_t kSizes[] = {2};
constexpr std::int64_t kStrides[] = {1};

// A file whose weight "w" is {value, value}.
std::string FileWith(float value) {
  return FileOf({{"w", "F32", {2}, BytesOf<float>({value, value})}});
}

FakeSignature Signature(bool stateful = false) {
  FakeSignature signature;
  signature.outputs = {{"y", "float32[2]", RTORCH_FLOAT32, {Fixed(2)}}};
  signature.stateful = stateful;
  signature.weights = {{"w", RTORCH_FLOAT32, 1, kSizes, kStrides, 0, 8, 0, 0}};
  const std::string file = FileWith(1);
  signature.file.assign(file.begin(), file.end());
  return signature;
}

// Gives the weight, its halves read at two times.
bool Give(const RTorchTensor*, RTorchTensor* outputs, Result* results, std::string*) {
  const auto* w = static_cast<const float*>(FakeModel::weights()[0]);
  auto* y = static_cast<float*>(outputs[0].data);
  y[0] = w[0];
  std::this_thread::yield();
  y[1] = w[1];
  results[0] = Result::kWritten;
  return true;
}

std::vector<float> RunOnce(const Model& model) {
  std::vector<float> y(2);
  RTorchTensor output = TensorView<float, 1>(y.data(), {2}).abi();
  const Status status = model.Run(nullptr, 0, &output, 1);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(output.data, y.data());
  return y;
}

// Memory that counts how often it is let go.
class Counted {
 public:
  explicit Counted(float value) : file_(FileWith(value)) {}

  Weights weights() {
    return Weights::Memory(
        file_.data(), file_.size(),
        std::shared_ptr<const void>(&file_, [this](const void*) { ++drops_; }));
  }
  CreateOptions options() {
    CreateOptions options;
    options.weights = weights();
    return options;
  }
  int drops() const { return drops_; }

 private:
  const std::string file_;
  std::atomic<int> drops_{0};
};

const std::vector<float> kOnes{1, 1};
const std::vector<float> kTwos{2, 2};

TEST(ModelWeightsTest, AreTheLibrarysUnlessGiven) {
  FakeModel fake(Signature(), &Give);
  EXPECT_EQ(RunOnce(*Model::Create(&fake.api())), kOnes);
  Counted two(2);
  EXPECT_EQ(RunOnce(*Model::Create(&fake.api(), two.options())), kTwos);
  EXPECT_EQ(two.drops(), 1);
}

TEST(ModelWeightsTest, InstancesShareWhatIsLoaded) {
  FakeModel fake(Signature(), &Give);
  const StatusOr<Model> a = Model::Create(&fake.api());
  const StatusOr<Model> b = Model::Create(&fake.api());
  EXPECT_EQ(fake.loads(), 1);
  EXPECT_EQ(fake.instances(), 2);

  Counted two(2);
  auto c = std::make_unique<StatusOr<Model>>(Model::Create(&fake.api(), two.options()));
  const StatusOr<Model> d = Model::Create(&fake.api(), two.options());
  EXPECT_EQ(fake.loads(), 2);
  // Each has an owner of its own, and what they share outlives the first.
  c.reset();
  EXPECT_EQ(two.drops(), 1);
  EXPECT_EQ(RunOnce(*d), kTwos);
}

TEST(ModelWeightsTest, AreUnloadedWithTheLastModel) {
  FakeModel fake(Signature(), &Give);
  Counted two(2);
  {
    const StatusOr<Model> a = Model::Create(&fake.api(), two.options());
    const StatusOr<Model> b = Model::Create(&fake.api(), two.options());
    EXPECT_EQ(two.drops(), 0);
    EXPECT_EQ(fake.loads(), 1);
  }
  EXPECT_EQ(two.drops(), 2);
  EXPECT_EQ(fake.loads(), 0);
}

TEST(ModelWeightsTest, SwapReplacesThemAndLetsTheOldGo) {
  FakeModel fake(Signature(), &Give);
  StatusOr<Model> model = Model::Create(&fake.api());
  Counted two(2);
  EXPECT_TRUE(model->Swap(two.weights()).ok());
  EXPECT_EQ(RunOnce(*model), kTwos);
  EXPECT_EQ(fake.loads(), 1);
  Counted three(3);
  EXPECT_TRUE(model->Swap(three.weights()).ok());
  EXPECT_EQ(two.drops(), 1);
  EXPECT_EQ(RunOnce(*model), std::vector<float>({3, 3}));
}

TEST(ModelWeightsTest, AFailedSwapChangesNothing) {
  FakeModel fake(Signature(), &Give);
  StatusOr<Model> model = Model::Create(&fake.api());
  const std::string other = FileOf({{"v", "F32", {2}, BytesOf<float>({2, 2})}});
  const Status status = model->Swap(Weights::Memory(other.data(), other.size()));
  EXPECT_EQ(status.code(), RTORCH_INVALID_ARGUMENT);
  EXPECT_NE(status.message().find("w"), std::string::npos) << status;
  EXPECT_EQ(model->Swap(Weights::File("/no/such/file")).code(), RTORCH_NOT_FOUND);
  EXPECT_EQ(RunOnce(*model), kOnes);
  EXPECT_EQ(fake.loads(), 1);
}

TEST(ModelWeightsTest, ALibraryWithoutThemHasToBeGivenThem) {
  FakeSignature signature = Signature();
  signature.file.clear();
  FakeModel fake(signature, &Give);
  const StatusOr<Model> none = Model::Create(&fake.api());
  EXPECT_EQ(none.status().code(), RTORCH_INVALID_ARGUMENT);
  EXPECT_NE(none.status().message().find("not in the library"), std::string::npos)
      << none.status();
  Counted two(2);
  EXPECT_EQ(RunOnce(*Model::Create(&fake.api(), two.options())), kTwos);
}

// Those that another model has already, too.
TEST(ModelWeightsTest, ASourceIsCheckedBeforeItIsShared) {
  FakeModel fake(Signature(), &Give);
  const InMemory memory(FileWith(2));
  RTorchWeights weights = memory.source();
  RTorchCreateOptions options{};
  options.struct_size = sizeof options;
  options.weights = &weights;
  const RTorchModelApi& api = fake.api();
  RTorchModel* model = nullptr;
  ASSERT_EQ(api.create(&api, &options, &model, nullptr), RTORCH_OK);

  RTorchModel* another = nullptr;
  RTorchError error;
  weights.flags = 1;
  EXPECT_EQ(api.create(&api, &options, &another, &error), RTORCH_INVALID_ARGUMENT);
  EXPECT_STREQ(error.message,
               "//fake:model: RTorchWeights.flags has bits without a meaning here: 1");
  weights.flags = 0;
  weights.struct_size = 4;
  EXPECT_EQ(api.create(&api, &options, &another, &error), RTORCH_INVALID_ARGUMENT);
  EXPECT_EQ(api.swap(model, &weights, &error), RTORCH_INVALID_ARGUMENT);
  EXPECT_EQ(another, nullptr);
  api.destroy(model);
}

// Both halves of each result are of the same file.
void SwapUnderRuns(bool stateful) {
  FakeModel fake(Signature(stateful), &Give);
  StatusOr<Model> model = Model::Create(&fake.api());
  std::atomic<bool> stop{false};
  std::atomic<int> torn{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (!stop) {
        const std::vector<float> y = RunOnce(*model);
        if (y[0] != y[1]) ++torn;
      }
    });
  }
  for (int i = 0; i < 200; ++i) {
    // Freed as soon as Swap lets it go, which sanitizers see.
    const auto file =
        std::make_shared<const std::string>(FileWith(static_cast<float>(i)));
    EXPECT_TRUE(model->Swap(Weights::Memory(file->data(), file->size(), file)).ok());
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(torn, 0);
}

TEST(SwapTest, EachRunSeesOneSet) { SwapUnderRuns(false); }
TEST(SwapTest, EachRunOfAStatefulModelSeesOneSet) { SwapUnderRuns(true); }

}  // namespace
}  // namespace rules_torch::testing
