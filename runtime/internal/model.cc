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

// Whether options that the caller gave have all members; the reason, if not. No member
// was ever added, so that no older program's have to be completed.
template <typename Options>
bool AreComplete(const Options* options, std::string* reason) {
  if (options == nullptr || options->struct_size >= sizeof(Options)) return true;
  *reason = "the options' struct_size is " + std::to_string(options->struct_size) +
            ", not " + std::to_string(sizeof(Options));
  return false;
}

// Memory of one run for its bookkeeping: on the stack for some fifty outputs.
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

// Frees what a tensor owns.
void Free(const RTorchTensor& tensor) {
  if (tensor.deleter != nullptr) tensor.deleter(tensor.owner);
}

// Tensors of one run, whose memory is freed whichever way it ends.
struct Tensors {
  Tensors() = default;
  ~Tensors() {
    for (std::int32_t i = 0; i < count; ++i) Free(at[i]);
  }
  Tensors(const Tensors&) = delete;
  Tensors& operator=(const Tensors&) = delete;

  RTorchTensor* at = nullptr;
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
// the error. Where inputs are canonical and outputs given, there is little to do.
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
        arguments_(inputs) {}

  RTorchCode operator()() {
    RTorchCode code = CheckInputs();
    if (code == RTORCH_OK) code = CheckOutputs();
    if (code == RTORCH_OK && !all_canonical_) code = MakeContiguous();
    if (code == RTORCH_OK && !all_given_) code = MakeTargets();
    if (code != RTORCH_OK) return code;
    if (api_.stateful == 0) return Compute();
    const std::lock_guard<std::mutex> lock(model_.mutex);
    return Compute();
  }

 private:
  RTorchCode CheckInputs() {
    symbols_ = scratch_.Take<std::int64_t>(api_.num_symbols);
    std::fill_n(symbols_, api_.num_symbols, kUnbound);
    extents_ = scratch_.Take<Extent>(api_.num_inputs);
    for (std::int32_t i = 0; i < api_.num_inputs; ++i) {
      Place place;
      if (!InputFits(api_.inputs[i], inputs_[i], model_.device, symbols_, &place)) {
        return Fail(error_, RTORCH_INVALID_ARGUMENT,
                    WrongInput(api_, inputs_, model_.device));
      }
      all_canonical_ &= place.canonical;
      extents_[i] = place.extent;
    }
    return RTORCH_OK;
  }

  // Offers the backend the caller's memory.
  RTorchCode CheckOutputs() {
    results_.at = scratch_.Take<RTorchTensor>(api_.num_outputs);
    for (std::int32_t i = 0; i < api_.num_outputs; ++i) {
      RTorchTensor& result = results_.at[results_.count++];
      result.deleter = nullptr;
      if (outputs_[i].data == nullptr) {
        all_given_ = false;
        continue;
      }
      Place place;
      if (!OutputFits(api_.outputs[i], outputs_[i], model_.device, symbols_, &place)) {
        return Fail(error_, RTORCH_INVALID_ARGUMENT,
                    WrongOutput(api_, outputs_, model_.device, symbols_));
      }
      Offer(outputs_[i], place, &result);
    }
    return RTORCH_OK;
  }

  // Lets a result be computed in a target, if that is row-major contiguous and no input
  // is there.
  void Offer(const RTorchTensor& target, const Place& place, RTorchTensor* result) {
    const bool overlaps =
        std::any_of(extents_, extents_ + api_.num_inputs,
                    [&](const Extent& input) { return input.Overlaps(place.extent); });
    any_overlaps_ |= overlaps;
    if (overlaps || !(place.canonical || IsRowMajor(target))) {
      *result = RTorchTensor{};
      return;
    }
    *result = target;
    if (!place.canonical) SetRowMajor(result);
    result->owner = nullptr;
    result->deleter = nullptr;
  }

  RTorchCode MakeContiguous() {
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
      RTorchTensor& copy = NextKept();
      copy = argument;
      if (!Allocate(nullptr, &copy)) {
        return Fail(error_, RTORCH_RESOURCE_EXHAUSTED, "out of memory for an input");
      }
      argument = copy;
      const RTorchCode code = Copy(inputs_[i], argument);
      if (code != RTORCH_OK) return code;
    }
    arguments_ = arguments;
    return RTORCH_OK;
  }

  // Where outputs are to be that the caller gave no memory for: in its allocator's.
  // Without one the backend allocates, and knows better what.
  RTorchCode MakeTargets() {
    allocated_.at = scratch_.Take<RTorchTensor>(api_.num_outputs);
    for (std::int32_t i = 0; i < api_.num_outputs; ++i) {
      RTorchTensor& target = allocated_.at[allocated_.count++];
      target = RTorchTensor{};
      if (outputs_[i].data != nullptr) continue;
      results_.at[i] = RTorchTensor{};
      if (model_.allocator == nullptr ||
          !SizesOf(api_.outputs[i], symbols_, target.sizes)) {
        continue;
      }
      target.dtype = api_.outputs[i].dtype;
      target.rank = api_.outputs[i].rank;
      const RTorchCode code = AllocateOutput(&target);
      if (code != RTORCH_OK) return code;
      Offer(target, {true, ExtentOf(target)}, &results_.at[i]);
    }
    return RTORCH_OK;
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
      code = outputs_[i].data == nullptr ? Own(i, how[i] == Result::kOwned)
                                         : Deliver(i, outputs_[i]);
      if (code != RTORCH_OK) return code;
    }
    // Nothing fails from here on: all outputs are set, or none.
    for (std::int32_t i = 0; !all_given_ && i < api_.num_outputs; ++i) {
      if (outputs_[i].data != nullptr) continue;
      outputs_[i] = std::exchange(allocated_.at[i], RTorchTensor{});
    }
    return RTORCH_OK;
  }

  // Makes a result one that the caller can have.
  RTorchCode Own(std::int32_t i, bool owned) {
    RTorchTensor& result = results_.at[i];
    RTorchTensor& target = allocated_.at[i];
    if (target.data != nullptr) return Deliver(i, target);
    if (owned && model_.allocator == nullptr && IsRowMajor(result)) {
      SetRowMajor(&result);
      target = std::exchange(result, RTorchTensor{});
      return RTORCH_OK;
    }
    target = result;
    const RTorchCode code = AllocateOutput(&target);
    return code == RTORCH_OK ? Copy(result, target) : code;
  }

  // Copies a result to where it is to be.
  RTorchCode Deliver(std::int32_t i, const RTorchTensor& target) {
    const RTorchTensor& result = results_.at[i];
    if (!std::equal(result.sizes, result.sizes + result.rank, target.sizes)) {
      return Fail(error_, RTORCH_INVALID_ARGUMENT,
                  WrongSize(api_, api_.outputs[i], target, result));
    }
    return Copy(result, target);
  }

  // Gives a result memory of its own.
  RTorchCode Unshare(RTorchTensor* result) {
    RTorchTensor& original = NextKept();  // another result may be a view of it
    RTorchTensor copy = *result;
    if (!Allocate(nullptr, &copy)) {
      return Fail(error_, RTORCH_RESOURCE_EXHAUSTED, "out of memory for an output");
    }
    original = std::exchange(*result, copy);
    return Copy(original, copy);
  }

  // A place for a tensor that is freed at the end.
  RTorchTensor& NextKept() {
    if (kept_.at == nullptr) {
      kept_.at = scratch_.Take<RTorchTensor>(api_.num_inputs + api_.num_outputs);
    }
    RTorchTensor& kept = kept_.at[kept_.count++];
    kept.deleter = nullptr;
    return kept;
  }

  RTorchCode AllocateOutput(RTorchTensor* tensor) {
    tensor->device = model_.device;
    if (Allocate(model_.allocator, tensor)) return RTORCH_OK;
    *tensor = RTorchTensor{};
    return Fail(error_, RTORCH_RESOURCE_EXHAUSTED, "out of memory for an output");
  }

  RTorchCode Copy(const RTorchTensor& from, const RTorchTensor& to) {
    // With fewer bytes, to wake threads costs more than they save.
    constexpr std::int64_t kMany = std::int64_t{1} << 20;
    const Backend& backend = *model_.variant->backend;
    const std::int64_t bytes = NumElements(from) * DTypeSize(from.dtype);
    if (IsHost(model_.device) && (backend.copy == nullptr || bytes < kMany)) {
      CopyElements(from, to);
      return RTORCH_OK;
    }
    std::string reason;
    const RTorchCode code =
        backend.copy(model_.threads, from, to, options_.stream, &reason);
    return code == RTORCH_OK ? code : Fail(error_, code, api_, reason);
  }

  const RTorchModel& model_;
  const RTorchModelApi& api_;
  const RTorchTensor* const inputs_;
  RTorchTensor* const outputs_;
  const RTorchRunOptions& options_;
  RTorchError* const error_;
  const RTorchTensor* arguments_;  // the inputs, or copies of them
  bool all_canonical_ = true;      // inputs
  bool all_given_ = true;          // outputs
  bool any_overlaps_ = false;      // of outputs with inputs
  Scratch scratch_;
  std::int64_t* symbols_ = nullptr;
  Extent* extents_ = nullptr;  // of the inputs
  Tensors kept_;               // copies of inputs, and results that there are copies of
  Tensors allocated_;          // one for each output, if not all are given
  Tensors results_;            // what the backend made
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
    std::string reason;
    if (!AreComplete(options, &reason)) {
      return Fail(error, RTORCH_INVALID_ARGUMENT, *api, reason);
    }
    RTorchCreateOptions complete{};
    if (options != nullptr) complete = *options;
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
    static constexpr RTorchRunOptions kNone{sizeof kNone, 0,       nullptr,
                                            nullptr,      nullptr, nullptr};
    std::string reason;
    if (!AreComplete(options, &reason)) {
      return Fail(error, RTORCH_INVALID_ARGUMENT, api, reason);
    }
    if (options == nullptr) options = &kNone;
    if (options->flags != 0) {
      return Fail(error, RTORCH_INVALID_ARGUMENT, api, "the run's flags are not 0");
    }
    if (options->tracer != nullptr &&
        (options->tracer->struct_size < sizeof(RTorchTracer) ||
         options->tracer->begin == nullptr || options->tracer->end == nullptr)) {
      return Fail(error, RTORCH_INVALID_ARGUMENT, api, "the tracer is incomplete");
    }
    if (options->cancelled != nullptr &&
        options->cancelled(options->cancel_context) != 0) {
      return Fail(error, RTORCH_CANCELLED, api, "cancelled before it began");
    }
    return Run(*model, inputs, outputs, *options, error)();
  } catch (...) {
    return FailWithException(error);
  }
}

void ReleaseTensor(RTorchTensor* output) {
  if (output == nullptr) return;
  Free(*output);
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
