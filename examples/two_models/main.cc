// Two compiled models in one program: a perceptron, and a running mean of what it
// returns. The second has state, which lasts from one call to the next.
#include <array>
#include <cstdio>

#include "models/counter.h"
#include "models/mlp.h"

namespace {

void Print(const char* name, const float* values) {
  std::printf("%5s: %9.6f %9.6f %9.6f %9.6f\n", name, values[0], values[1], values[2],
              values[3]);
}

int Fail(const rules_torch::Status& status) {
  std::fprintf(stderr, "two_models: %s\n", status.message().c_str());
  return 1;
}

}  // namespace

int main() {
  const auto mlp = models::Mlp::Create();
  if (!mlp.ok()) return Fail(mlp.status());
  // Not const: a call changes its buffers.
  auto counter = models::Counter::Create();
  if (!counter.ok()) return Fail(counter.status());

  for (int call = 1; call <= 3; ++call) {
    std::array<float, 8> x;
    x.fill(static_cast<float>(call));
    const auto scores = mlp->Run({.x = {x.data(), {1, 8}}});
    if (!scores.ok()) return Fail(scores.status());
    const auto statistics = counter->Run({.x = scores->y.view()});
    if (!statistics.ok()) return Fail(statistics.status());

    std::printf("call %d\n", static_cast<int>(statistics->steps(0)));
    Print("y", scores->y.data());
    Print("mean", statistics->mean.data());
  }
  return 0;
}
