// Models with each of the two runtimes, in turn, in one process.
//
//   ./bazelw run //benchmarks/cpu:runtimes [-- ROUNDS]
//
// Prints the median time of a call with buffers given, and the ratio of standalone's to
// libtorch's. OMP_NUM_THREADS says in how many threads.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "models/gated.h"
#include "models/lstm.h"
#include "models/mlp.h"
#include "models/resnet.h"
#include "rules_torch/abi.h"
#include "tests/libtorch/encoder.h"
#include "tests/libtorch/gated.h"
#include "tests/libtorch/lstm.h"
#include "tests/libtorch/mlp.h"
#include "tests/libtorch/resnet.h"
#include "tests/standalone/encoder.h"

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void Fail(const RTorchError& error) {
  std::fprintf(stderr, "runtimes: %s\n", error.message);
  std::exit(1);
}

// A model, and a call of it with every dynamic size at the same value, or next to it.
class Call {
 public:
  Call(const RTorchModelApi& api, std::int64_t size) : api_(api) {
    RTorchError error{};
    if (api.create(&api, nullptr, &model_, &error) != RTORCH_OK) Fail(error);
    std::mt19937 random(1);
    for (int i = 0; i < api.num_inputs; ++i) {
      inputs_.push_back(Input(api.inputs[i], size, &random));
    }
    outputs_.resize(static_cast<std::size_t>(api.num_outputs));
    Run();  // allocates them; they are the buffers from then on
  }

  // In microseconds.
  double Run() {
    RTorchError error{};
    const Clock::time_point start = Clock::now();
    if (api_.run(model_, inputs_.data(), api_.num_inputs, outputs_.data(),
                 api_.num_outputs, nullptr, &error) != RTORCH_OK) {
      Fail(error);
    }
    return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
  }

 private:
  RTorchTensor Input(const RTorchTensorSpec& spec, std::int64_t size,
                     std::mt19937* random) {
    RTorchTensor tensor{};
    tensor.dtype = spec.dtype;
    tensor.rank = spec.rank;
    tensor.device = {RTORCH_CPU, 0};
    std::int64_t count = 1;
    for (int i = spec.rank - 1; i >= 0; --i) {
      const RTorchDim& dim = spec.dims[i];
      const std::int64_t wanted =
          dim.symbol < 0 ? dim.min : dim.scale * size + dim.offset;
      tensor.sizes[i] = std::clamp(wanted, dim.min, dim.max);
      tensor.strides[i] = count;
      count *= tensor.sizes[i];
    }
    memory_.emplace_back(static_cast<std::size_t>(count) + 1);
    std::vector<double>& memory = memory_.back();  // 8 bytes an element are enough
    tensor.data = memory.data();
    for (std::int64_t i = 0; i < count; ++i) {
      if (spec.dtype == RTORCH_FLOAT32) {
        static_cast<float*>(tensor.data)[i] =
            std::normal_distribution<float>()(*random);
      } else if (spec.dtype == RTORCH_INT64) {
        static_cast<std::int64_t*>(tensor.data)[i] = (*random)() % 50;
      }
    }
    return tensor;
  }

  const RTorchModelApi& api_;
  RTorchModel* model_ = nullptr;
  std::vector<std::vector<double>> memory_;
  std::vector<RTorchTensor> inputs_;
  std::vector<RTorchTensor> outputs_;
};

double Median(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

void Compare(const char* name, std::int64_t size, int rounds,
             const RTorchModelApi& libtorch, const RTorchModelApi& standalone) {
  Call a(libtorch, size);
  Call b(standalone, size);
  std::vector<double> times[2];
  for (int round = 0; round < rounds; ++round) {
    times[0].push_back(a.Run());
    times[1].push_back(b.Run());
  }
  const double medians[] = {Median(times[0]), Median(times[1])};
  std::printf("%-10s %5lld %12.2f %12.2f %6.2f\n", name, static_cast<long long>(size),
              medians[0], medians[1], medians[1] / medians[0]);
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 200;
  std::printf("%-10s %5s %12s %12s %6s\n", "model", "size", "libtorch us",
              "standalone us", "ratio");
  for (const std::int64_t size : {1, 16}) {
    Compare("mlp", size, rounds * 10, tests::libtorch::Mlp::Api(), models::Mlp::Api());
    Compare("gated", size, rounds * 10, tests::libtorch::Gated::Api(),
            models::Gated::Api());
    Compare("lstm", size, rounds, tests::libtorch::Lstm::Api(), models::Lstm::Api());
    Compare("encoder", size, rounds, tests::libtorch::Encoder::Api(),
            tests::standalone::Encoder::Api());
  }
  Compare("resnet", 1, rounds / 20 + 1, tests::libtorch::Resnet::Api(),
          models::Resnet::Api());
}
