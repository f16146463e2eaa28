// A compiled model as an operator of PyTorch's dispatcher, `torch.ops.models.resnet`.
//
// Included by the source that torch_op_library generates, and nowhere else. It uses
// libtorch's stable C ABI alone, of this version or a later one:
#ifndef RULES_TORCH_LIBTORCH_MODEL_OP_H_
#define RULES_TORCH_LIBTORCH_MODEL_OP_H_

#ifndef TORCH_TARGET_VERSION
#define TORCH_TARGET_VERSION 0x020a000000000000  // 2.10
#endif

#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "rules_torch/abi.h"

namespace rules_torch::internal {
namespace {

// Owns a reference to a tensor of libtorch's.
class TensorReference {
 public:
  TensorReference() = default;
  explicit TensorReference(AtenTensorHandle handle) : handle_(handle) {}
  TensorReference(TensorReference&& other) noexcept : handle_(other.release()) {}
  TensorReference& operator=(TensorReference&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~TensorReference() {
    if (handle_ != nullptr) aoti_torch_delete_tensor_object(handle_);
  }

  AtenTensorHandle get() const { return handle_; }
  AtenTensorHandle release() { return std::exchange(handle_, nullptr); }

 private:
  AtenTensorHandle handle_ = nullptr;
};

// A number of values that is mostly small: then they lie where this does.
template <typename T>
class Few {
 public:
  explicit Few(std::uint64_t size) : many_(size > few_.size() ? size : 0) {}
  T* data() { return many_.empty() ? few_.data() : many_.data(); }
  T& operator[](std::uint64_t i) { return data()[i]; }

 private:
  std::array<T, 3> few_ = {};
  std::vector<T> many_;
};

[[noreturn]] inline void Throw(const std::string& op, const std::string& message) {
  throw std::runtime_error(op + ": " + message);
}

// c10::DeviceType's values, as DLPack has them.
inline RTorchDevice DeviceOf(std::int32_t type, std::int32_t index) {
  if (type == aoti_torch_device_type_cpu()) return {RTORCH_CPU, 0};
  if (type == aoti_torch_device_type_cuda()) return {RTORCH_CUDA, index};
  return {-1, index};  // no model is compiled for it: the run says so
}

// What a tensor of libtorch's is, for a run.
inline RTorchTensor ViewOf(AtenTensorHandle handle) {
  RTorchTensor view = {};
  const void* data = nullptr;
  std::int64_t rank = 0;
  std::int64_t* sizes = nullptr;
  std::int64_t* strides = nullptr;
  std::int32_t device_type = 0;
  std::int32_t device_index = 0;
  if (torch_get_const_data_ptr(handle, &data) != AOTI_TORCH_SUCCESS ||
      aoti_torch_get_dtype(handle, &view.dtype) != AOTI_TORCH_SUCCESS ||
      aoti_torch_get_dim(handle, &rank) != AOTI_TORCH_SUCCESS ||
      aoti_torch_get_sizes(handle, &sizes) != AOTI_TORCH_SUCCESS ||
      aoti_torch_get_strides(handle, &strides) != AOTI_TORCH_SUCCESS ||
      aoti_torch_get_device_type(handle, &device_type) != AOTI_TORCH_SUCCESS ||
      aoti_torch_get_device_index(handle, &device_index) != AOTI_TORCH_SUCCESS) {
    throw std::runtime_error("libtorch does not say what a tensor is");
  }
  if (rank > RTORCH_MAX_RANK) {
    throw std::runtime_error("a tensor has " + std::to_string(rank) +
                             " dimensions, and models take at most " +
                             std::to_string(RTORCH_MAX_RANK));
  }
  view.data = const_cast<void*>(data);  // runs read inputs only
  view.rank = static_cast<std::int32_t>(rank);
  view.device = DeviceOf(device_type, device_index);
  std::copy_n(sizes, rank, view.sizes);
  std::copy_n(strides, rank, view.strides);
  return view;
}

inline void DeleteTensor(void* owner) {
  aoti_torch_delete_tensor_object(static_cast<AtenTensorHandle>(owner));
}

// Lets a run write its outputs into tensors of libtorch's.
inline RTorchCode AllocateTensor(void*, std::uint64_t, std::uint64_t alignment,
                                 RTorchTensor* tensor) {
  const bool is_cuda = tensor->device.type == RTORCH_CUDA;
  AtenTensorHandle handle = nullptr;
  void* data = nullptr;
  if (aoti_torch_empty_strided(
          tensor->rank, tensor->sizes, tensor->strides, tensor->dtype,
          is_cuda ? aoti_torch_device_type_cuda() : aoti_torch_device_type_cpu(),
          is_cuda ? tensor->device.index : 0, &handle) != AOTI_TORCH_SUCCESS) {
    return RTORCH_RESOURCE_EXHAUSTED;
  }
  TensorReference reference(handle);
  if (aoti_torch_get_data_ptr(handle, &data) != AOTI_TORCH_SUCCESS ||
      reinterpret_cast<std::uintptr_t>(data) % alignment != 0) {
    return RTORCH_RESOURCE_EXHAUSTED;
  }
  // libtorch has no memory for no elements, and a run wants an address.
  alignas(64) static char nothing[1];
  tensor->data = data != nullptr ? data : nothing;
  tensor->owner = reference.release();
  tensor->deleter = DeleteTensor;
  return RTORCH_OK;
}

// Registers a model, from the start of the program or the loading of the library to
// its end. Its instance is made by the first call; calls may come from many threads.
class ModelOp {
 public:
  // What libtorch calls: takes the arguments off the stack and puts results there.
  using Boxed = void (*)(StableIValue* stack, std::uint64_t num_arguments,
                         std::uint64_t num_results);

  // Throws what ends the program at its start: the operator is there already.
  ModelOp(const char* name_space, const char* name, const RTorchModelApi& api,
          Boxed call)
      : name_(std::string(name_space) + "::" + name),
        api_(api),
        definition_(Library::Kind::FRAGMENT, name_space, nullptr, name, 0),
        implementation_(Library::Kind::IMPL, name_space,
                        api.device_type == RTORCH_CUDA ? "CUDA" : "CPU", name, 0) {
    definition_.def(Schema(name, api).c_str());
    implementation_.impl(name, call);
  }
  ~ModelOp() {
    if (RTorchModel* model = model_.load()) api_.destroy(model);
  }
  ModelOp(const ModelOp&) = delete;
  ModelOp& operator=(const ModelOp&) = delete;

  // Throws std::runtime_error with the model's own message.
  void Call(StableIValue* stack, std::uint64_t num_arguments,
            std::uint64_t num_results) {
    // First of all, so that no error leaves one behind.
    Few<TensorReference> arguments(num_arguments);
    for (std::uint64_t i = 0; i < num_arguments; ++i) {
      arguments[i] =
          TensorReference(torch::stable::detail::to<AtenTensorHandle>(stack[i]));
    }
    const RTorchModel* const model = Model();
    Few<RTorchTensor> inputs(num_arguments);
    for (std::uint64_t i = 0; i < num_arguments; ++i) {
      inputs[i] = ViewOf(arguments[i].get());
    }
    Few<RTorchTensor> outputs(num_results);
    RTorchError error;
    if (api_.run(model, inputs.data(), static_cast<std::int32_t>(num_arguments),
                 outputs.data(), static_cast<std::int32_t>(num_results), nullptr,
                 &error) != RTORCH_OK) {
      Throw(name_, error.message);
    }
    for (std::uint64_t i = 0; i < num_results; ++i) {
      stack[i] =
          torch::stable::detail::from(static_cast<AtenTensorHandle>(outputs[i].owner));
    }
  }

 private:
  using Library = torch::stable::detail::StableLibrary;

  // "resnet(Tensor image) -> Tensor".
  static std::string Schema(const char* name, const RTorchModelApi& api) {
    std::string schema = std::string(name) + "(";
    for (std::int32_t i = 0; i < api.num_inputs; ++i) {
      schema += std::string(i > 0 ? ", " : "") + "Tensor " + api.inputs[i].name;
    }
    schema += ") -> ";
    if (api.num_outputs == 1) return schema + "Tensor";
    schema += "(";
    for (std::int32_t i = 0; i < api.num_outputs; ++i) {
      schema += std::string(i > 0 ? ", " : "") + "Tensor " + api.outputs[i].name;
    }
    return schema + ")";
  }

  const RTorchModel* Model() {
    if (const RTorchModel* model = model_.load(std::memory_order_acquire)) {
      return model;
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    if (const RTorchModel* model = model_.load(std::memory_order_relaxed)) {
      return model;
    }
    RTorchCreateOptions options = {};
    options.struct_size = sizeof options;
    options.allocator = &allocator_;
    RTorchModel* model = nullptr;
    RTorchError error;
    if (api_.create(&api_, &options, &model, &error) != RTORCH_OK) {
      Throw(name_, error.message);
    }
    model_.store(model, std::memory_order_release);
    return model;
  }

  const std::string name_;  // "models::resnet"
  const RTorchModelApi& api_;
  const RTorchAllocator allocator_ = {sizeof(RTorchAllocator), 0, nullptr,
                                      AllocateTensor};
  std::mutex mutex_;
  std::atomic<RTorchModel*> model_{nullptr};
  Library definition_;
  Library implementation_;
};

}  // namespace
}  // namespace rules_torch::internal

#endif  // RULES_TORCH_LIBTORCH_MODEL_OP_H_
