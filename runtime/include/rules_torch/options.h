// How a model is made and run. Plain values: set what should not be as it is.
#ifndef RULES_TORCH_OPTIONS_H_
#define RULES_TORCH_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "rules_torch/abi.h"
#include "rules_torch/device.h"

namespace rules_torch {

namespace internal {
class WeightsArgument;
}  // namespace internal

// Where a model's weights are, if not in its library; RTorchWeights says what must be
// in them.
//
// A handle: copying one copies no weights. Making one reads nothing; Create and Swap
// do, and say what is wrong. Thread-compatible.
class Weights {
 public:
  // A .safetensors file. It is mapped, so that all processes share one copy, and must
  // neither be cut short nor written to while a model uses it: replace it by a rename.
  static Weights File(std::string path) {
    Weights weights;
    weights.path_ = std::move(path);
    return weights;
  }

  // Memory that holds such a file. It must not change while a model uses it. Models
  // keep `owner` for that long and drop it in whatever thread ends it; without one, the
  // caller keeps the memory.
  static Weights Memory(const void* data, std::size_t size,
                        std::shared_ptr<const void> owner = nullptr) {
    Weights weights;
    weights.data_ = data;
    weights.size_ = size;
    weights.owner_ = std::move(owner);
    return weights;
  }

 private:
  friend class internal::WeightsArgument;

  Weights() = default;

  std::optional<std::string> path_;
  const void* data_ = nullptr;
  std::size_t size_ = 0;
  std::shared_ptr<const void> owner_;
};

namespace internal {

// Weights as an argument of the C ABI, for one call. Holds a share of their owner,
// which Taken() leaves to the library.
class WeightsArgument {
 public:
  explicit WeightsArgument(const Weights& weights) {
    abi_.struct_size = sizeof abi_;
    if (weights.path_.has_value()) {
      abi_.path = weights.path_->c_str();
      return;
    }
    abi_.data = weights.data_;
    abi_.size = weights.size_;
    if (weights.owner_ == nullptr) return;
    abi_.owner = new std::shared_ptr<const void>(weights.owner_);
    abi_.deleter = [](void* owner) {
      delete static_cast<std::shared_ptr<const void>*>(owner);
    };
  }
  WeightsArgument(const WeightsArgument&) = delete;
  WeightsArgument& operator=(const WeightsArgument&) = delete;
  ~WeightsArgument() {
    if (abi_.deleter != nullptr) abi_.deleter(abi_.owner);
  }

  // Valid as long as this object and the Weights.
  const RTorchWeights* abi() const { return &abi_; }

  // The call has succeeded.
  void Taken() { abi_.deleter = nullptr; }

 private:
  RTorchWeights abi_{};
};

}  // namespace internal

// What Create may be told.
struct CreateOptions {
  // Threads that a call computes in; 0: as the library was compiled.
  int threads = 0;

  // {}: the first of the kind that the model is for.
  Device device = {};

  // None: those in the library.
  std::optional<Weights> weights;

  // For outputs that no buffer was given for; null: aligned_alloc. Must outlive the
  // model; what frees its tensors must outlive them.
  const RTorchAllocator* allocator = nullptr;
};

// Says whether a run is to end: refers to something that can be called without
// arguments, returns a bool, and throws nothing.
//
//   std::atomic<bool> stop{false};
//   const auto stopped = [&] { return stop.load(std::memory_order_relaxed); };
//   RunOptions options;
//   options.cancelled = stopped;
//
// It must outlive the run, so that a temporary will not do. Asked in the thread that
// calls Run, before the run and before each kernel and operator: a flag or a clock
// costs little there.
class Cancelled {
  // Exactly bool: a view of elements can be called, too, and `Run(inputs, {view})` is
  // about buffers.
  template <typename Callable>
  using Asks =
      std::enable_if_t<std::is_class_v<Callable> &&
                       std::is_same_v<std::invoke_result_t<const Callable&>, bool>>;

 public:
  Cancelled() = default;
  template <typename Callable, typename = Asks<Callable>>
  Cancelled(const Callable& callable)  // NOLINT: implicit
      : function_([](void* context) -> std::int32_t {
          return static_cast<bool>((*static_cast<const Callable*>(context))()) ? 1 : 0;
        }),
        context_(const_cast<Callable*>(std::addressof(callable))) {}
  template <typename Callable, typename = Asks<Callable>>
  Cancelled(const Callable&& callable) = delete;

 private:
  friend struct RunOptions;

  std::int32_t (*function_)(void*) = nullptr;
  void* context_ = nullptr;
};

// What Run may be told. Nothing of it is kept after the call.
struct RunOptions {
  // Ends the run with RTORCH_CANCELLED. A stateful model has then changed in part, as
  // after any failure.
  Cancelled cancelled;

  // Told of each kernel and operator in the thread that calls Run; its functions throw
  // nothing. trace.h has one that writes a file.
  const RTorchTracer* tracer = nullptr;

  // The GPU's stream, a cudaStream_t or hipStream_t; null for models on the CPU.
  void* stream = nullptr;

  // The same in the C ABI's terms; valid as long as what it refers to.
  RTorchRunOptions abi() const {
    RTorchRunOptions options{};
    options.struct_size = sizeof options;
    options.stream = stream;
    options.tracer = tracer;
    options.cancelled = cancelled.function_;
    options.cancel_context = cancelled.context_;
    return options;
  }
};

}  // namespace rules_torch

#endif  // RULES_TORCH_OPTIONS_H_
