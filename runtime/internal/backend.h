// The seam between what is common to all models (model.cc) and the code that
// was generated for one, with the runtime that it calls.
#ifndef RULES_TORCH_INTERNAL_BACKEND_H_
#define RULES_TORCH_INTERNAL_BACKEND_H_

#include <cstdint>
#include <string>

#include "rules_torch/abi.h"
#include "runtime/internal/blob.h"

namespace rules_torch::internal {

// One generated model. What fails returns a code, RESOURCE_EXHAUSTED where memory
// ran out, and the reason; it may also throw std::bad_alloc, and nothing else.
struct Backend {
  // Makes an instance that uses `weights` where they lie.
  RTorchCode (*create)(const Blob& weights, void** instance, std::string* reason);

  void (*destroy)(void* instance);

  // `inputs` are right in number, dtype and shape, and contiguous. Fills
  // `outputs` entirely. Where the result shares memory with an input, with
  // another output or with the instance, its owner holds no right to it:
  // `deleter` is set, but `owned[i]` is false, and the caller has to copy.
  // A deleter must not lie in the generated code, which may be unloaded first.
  // On failure sets no output.
  RTorchCode (*run)(void* instance, const RTorchTensor* inputs, RTorchTensor* outputs,
                    bool* owned, std::string* reason);
};

// The code of a model for one instruction set.
struct Variant {
  const char* isa;  // "x86-64-v3"
  const Backend* backend;
};

// What RTorchModelApi.definition points to.
struct Definition {
  const Variant* variants;  // the one to prefer first
  std::int32_t num_variants;
  const Blob* weights;  // the same for all
};

// RTorchModelApi's functions, the same for every model.
RTorchCode CreateModel(const RTorchModelApi* api, RTorchModel** model,
                       RTorchError* error);
void DestroyModel(RTorchModel* model);
RTorchCode RunModel(const RTorchModel* model, const RTorchTensor* inputs,
                    std::int32_t num_inputs, RTorchTensor* outputs,
                    std::int32_t num_outputs, RTorchError* error);
void ReleaseTensor(RTorchTensor* output);
const char* IsaOfModel(const RTorchModel* model);

}  // namespace rules_torch::internal

#endif  // RULES_TORCH_INTERNAL_BACKEND_H_
