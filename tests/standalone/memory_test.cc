// Memory of the standalone runtime: what a run allocates, and what becomes of one that
// finds none.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "rules_torch/abi.h"
#include "tests/runtime/allocations.h"
#include "tests/standalone/encoder.h"
#include "tests/standalone/gated.h"
#include "tests/standalone/serial.h"

namespace {

// Of this thread.
thread_local int allocations = 0;

}  // namespace

extern "C" void* __real_malloc(std::size_t size);
extern "C" void* __wrap_malloc(std::size_t size);
void* __wrap_malloc(std::size_t size) {
  ++allocations;
  return __real_malloc(size);
}

extern "C" void* __real_aligned_alloc(std::size_t alignment, std::size_t size);
extern "C" void* __wrap_aligned_alloc(std::size_t alignment, std::size_t size);
void* __wrap_aligned_alloc(std::size_t alignment, std::size_t size) {
  ++allocations;
  if (rules_torch::testing::allocations_left == 0) return nullptr;
  return __real_aligned_alloc(alignment, size);
}

namespace tests::standalone {
namespace {

using rules_torch::testing::FailuresUntilSuccess;
using rules_torch::testing::OnlyAllocations;

// How many allocations the last of some runs made.
template <typename Run>
int AllocationsOf(Run run) {
  int last = 0;
  for (int i = 0; i < 3; ++i) {
    const int before = allocations;
    const auto status = run();
    last = allocations - before;
    EXPECT_TRUE(status.ok()) << status.message();
  }
  return last;
}

TEST(MemoryTest, RunsIntoBuffersAllocateNothing) {
  const auto model = Serial::Create();
  ASSERT_TRUE(model.ok()) << model.status().message();
  std::array<float, 16> x{};
  std::array<float, 8> y{};
  EXPECT_EQ(AllocationsOf(
                [&] { return model->Run({{x.data(), {2, 8}}}, {{y.data(), {2, 4}}}); }),
            0);
}

TEST(MemoryTest, AnOutputIsOneAllocation) {
  const auto model = Serial::Create();
  ASSERT_TRUE(model.ok()) << model.status().message();
  std::array<float, 16> x{};
  EXPECT_EQ(AllocationsOf([&] { return model->Run({{x.data(), {2, 8}}}).status(); }),
            1);
}

// Also where what a branch or a loop computes decides how large the results are.
TEST(MemoryTest, BranchesUseWhatTheRunBeforeUsed) {
  const auto model = Gated::Create();
  ASSERT_TRUE(model.ok()) << model.status().message();
  std::array<float, 24> x{};
  std::array<float, 24> y{};
  std::int64_t steps = 0;
  EXPECT_EQ(AllocationsOf([&] {
              return model->Run({{x.data(), {3, 8}}},
                                {{y.data(), {3, 8}}, {&steps, {}}});
            }),
            0);
}

// Sizes come and go, and what was kept for them with them.
TEST(MemoryTest, UnusedMemoryIsFreed) {
  const auto model = Serial::Create();
  ASSERT_TRUE(model.ok()) << model.status().message();
  std::vector<float> x(1024 * 8);
  std::vector<float> y(1024 * 4);
  const auto run = [&](std::int64_t batch) {
    return model->Run({{x.data(), {batch, 8}}}, {{y.data(), {batch, 4}}});
  };
  ASSERT_TRUE(run(1024).ok());
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(run(1).ok());
  const int before = allocations;
  ASSERT_TRUE(run(1024).ok());
  EXPECT_GT(allocations, before);
}

TEST(MemoryTest, ARunWithoutMemoryFailsAndTheNextOneSucceeds) {
  const RTorchModelApi& api = Encoder::Api();
  std::array<std::int64_t, 6> ids = {1, 2, 3, 4, 5, 6};
  std::array<bool, 6> mask{};
  std::array<RTorchTensor, 2> inputs{};
  inputs[0] = {ids.data(), RTORCH_INT64, 2, {RTORCH_CPU, 0}, {2, 3}, {3, 1},
               nullptr,    nullptr,      {}};
  inputs[1] = {mask.data(), RTORCH_BOOL, 2, {RTORCH_CPU, 0}, {2, 3}, {3, 1},
               nullptr,     nullptr,     {}};
  const int failures = FailuresUntilSuccess([&](int count, RTorchError* error) {
    RTorchModel* model = nullptr;
    if (api.create(&api, nullptr, &model, error) != RTORCH_OK) return error->code;
    std::array<RTorchTensor, 2> outputs{};
    RTorchCode code;
    {
      const OnlyAllocations only(count);
      code = api.run(model, inputs.data(), 2, outputs.data(), 2, nullptr, error);
    }
    for (RTorchTensor& output : outputs) {
      EXPECT_EQ(output.data != nullptr, code == RTORCH_OK);
      api.release(&output);
    }
    api.destroy(model);
    return code;
  });
  EXPECT_GT(failures, 5);
}

}  // namespace
}  // namespace tests::standalone
