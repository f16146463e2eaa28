// What every compiled model shares, whatever its runtime: RTorchModelApi's functions.
// Arguments are checked here (checks.h), copied where the layout demands it (layout.h),
// and results find their owners.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

#include "rules_torch/abi.h"
#include "rules_torch/dtype.h"
#include "runtime/internal/backend.h"
#include "runtime/internal/checks.h"
#include "runtime/internal/isa.h"
#include "runtime/internal/layout.h"
#include "runtime/internal/left_right.h"
#include "runtime/internal/loaded.h"
#include "runtime/internal/weights_file.h"

namespace rules_torch::internal {
namespace {

// An instance of the backend's, with the weights that it uses. Movable.
class Bound {
 public:
  Bound() = default;
  Bound(Bound&& other) noexcept
      : owner_(std::move(other.owner_)),
        share_(std::move(other.share_)),
        backend_(other.backend_),
        instance_(std::exchange(other.instance_, nullptr)) {}
  Bound& operator=(Bound&& other) noexcept {
    std::swap(owner_, other.owner_);
    std::swap(share_, other.share_);
    std::swap(backend_, other.backend_);
    std::swap(instance_, other.instance_);
    return *this;
  }
  ~Bound() {
    if (instance_ != nullptr) backend_->destroy(instance_);
  }

  // `state_of`: the instance whose mutable buffers are copied, or null.
  static RTorchCode Make(const Variant& variant, Share share, std::int32_t threads,
                         const void* state_of, Bound* bound, std::string* reason) {
    bound->backend_ = variant.backend;
    bound->share_ = std::move(share);
    return variant.backend->create(bound->share_.get(), threads, state_of,
                                   &bound->instance_, reason);
  }

  // Takes over the weights' memory: the last step, for on a failure it is the caller's.
  void Own(const RTorchWeights* weights) {
    if (weights != nullptr) owner_ = Owner(*weights);
  }

  void* instance() const { return instance_; }

 private:
  Owner owner_;  // goes last
  Share share_;
  const Backend* backend_ = nullptr;
  void* instance_ = nullptr;
};

}  // namespace
}  // namespace rules_torch::internal

struct RTorchModel {
  RTorchModel(const RTorchModelApi* its_api,
              const rules_torch::internal::Variant* its_variant,
              const RTorchCreateOptions& options,
              rules_torch::internal::Bound its_bound)
      : api(its_api),
        variant(its_variant),
        device(options.device),
        threads(options.threads),
        allocator(options.allocator),
        // Nothing fails any more: the weights' memory is the model's from now on.
        bound((its_bound.Own(options.weights), std::move(its_bound))) {}

  const RTorchModelApi* api;
  const rules_torch::internal::Variant* variant;
  RTorchDevice device;
  std::int32_t threads;
  const RTorchAllocator* allocator;                                      // may be null
  rules_torch::internal::LeftRight<rules_torch::internal::Bound> bound;  // Swap's
  mutable std::mutex mutex;  // held by Swap, and by the runs of a stateful model
};

namespace rules_torch::internal {
namespace {

// Needs no memory, so that it can also say that there is none.
RTorchCode Fail(RTorchError* error, RTorchCode code, const char* message) {
  if (error != nullptr) {
    error->code = code;
    std::snprintf(error->message, sizeof error->message, "%s", message);
  }
  return code;
}

RTorchCode Fail(RTorchError* error, RTorchCode code, const std::string& message) {
  return Fail(error, code, message.c_str());
}

RTorchCode Fail(RTorchError* error, RTorchCode code, const RTorchModelApi& api,
                const std::string& reason) {
  return Fail(error, code, api.name + (": " + reason));
}

// The error for the exception that is being handled; none may cross the C ABI.
RTorchCode FailWithException(RTorchError* error) {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return Fail(error, RTORCH_RESOURCE_EXHAUSTED, "out of memory");
  } catch (const std::exception& e) {
    return Fail(error, RTORCH_INTERNAL, e.what());
  } catch (...) {
    return Fail(error, RTORCH_INTERNAL, "an exception of an unknown type");
  }
}

// Options of an older program lack the last members: gives them their zeros. A null
// pointer is all zeros. Returns false and the reason for what is no such struct.
template <typename Options>
bool Complete(const Options* given, Options* complete, std::string* reason) {
  *complete = Options{};
  complete->struct_size = sizeof(Options);
  if (given == nullptr) return true;
  if (given->struct_size < sizeof(Options)) {  // no member was ever added
    *reason = "the options' struct_size is " + std::to_string(given->struct_size) +
              ", not " + std::to_string(sizeof(Options));
    return false;
  }
  *complete = *given;
  return true;
}

// Memory of one run for its bookkeeping: on the stack for some fifty tensors.
class Scratch {
 public:
  // Uninitialised.
  template <typename T>
  T* Take(std::int32_t count) {
    static_assert(std::is_trivially_copyable_v<T>);
    const std::size_t bytes =
        (static_cast<std::size_t>(count) * sizeof(T) + 15) / 16 * 16;
    if (bytes <= static_cast<std::size_t>(stack_ + sizeof stack_ - next_)) {
      return reinterpret_cast<T*>(std::exchange(next_, next_ + bytes));
    }
    auto block = std::make_unique<Block>();
    block->bytes = std::make_unique<std::byte[]>(bytes);
    block->next = std::move(blocks_);
    blocks_ = std::move(block);
    return reinterpret_cast<T*>(blocks_->bytes.get());
  }

 private:
  struct Block {
    std::unique_ptr<std::byte[]> bytes;
    std::unique_ptr<Block> next;
  };
  alignas(16) std::byte stack_[10240];
  std::byte* next_ = stack_;
  std::unique_ptr<Block> blocks_;
};

// Tensors of one run, which are released whichever way it ends.
struct Tensors {
  explicit Tensors(RTorchTensor* memory) : at(memory) {}
  ~Tensors() {
    for (std::int32_t i = 0; i < count; ++i) ReleaseTensor(&at[i]);
  }
  Tensors(const Tensors&) = delete;
  Tensors& operator=(const Tensors&) = delete;

  RTorchTensor* at;
  std::int32_t count = 0;
};

// Gives a tensor of known dtype and sizes memory of its own, row-major contiguous:
// `allocator`'s, or the host's if it is null. False if there is none.
bool Allocate(const RTorchAllocator* allocator, RTorchTensor* tensor) {
  constexpr std::int64_t kAlignment = 64;  // of cache lines and vectors
  tensor->data = tensor->owner = nullptr;
  tensor->deleter = nullptr;
  std::int64_t bytes = 0;
  if (!BytesOf(*tensor, &bytes) || bytes > INT64_MAX - kAlignment) return false;
  SetRowMajor(tensor);
  bytes = std::max<std::int64_t>(NumElements(*tensor) * DTypeSize(tensor->dtype), 1);
  const auto size =
      static_cast<std::uint64_t>((bytes + kAlignment - 1) / kAlignment * kAlignment);
  if (allocator != nullptr) {
    return allocator->allocate(allocator->context, size, kAlignment, tensor) ==
               RTORCH_OK &&
           tensor->data != nullptr;
  }
  tensor->data = std::aligned_alloc(kAlignment, size);
  tensor->owner = tensor->data;
  tensor->deleter = &std::free;
  return tensor->data != nullptr;
}

// One run, step by step. What can fail returns OK, or a code for which it has filled
// the error.
class Run {
 public:
  Run(const RTorchModel& model, const RTorchTensor* inputs, RTorchTensor* outputs,
      const RTorchRunOptions& options, RTorchError* error)
      : model_(model),
        api_(*model.api),
        inputs_(inputs),
        outputs_(outputs),
        options_(options),
        error_(error),
        symbols_(scratch_.Take<std::int64_t>(api_.num_symbols)),
        kept_(scratch_.Take<RTorchTensor>(api_.num_inputs + api_.num_outputs)),
        targets_(scratch_.Take<RTorchTensor>(api_.num_outputs)),
        results_(scratch_.Take<RTorchTensor>(api_.num_outputs)) {}

  RTorchCode operator()() {
    RTorchCode code = Check();
    if (code == RTORCH_OK) code = MakeContiguous();
    if (code == RTORCH_OK) code = MakeTargets();
    if (code != RTORCH_OK) return code;
    OfferTargets();
    if (api_.stateful == 0) return Compute();
    const std::lock_guard<std::mutex> lock(model_.mutex);
    return Compute();
  }

 private:
  RTorchCode Check() {
    std::fill_n(symbols_, api_.num_symbols, kUnbound);
    for (std::int32_t i = 0; i < api_.num_inputs; ++i) {
      bool contiguous = true;
      if (!InputFits(api_.inputs[i], inputs_[i], model_.device, symbols_,
                     &contiguous)) {
        return Fail(error_, RTORCH_INVALID_ARGUMENT,
                    WrongInput(api_, inputs_, model_.device));
      }
      all_contiguous_ &= contiguous;
    }
    for (std::int32_t i = 0; i < api_.num_outputs; ++i) {
      if (outputs_[i].data == nullptr) continue;
      if (!OutputFits(api_.outputs[i], outputs_[i], model_.device, symbols_)) {
        return Fail(error_, RTORCH_INVALID_ARGUMENT,
                    WrongOutput(api_, outputs_, model_.device, symbols_));
      }
    }
    return RTORCH_OK;
  }

  RTorchCode MakeContiguous() {
    arguments_ = inputs_;
    if (all_contiguous_) return RTORCH_OK;
    auto* arguments = scratch_.Take<RTorchTensor>(api_.num_inputs);
    std::copy_n(inputs_, api_.num_inputs, arguments);
    for (std::int32_t i = 0; i < api_.num_inputs; ++i) {
      RTorchTensor& argument = arguments[i];
      if (IsRowMajor(argument)) {
        // Strides of dimensions of size 1 mean nothing to us, but something to the
        // generated code.
        SetRowMajor(&argument);
        continue;
      }
      if (!Allocate(nullptr, &argument)) {
        return Fail(error_, RTORCH_RESOURCE_EXHAUSTED, "out of memory for an input");
      }
      kept_.at[kept_.count++] = argument;
      const RTorchCode code = Copy(inputs_[i], argument);
      if (code != RTORCH_OK) return code;
    }
    arguments_ = arguments;
    return RTORCH_OK;
  }

  // Where the outputs are to be: the caller's memory, or its allocator's. Without one
  // the backend allocates, and knows better what.
  RTorchCode MakeTargets() {
    for (std::int32_t i = 0; i < api_.num_outputs; ++i) {
      RTorchTensor& target = targets_.at[targets_.count++];
      target = outputs_[i].data == nullptr ? RTorchTensor{} : outputs_[i];
      target.owner = nullptr;
      target.deleter = nullptr;
      if (target.data != nullptr || model_.allocator == nullptr ||
          !SizesOf(api_.outputs[i], symbols_, target.sizes)) {
        continue;
      }
      target.dtype = api_.outputs[i].dtype;
      target.rank = api_.outputs[i].rank;
      const RTorchCode code = AllocateOutput(&target);
      if (code != RTORCH_OK) return code;
    }
    return RTORCH_OK;
  }

  // Offers the backend the targets that are contiguous, and where no input lies.
  void OfferTargets() {
    for (std::int32_t i = 0; i < api_.num_outputs; ++i) {
      RTorchTensor& result = results_.at[results_.count++];
      result = RTorchTensor{};
      const RTorchTensor& target = targets_.at[i];
      if (target.data == nullptr) continue;
      const Extent extent = ExtentOf(target);
      const bool overlaps = std::any_of(arguments_, arguments_ + api_.num_inputs,
                                        [&](const RTorchTensor& argument) {
                                          return ExtentOf(argument).Overlaps(extent);
                                        });
      any_overlaps_ |= overlaps;
      if (overlaps || !IsRowMajor(target)) continue;
      result = target;
      SetRowMajor(&result);
      result.owner = nullptr;
      result.deleter = nullptr;
    }
  }

  RTorchCode Compute() {
    const LeftRight<Bound>::Reader bound(model_.bound);
    auto* how = scratch_.Take<Result>(api_.num_outputs);
    const RunRequest request{arguments_, symbols_, results_.at, how, &options_};
    std::string reason;
    RTorchCode code = model_.variant->backend->run(bound->instance(), request, &reason);
    if (code != RTORCH_OK) return Fail(error_, code, api_, reason);
    // What is written to one output may be an input, and what another was made of.
    for (std::int32_t i = 0; any_overlaps_ && i < api_.num_outputs; ++i) {
      if (how[i] != Result::kShared) continue;
      code = Unshare(&results_.at[i]);
      if (code != RTORCH_OK) return code;
    }
    for (std::int32_t i = 0; i < api_.num_outputs; ++i) {
      if (how[i] == Result::kWritten) continue;
      code = Deliver(i, how[i] == Result::kOwned);
      if (code != RTORCH_OK) return code;
    }
    // Nothing fails from here on: all outputs are set, or none.
    for (std::int32_t i = 0; i < api_.num_outputs; ++i) {
      if (outputs_[i].data != nullptr) continue;
      outputs_[i] = std::exchange(targets_.at[i], RTorchTensor{});
    }
    return RTORCH_OK;
  }

  // Brings a result to where it is to be.
  RTorchCode Deliver(std::int32_t i, bool owned) {
    RTorchTensor& result = results_.at[i];
    RTorchTensor& target = targets_.at[i];
    if (target.data == nullptr && owned && model_.allocator == nullptr &&
        IsRowMajor(result)) {
      SetRowMajor(&result);
      target = std::exchange(result, RTorchTensor{});
      return RTORCH_OK;
    }
    if (target.data == nullptr) {
      target = result;
      const RTorchCode code = AllocateOutput(&target);
      if (code != RTORCH_OK) return code;
    } else if (!std::equal(result.sizes, result.sizes + result.rank, target.sizes)) {
      return Fail(error_, RTORCH_INVALID_ARGUMENT,
                  WrongSize(api_, api_.outputs[i], target, result));
    }
    return Copy(result, target);
  }

  // Gives a result memory of its own.
  RTorchCode Unshare(RTorchTensor* result) {
    RTorchTensor copy = *result;
    if (!Allocate(nullptr, &copy)) {
      return Fail(error_, RTORCH_RESOURCE_EXHAUSTED, "out of memory for an output");
    }
    // Another result may be a view of the original: it is kept until the end.
    kept_.at[kept_.count++] = std::exchange(*result, copy);
    return Copy(kept_.at[kept_.count - 1], copy);
  }

  RTorchCode AllocateOutput(RTorchTensor* tensor) {
    tensor->device = model_.device;
    if (Allocate(model_.allocator, tensor)) return RTORCH_OK;
    *tensor = RTorchTensor{};
    return Fail(error_, RTORCH_RESOURCE_EXHAUSTED, "out of memory for an output");
  }

  RTorchCode Copy(const RTorchTensor& from, const RTorchTensor& to) {
    if (IsHost(model_.device)) {
      CopyElements(from, to);
      return RTORCH_OK;
    }
    std::string reason;
    const RTorchCode code =
        model_.variant->backend->copy(from, to, options_.stream, &reason);
    return code == RTORCH_OK ? code : Fail(error_, code, api_, reason);
  }

  const RTorchModel& model_;
  const RTorchModelApi& api_;
  const RTorchTensor* inputs_;
  RTorchTensor* outputs_;
  const RTorchRunOptions& options_;
  RTorchError* error_;
  bool all_contiguous_ = true;
  bool any_overlaps_ = false;
  const RTorchTensor* arguments_ = nullptr;
  Scratch scratch_;
  std::int64_t* symbols_;
  Tensors kept_;     // copies of inputs, and results that there are copies of
  Tensors targets_;  // one for each output, as far as they are made
  Tensors results_;  // what the backend made
};

// The device that options ask for; false and the reason if the model is for another.
bool PickDevice(const RTorchModelApi& api, RTorchDevice* device, std::string* reason) {
  if (device->type == 0 && device->index == 0) *device = {api.device_type, 0};
  if (device->type == api.device_type && device->index >= 0) return true;
  *reason = "compiled for devices of DLPack's type " + std::to_string(api.device_type) +
            ", not for " + std::to_string(device->type) + ":" +
            std::to_string(device->index);
  return false;
}

}  // namespace

RTorchCode CreateModel(const RTorchModelApi* api, const RTorchCreateOptions* options,
                       RTorchModel** model, RTorchError* error) {
  if (model == nullptr) {
    return Fail(error, RTORCH_INVALID_ARGUMENT, "there is no place for the model");
  }
  *model = nullptr;
  if (api == nullptr) return Fail(error, RTORCH_INVALID_ARGUMENT, "the table is null");
  try {
    const auto& definition = *static_cast<const Definition*>(api->definition);
    RTorchCreateOptions complete;
    std::string reason;
    if (!Complete(options, &complete, &reason)) {
      return Fail(error, RTORCH_INVALID_ARGUMENT, *api, reason);
    }
    if (complete.threads < 0) {
      return Fail(error, RTORCH_INVALID_ARGUMENT, *api,
                  "threads is " + std::to_string(complete.threads));
    }
    if (complete.allocator != nullptr &&
        (complete.allocator->struct_size < sizeof(RTorchAllocator) ||
         complete.allocator->allocate == nullptr)) {
      return Fail(error, RTORCH_INVALID_ARGUMENT, *api, "the allocator is incomplete");
    }
    if (!PickDevice(*api, &complete.device, &reason)) {
      return Fail(error, RTORCH_INVALID_ARGUMENT, *api, reason);
    }
    const Variant* variant =
        PickVariant(definition, std::getenv(kIsaVariable), &CpuRuns, &reason);
    if (variant == nullptr) return Fail(error, RTORCH_UNIMPLEMENTED, *api, reason);
    Share share;
    RTorchCode code =
        Share::Of(*api, *variant, complete.device, complete.weights, &share, &reason);
    if (code != RTORCH_OK) return Fail(error, code, *api, reason);
    Bound bound;
    code = Bound::Make(*variant, std::move(share), complete.threads, nullptr, &bound,
                       &reason);
    if (code != RTORCH_OK) return Fail(error, code, *api, reason);
    *model = new RTorchModel(api, variant, complete, std::move(bound));
    return RTORCH_OK;
  } catch (...) {
    return FailWithException(error);
  }
}

void DestroyModel(RTorchModel* model) { delete model; }

RTorchCode RunModel(const RTorchModel* model, const RTorchTensor* inputs,
                    std::int32_t num_inputs, RTorchTensor* outputs,
                    std::int32_t num_outputs, const RTorchRunOptions* options,
                    RTorchError* error) {
  if (model == nullptr) {
    return Fail(error, RTORCH_INVALID_ARGUMENT, "the model is null");
  }
  const RTorchModelApi& api = *model->api;
  try {
    if (num_inputs != api.num_inputs || num_outputs != api.num_outputs ||
        (num_inputs > 0 && inputs == nullptr) ||
        (num_outputs > 0 && outputs == nullptr)) {
      return Fail(error, RTORCH_INVALID_ARGUMENT,
                  std::string(api.name) + " takes " + std::to_string(api.num_inputs) +
                      " inputs and gives " + std::to_string(api.num_outputs) +
                      " outputs, not " + std::to_string(num_inputs) + " and " +
                      std::to_string(num_outputs) + ", nor null arrays");
    }
    RTorchRunOptions complete;
    std::string reason;
    if (!Complete(options, &complete, &reason)) {
      return Fail(error, RTORCH_INVALID_ARGUMENT, api, reason);
    }
    if (complete.flags != 0) {
      return Fail(error, RTORCH_INVALID_ARGUMENT, api, "the run's flags are not 0");
    }
    if (complete.tracer != nullptr &&
        (complete.tracer->struct_size < sizeof(RTorchTracer) ||
         complete.tracer->begin == nullptr || complete.tracer->end == nullptr)) {
      return Fail(error, RTORCH_INVALID_ARGUMENT, api, "the tracer is incomplete");
    }
    if (complete.cancelled != nullptr &&
        complete.cancelled(complete.cancel_context) != 0) {
      return Fail(error, RTORCH_CANCELLED, api, "cancelled before it began");
    }
    return Run(*model, inputs, outputs, complete, error)();
  } catch (...) {
    return FailWithException(error);
  }
}

void ReleaseTensor(RTorchTensor* output) {
  if (output == nullptr) return;
  if (output->deleter != nullptr) output->deleter(output->owner);
  *output = RTorchTensor{};
}

RTorchCode SwapWeights(RTorchModel* model, const RTorchWeights* weights,
                       RTorchError* error) {
  if (model == nullptr) {
    return Fail(error, RTORCH_INVALID_ARGUMENT, "the model is null");
  }
  const RTorchModelApi& api = *model->api;
  try {
    // Made before the runs of a stateful model have to wait; but what its buffers hold
    // is known only then.
    std::unique_lock<std::mutex> lock(model->mutex, std::defer_lock);
    Share share;
    std::string reason;
    RTorchCode code =
        Share::Of(api, *model->variant, model->device, weights, &share, &reason);
    if (code != RTORCH_OK) return Fail(error, code, api, reason);
    lock.lock();
    Bound bound;
    {
      const LeftRight<Bound>::Reader before(model->bound);
      code = Bound::Make(*model->variant, std::move(share), model->threads,
                         before->instance(), &bound, &reason);
    }
    if (code != RTORCH_OK) return Fail(error, code, api, reason);
    bound.Own(weights);
    model->bound.Replace(std::move(bound));
    return RTORCH_OK;
  } catch (...) {
    return FailWithException(error);
  }
}

const char* IsaOfModel(const RTorchModel* model) {
  return model == nullptr ? "" : model->variant->isa;
}

}  // namespace rules_torch::internal
