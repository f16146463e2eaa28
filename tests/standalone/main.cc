// A program with one model: prints its answer.
#include <array>
#include <cstdio>

#include "tests/standalone/serial.h"

int main() {
  const auto model = tests::standalone::Serial::Create();
  if (!model.ok()) return 1;
  std::array<float, 8> x;
  x.fill(1);
  const auto outputs = model->Run({{x.data(), {1, 8}}});
  if (!outputs.ok()) return 1;
  std::printf("%.3f\n", static_cast<double>(outputs->y(0, 0)));
  return 0;
}
