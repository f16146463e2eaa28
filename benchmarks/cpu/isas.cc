// What a library for several instruction sets costs: ResNet-18, one image, against
// libraries for one. All are run in turn, so that what the machine does meanwhile
// falls on all alike.
//
//   ./bazelw run //benchmarks/cpu:isas [-- ROUNDS]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "benchmarks/cpu/resnet_all.h"
#include "benchmarks/cpu/resnet_v2.h"
#include "benchmarks/cpu/resnet_v3.h"
#include "benchmarks/cpu/resnet_v4.h"

namespace {

struct Library {
  std::string name;
  rules_torch::Model model;
  std::vector<double> milliseconds;
};

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 200;
  std::vector<Library> libraries;
  for (const auto& [name, api] :
       {std::pair("v2, v3, v4", &benchmarks::cpu::ResnetAll::Api()),
        std::pair("v2", &benchmarks::cpu::ResnetV2::Api()),
        std::pair("v3", &benchmarks::cpu::ResnetV3::Api()),
        std::pair("v4", &benchmarks::cpu::ResnetV4::Api())}) {
    auto model = rules_torch::Model::Create(api);
    if (model.ok()) {
      libraries.push_back({name, *std::move(model), {}});
    } else {
      std::printf("%s: %s\n", name, model.status().message().c_str());
    }
  }
  if (libraries.empty()) return 1;

  std::vector<float> image(3 * 224 * 224, 0.5F);
  const rules_torch::TensorView<const float, 4> input(image.data(), {1, 3, 224, 224});
  const RTorchTensor in[] = {input.abi()};
  for (int round = -10; round < rounds; ++round) {  // the first ten warm up
    for (std::size_t k = 0; k < libraries.size(); ++k) {
      Library& library =
          libraries[(k + static_cast<std::size_t>(round + 10)) % libraries.size()];
      RTorchTensor out[1] = {};
      const auto start = std::chrono::steady_clock::now();
      const rules_torch::Status status = library.model.Run(in, 1, out, 1);
      const std::chrono::duration<double, std::milli> took =
          std::chrono::steady_clock::now() - start;
      if (!status.ok()) return std::puts(status.message().c_str()), 1;
      library.model.api().release(out);
      if (round >= 0) library.milliseconds.push_back(took.count());
    }
  }

  std::printf("ResNet-18, 1 x 3 x 224 x 224, medians of %d rounds\n", rounds);
  for (const Library& library : libraries) {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < library.milliseconds.size(); ++i) {
      ratios.push_back(library.milliseconds[i] / libraries[0].milliseconds[i]);
    }
    std::printf("%-12s runs %-14s %7.2f ms  %.3f of the first, round by round\n",
                library.name.c_str(), library.model.isa(), Median(library.milliseconds),
                Median(ratios));
  }
}
