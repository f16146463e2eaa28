// Compiled models tell a tracer of their steps, and ask before each whether to go on.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "models/counter.h"
#include "models/gated.h"
#include "tests/runtime/divided.h"

namespace rules_torch {
namespace {

using models::Counter;
using models::Gated;

// What a tracer is told: "+" and a step's name, "-" and one's name.
struct Log {
  std::vector<std::string> told;
  std::vector<const RTorchStep*> begun;
  RTorchTracer tracer{
      sizeof(RTorchTracer), 0, this,
      [](void* context, const RTorchStep* step) {
        static_cast<Log*>(context)->begun.push_back(step);
        static_cast<Log*>(context)->told.push_back(std::string("+") + step->name);
      },
      [](void* context, const RTorchStep* step) {
        static_cast<Log*>(context)->told.push_back(std::string("-") + step->name);
      }};

  // Steps come one after another, each with its end.
  void ExpectPairs() const {
    ASSERT_EQ(told.size() % 2, 0u);
    for (std::size_t i = 0; i < told.size(); i += 2) {
      EXPECT_EQ(told[i][0], '+');
      EXPECT_EQ("-" + told[i].substr(1), told[i + 1]);
    }
  }

  std::ptrdiff_t Count(const std::string& operators) const {
    return std::count_if(begun.begin(), begun.end(), [&](const RTorchStep* step) {
      return step->operators == operators;
    });
  }
};

class CompiledTraceTest : public ::testing::Test {
 protected:
  static Gated MakeGated() {
    StatusOr<Gated> made = Gated::Create();
    if (!made.ok()) ADD_FAILURE() << made.status();
    return *std::move(made);
  }

  StatusOr<Gated::Outputs> Run(const RunOptions& options) const {
    return gated_.Run({{x_.data(), {1, 8}}}, options);
  }

  const Gated gated_ = MakeGated();
  // Takes the route of expert A, to a result that is far outside [-1, 1].
  const std::array<float, 8> x_ = {1000, 2000, -3000, 4000, 5000, -6000, 7000, 8000};
};

TEST_F(CompiledTraceTest, HasWhatRanAsOftenAsItRan) {
  Log log;
  RunOptions options;
  options.tracer = &log.tracer;
  const auto outputs = Run(options);
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  log.ExpectPairs();
  // Expert A's two layers: those of the branches that were not taken are not there.
  EXPECT_EQ(log.Count("aten.mm, aten.relu"), 1);
  EXPECT_EQ(log.Count("aten.mm"), 1);
  // The loop's body: so often as the model counts.
  EXPECT_GT(outputs->steps(), 1);
  EXPECT_EQ(log.Count("aten.add, aten.clamp, aten.sub, aten.mul"), outputs->steps());
}

TEST_F(CompiledTraceTest, IsOfTheTableAndNamesTheModel) {
  const RTorchModelApi& api = Gated::Api();
  ASSERT_GT(api.num_steps, 0);
  Log log;
  RunOptions options;
  options.tracer = &log.tracer;
  ASSERT_TRUE(Run(options).ok());
  for (const RTorchStep* step : log.begun) {
    EXPECT_TRUE(step >= api.steps && step < api.steps + api.num_steps);
  }
  for (std::int32_t i = 0; i < api.num_steps; ++i) {
    const RTorchStep& step = api.steps[i];
    EXPECT_EQ(std::string(step.source).rfind("models/gated.py: ", 0), 0u)
        << step.source;
    EXPECT_EQ(std::string(step.operators).rfind("aten.", 0), 0u) << step.operators;
    EXPECT_EQ(std::string(step.name).find("gated"), std::string::npos) << step.name;
  }
}

TEST_F(CompiledTraceTest, RunsCanBeCancelledBeforeEachStep) {
  Log whole;
  RunOptions options;
  options.tracer = &whole.tracer;
  const auto expected = Run(options);
  ASSERT_TRUE(expected.ok());
  const std::size_t steps = whole.begun.size();
  for (std::size_t last = 0; last <= steps + 1; ++last) {
    std::size_t asked = 0;
    const auto cancelled = [&] { return asked++ == last; };
    Log log;
    options.tracer = &log.tracer;
    options.cancelled = cancelled;
    const auto outputs = Run(options);
    log.ExpectPairs();
    if (last > steps) {  // asked before the run, and before each step
      EXPECT_TRUE(outputs.ok());
      EXPECT_EQ(asked, steps + 1);
      continue;
    }
    EXPECT_EQ(outputs.status().code(), RTORCH_CANCELLED);
    EXPECT_EQ(outputs.status().message().find("//models:gated: cancelled"), 0u);
    EXPECT_EQ(log.begun.size(), last == 0 ? 0 : last - 1);
  }
  // None of it does the next run harm.
  const auto again = Run({});
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->steps(), expected->steps());
  EXPECT_TRUE(std::equal(again->y.begin(), again->y.end(), expected->y.begin()));
}

TEST_F(CompiledTraceTest, StepsThatFailEnd) {
  const auto model = checked::Divided::Create();
  ASSERT_TRUE(model.ok());
  const std::vector<std::int64_t> a(4, 7);
  const std::vector<std::int64_t> b(4, 0);
  Log log;
  RunOptions options;
  options.tracer = &log.tracer;
  const auto outputs = model->Run({{a.data(), {4}}, {b.data(), {4}}}, options);
  EXPECT_FALSE(outputs.ok());
  log.ExpectPairs();
  EXPECT_FALSE(log.told.empty());
}

TEST_F(CompiledTraceTest, TracersHaveBothFunctions) {
  Log log;
  constexpr std::uint32_t kSize = sizeof(RTorchTracer);
  const RTorchTracer& whole = log.tracer;
  for (const RTorchTracer& tracer :
       {RTorchTracer{kSize, 0, &log, nullptr, whole.end},
        RTorchTracer{kSize, 0, &log, whole.begin, nullptr},
        RTorchTracer{kSize - 8, 0, &log, whole.begin, whole.end}}) {
    RunOptions options;
    options.tracer = &tracer;
    EXPECT_EQ(
        Run(options).status(),
        Status(RTORCH_INVALID_ARGUMENT, "//models:gated: the tracer is incomplete"));
  }
  EXPECT_TRUE(log.told.empty());
}

TEST_F(CompiledTraceTest, AStatefulModelIsAsItWasIfItNeverBegan) {
  StatusOr<Counter> model = Counter::Create();
  ASSERT_TRUE(model.ok());
  const std::vector<float> x(4, 1);
  RunOptions options;
  const auto cancelled = [] { return true; };
  options.cancelled = cancelled;
  EXPECT_EQ(model->Run({{x.data(), {1, 4}}}, options).status().code(),
            RTORCH_CANCELLED);
  const auto outputs = model->Run({{x.data(), {1, 4}}});
  ASSERT_TRUE(outputs.ok());
  EXPECT_EQ(outputs->steps(0), 1);
}

}  // namespace
}  // namespace rules_torch
