// Runs of a stateless model overlap; those of a stateful instance take turns.
#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "rules_torch/model.h"
#include "tests/runtime/fake_model.h"

namespace rules_torch::testing {
namespace {

using std::chrono::milliseconds;

// Long enough for a busy machine; a test that passes never waits so long.
constexpr milliseconds kPatience{30000};
// How long a run that should be alone waits for another.
constexpr milliseconds kMoment{200};

// Where two runs may meet.
class MeetingPoint {
 public:
  // Waits until two are here at the same time, but not for ever.
  bool Meet(milliseconds patience) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (++present_ == 2) met_ = true;
    changed_.notify_all();
    changed_.wait_for(lock, patience, [&] { return met_; });
    --present_;
    return met_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int present_ = 0;
  bool met_ = false;
};

void InThreads(int count, const std::function<void(int thread)>& act) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back(act, i);
  for (std::thread& thread : threads) thread.join();
}

// A model whose runs try to meet.
class MeetingModel {
 public:
  MeetingModel(bool stateful, milliseconds patience)
      : fake_({{}, {}, {}, stateful}, [this, patience](auto*, auto*, auto*, auto*) {
          return point_.Meet(patience);
        }) {}

  const RTorchModelApi& api() const { return fake_.api(); }

 private:
  MeetingPoint point_;
  FakeModel fake_;
};

TEST(ModelThreadsTest, RunsOfAStatelessInstanceOverlap) {
  const MeetingModel fake(/*stateful=*/false, kPatience);
  const StatusOr<Model> model = Model::Create(&fake.api());
  InThreads(2, [&](int) { EXPECT_TRUE(model->Run(nullptr, 0, nullptr, 0).ok()); });
}

TEST(ModelThreadsTest, RunsOfAStatefulInstanceDoNot) {
  const MeetingModel fake(/*stateful=*/true, kMoment);
  const StatusOr<Model> model = Model::Create(&fake.api());
  InThreads(2, [&](int) { EXPECT_FALSE(model->Run(nullptr, 0, nullptr, 0).ok()); });
}

TEST(ModelThreadsTest, RunsOfTwoStatefulInstancesOverlap) {
  const MeetingModel fake(/*stateful=*/true, kPatience);
  const std::array<StatusOr<Model>, 2> models = {Model::Create(&fake.api()),
                                                 Model::Create(&fake.api())};
  InThreads(2, [&](int thread) {
    const Model& model = *models[static_cast<std::size_t>(thread)];
    EXPECT_TRUE(model.Run(nullptr, 0, nullptr, 0).ok());
  });
}

// A counter of runs that returns its own buffer; `step` fails the runs it names.
class StatefulModel {
 public:
  static constexpr std::size_t kSize = 512;

  explicit StatefulModel(std::function<bool(int run)> step)
      : step_(std::move(step)),
        fake_({{},
               {{"count", "", RTORCH_INT32, {Fixed(kSize)}}},
               {},
               /*stateful=*/true},
              [this](auto*, RTorchTensor* outputs, Result* results,
                     std::string* reason) { return Run(outputs, results, reason); }) {}

  const RTorchModelApi& api() const { return fake_.api(); }

 private:
  bool Run(RTorchTensor* outputs, Result* results, std::string* reason) {
    for (std::int32_t& element : state_) ++element;
    if (!step_(state_[0])) {
      *reason = "no";
      return false;
    }
    outputs[0] = fake_.NewResult<std::int32_t>({}, {kSize});
    outputs[0].data = state_.data();
    results[0] = Result::kShared;
    return true;
  }

  const std::function<bool(int run)> step_;
  std::vector<std::int32_t> state_ = std::vector<std::int32_t>(kSize);
  FakeModel fake_;
};

// The copy of the state has to be made before the next run changes it.
TEST(ModelThreadsTest, EachRunSeesTheStateThatItMade) {
  constexpr int kThreads = 4;
  constexpr int kRuns = 50;
  const StatefulModel fake([](int) { return true; });
  const StatusOr<Model> model = Model::Create(&fake.api());
  std::mutex mutex;
  std::vector<std::int32_t> counts;
  InThreads(kThreads, [&](int) {
    for (int run = 0; run < kRuns; ++run) {
      RTorchTensor output{};
      ASSERT_TRUE(model->Run(nullptr, 0, &output, 1).ok());
      const Tensor<std::int32_t, 1> result(output);
      const std::int32_t count = result(0);
      EXPECT_EQ(std::count(result.begin(), result.end(), count), result.size(0));
      const std::lock_guard<std::mutex> lock(mutex);
      counts.push_back(count);
    }
  });
  std::sort(counts.begin(), counts.end());
  ASSERT_EQ(counts.size(), std::size_t{kThreads * kRuns});
  for (std::size_t i = 0; i < counts.size(); ++i) {
    EXPECT_EQ(counts[i], static_cast<std::int32_t>(i + 1));
  }
}

TEST(ModelThreadsTest, EachBufferGetsTheStateOfItsRun) {
  const StatefulModel fake([](int) { return true; });
  const StatusOr<Model> model = Model::Create(&fake.api());
  InThreads(4, [&](int) {
    std::vector<std::int32_t> memory(StatefulModel::kSize);
    RTorchTensor buffer =
        TensorView<std::int32_t, 1>(memory.data(), {StatefulModel::kSize}).abi();
    for (int run = 0; run < 50; ++run) {
      ASSERT_TRUE(model->RunInto(nullptr, 0, &buffer, 1).ok());
      EXPECT_EQ(std::count(memory.begin(), memory.end(), memory[0]),
                static_cast<std::ptrdiff_t>(StatefulModel::kSize));
    }
  });
}

TEST(ModelThreadsTest, AFailedRunLetsTheNextOneIn) {
  const StatefulModel fake([](int run) { return run % 2 == 0; });
  const StatusOr<Model> model = Model::Create(&fake.api());
  for (int run = 1; run <= 4; ++run) {
    RTorchTensor output{};
    EXPECT_EQ(model->Run(nullptr, 0, &output, 1).ok(), run % 2 == 0);
    fake.api().release(&output);
  }
}

// Arguments and results of overlapping runs have nothing to do with each other.
TEST(ModelThreadsTest, OverlappingRunsKeepTheirArgumentsApart) {
  FakeModel* self = nullptr;
  FakeModel fake(
      {{{"x", "", RTORCH_INT32, {Symbolic(0, 1, 100)}}},
       {{"y", "", RTORCH_INT32, {Symbolic(0, 1, 100)}}},
       {"n"}},
      [&](const RTorchTensor* inputs, RTorchTensor* outputs, Result* results, auto*) {
        const auto* x = static_cast<const std::int32_t*>(inputs[0].data);
        outputs[0] = self->NewResult(
            std::vector<std::int32_t>(x, x + inputs[0].sizes[0]), {inputs[0].sizes[0]});
        results[0] = inputs[0].sizes[0] % 2 == 0 ? Result::kOwned : Result::kShared;
        return true;
      });
  self = &fake;
  const StatusOr<Model> model = Model::Create(&fake.api());
  InThreads(8, [&](int thread) {
    for (int run = 0; run < 100; ++run) {
      const std::int32_t value = 1000 * thread + run;
      // Broadcast, so that it has to be copied; of another size in each thread.
      const RTorchTensor input =
          TensorView<const std::int32_t, 1>(&value, {thread + 2}, {0}).abi();
      RTorchTensor output{};
      ASSERT_TRUE(model->Run(&input, 1, &output, 1).ok());
      const Tensor<std::int32_t, 1> y(output);
      ASSERT_EQ(y.size(0), thread + 2);
      ASSERT_EQ(std::count(y.begin(), y.end(), value), thread + 2);
    }
  });
}

}  // namespace
}  // namespace rules_torch::testing
