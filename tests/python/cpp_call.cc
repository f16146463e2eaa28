// Calls a model's library from C++: what Python's results must be equal to, bit by bit.
//
//   cpp_call LIBRARY < INPUTS > OUTPUTS
//
// INPUTS has for each input its sizes, as int64, and its elements, row-major; OUTPUTS
// the elements of each output.
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "rules_torch/dtype.h"
#include "rules_torch/model.h"

namespace {

using rules_torch::DTypeSize;

std::size_t BytesOf(const RTorchTensor& tensor) {
  auto bytes = static_cast<std::size_t>(DTypeSize(tensor.dtype));
  for (std::int32_t i = 0; i < tensor.rank; ++i) {
    bytes *= static_cast<std::size_t>(tensor.sizes[i]);
  }
  return bytes;
}

void Read(void* to, std::size_t bytes) {
  if (std::fread(to, 1, bytes, stdin) != bytes) std::perror("cpp_call");
}

RTorchTensor ReadTensor(const RTorchTensorSpec& spec, std::vector<char>* memory) {
  RTorchTensor tensor{};
  tensor.dtype = spec.dtype;
  tensor.rank = spec.rank;
  tensor.device = {RTORCH_CPU, 0};
  Read(tensor.sizes, static_cast<std::size_t>(spec.rank) * sizeof tensor.sizes[0]);
  std::int64_t stride = 1;
  for (std::int32_t i = spec.rank; i-- > 0;) {
    tensor.strides[i] = stride;
    stride *= tensor.sizes[i];
  }
  memory->resize(BytesOf(tensor));
  Read(memory->data(), memory->size());
  tensor.data = memory->data();
  return tensor;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  void* const library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  void* const symbol =
      library == nullptr ? nullptr : dlsym(library, RTORCH_ENTRY_POINT);
  if (symbol == nullptr) return std::fprintf(stderr, "%s\n", dlerror()), 1;
  RTorchGetModelApi get;
  std::memcpy(&get, &symbol, sizeof get);
  const RTorchModelApi& api = *get();
  const auto model = rules_torch::Model::Create(&api);
  if (!model.ok()) {
    return std::fprintf(stderr, "%s\n", model.status().message().c_str()), 1;
  }
  const auto num_inputs = static_cast<std::size_t>(api.num_inputs);
  std::vector<std::vector<char>> memory(num_inputs);
  std::vector<RTorchTensor> inputs(num_inputs);
  for (std::size_t i = 0; i < num_inputs; ++i) {
    inputs[i] = ReadTensor(api.inputs[i], &memory[i]);
  }
  std::vector<RTorchTensor> outputs(static_cast<std::size_t>(api.num_outputs));
  const rules_torch::Status status =
      model->Run(inputs.data(), api.num_inputs, outputs.data(), api.num_outputs);
  if (!status.ok()) return std::fprintf(stderr, "%s\n", status.message().c_str()), 1;
  for (RTorchTensor& output : outputs) {
    std::fwrite(output.data, 1, BytesOf(output), stdout);
    api.release(&output);
  }
  return 0;
}
