// AOTInductor's C shims, over the standalone runtime's own tensors.
//
// Included at the start of a generated model source, before AOTInductor's headers.
// Torch's header declares the shims for libtorch to export. Here the same declarations
// are of functions of this source alone, which the compiler inlines: models with other
// runtimes, and a process that has libtorch loaded, never meet them. A shim that is
// declared and not defined is one that the runtime lacks; the code generator refuses
// models that call it.
#ifndef RULES_TORCH_STANDALONE_SHIMS_H_
#define RULES_TORCH_STANDALONE_SHIMS_H_

#include <torch/csrc/inductor/aoti_torch/c/macros.h>

#undef AOTI_TORCH_EXPORT
#define AOTI_TORCH_EXPORT [[maybe_unused]] static

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/inductor/aoti_torch/generated/c_shim_cpu.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "runtime/standalone/copy.h"
#include "runtime/standalone/operators.h"
#include "runtime/standalone/tensor.h"

namespace rules_torch::standalone {
namespace {

inline Tensor& Of(AtenTensorHandle handle) {
  return *reinterpret_cast<Tensor*>(handle);
}

inline AOTITorchError Give(OwnedTensor tensor, AtenTensorHandle* handle) {
  *handle = reinterpret_cast<AtenTensorHandle>(tensor.release());
  return AOTI_TORCH_SUCCESS;
}

inline OwnedTensor Alias(const Tensor& tensor) {
  return View(tensor, tensor.rank, tensor.sizes, tensor.strides, StorageOffset(tensor));
}

inline Operand Read(AtenTensorHandle handle) { return AsOperand(Of(handle)); }

// A dimension, counted from the first one.
inline std::int64_t DimOf(const Tensor& tensor, std::int64_t dim) {
  return dim < 0 ? dim + tensor.rank : dim;
}

// An argument that may be missing, as operators take it.
class Optional {
 public:
  explicit Optional(const AtenTensorHandle* handle) : has_(handle != nullptr) {
    if (has_) operand_ = Read(*handle);
  }
  Optional(const Optional&) = delete;
  Optional& operator=(const Optional&) = delete;

  const Operand* get() const { return has_ ? &operand_ : nullptr; }

 private:
  const bool has_;
  Operand operand_{};
};

// The arguments of a fused operator that say what follows.
class FollowingArguments {
 public:
  FollowingArguments(const AtenTensorHandle* factors, const AtenTensorHandle* bias,
                     const AtenTensorHandle* residual, std::int64_t activation,
                     double lowest, double highest)
      : factors_(factors),
        bias_(bias),
        residual_(residual),
        following_{factors_.get(),
                   bias_.get(),
                   residual_.get(),
                   static_cast<Activation>(activation),
                   static_cast<float>(lowest),
                   static_cast<float>(highest)} {}

  const Following& following() const { return following_; }

 private:
  const Optional factors_, bias_, residual_;
  const Following following_;
};

// The run's memory, as an operator takes it.
struct RunWorkspace : Workspace {
  RunWorkspace() {
    take = [](Workspace* workspace, std::size_t bytes) {
      auto* self = static_cast<RunWorkspace*>(workspace);
      if (self->count == self->blocks.size()) throw std::bad_alloc();
      self->blocks[self->count] = current_run->Take(bytes);
      return self->blocks[self->count++]->data;
    };
    keep = [](Workspace*, const PackedKey& key, std::size_t bytes,
              void (*fill)(const void* context, void* memory), const void* context) {
      return current_run->packed->Find(key, bytes, fill, context);
    };
  }
  ~RunWorkspace() {
    for (std::size_t i = 0; i < count; ++i) RunMemory::Drop(blocks[i]);
  }
  RunWorkspace(const RunWorkspace&) = delete;
  RunWorkspace& operator=(const RunWorkspace&) = delete;

  std::array<Block*, 16> blocks;  // more than any operator takes
  std::size_t count = 0;
};

template <typename T>
inline AOTITorchError Item(AtenTensorHandle handle, T* value) {
  *value = *static_cast<const T*>(Of(handle).data);
  return AOTI_TORCH_SUCCESS;
}

template <typename T>
inline AOTITorchError FromItem(T value, std::int32_t dtype, AtenTensorHandle* handle) {
  OwnedTensor tensor = Allocate(0, nullptr, nullptr, dtype);
  *static_cast<T*>(tensor->data) = value;
  return Give(std::move(tensor), handle);
}

}  // namespace
}  // namespace rules_torch::standalone

extern "C" {

// ---- Numbers.

static std::int32_t aoti_torch_device_type_cpu() { return 0; }
static std::int32_t aoti_torch_device_type_cuda() { return 1; }
static std::int32_t aoti_torch_layout_strided() { return 0; }

#define RTORCH_DTYPE(name, number) \
  static std::int32_t aoti_torch_dtype_##name() { return number; }
RTORCH_DTYPE(uint8, RTORCH_UINT8)
RTORCH_DTYPE(int8, RTORCH_INT8)
RTORCH_DTYPE(int16, RTORCH_INT16)
RTORCH_DTYPE(int32, RTORCH_INT32)
RTORCH_DTYPE(int64, RTORCH_INT64)
RTORCH_DTYPE(float16, RTORCH_FLOAT16)
RTORCH_DTYPE(float32, RTORCH_FLOAT32)
RTORCH_DTYPE(float64, RTORCH_FLOAT64)
RTORCH_DTYPE(bool, RTORCH_BOOL)
RTORCH_DTYPE(bfloat16, RTORCH_BFLOAT16)
#undef RTORCH_DTYPE

static std::size_t aoti_torch_dtype_element_size(std::int32_t dtype) {
  return rules_torch::standalone::ElementSize(dtype);
}

#define RTORCH_ITEM(name, type)                                                        \
  static AOTITorchError aoti_torch_item_##name(AtenTensorHandle tensor, type* value) { \
    return rules_torch::standalone::Item(tensor, value);                               \
  }                                                                                    \
  static AOTITorchError aoti_torch_scalar_to_tensor_##name(type value,                 \
                                                           AtenTensorHandle* tensor) { \
    return rules_torch::standalone::FromItem(value, aoti_torch_dtype_##name(),         \
                                             tensor);                                  \
  }
RTORCH_ITEM(float32, float)
RTORCH_ITEM(float64, double)
RTORCH_ITEM(uint8, std::uint8_t)
RTORCH_ITEM(int8, std::int8_t)
RTORCH_ITEM(int16, std::int16_t)
RTORCH_ITEM(int32, std::int32_t)
RTORCH_ITEM(int64, std::int64_t)
RTORCH_ITEM(bool, bool)
#undef RTORCH_ITEM

// ---- Handles.

static AOTITorchError aoti_torch_delete_tensor_object(AtenTensorHandle tensor) {
  if (tensor != nullptr) {
    rules_torch::standalone::DeleteTensor(&rules_torch::standalone::Of(tensor));
  }
  return AOTI_TORCH_SUCCESS;
}

static AOTITorchError aoti_torch_get_data_ptr(AtenTensorHandle tensor, void** data) {
  *data = rules_torch::standalone::Of(tensor).data;
  return AOTI_TORCH_SUCCESS;
}

static AOTITorchError aoti_torch_get_dim(AtenTensorHandle tensor, std::int64_t* rank) {
  *rank = rules_torch::standalone::Of(tensor).rank;
  return AOTI_TORCH_SUCCESS;
}

static AOTITorchError aoti_torch_get_numel(AtenTensorHandle tensor,
                                           std::int64_t* number) {
  *number = rules_torch::standalone::NumElements(rules_torch::standalone::Of(tensor));
  return AOTI_TORCH_SUCCESS;
}

static AOTITorchError aoti_torch_get_sizes(AtenTensorHandle tensor,
                                           std::int64_t** sizes) {
  *sizes = rules_torch::standalone::Of(tensor).sizes;
  return AOTI_TORCH_SUCCESS;
}

static AOTITorchError aoti_torch_get_size(AtenTensorHandle tensor, std::int64_t dim,
                                          std::int64_t* size) {
  *size = rules_torch::standalone::Of(tensor).sizes[dim];
  return AOTI_TORCH_SUCCESS;
}

static AOTITorchError aoti_torch_get_strides(AtenTensorHandle tensor,
                                             std::int64_t** strides) {
  *strides = rules_torch::standalone::Of(tensor).strides;
  return AOTI_TORCH_SUCCESS;
}

static AOTITorchError aoti_torch_get_stride(AtenTensorHandle tensor, std::int64_t dim,
                                            std::int64_t* stride) {
  *stride = rules_torch::standalone::Of(tensor).strides[dim];
  return AOTI_TORCH_SUCCESS;
}

static AOTITorchError aoti_torch_get_dtype(AtenTensorHandle tensor,
                                           std::int32_t* dtype) {
  *dtype = rules_torch::standalone::Of(tensor).dtype;
  return AOTI_TORCH_SUCCESS;
}

static AOTITorchError aoti_torch_get_device_type(AtenTensorHandle, std::int32_t* type) {
  *type = aoti_torch_device_type_cpu();
  return AOTI_TORCH_SUCCESS;
}

static AOTITorchError aoti_torch_get_device_index(AtenTensorHandle,
                                                  std::int32_t* index) {
  *index = 0;
  return AOTI_TORCH_SUCCESS;
}

static AOTITorchError aoti_torch_get_storage_offset(AtenTensorHandle tensor,
                                                    std::int64_t* offset) {
  *offset = rules_torch::standalone::StorageOffset(rules_torch::standalone::Of(tensor));
  return AOTI_TORCH_SUCCESS;
}

static AOTITorchError aoti_torch_new_tensor_handle(AtenTensorHandle tensor,
                                                   AtenTensorHandle* alias) {
  return rules_torch::standalone::Give(
      rules_torch::standalone::Alias(rules_torch::standalone::Of(tensor)), alias);
}

// ---- New tensors and views.

static AOTITorchError aoti_torch_empty_strided(std::int64_t rank,
                                               const std::int64_t* sizes,
                                               const std::int64_t* strides,
                                               std::int32_t dtype, std::int32_t,
                                               std::int32_t, AtenTensorHandle* tensor) {
  return rules_torch::standalone::Give(
      rules_torch::standalone::Allocate(rank, sizes, strides, dtype), tensor);
}

static AOTITorchError aoti_torch_create_tensor_from_blob_v2(
    void* data, std::int64_t rank, const std::int64_t* sizes,
    const std::int64_t* strides, std::int64_t offset, std::int32_t dtype, std::int32_t,
    std::int32_t, AtenTensorHandle* tensor, std::int32_t, const std::uint8_t*,
    std::int64_t) {
  return rules_torch::standalone::Give(
      rules_torch::standalone::Borrow(data, rank, sizes, strides, offset, dtype),
      tensor);
}

static AOTITorchError aoti_torch__reinterpret_tensor(
    AtenTensorHandle self, std::int64_t rank, const std::int64_t* sizes,
    const std::int64_t* strides, std::int64_t offset, AtenTensorHandle* view) {
  return rules_torch::standalone::Give(
      rules_torch::standalone::View(rules_torch::standalone::Of(self), rank, sizes,
                                    strides, offset),
      view);
}

static AOTITorchError aoti_torch_as_strided(AtenTensorHandle self,
                                            const std::int64_t* sizes,
                                            const std::int64_t* strides,
                                            AtenTensorHandle* view) {
  using namespace rules_torch::standalone;
  const Tensor& tensor = Of(self);
  return Give(View(tensor, tensor.rank, sizes, strides, StorageOffset(tensor)), view);
}

static AOTITorchError aoti_torch_assign_tensors_out(AtenTensorHandle source,
                                                    AtenTensorHandle* alias) {
  return aoti_torch_new_tensor_handle(source, alias);
}

static AOTITorchError aoti_torch_assign_tensors(AtenTensorHandle source,
                                                AtenTensorHandle target) {
  using namespace rules_torch::standalone;
  OwnedTensor alias = Alias(Of(source));
  Tensor& tensor = Of(target);
  std::swap(*alias, tensor);
  std::swap(alias->run, tensor.run);  // each keeps its place
  return AOTI_TORCH_SUCCESS;
}

// ---- Copies.

static AOTITorchError aoti_torch_clone_preserve_strides(AtenTensorHandle self,
                                                        AtenTensorHandle* copy) {
  using namespace rules_torch::standalone;
  const Tensor& from = Of(self);
  OwnedTensor to = Allocate(from.rank, from.sizes, from.strides, from.dtype);
  Copy(from, to.get());
  return Give(std::move(to), copy);
}

static AOTITorchError aoti_torch_clone(AtenTensorHandle self, AtenTensorHandle* copy) {
  return aoti_torch_clone_preserve_strides(self, copy);
}

static AOTITorchError aoti_torch_copy_(AtenTensorHandle self, AtenTensorHandle source,
                                       std::int32_t) {
  using namespace rules_torch::standalone;
  Copy(Of(source), &Of(self));
  return AOTI_TORCH_SUCCESS;
}

static AOTITorchError aoti_torch_zero_(AtenTensorHandle self) {
  rules_torch::standalone::Zero(&rules_torch::standalone::Of(self));
  return AOTI_TORCH_SUCCESS;
}

}  // extern "C"

#endif  // RULES_TORCH_STANDALONE_SHIMS_H_
