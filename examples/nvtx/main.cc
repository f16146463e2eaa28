// Runs a model under a profiler that reads NVTX:
//
//   nsys profile --trace=nvtx bazel-bin/examples/nvtx/nvtx
#include <array>
#include <cstdio>

#include "examples/nvtx/nvtx_tracer.h"
#include "models/mlp.h"

int main() {
  const auto mlp = models::Mlp::Create();
  if (!mlp.ok()) {
    std::fprintf(stderr, "nvtx: %s\n", mlp.status().message().c_str());
    return 1;
  }
  rules_torch::RunOptions options;
  options.tracer = examples::NvtxTracer();
  std::puts(options.tracer != nullptr ? "a tool listens" : "no tool listens");
  std::array<float, 16> features;
  features.fill(1);
  for (int run = 0; run < 3; ++run) {
    const auto outputs = mlp->Run({.x = {features.data(), {2, 8}}}, options);
    if (!outputs.ok()) {
      std::fprintf(stderr, "nvtx: %s\n", outputs.status().message().c_str());
      return 1;
    }
  }
  return 0;
}
