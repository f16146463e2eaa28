// Tensors to and from other libraries through DLPack, without a copy: PyTorch, JAX,
// TVM, ONNX Runtime, CuPy and others speak it.
//
// Everything is a template over the DLPack structs of the program, so that no dlpack.h
// is needed here and any version of it will do: DLManagedTensor,
// DLManagedTensorVersioned (of major version 1) and, for views, DLTensor.
#ifndef RULES_TORCH_DLPACK_H_
#define RULES_TORCH_DLPACK_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

#include "rules_torch/abi.h"
#include "rules_torch/device.h"
#include "rules_torch/dtype.h"
#include "rules_torch/status.h"
#include "rules_torch/tensor.h"

namespace rules_torch {

// Frees what another library exported.
struct DLPackDeleter {
  template <typename Managed>
  void operator()(Managed* tensor) const {
    if (tensor->deleter != nullptr) tensor->deleter(tensor);
  }
};

// Owns a DLManagedTensor or DLManagedTensorVersioned:
//
//   DLPackPtr<DLManagedTensor> pixels(at::toDLPack(tensor));
//   auto view = ViewOf<const float, 4>(*pixels);
//   if (view.ok()) auto outputs = resnet->Run({*view});
template <typename Managed>
using DLPackPtr = std::unique_ptr<Managed, DLPackDeleter>;

namespace internal {

// DLDataTypeCode and bits of an element type.
struct DLPackType {
  std::uint8_t code;
  std::uint8_t bits;
};

template <typename T>
constexpr DLPackType DLPackTypeOf() {
  using Element = std::remove_const_t<T>;
  constexpr bool kFloat =
      std::is_floating_point_v<Element> || std::is_same_v<Element, float16>;
  constexpr std::uint8_t kCode = std::is_same_v<Element, bool>       ? 6
                                 : std::is_same_v<Element, bfloat16> ? 4
                                 : kFloat                            ? 2
                                 : std::is_unsigned_v<Element>       ? 1
                                                                     : 0;
  return {kCode, sizeof(T) * 8};
}

// "float32", "complex64", "type code 9 of 8 bits x 4 lanes".
inline std::string DLPackTypeName(int code, int bits, int lanes) {
  constexpr const char* kNames[] = {"int",   "uint",   "float",
                                    nullptr, "bfloat", "complex"};
  if (lanes == 1 && code == 6 && bits == 8) return "bool";
  if (lanes == 1 && code >= 0 && code < 6 && kNames[code] != nullptr) {
    return kNames[code] + std::to_string(bits);
  }
  return "type code " + std::to_string(code) + " of " + std::to_string(bits) +
         " bits x " + std::to_string(lanes) + " lanes";
}

// Whether a struct is DLManagedTensorVersioned, or one that has a DLTensor.
template <typename Managed, typename = void>
inline constexpr bool kIsVersioned = false;
template <typename Managed>
inline constexpr bool
    kIsVersioned<Managed, std::void_t<decltype(std::declval<Managed&>().version)>> =
        true;
template <typename Managed, typename = void>
inline constexpr bool kIsManaged = false;
template <typename Managed>
inline constexpr bool
    kIsManaged<Managed, std::void_t<decltype(std::declval<Managed&>().dl_tensor)>> =
        true;

// The major version of DLPack whose layouts this header knows.
inline constexpr std::uint32_t kDLPackMajor = 1;
// DLPACK_FLAG_BITMASK_READ_ONLY.
inline constexpr std::uint64_t kDLPackReadOnly = 1;

// What a DLPack struct of ours needs as long as it lives.
template <typename Managed>
struct DLPackExport {
  Managed managed{};
  RTorchTensor tensor{};

  static void Delete(Managed* managed) {
    auto* self = static_cast<DLPackExport*>(managed->manager_ctx);
    if (self->tensor.deleter != nullptr) self->tensor.deleter(self->tensor.owner);
    delete self;
  }
};

template <typename T, std::size_t kRank, typename Tensor>
StatusOr<TensorView<T, kRank>> ViewOfTensor(const Tensor& tensor) {
  const auto wrong = [](std::string what) {
    return Status(RTORCH_INVALID_ARGUMENT, "the DLPack tensor " + std::move(what));
  };
  constexpr DLPackType kType = DLPackTypeOf<T>();
  if (tensor.dtype.code != kType.code || tensor.dtype.bits != kType.bits ||
      tensor.dtype.lanes != 1) {
    return wrong(
        "has elements of " +
        DLPackTypeName(tensor.dtype.code, tensor.dtype.bits, tensor.dtype.lanes) +
        ", not " + DLPackTypeName(kType.code, kType.bits, 1));
  }
  if (tensor.ndim != static_cast<std::int32_t>(kRank)) {
    return wrong("has rank " + std::to_string(tensor.ndim) + ", not " +
                 std::to_string(kRank));
  }
  const auto type = static_cast<RTorchDeviceType>(tensor.device.device_type);
  if (type != RTORCH_CPU && type != RTORCH_CUDA && type != RTORCH_CUDA_HOST &&
      type != RTORCH_ROCM) {
    return wrong("is in memory of the device type " + std::to_string(type) +
                 ", which no model uses");
  }
  typename TensorView<T, kRank>::Sizes sizes{};
  typename TensorView<T, kRank>::Sizes strides{};
  if constexpr (kRank > 0) {
    if (tensor.shape == nullptr) return wrong("has no shape");
    for (std::size_t i = 0; i < kRank; ++i) {
      sizes[i] = tensor.shape[i];
      if (sizes[i] < 0) {
        return wrong("has the size " + std::to_string(sizes[i]) + " in dimension " +
                     std::to_string(i));
      }
    }
    // Before DLPack 1.2, null means row-major contiguous.
    strides = ContiguousStrides(sizes);
    for (std::size_t i = 0; tensor.strides != nullptr && i < kRank; ++i) {
      strides[i] = tensor.strides[i];
    }
  }
  // As models have it: the one of the host, whatever number it was given.
  const std::int32_t index = type == RTORCH_CPU ? 0 : tensor.device.device_id;
  auto* data = static_cast<unsigned char*>(tensor.data);
  if (data != nullptr) data += tensor.byte_offset;
  return TensorView<T, kRank>(static_cast<T*>(static_cast<void*>(data)), sizes, strides,
                              Device{type, index});
}

}  // namespace internal

// A view of the memory of a DLManagedTensor, a DLManagedTensorVersioned or a DLTensor,
// which stays its owner's. ViewOf<const float, 2> is for inputs, ViewOf<float, 2> for
// buffers. INVALID_ARGUMENT, with what was found and what was expected, for another
// dtype, rank or major version, a kind of memory that no model uses, or memory that is
// read-only and T not const. Sizes, alignment and the device are for Run to check.
//
// Work that is under way on a GPU is waited for by nobody: run on its stream.
//
// Lifetime: the view must not be used after the owner's `deleter`. Cost: no allocation
// on success.
template <typename T, std::size_t kRank, typename DLPack>
StatusOr<TensorView<T, kRank>> ViewOf(const DLPack& tensor) {
  if constexpr (internal::kIsVersioned<DLPack>) {
    if (tensor.version.major != internal::kDLPackMajor) {
      return Status(RTORCH_INVALID_ARGUMENT,
                    "the DLPack tensor is of version " +
                        std::to_string(tensor.version.major) + "." +
                        std::to_string(tensor.version.minor) + ", not " +
                        std::to_string(internal::kDLPackMajor));
    }
    if (!std::is_const_v<T> && (tensor.flags & internal::kDLPackReadOnly) != 0) {
      return Status(RTORCH_INVALID_ARGUMENT, "the DLPack tensor is read-only");
    }
  }
  if constexpr (internal::kIsManaged<DLPack>) {
    return internal::ViewOfTensor<T, kRank>(tensor.dl_tensor);
  } else {
    return internal::ViewOfTensor<T, kRank>(tensor);
  }
}

// Gives a tensor to another library, which frees it by the struct's `deleter`:
//
//   at::Tensor logits = at::fromDLPack(
//       ToDLPack<DLManagedTensor>(std::move(outputs->logits)));
//
// Null where there is no memory for the struct; `tensor` is as before then, and without
// elements otherwise.
//
// Lifetime: as a Tensor's, independent of the model; the deleter may be called in any
// thread, but is code of the program or library that calls this, which must not be
// unloaded before. Cost: one small allocation.
template <typename Managed, typename T, std::size_t kRank>
[[nodiscard]] Managed* ToDLPack(Tensor<T, kRank>&& tensor) {
  using Export = internal::DLPackExport<Managed>;
  auto* const made = new (std::nothrow) Export;
  if (made == nullptr) return nullptr;
  const bool empty = tensor.num_elements() == 0;
  made->tensor = tensor.Release();
  made->managed.manager_ctx = made;
  made->managed.deleter = &Export::Delete;
  if constexpr (internal::kIsVersioned<Managed>) {
    made->managed.version.major = internal::kDLPackMajor;
  }
  auto& dl = made->managed.dl_tensor;
  dl.data = empty ? nullptr : made->tensor.data;
  dl.device.device_type =
      static_cast<decltype(dl.device.device_type)>(made->tensor.device.type);
  dl.device.device_id = made->tensor.device.index;
  dl.ndim = static_cast<std::int32_t>(kRank);
  constexpr internal::DLPackType kType = internal::DLPackTypeOf<T>();
  dl.dtype.code = kType.code;
  dl.dtype.bits = kType.bits;
  dl.dtype.lanes = 1;
  dl.shape = made->tensor.sizes;
  dl.strides = made->tensor.strides;
  return &made->managed;
}

}  // namespace rules_torch

#endif  // RULES_TORCH_DLPACK_H_
