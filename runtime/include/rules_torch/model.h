// What every generated model class holds: one instance of a compiled model.
#ifndef RULES_TORCH_MODEL_H_
#define RULES_TORCH_MODEL_H_

#include <cstdint>
#include <memory>
#include <string>

#include "rules_torch/abi.h"
#include "rules_torch/status.h"
#include "rules_torch/tensor.h"

namespace rules_torch {

// Owns an RTorchModel. The generated classes put types on it; it can also be
// used as it is with a table that came from dlsym.
//
// Thread-safe but for moving and destroying, as RTorchModelApi.run says. What dlclose
// and fork mean to a model is said in abi.h.
class Model {
 public:
  // `api` must outlive the model. Fails with INVALID_ARGUMENT where it is null or its
  // abi_version is not this header's.
  static StatusOr<Model> Create(const RTorchModelApi* api) {
    if (api == nullptr) return Status(RTORCH_INVALID_ARGUMENT, "the table is null");
    if (api->abi_version != RTORCH_ABI_VERSION) {
      return Status(RTORCH_INVALID_ARGUMENT,
                    "the model's ABI version is " + std::to_string(api->abi_version) +
                        ", this program's is " + std::to_string(RTORCH_ABI_VERSION));
    }
    RTorchModel* model = nullptr;
    RTorchError error;
    if (api->create(api, &model, &error) != RTORCH_OK) {
      return Status(error.code, error.message);
    }
    return Model(api, model);
  }

  // See RTorchModelApi.run.
  Status Run(const RTorchTensor* inputs, std::int32_t num_inputs, RTorchTensor* outputs,
             std::int32_t num_outputs) const {
    RTorchError error;
    if (api_->run(model_.get(), inputs, num_inputs, outputs, num_outputs, &error) !=
        RTORCH_OK) {
      return Status(error.code, error.message);
    }
    return Status();
  }

  // The same, writing every output into the buffer given for it. That of an empty
  // output may be null.
  Status RunInto(const RTorchTensor* inputs, std::int32_t num_inputs,
                 RTorchTensor* outputs, std::int32_t num_outputs) const {
    // Otherwise Run says what is wrong.
    const bool fits = outputs != nullptr && num_outputs == api_->num_outputs;
    for (std::int32_t i = 0; fits && i < num_outputs; ++i) {
      if (outputs[i].data == nullptr && !MayBeEmpty(api_->outputs[i], outputs[i])) {
        return Status(
            RTORCH_INVALID_ARGUMENT,
            std::string("output '") + api_->outputs[i].name + "': the buffer is null");
      }
    }
    // For Run null means: allocate. Any other address does for a buffer that
    // nothing is written to.
    for (std::int32_t i = 0; fits && i < num_outputs; ++i) {
      if (outputs[i].data == nullptr) outputs[i].data = &outputs[i];
    }
    Status status = Run(inputs, num_inputs, outputs, num_outputs);
    for (std::int32_t i = 0; fits && i < num_outputs; ++i) {
      if (outputs[i].data == &outputs[i]) outputs[i].data = nullptr;
    }
    return status;
  }

  const RTorchModelApi& api() const { return *api_; }

  // The instruction set that was picked for this CPU, "x86-64-v3"; never freed.
  const char* isa() const { return api_->isa(model_.get()); }

 private:
  // Whether a buffer has a dimension of size 0 where the output's can be 0.
  static bool MayBeEmpty(const RTorchTensorSpec& spec, const RTorchTensor& buffer) {
    if (buffer.rank != spec.rank) return false;
    for (std::int32_t i = 0; i < spec.rank; ++i) {
      if (buffer.sizes[i] == 0 && spec.dims[i].min == 0) return true;
    }
    return false;
  }

  Model(const RTorchModelApi* api, RTorchModel* model)
      : api_(api), model_(model, api->destroy) {}

  const RTorchModelApi* api_;
  std::unique_ptr<RTorchModel, void (*)(RTorchModel*)> model_;
};

}  // namespace rules_torch

#endif  // RULES_TORCH_MODEL_H_
