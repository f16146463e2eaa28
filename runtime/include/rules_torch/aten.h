// at::Tensors to and from compiled models, without a copy: for C++ that is written
// against libtorch, before and after a model.
//
// Needs ATen's headers, which @rules_torch//runtime/libtorch:torch brings with
// libtorch. The model itself may be of either runtime.
#ifndef RULES_TORCH_ATEN_H_
#define RULES_TORCH_ATEN_H_

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "rules_torch/abi.h"
#include "rules_torch/device.h"
#include "rules_torch/dtype.h"
#include "rules_torch/status.h"
#include "rules_torch/tensor.h"

namespace rules_torch {

namespace internal {

// c10::ScalarType's values are RTorchDType's.
template <typename T>
inline constexpr auto kScalarType =
    static_cast<c10::ScalarType>(DTypeOf<std::remove_const_t<T>>::value);

inline Status WrongTensor(const std::string& what) {
  return Status(RTORCH_INVALID_ARGUMENT, "the at::Tensor " + what);
}

}  // namespace internal

// A view of a tensor's memory, with its strides. ViewOf<const float, 4> is for inputs,
// ViewOf<float, 2> for buffers:
//
//   auto view = ViewOf<const float, 4>(image);
//   if (view.ok()) auto outputs = resnet->Run({*view});
//
// INVALID_ARGUMENT, with what was found and what was expected, for another dtype or
// rank, a tensor that is undefined, sparse, or on another kind of device than models
// are, one that requires a gradient (models compute none: pass tensor.detach()), and
// one whose elements are still to be negated or conjugated. Sizes and the device are
// for Run to check.
//
// Work that is under way on a GPU is waited for by nobody: run on its stream.
//
// Lifetime: the view must not be used after the last tensor of the memory is gone.
// Cost: no allocation on success.
template <typename T, std::size_t kRank>
StatusOr<TensorView<T, kRank>> ViewOf(const at::Tensor& tensor) {
  using internal::WrongTensor;
  if (!tensor.defined()) return WrongTensor("is undefined");
  if (tensor.layout() != c10::kStrided) {
    return WrongTensor("is not strided; pass tensor.to_dense()");
  }
  if (tensor.scalar_type() != internal::kScalarType<T>) {
    return WrongTensor(std::string("has elements of ") +
                       c10::toString(tensor.scalar_type()) + ", not " +
                       c10::toString(internal::kScalarType<T>));
  }
  if (tensor.dim() != static_cast<std::int64_t>(kRank)) {
    return WrongTensor("has rank " + std::to_string(tensor.dim()) + ", not " +
                       std::to_string(kRank));
  }
  if (tensor.requires_grad() && c10::GradMode::is_enabled()) {
    return WrongTensor(
        "requires a gradient, and models compute none; pass tensor.detach()");
  }
  if (tensor.is_neg() || tensor.is_conj()) {
    return WrongTensor(
        "has elements that are still to be negated or conjugated; pass "
        "tensor.resolve_neg().resolve_conj()");
  }
  Device device = kHost;
  if (tensor.is_cuda()) {
    device = Device{RTORCH_CUDA, tensor.get_device()};
  } else if (!tensor.is_cpu()) {
    return WrongTensor("is on the device " + tensor.device().str() +
                       ", which no model uses");
  }
  typename TensorView<T, kRank>::Sizes sizes{};
  typename TensorView<T, kRank>::Sizes strides{};
  for (std::size_t i = 0; i < kRank; ++i) {
    sizes[i] = tensor.size(static_cast<std::int64_t>(i));
    strides[i] = tensor.stride(static_cast<std::int64_t>(i));
  }
  if constexpr (std::is_const_v<T>) {
    return TensorView<T, kRank>(static_cast<T*>(tensor.const_data_ptr()), sizes,
                                strides, device);
  } else {
    return TensorView<T, kRank>(static_cast<T*>(tensor.mutable_data_ptr()), sizes,
                                strides, device);
  }
}

// An output as an at::Tensor, which owns the memory from now on:
//
//   at::Tensor logits = ToAten(std::move(outputs->logits));
//
// Throws what libtorch throws where there is no memory for the at::Tensor itself; the
// output is freed then.
//
// Lifetime: as a Tensor's, independent of the model. Cost: the few allocations of an
// at::Tensor; no elements are copied.
template <typename T, std::size_t kRank>
at::Tensor ToAten(Tensor<T, kRank>&& tensor) {
  const Device device = tensor.device();
  const auto options =
      at::TensorOptions(internal::kScalarType<T>)
          .device(device.type == RTORCH_CPU
                      ? c10::Device(c10::kCPU)
                      : c10::Device(c10::kCUDA,
                                    static_cast<c10::DeviceIndex>(device.index)));
  const auto sizes = tensor.sizes();
  void* const data = tensor.data();
  // The function of from_blob is copied, and a Tensor cannot be.
  auto owner = std::make_shared<Tensor<T, kRank>>(std::move(tensor));
  return at::from_blob(
      data, sizes, [owner = std::move(owner)](void*) mutable { owner.reset(); },
      options);
}

}  // namespace rules_torch

#endif  // RULES_TORCH_ATEN_H_
