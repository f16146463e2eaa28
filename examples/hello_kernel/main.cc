#include <cstdio>

#include "examples/hello_kernel/scale.h"
#include "rules_torch/gpu.h"

int main() {
  auto gpu = rules_torch::Gpu::Open();
  auto x = gpu.ok() ? (*gpu)->Upload<float>({1, 2, 3}) : gpu.status();
  auto status =
      x.ok() ? examples::hello_kernel::scale(nullptr, x->data(), 10, 3) : x.status();
  auto y = status.ok() ? (*gpu)->Download(*x) : status;
  std::puts(y.ok() ? std::to_string(y->back()).c_str() : y.status().message().c_str());
  return y.ok() ? 0 : 1;
}
