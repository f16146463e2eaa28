// A model that was compiled for THREADS threads uses these, whatever the machine and
// the environment say.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "rules_torch/dtype.h"
#include "rules_torch/model.h"

extern "C" const RTorchModelApi* ENCODER(void);
extern "C" const RTorchModelApi* RESNET50(void);

namespace rules_torch {
namespace {

std::ptrdiff_t LiveThreads() {
  namespace fs = std::filesystem;
  return std::distance(fs::directory_iterator("/proc/self/task"),
                       fs::directory_iterator());
}

// A view of memory for one of a model's tensors, dynamic dimensions being 4.
RTorchTensor Shaped(const RTorchTensorSpec& spec, std::vector<std::uint8_t>* memory) {
  RTorchTensor tensor{};
  tensor.dtype = spec.dtype;
  tensor.rank = spec.rank;
  tensor.device = {RTORCH_CPU, 0};
  std::int64_t count = 1;
  for (std::int32_t i = spec.rank; i-- > 0;) {
    tensor.sizes[i] = spec.dims[i].symbol < 0 ? spec.dims[i].min : 4;
    tensor.strides[i] = count;
    count *= tensor.sizes[i];
  }
  memory->resize(static_cast<std::size_t>(count * DTypeSize(spec.dtype)));
  tensor.data = memory->data();
  return tensor;
}

// Runs a model once; returns its first output.
std::vector<std::uint8_t> RunOnce(const RTorchModelApi& api) {
  std::vector<std::vector<std::uint8_t>> memory(
      static_cast<std::size_t>(api.num_inputs + api.num_outputs));
  std::vector<RTorchTensor> inputs;
  std::vector<RTorchTensor> outputs;
  std::size_t next = 0;
  for (std::int32_t i = 0; i < api.num_inputs; ++i) {
    inputs.push_back(Shaped(api.inputs[i], &memory[next]));
    // Small numbers, in any dtype.
    for (std::size_t k = 0; k < memory[next].size(); ++k) {
      const bool is_float = api.inputs[i].dtype == RTORCH_FLOAT32;
      memory[next][k] = is_float
                            ? static_cast<std::uint8_t>(k % 4 == 3 ? 0x3d : k % 251)
                            : static_cast<std::uint8_t>(k % 8 == 0);
    }
    ++next;
  }
  for (std::int32_t i = 0; i < api.num_outputs; ++i) {
    outputs.push_back(Shaped(api.outputs[i], &memory[next++]));
  }
  const StatusOr<Model> model = Model::Create(&api);
  EXPECT_TRUE(model.ok()) << model.status().message();
  const Status status =
      model->RunInto(inputs.data(), api.num_inputs, outputs.data(), api.num_outputs);
  EXPECT_TRUE(status.ok()) << status.message();
  return memory[static_cast<std::size_t>(api.num_inputs)];
}

// MKL uses no more threads than there are cores, and OpenMP ends those that a next
// loop does not need: the most at any time are what tells.
TEST(ThreadsTest, AreAsManyAsDeclared) {
  std::atomic<bool> done{false};
  std::ptrdiff_t most = 0;
  std::thread observer([&] {
    while (!done) most = std::max(most, LiveThreads());
  });
  while (LiveThreads() != 2) std::this_thread::yield();  // this one and the observer
  RunOnce(*ENCODER());
  RunOnce(*RESNET50());
  done = true;
  observer.join();
  EXPECT_EQ(most - 2, THREADS - 1);
}

TEST(ThreadsTest, GiveTheSameBitsInAnyThreadOfTheProgram) {
  const std::vector<std::uint8_t> encoded = RunOnce(*ENCODER());
  const std::vector<std::uint8_t> classified = RunOnce(*RESNET50());
  std::thread([&] {
    EXPECT_EQ(RunOnce(*ENCODER()), encoded);
    EXPECT_EQ(RunOnce(*RESNET50()), classified);
  }).join();
}

}  // namespace
}  // namespace rules_torch
