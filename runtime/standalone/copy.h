// Copies between tensors of the standalone runtime.
#ifndef RULES_TORCH_STANDALONE_COPY_H_
#define RULES_TORCH_STANDALONE_COPY_H_

#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <type_traits>

#include "rules_torch/abi.h"
#include "runtime/internal/layout.h"
#include "runtime/standalone/tensor.h"

namespace rules_torch::standalone {
namespace {

// Calls `act` with a value of the dtype's C++ type.
template <typename Act>
void WithType(std::int32_t dtype, Act act) {
  switch (dtype) {
    case RTORCH_UINT8:
      return act(std::uint8_t{});
    case RTORCH_INT8:
      return act(std::int8_t{});
    case RTORCH_INT16:
      return act(std::int16_t{});
    case RTORCH_INT32:
      return act(std::int32_t{});
    case RTORCH_INT64:
      return act(std::int64_t{});
    case RTORCH_FLOAT16:
      return act(c10::Half{});
    case RTORCH_BFLOAT16:
      return act(c10::BFloat16{});
    case RTORCH_FLOAT32:
      return act(float{});
    case RTORCH_FLOAT64:
      return act(double{});
    case RTORCH_BOOL:
      return act(bool{});
    default:
      throw std::runtime_error("no copy converts this dtype");
  }
}

// Steps through the indices of `tensor` from dimension `dim` on, with strides of
// another tensor of its sizes.
template <typename Act>
void ForEach(const Tensor& tensor, const std::int64_t* other_strides, int dim,
             std::int64_t at, std::int64_t other, const Act& act) {
  if (dim == tensor.rank) return act(at, other);
  for (std::int64_t i = 0; i < tensor.sizes[dim]; ++i) {
    ForEach(tensor, other_strides, dim + 1, at + i * tensor.strides[dim],
            other + i * other_strides[dim], act);
  }
}

template <typename From, typename To>
To Convert(From value) {
  if constexpr (std::is_same_v<From, c10::Half> ||
                std::is_same_v<From, c10::BFloat16>) {
    return static_cast<To>(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, c10::Half> ||
                       std::is_same_v<To, c10::BFloat16>) {
    return static_cast<To>(static_cast<float>(value));
  } else {
    return static_cast<To>(value);
  }
}

// The real parts of a complex tensor, or the imaginary ones: `part` is 0 or 1. A view
// that holds no memory.
[[maybe_unused]] inline Tensor PartsOfComplex(const Tensor& tensor, int part) {
  Tensor view = tensor;
  view.dtype = tensor.dtype == kComplex64 ? RTORCH_FLOAT32 : RTORCH_FLOAT64;
  view.data = static_cast<char*>(tensor.data) +
              part * static_cast<std::int64_t>(ElementSize(view.dtype));
  for (int i = 0; i < view.rank; ++i) view.strides[i] *= 2;
  return view;
}

// Whether torch would broadcast a tensor to these sizes.
[[maybe_unused]] inline bool Broadcasts(const Tensor& from, std::int64_t rank,
                                        const std::int64_t* sizes) {
  const std::int64_t lead = rank - from.rank;
  for (int i = 0; lead >= 0 && i < from.rank; ++i) {
    if (from.sizes[i] != sizes[lead + i] && from.sizes[i] != 1) return false;
  }
  return lead >= 0;
}

// The sizes that torch broadcasts both tensors to; returns their number.
[[maybe_unused]] inline int BroadcastSizes(const Tensor& a, const Tensor& b,
                                           std::int64_t* sizes) {
  const Tensor& longer = a.rank >= b.rank ? a : b;
  const Tensor& shorter = a.rank >= b.rank ? b : a;
  std::copy_n(longer.sizes, longer.rank, sizes);
  const int lead = longer.rank - shorter.rank;
  for (int i = 0; i < shorter.rank; ++i) {
    if (sizes[lead + i] == 1) sizes[lead + i] = shorter.sizes[i];
  }
  return longer.rank;
}

// `from` with these sizes, to which it is broadcast: a view that holds no memory.
[[maybe_unused]] inline Tensor Broadcast(const Tensor& from, std::int64_t rank,
                                         const std::int64_t* sizes) {
  if (!Broadcasts(from, rank, sizes)) {
    throw std::runtime_error("tensors have sizes that do not match");
  }
  Tensor view = from;
  view.rank = static_cast<std::int32_t>(rank);
  const std::int64_t lead = rank - from.rank;
  for (std::int64_t i = 0; i < rank; ++i) {
    view.sizes[i] = sizes[i];
    const bool is_repeated = i < lead || from.sizes[i - lead] == 1;
    view.strides[i] = is_repeated ? 0 : from.strides[i - lead];
  }
  return view;
}

[[maybe_unused]] inline void Zero(Tensor* tensor);

// As torch's copy_: `from` is broadcast to the sizes of `to` and converted to its
// dtype. The two do not overlap, or are the same.
[[maybe_unused]] inline void Copy(const Tensor& from, Tensor* to) {
  const Tensor view = Broadcast(from, to->rank, to->sizes);
  const std::int64_t* strides = view.strides;
  if (from.dtype == to->dtype && from.dtype != kComplex128) {  // it has 8 bytes at most
    internal::CopyElements(from.data, {to->sizes, strides, to->rank}, to->data,
                           to->strides, ElementSize(from.dtype));
    return;
  }
  if (IsComplex(to->dtype)) {
    Tensor real = PartsOfComplex(*to, 0);
    Tensor imaginary = PartsOfComplex(*to, 1);
    Copy(IsComplex(from.dtype) ? PartsOfComplex(from, 0) : from, &real);
    if (!IsComplex(from.dtype)) return Zero(&imaginary);
    return Copy(PartsOfComplex(from, 1), &imaginary);
  }
  if (IsComplex(from.dtype)) return Copy(PartsOfComplex(from, 0), to);
  WithType(from.dtype, [&](auto source) {
    WithType(to->dtype, [&](auto target) {
      using From = decltype(source);
      using To = decltype(target);
      const auto* read = static_cast<const From*>(from.data);
      auto* write = static_cast<To*>(to->data);
      ForEach(*to, strides, 0, 0, 0, [&](std::int64_t at, std::int64_t other) {
        write[at] = Convert<From, To>(read[other]);
      });
    });
  });
}

[[maybe_unused]] inline void Zero(Tensor* tensor) {
  const std::size_t width = ElementSize(tensor->dtype);
  if (internal::IsRowMajor(LayoutOf(*tensor))) {
    std::memset(tensor->data, 0,
                static_cast<std::size_t>(NumElements(*tensor)) * width);
    return;
  }
  ForEach(*tensor, tensor->strides, 0, 0, 0, [&](std::int64_t at, std::int64_t) {
    std::memset(
        static_cast<char*>(tensor->data) + at * static_cast<std::int64_t>(width), 0,
        width);
  });
}

// A row-major copy in int64.
[[maybe_unused]] inline OwnedTensor CopyAsInt64(const Tensor& from) {
  OwnedTensor copy = Contiguous(from.rank, from.sizes, RTORCH_INT64);
  Copy(from, copy.get());
  return copy;
}

}  // namespace
}  // namespace rules_torch::standalone

#endif  // RULES_TORCH_STANDALONE_COPY_H_
