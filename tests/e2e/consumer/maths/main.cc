#include <cstdio>

#include "maths/scale.h"
#include "rules_torch/gpu.h"

int Fail(const rules_torch::Status& status) {
  return std::fprintf(stderr, "%s\n", status.message().c_str()), 1;
}

int main() {
  auto gpu = rules_torch::Gpu::Open();
  if (!gpu.ok()) return Fail(gpu.status());
  auto x = (*gpu)->Upload<float>({1, 2, 3});
  if (!x.ok()) return Fail(x.status());
  auto status = maths::scale(nullptr, x->data(), 10, 3);
  if (!status.ok()) return Fail(status);
  auto y = (*gpu)->Download(*x);
  if (!y.ok()) return Fail(y.status());
  for (float value : *y) std::printf("%g\n", value);
}
