// The seam between what is common to all models (model.cc) and a runtime with the code
// that was generated for one.
//
// A call goes: the program, RTorchModelApi.run, model.cc, Backend::run, the model's
// code. model.cc checks arguments, binds symbols, picks the variant, finds the weights
// and owns results; it touches no memory but the host's. Devices, streams, threads and
// how anything is computed are the backend's.
#ifndef RULES_TORCH_INTERNAL_BACKEND_H_
#define RULES_TORCH_INTERNAL_BACKEND_H_

#include <cstdint>
#include <string>

#include "rules_torch/abi.h"
#include "runtime/internal/blob.h"

namespace rules_torch::internal {

// The value of a symbol that the inputs do not decide.
inline constexpr std::int64_t kUnbound = -1;

// What became of one output of a run.
enum class Result : std::int32_t {
  kWritten,  // it lies in the memory that was given
  kOwned,   // it lies in memory that `deleter(owner)` frees, and that nothing else uses
  kShared,  // as kOwned, but an input, another output or the instance uses it, too
};

// What `load` is told. All of it outlives what it made.
struct LoadRequest {
  const RTorchModelApi* api;
  // One for each of api->weights: its first byte, in host memory, laid out as the spec
  // says.
  const void* const* weights;
  RTorchDevice device;
};

// One run. Arguments are right: numbers, dtypes, ranks, sizes, devices.
struct RunRequest {
  const RTorchTensor* inputs;  // row-major contiguous
  const std::int64_t* symbols;
  // `data` is null, or memory for the result, row-major contiguous; then `sizes` are
  // the result's as far as the inputs decide them. The backend writes the result there
  // if it can.
  RTorchTensor* outputs;
  Result* results;                  // one for each output
  const RTorchRunOptions* options;  // complete; never null
};

// The functions of one variant of a model. What fails returns a code,
// RESOURCE_EXHAUSTED where memory ran out, and the reason; it may also throw
// std::bad_alloc, and nothing else.
struct Backend {
  // Makes whatever instances with the same weights on one device share; never null. Not
  // modified by what follows, so that many threads may use it.
  RTorchCode (*load)(const LoadRequest& request, void** loaded, std::string* reason);
  void (*unload)(void* loaded);

  // Makes an instance, with its mutable buffers in their initial state or, where
  // `state_of` is not null, in that instance's. `threads` is RTorchCreateOptions's.
  // Never null.
  RTorchCode (*create)(void* loaded, std::int32_t threads, const void* state_of,
                       void** instance, std::string* reason);
  void (*destroy)(void* instance);

  // Sets every output: dtype, rank, device, sizes, strides, data, owner and deleter,
  // but leaves one that it wrote as it was. A deleter must not lie in the generated
  // code, which may be unloaded first. On failure no output has an owner.
  RTorchCode (*run)(void* instance, const RunRequest& request, std::string* reason);

  // Copies elements between tensors of equal dtype and sizes: between devices in the
  // order of `stream`, and many in host memory, in as many threads as a run has.
  // `threads` is RTorchCreateOptions's. Null for a backend of the host's that has one
  // thread.
  RTorchCode (*copy)(std::int32_t threads, const RTorchTensor& from,
                     const RTorchTensor& to, void* stream, std::string* reason);
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
  const Blob* weights;  // a weights file, the same for all; null if not in the library
};

// RTorchModelApi's functions, the same for every model.
RTorchCode CreateModel(const RTorchModelApi* api, const RTorchCreateOptions* options,
                       RTorchModel** model, RTorchError* error);
void DestroyModel(RTorchModel* model);
RTorchCode RunModel(const RTorchModel* model, const RTorchTensor* inputs,
                    std::int32_t num_inputs, RTorchTensor* outputs,
                    std::int32_t num_outputs, const RTorchRunOptions* options,
                    RTorchError* error);
void ReleaseTensor(RTorchTensor* output);
RTorchCode SwapWeights(RTorchModel* model, const RTorchWeights* weights,
                       RTorchError* error);
const char* IsaOfModel(const RTorchModel* model);

}  // namespace rules_torch::internal

#endif  // RULES_TORCH_INTERNAL_BACKEND_H_
