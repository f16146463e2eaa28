// A model that was compiled for THREADS threads uses these, whatever the machine and
// the environment say.
#include <dlfcn.h>
#include <omp.h>

#include <atomic>
#include <chrono>
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

namespace {

std::atomic<int> largest_team{1};

struct Region {
  void (*body)(void*);
  void* data;
};

}  // namespace

// Stands before libgomp's, for the code of models and of libtorch alike.
extern "C" void GOMP_parallel(void (*body)(void*), void* data, unsigned threads,
                              unsigned flags) {
  static const auto real =
      reinterpret_cast<decltype(&GOMP_parallel)>(dlsym(RTLD_NEXT, "GOMP_parallel"));
  Region region{body, data};
  real(
      [](void* opaque) {
        const auto* that = static_cast<const Region*>(opaque);
        const int team = omp_get_num_threads();
        int largest = largest_team;
        while (largest < team && !largest_team.compare_exchange_weak(largest, team)) {
        }
        that->body(that->data);
      },
      &region, threads, flags);
}

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

// The team of every parallel region is counted from within: how many threads the
// process has tells less, for the ones that OpenMP ends are seen for a while after.
TEST(ThreadsTest, AreAsManyAsDeclared) {
  RunOnce(*ENCODER());
  RunOnce(*RESNET50());
  EXPECT_EQ(largest_team, THREADS);
}

TEST(ThreadsTest, AreOfOpenMPAlone) {
  RunOnce(*ENCODER());
  RunOnce(*RESNET50());
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (LiveThreads() > THREADS && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_LE(LiveThreads(), THREADS);
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
