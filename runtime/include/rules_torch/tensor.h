// Typed tensors: views of the caller's memory going in, owned memory coming out.
//
// Both know their element type and rank at compile time and their sizes at run time.
// Neither does more than it says: making, copying or moving one allocates nothing.
#ifndef RULES_TORCH_TENSOR_H_
#define RULES_TORCH_TENSOR_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <type_traits>
#include <utility>
#if __has_include(<version>)
#include <version>
#endif
#if defined(__cpp_lib_span)
#include <span>
#endif

#include "rules_torch/abi.h"
#include "rules_torch/device.h"
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

// Where the element at [index...] is, in elements.
template <typename... Index>
constexpr std::ptrdiff_t Offset([[maybe_unused]] const std::int64_t* strides,
                                Index... index) {
  std::int64_t offset = 0;
  [[maybe_unused]] std::size_t dim = 0;
  ((offset += static_cast<std::int64_t>(index) * strides[dim++]), ...);
  return static_cast<std::ptrdiff_t>(offset);
}

// The elements of a range, as one that is asked for them has them. A temporary is asked
// as a constant: a container then has constant elements, while a view's stay the same.
template <typename Range>
using ElementOf = std::remove_pointer_t<decltype(std::data(
    std::declval<std::conditional_t<std::is_lvalue_reference_v<Range>, Range,
                                    const std::remove_reference_t<Range>&>>()))>;

}  // namespace internal

// A non-owning view of elements of type T, of rank kRank, with any strides.
//
//   std::vector<float> pixels(2 * 3 * 224 * 224);
//   TensorView<const float, 4> image(pixels.data(), {2, 3, 224, 224});
//   TensorView<const std::int64_t, 1> tokens = ids;  // a std::vector
//   TensorView<float, 2> on_gpu(pointer, {8, 512}, Device{RTORCH_CUDA, 0});
//
// Lifetime: the memory must outlive the call that the view is passed to; no call
// keeps a view. Threads: as a pointer; views of const elements may be used from many
// at once. Cost: as an input, one that is not row-major contiguous is copied by each
// Run; as an output, no layout costs more than another.
template <typename T, std::size_t kRank>
class TensorView {
 public:
  static_assert(kRank <= RTORCH_MAX_RANK, "rank over RTORCH_MAX_RANK");
  using element_type = T;
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
  TensorView(T* data, const Sizes& sizes, const Sizes& strides, Device device = kHost)
      : data_(data), sizes_(sizes), strides_(strides), device_(device) {}

  // Row-major contiguous elements of a device's memory. A template, so that two
  // integers in braces are strides.
  template <typename D, typename = std::enable_if_t<std::is_same_v<D, Device>>>
  TensorView(T* data, const Sizes& sizes, const D& device)
      : TensorView(data, sizes, internal::ContiguousStrides(sizes), device) {}

  // All elements of a std::vector, std::array, std::span or another range with data()
  // and size(). As with std::span, a temporary container will do only for const
  // elements, and only for as long as it lives.
  template <typename Range, typename Element = internal::ElementOf<Range>,
            typename = decltype(std::size(std::declval<Range>())),
            std::size_t R = kRank,
            typename = std::enable_if_t<R == 1 && (std::is_same_v<Element, T> ||
                                                   std::is_same_v<const Element, T>)>>
  TensorView(Range&& range)  // NOLINT: implicit
      : TensorView(std::data(range), Sizes{static_cast<std::int64_t>(std::size(range))},
                   Sizes{1}) {}

  // A view of mutable elements is one of const elements.
  template <typename U, typename = std::enable_if_t<std::is_same_v<const U, T>>>
  TensorView(const TensorView<U, kRank>& other)  // NOLINT: implicit
      : TensorView(other.data(), other.sizes(), other.strides(), other.device()) {}

  T* data() const { return data_; }
  const Sizes& sizes() const { return sizes_; }
  const Sizes& strides() const { return strides_; }
  Device device() const { return device_; }
  std::int64_t size(std::size_t dim) const { return sizes_[dim]; }
  std::int64_t num_elements() const { return internal::NumElements(sizes_); }

  // Whether the elements lie one after another, in row-major order.
  bool is_contiguous() const {
    std::int64_t stride = 1;
    bool contiguous = true;
    for (std::size_t i = kRank; i-- > 0;) {
      if (sizes_[i] == 0) return true;
      contiguous = contiguous && (sizes_[i] == 1 || strides_[i] == stride);
      stride = internal::Product(stride, sizes_[i]);
    }
    return contiguous;
  }

  // Element at [index...]; not checked. In host memory alone.
  template <typename... Index>
  T& operator()(Index... index) const {
    static_assert(sizeof...(Index) == kRank, "one index for each dimension");
    return data_[internal::Offset(strides_.data(), index...)];
  }

#if defined(__cpp_lib_span)
  // All elements in row-major order. The view must be contiguous; not checked.
  std::span<T> span() const {
    return {data_, static_cast<std::size_t>(num_elements())};
  }
#endif

  // The same view in the C ABI's terms.
  RTorchTensor abi() const {
    RTorchTensor tensor{};
    tensor.data = const_cast<std::remove_const_t<T>*>(data_);
    tensor.dtype = DTypeOf<T>::value;
    tensor.rank = static_cast<std::int32_t>(kRank);
    tensor.device = device_;
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
  Device device_ = kHost;
};

// A result: row-major contiguous elements of type T, of rank kRank, which this
// object owns. Movable, not copyable.
//
// Lifetime: independent of the model that made it, and of its library. Threads: as a
// std::vector; it may be destroyed in any. Cost: a move copies the sizes and a pointer.
template <typename T, std::size_t kRank>
class Tensor {
 public:
  using element_type = T;
  using Sizes = std::array<std::int64_t, kRank>;

  // No memory, and no elements.
  Tensor() = default;
  // Takes over what a model's `run` allocated; dtype and rank must be T's and
  // kRank.
  explicit Tensor(RTorchTensor tensor) : tensor_(tensor) {}
  Tensor(Tensor&& other) noexcept : tensor_(std::exchange(other.tensor_, None())) {}
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
  Device device() const { return tensor_.device; }
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

  TensorView<T, kRank> view() { return View<T>(data()); }
  TensorView<const T, kRank> view() const { return View<const T>(data()); }

#if defined(__cpp_lib_span)
  // All elements in row-major order, in host memory.
  std::span<T> span() { return {data(), static_cast<std::size_t>(num_elements())}; }
  std::span<const T> span() const {
    return {data(), static_cast<std::size_t>(num_elements())};
  }
#endif

  // Element at [index...]; not checked. In host memory alone.
  template <typename... Index>
  const T& operator()(Index... index) const {
    static_assert(sizeof...(Index) == kRank, "one index for each dimension");
    return data()[internal::Offset(tensor_.strides, index...)];
  }
  template <typename... Index>
  T& operator()(Index... index) {
    return const_cast<T&>(std::as_const(*this)(index...));
  }

  // Gives the memory up to the caller, who frees it by `deleter(owner)` of what is
  // returned, unless `deleter` is null. There are no elements here afterwards.
  [[nodiscard]] RTorchTensor Release() noexcept {
    return std::exchange(tensor_, None());
  }

 private:
  static RTorchTensor None() { return TensorView<T, kRank>().abi(); }

  template <typename U>
  TensorView<U, kRank> View(U* data) const {
    return {data, sizes(), internal::ContiguousStrides(sizes()), device()};
  }

  RTorchTensor tensor_ = None();
};

}  // namespace rules_torch

#endif  // RULES_TORCH_TENSOR_H_
