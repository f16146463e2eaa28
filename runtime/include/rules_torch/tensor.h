// Typed tensors: views of the caller's memory going in, owned memory coming out.
#ifndef RULES_TORCH_TENSOR_H_
#define RULES_TORCH_TENSOR_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "rules_torch/abi.h"
#include "rules_torch/dtype.h"

namespace rules_torch {

namespace internal {

// Wraps around where std::int64_t would overflow: a view of more elements than
// there can be is an error for Run to report.
constexpr std::int64_t Product(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) *
                                   static_cast<std::uint64_t>(b));
}

template <std::size_t kRank>
constexpr std::array<std::int64_t, kRank> ContiguousStrides(
    const std::array<std::int64_t, kRank>& sizes) {
  std::array<std::int64_t, kRank> strides{};
  std::int64_t stride = 1;
  for (std::size_t i = kRank; i-- > 0;) {
    strides[i] = stride;
    stride = Product(stride, sizes[i]);
  }
  return strides;
}

template <std::size_t kRank>
constexpr std::int64_t NumElements(const std::array<std::int64_t, kRank>& sizes) {
  std::int64_t count = 1;
  for (std::int64_t size : sizes) count = Product(count, size);
  return count;
}

}  // namespace internal

// A non-owning view of elements of type T, of rank kRank, with any strides.
//
//   std::vector<float> pixels(2 * 3 * 224 * 224);
//   TensorView<const float, 4> image(pixels.data(), {2, 3, 224, 224});
//
// The memory must outlive the call that the view is passed to; nothing keeps a
// view longer. A view that is not row-major contiguous costs one copy when it
// is an input, and none when it is an output.
template <typename T, std::size_t kRank>
class TensorView {
 public:
  static_assert(kRank <= RTORCH_MAX_RANK, "rank over RTORCH_MAX_RANK");
  using Sizes = std::array<std::int64_t, kRank>;

  // No memory. As an input it is an error (unless a size is 0); as an output
  // it means: allocate.
  TensorView() = default;

  // Row-major contiguous elements. For rank 0 the sizes may be left out.
  TensorView(T* data, const Sizes& sizes)
      : TensorView(data, sizes, internal::ContiguousStrides(sizes)) {}
  template <std::size_t R = kRank, typename = std::enable_if_t<R == 0>>
  explicit TensorView(T* data) : TensorView(data, Sizes{}) {}

  // Element [i, j, ...] lies at data + i * strides[0] + j * strides[1] + ...
  TensorView(T* data, const Sizes& sizes, const Sizes& strides)
      : data_(data), sizes_(sizes), strides_(strides) {}

  // A view of mutable elements is one of const elements.
  template <typename U, typename = std::enable_if_t<std::is_same_v<const U, T>>>
  TensorView(const TensorView<U, kRank>& other)  // NOLINT: implicit
      : TensorView(other.data(), other.sizes(), other.strides()) {}

  T* data() const { return data_; }
  const Sizes& sizes() const { return sizes_; }
  const Sizes& strides() const { return strides_; }
  std::int64_t size(std::size_t dim) const { return sizes_[dim]; }
  std::int64_t num_elements() const { return internal::NumElements(sizes_); }

  // Element at [index...]; not checked.
  template <typename... Index>
  T& operator()(Index... index) const {
    static_assert(sizeof...(Index) == kRank, "one index for each dimension");
    std::int64_t offset = 0;
    [[maybe_unused]] std::size_t dim = 0;
    ((offset += static_cast<std::int64_t>(index) * strides_[dim++]), ...);
    return data_[offset];
  }

  // The same view in the C ABI's terms.
  RTorchTensor abi() const {
    RTorchTensor tensor{};
    tensor.data = const_cast<std::remove_const_t<T>*>(data_);
    tensor.dtype = DTypeOf<T>::value;
    tensor.rank = static_cast<std::int32_t>(kRank);
    for (std::size_t i = 0; i < kRank; ++i) {
      tensor.sizes[i] = sizes_[i];
      tensor.strides[i] = strides_[i];
    }
    return tensor;
  }

 private:
  T* data_ = nullptr;
  Sizes sizes_{};
  Sizes strides_{};
};

// A result: row-major contiguous elements of type T, of rank kRank, which this
// object owns. Movable, not copyable; independent of the model that made it.
template <typename T, std::size_t kRank>
class Tensor {
 public:
  using Sizes = std::array<std::int64_t, kRank>;

  Tensor() = default;
  // Takes over what a model's `run` allocated; dtype and rank must be T's and
  // kRank.
  explicit Tensor(RTorchTensor tensor) : tensor_(tensor) {}
  Tensor(Tensor&& other) noexcept : tensor_(std::exchange(other.tensor_, {})) {}
  Tensor& operator=(Tensor&& other) noexcept {
    std::swap(tensor_, other.tensor_);
    return *this;
  }
  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;
  ~Tensor() {
    if (tensor_.deleter != nullptr) tensor_.deleter(tensor_.owner);
  }

  T* data() { return static_cast<T*>(tensor_.data); }
  const T* data() const { return static_cast<const T*>(tensor_.data); }
  std::int64_t size(std::size_t dim) const { return tensor_.sizes[dim]; }
  Sizes sizes() const {
    Sizes sizes{};
    for (std::size_t i = 0; i < kRank; ++i) sizes[i] = tensor_.sizes[i];
    return sizes;
  }
  std::int64_t num_elements() const {
    return tensor_.data == nullptr ? 0 : internal::NumElements(sizes());
  }

  T* begin() { return data(); }
  T* end() { return data() + num_elements(); }
  const T* begin() const { return data(); }
  const T* end() const { return data() + num_elements(); }

  TensorView<T, kRank> view() { return {data(), sizes()}; }
  TensorView<const T, kRank> view() const { return {data(), sizes()}; }

  // Element at [index...]; not checked.
  template <typename... Index>
  const T& operator()(Index... index) const {
    return view()(index...);
  }
  template <typename... Index>
  T& operator()(Index... index) {
    return view()(index...);
  }

 private:
  RTorchTensor tensor_{};
};

}  // namespace rules_torch

#endif  // RULES_TORCH_TENSOR_H_
