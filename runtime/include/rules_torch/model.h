// What every generated model class holds: one instance of a compiled model.
#ifndef RULES_TORCH_MODEL_H_
#define RULES_TORCH_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "rules_torch/abi.h"
#include "rules_torch/options.h"
#include "rules_torch/status.h"
#include "rules_torch/tensor.h"

namespace rules_torch {

// Owns an RTorchModel. The generated classes put types on it; it can also be
// used as it is with a table that came from dlsym.
//
// Lifetime: destroy it before its library is unloaded by dlclose; outputs may be kept
// longer. Movable; of one that was moved from, every call but `api` is an error.
// Threads: Run, RunInto and Warmup may be called from many at once, Run and RunInto
// beside one Swap, too; everything else alone. Runs of a stateful model wait for one
// another, others for nobody.
// Fork: both processes may go on to use it, if no other thread was in Create, Swap or a
// run during the fork. abi.h has the fine print, OpenMP's too.
// Cost: a run that succeeds allocates nothing here, and adds a call through a pointer.
class Model {
 public:
  // Makes an instance, with its own state and a share of the weights. `api` must
  // outlive the model. INVALID_ARGUMENT where it is null or made for another version of
  // the ABI; UNIMPLEMENTED where the library has nothing for this CPU or GPU;
  // NOT_FOUND, DATA_LOSS or INVALID_ARGUMENT for weights that cannot be used.
  //
  // Cheap where another instance with the same weights is alive.
  static StatusOr<Model> Create(const RTorchModelApi* api,
                                const CreateOptions& options = {}) {
    if (api == nullptr) return Status(RTORCH_INVALID_ARGUMENT, "the table is null");
    if (api->abi_version != RTORCH_ABI_VERSION) {
      return Status(RTORCH_INVALID_ARGUMENT,
                    "the model's ABI version is " + std::to_string(api->abi_version) +
                        ", this program's is " + std::to_string(RTORCH_ABI_VERSION));
    }
    if (api->struct_size < kTableSize) {
      return Status(RTORCH_INVALID_ARGUMENT,
                    "the model's table has " + std::to_string(api->struct_size) +
                        " bytes, this program needs " + std::to_string(kTableSize));
    }
    RTorchCreateOptions abi{};
    abi.struct_size = sizeof abi;
    abi.threads = options.threads;
    abi.device = options.device;
    abi.allocator = options.allocator;
    std::optional<internal::WeightsArgument> weights;
    if (options.weights.has_value()) {
      abi.weights = weights.emplace(*options.weights).abi();
    }
    // Before there is an instance that would be lost if there were no memory for it.
    auto again =
        api->stateful != 0 ? std::make_unique<CreateOptions>(options) : nullptr;
    RTorchModel* model = nullptr;
    RTorchError error;
    if (api->create(api, &abi, &model, &error) != RTORCH_OK) {
      return Status(error.code, error.message);
    }
    if (weights.has_value()) weights->Taken();
    return Model(api, model, std::move(again));
  }

  // See RTorchModelApi.run.
  Status Run(const RTorchTensor* inputs, std::int32_t num_inputs, RTorchTensor* outputs,
             std::int32_t num_outputs, const RunOptions& options = {}) const {
    const RTorchRunOptions abi = options.abi();
    RTorchError error;
    if (api_->run(model_.get(), inputs, num_inputs, outputs, num_outputs, &abi,
                  &error) != RTORCH_OK) {
      return Status(error.code, error.message);
    }
    return Status();
  }

  // The same, writing every output into the buffer given for it. That of an empty
  // output may be null.
  Status RunInto(const RTorchTensor* inputs, std::int32_t num_inputs,
                 RTorchTensor* outputs, std::int32_t num_outputs,
                 const RunOptions& options = {}) const {
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
    Status status = Run(inputs, num_inputs, outputs, num_outputs, options);
    for (std::int32_t i = 0; fits && i < num_outputs; ++i) {
      if (outputs[i].data == &outputs[i]) outputs[i].data = nullptr;
    }
    return status;
  }

  // Replaces the weights; state stays as it is. Each run sees the old ones or the new
  // ones. Returns when the last run with the old ones has ended. On failure the
  // instance is as before; the codes are Create's.
  Status Swap(const Weights& weights) {
    internal::WeightsArgument argument(weights);
    RTorchError error;
    if (api_->swap(model_.get(), argument.abi(), &error) != RTORCH_OK) {
      return Status(error.code, error.message);
    }
    argument.Taken();
    if (again_ != nullptr) again_->weights = weights;
    return Status();
  }

  // Runs once on zeros, of the smallest sizes that are not 0, and drops the outputs, so
  // that the first run proper finds weights in memory, threads started and libraries
  // initialised. Of a stateful model another instance runs: this one's state stays as
  // it is.
  //
  // Zeros may be what a model refuses, by an assertion or a division of integers: the
  // error is returned, and the model can be run as ever. UNIMPLEMENTED for a model
  // whose inputs are not in host memory.
  Status Warmup(const RunOptions& options = {}) const;

  const RTorchModelApi& api() const { return *api_; }

  // The instruction set that was picked for this CPU, "x86-64-v3"; never freed.
  const char* isa() const { return api_->isa(model_.get()); }

 private:
  // What this header uses of the table; a later one may have more.
  static constexpr std::uint32_t kTableSize =
      offsetof(RTorchModelApi, isa) + sizeof(RTorchModelApi::isa);

  // Whether a buffer has a dimension of size 0 where the output's can be 0.
  static bool MayBeEmpty(const RTorchTensorSpec& spec, const RTorchTensor& buffer) {
    if (buffer.rank != spec.rank) return false;
    for (std::int32_t i = 0; i < spec.rank; ++i) {
      if (buffer.sizes[i] == 0 && spec.dims[i].min == 0) return true;
    }
    return false;
  }

  Model(const RTorchModelApi* api, RTorchModel* model,
        std::unique_ptr<CreateOptions> again)
      : api_(api), model_(model, api->destroy), again_(std::move(again)) {}

  const RTorchModelApi* api_;
  std::unique_ptr<RTorchModel, void (*)(RTorchModel*)> model_;

  // How to make another instance, for Warmup; null if the model has no state.
  std::unique_ptr<CreateOptions> again_;
};

}  // namespace rules_torch

#endif  // RULES_TORCH_MODEL_H_
