// The bare call of a model from C++, for call.py: as a program makes it that has the
// model linked, with outputs that are allocated and freed.
#include <chrono>
#include <cstdint>
#include <vector>

#include "rules_torch/model.h"
#include "rules_torch/tensor.h"

using rules_torch::Model;
using rules_torch::Tensor;
using rules_torch::TensorView;

// ns of one call of a model from float32[rows, columns] to one output of rank 2; -1 if
// it fails.
extern "C" __attribute__((visibility("default"))) double BareCall(
    const RTorchModelApi* api, std::int64_t rows, std::int64_t columns, int calls) {
  const auto model = Model::Create(api);
  if (!model.ok()) return -1;
  const std::vector<float> x(static_cast<std::size_t>(rows * columns));
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < calls; ++i) {
    const RTorchTensor input =
        TensorView<const float, 2>(x.data(), {rows, columns}).abi();
    RTorchTensor output{};
    if (!model->Run(&input, 1, &output, 1).ok()) return -1;
    const Tensor<float, 2> y(output);
  }
  const std::chrono::duration<double, std::nano> took =
      std::chrono::steady_clock::now() - start;
  return took.count() / calls;
}
