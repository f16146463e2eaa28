#include <cstdio>

#include "shop/rank.h"

int main() {
  auto rank = shop::Rank::Create();
  const float features[2 * 8] = {1, 2, 3};
  auto outputs = rank->Run({{features, {2, 8}}});
  if (!outputs.ok()) return std::puts(outputs.status().message().c_str()), 1;
  std::printf("%f %f\n", outputs->output(0, 0), outputs->output(1, 0));
}
