// Whether the arguments of a run are what the model declares.
//
// A check has two halves: the fast one says yes or no, and allocates nothing; for a no
// the other says what is wrong, in words.
#ifndef RULES_TORCH_INTERNAL_CHECKS_H_
#define RULES_TORCH_INTERNAL_CHECKS_H_

#include <cstdint>
#include <string>

#include "rules_torch/abi.h"
#include "runtime/internal/layout.h"

namespace rules_torch::internal {

// Host memory, whichever allocator made it.
constexpr bool IsHost(RTorchDevice device) {
  return device.type == RTORCH_CPU || device.type == RTORCH_CUDA_HOST;
}

// How a tensor that fits lies in memory.
struct Place {
  bool canonical;  // row-major, strides that no index is multiplied with, too
  Extent extent;
};

// Checks an input against its declaration; nothing that is computed from its sizes and
// strides overflows then. Binds `symbols`, of which kUnbound ones take the input's
// sizes.
bool InputFits(const RTorchTensorSpec& spec, const RTorchTensor& input,
               RTorchDevice device, std::int64_t* symbols, Place* place);

// Checks a buffer that the caller gave for an output, as far as the inputs decide it.
bool OutputFits(const RTorchTensorSpec& spec, const RTorchTensor& output,
                RTorchDevice device, const std::int64_t* symbols, Place* place);

// Sets the sizes of an output. False where only the run tells one: then they are of no
// use.
bool SizesOf(const RTorchTensorSpec& spec, const std::int64_t* symbols,
             std::int64_t* sizes);

// Says why the first of the inputs that does not fit is wrong: "input 'image': expected
// float32[batch, 3] with 1 <= batch <= 64, got float32[0, 3]: dimension 0 is 0".
std::string WrongInput(const RTorchModelApi& api, const RTorchTensor* inputs,
                       RTorchDevice device);

// Likewise of the buffers.
std::string WrongOutput(const RTorchModelApi& api, const RTorchTensor* outputs,
                        RTorchDevice device, const std::int64_t* symbols);

// Says that a buffer does not have the sizes of the result that came.
std::string WrongSize(const RTorchModelApi& api, const RTorchTensorSpec& spec,
                      const RTorchTensor& output, const RTorchTensor& result);

}  // namespace rules_torch::internal

#endif  // RULES_TORCH_INTERNAL_CHECKS_H_
