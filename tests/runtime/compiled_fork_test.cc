// Processes that fork after a model has run in several threads. See corners.py.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/runtime/cube.h"

// The thread sanitizer ends a child of several threads that starts more.
extern "C" const char* __tsan_default_options() { return "die_after_fork=0"; }

namespace rules_torch {
namespace {

using corners::Cube;

constexpr std::int64_t kSize = 80;  // enough for a loop in several threads
constexpr unsigned kPatience = 60;  // seconds that a child may take

class CompiledForkTest : public ::testing::Test {
 protected:
  static Cube Make() {
    StatusOr<Cube> made = Cube::Create();
    if (!made.ok()) ADD_FAILURE() << made.status().message();
    return *std::move(made);
  }

  bool Run() const {
    const std::vector<float> x(kSize, 2);
    const StatusOr<Cube::Outputs> outputs = model_.Run({{x.data(), {kSize}}});
    return outputs.ok() && outputs->y(kSize - 1, 0, kSize - 1) == 8;
  }

  // What waitpid says of a child that runs the model.
  int RunInAChild() const {
    const pid_t child = fork();
    if (child == 0) {
      alarm(kPatience);
      _exit(Run() ? 0 : 1);
    }
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return status;
  }

  const Cube model_ = Make();
};

TEST_F(CompiledForkTest, BothProcessesRunOn) {
  for (int fork = 0; fork < 3; ++fork) {
    EXPECT_TRUE(Run());
    EXPECT_EQ(RunInAChild(), 0);
  }
  EXPECT_TRUE(Run());
}

TEST_F(CompiledForkTest, AfterARunInAnotherThread) {
  std::thread([this] { EXPECT_TRUE(Run()); }).join();
  EXPECT_EQ(RunInAChild(), 0);
}

}  // namespace
}  // namespace rules_torch
