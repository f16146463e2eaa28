#include <cstdio>

#include "shop/rank.h"

int Fail(const rules_torch::Status& status) {
  return std::fprintf(stderr, "%s\n", status.message().c_str()), 1;
}

int main() {
  auto rank = shop::Rank::Create();
  if (!rank.ok()) return Fail(rank.status());
  const float features[2 * 8] = {1, 2, 3};
  auto outputs = rank->Run({{features, {2, 8}}});
  if (!outputs.ok()) return Fail(outputs.status());
  std::printf("%f %f\n", outputs->output(0, 0), outputs->output(1, 0));
}
