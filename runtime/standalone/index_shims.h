// The shims of what reads and writes elements that data names, beside shims.h. What
// Inductor generates code for itself is not among them.
#ifndef RULES_TORCH_STANDALONE_INDEX_SHIMS_H_
#define RULES_TORCH_STANDALONE_INDEX_SHIMS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "rules_torch/abi.h"
#include "runtime/internal/layout.h"
#include "runtime/standalone/copy.h"
#include "runtime/standalone/shims.h"
#include "runtime/standalone/tensor.h"

namespace rules_torch::standalone {
namespace {

// "[2, 3]".
inline std::string ShapeText(std::int64_t rank, const std::int64_t* sizes) {
  std::string text = "[";
  for (std::int64_t i = 0; i < rank; ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(sizes[i]);
  }
  return text + "]";
}

// An index from the start on; negative ones count from the end, if they may.
inline std::int64_t Place(std::int64_t index, bool may_be_negative, std::int64_t dim,
                          std::int64_t size) {
  if (index >= size || index < (may_be_negative ? -size : 0)) {
    throw std::runtime_error("index " + std::to_string(index) +
                             " is out of bounds for dimension " + std::to_string(dim) +
                             " with size " + std::to_string(size));
  }
  return index < 0 ? index + size : index;
}

// Calls act(place) for the indices of each element, in row-major order.
template <typename Act>
void ForEachPlace(const Tensor& tensor, const Act& act) {
  std::int64_t place[kMaxRank] = {};
  for (std::int64_t left = NumElements(tensor); left > 0; --left) {
    act(place);
    for (int i = tensor.rank - 1; i >= 0 && ++place[i] == tensor.sizes[i]; --i) {
      place[i] = 0;
    }
  }
}

// Where the element at a place lies.
inline std::int64_t OffsetOf(const Tensor& tensor, const std::int64_t* place) {
  std::int64_t offset = 0;
  for (int i = 0; i < tensor.rank; ++i) offset += place[i] * tensor.strides[i];
  return offset;
}

template <typename T>
const T* DataOf(const Tensor& tensor) {
  return static_cast<const T*>(tensor.data);
}

// An int64 tensor [n, rank] of the places where elements are not 0; its columns are
// contiguous, as torch's.
inline OwnedTensor NonZero(const Tensor& tensor) {
  OwnedTensor places;
  WithType(tensor.dtype, [&](auto type) {
    using T = decltype(type);
    const T* data = DataOf<T>(tensor);
    const auto is_zero = [&](const std::int64_t* place) {
      return Convert<T, double>(data[OffsetOf(tensor, place)]) == 0;
    };
    std::int64_t count = 0;
    ForEachPlace(tensor, [&](const std::int64_t* place) { count += !is_zero(place); });
    const std::int64_t sizes[] = {count, tensor.rank};
    const std::int64_t order[] = {1, 0};
    places = AllocateInOrder(2, sizes, order, RTORCH_INT64);
    auto* out = static_cast<std::int64_t*>(places->data);
    ForEachPlace(tensor, [&](const std::int64_t* place) {
      if (is_zero(place)) return;
      for (int i = 0; i < tensor.rank; ++i) out[i * places->strides[1]] = place[i];
      ++out;
    });
  });
  return places;
}

// The elements of a tensor that tensors of indices and masks name, as in x[i, :, mask].
class Indexed {
 public:
  // `get(i)` is the handle of an index; null: all of a dimension.
  template <typename Get>
  Indexed(const Tensor& tensor, std::int64_t count, const Get& get) {
    int dim = 0;
    OwnedTensor indices[kMaxRank];
    for (std::int64_t i = 0; i < count; ++i) {
      AtenTensorHandle handle = get(i);
      if (handle == nullptr) {
        ++dim;
        continue;
      }
      const Tensor& index = Of(handle);
      const bool is_mask = index.dtype == RTORCH_BOOL || index.dtype == RTORCH_UINT8;
      if (dim + (is_mask ? index.rank : 1) > tensor.rank) {
        throw std::runtime_error("too many indices for a tensor of rank " +
                                 std::to_string(tensor.rank));
      }
      if (!is_mask) {
        indices[dim++] = CopyAsInt64(index);
        continue;
      }
      if (!std::equal(index.sizes, index.sizes + index.rank, tensor.sizes + dim)) {
        throw std::runtime_error("the mask " + ShapeText(index.rank, index.sizes) +
                                 " does not match the indexed tensor " +
                                 ShapeText(tensor.rank, tensor.sizes));
      }
      const OwnedTensor places = NonZero(index);
      const std::int64_t stride = 1;
      for (int j = 0; j < index.rank; ++j) {
        indices[dim++] =
            View(*places, 1, places->sizes, &stride, j * places->strides[1]);
      }
    }
    Split(tensor, indices);
    AddUp(tensor, indices);
  }

  // Of the result: dimensions that are not indexed, with those of the indices among
  // them or first.
  int rank() const { return rest_.rank + offsets_->rank; }
  const std::int64_t* sizes() const { return sizes_; }

  // Of the tensor along the result's dimensions: 0 along the indices'.
  const std::int64_t* strides() const { return strides_; }

  // Calls act(at, other) for each element: where it lies in the tensor, and in one of
  // the result's sizes, with these strides.
  template <typename Act>
  void ForEachElement(const std::int64_t* strides, const Act& act) const {
    std::int64_t rest[kMaxRank];
    std::copy_n(strides, first_, rest);
    std::copy(strides + first_ + offsets_->rank, strides + rank(), rest + first_);
    const auto* offsets = DataOf<std::int64_t>(*offsets_);
    ForEach(*offsets_, strides + first_, 0, 0, 0,
            [&](std::int64_t index, std::int64_t other) {
              ForEach(rest_, rest, 0, offsets[index], other, act);
            });
  }

 private:
  // Finds what is not indexed, and where the indices' dimensions go.
  void Split(const Tensor& tensor, const OwnedTensor* indices) {
    rest_ = tensor;
    rest_.rank = 0;
    int first = -1;
    int last = -1;
    int found = 0;
    for (int i = 0; i < tensor.rank; ++i) {
      if (indices[i] != nullptr) {
        if (first < 0) first = i;
        last = i;
        ++found;
      } else {
        rest_.sizes[rest_.rank] = tensor.sizes[i];
        rest_.strides[rest_.rank++] = tensor.strides[i];
      }
    }
    first_ = found > 0 && last - first + 1 == found ? first : 0;
  }

  // Where the indices point to, in elements from the tensor's first one.
  void AddUp(const Tensor& tensor, const OwnedTensor* indices) {
    std::int64_t shape[kMaxRank];
    int shape_rank = 0;
    for (int i = 0; i < tensor.rank; ++i) {
      if (indices[i] != nullptr) shape_rank = std::max(shape_rank, +indices[i]->rank);
    }
    std::fill_n(shape, shape_rank, 1);
    for (int i = 0; i < tensor.rank; ++i) {
      if (indices[i] == nullptr) continue;
      const int lead = shape_rank - indices[i]->rank;
      for (int j = 0; j < indices[i]->rank; ++j) {
        if (shape[lead + j] == 1) shape[lead + j] = indices[i]->sizes[j];
      }
    }
    for (int i = 0; i < tensor.rank; ++i) {
      if (indices[i] != nullptr && !Broadcasts(*indices[i], shape_rank, shape)) {
        throw std::runtime_error("shape mismatch: indices of shape " +
                                 ShapeText(indices[i]->rank, indices[i]->sizes) +
                                 " cannot be broadcast to " +
                                 ShapeText(shape_rank, shape));
      }
    }
    if (rest_.rank + shape_rank > kMaxRank) {
      throw std::runtime_error("a tensor's rank is too high");
    }
    offsets_ = Contiguous(shape_rank, shape, RTORCH_INT64);
    Zero(offsets_.get());
    auto* offsets = static_cast<std::int64_t*>(offsets_->data);
    std::copy_n(rest_.sizes, first_, sizes_);
    std::copy_n(shape, shape_rank, sizes_ + first_);
    std::copy(rest_.sizes + first_, rest_.sizes + rest_.rank,
              sizes_ + first_ + shape_rank);
    std::copy_n(rest_.strides, first_, strides_);
    std::fill_n(strides_ + first_, shape_rank, 0);
    std::copy(rest_.strides + first_, rest_.strides + rest_.rank,
              strides_ + first_ + shape_rank);
    // Of nothing any index is in bounds.
    if (internal::NumElements(sizes_, rank()) == 0) return;
    for (int i = 0; i < tensor.rank; ++i) {
      if (indices[i] == nullptr) continue;
      const Tensor index = Broadcast(*indices[i], shape_rank, shape);
      const auto* places = DataOf<std::int64_t>(index);
      ForEach(*offsets_, index.strides, 0, 0, 0,
              [&](std::int64_t at, std::int64_t other) {
                offsets[at] +=
                    tensor.strides[i] * Place(places[other], true, i, tensor.sizes[i]);
              });
    }
  }

  Tensor rest_;  // what is not indexed; a view that holds no memory
  OwnedTensor offsets_;
  int first_;  // the result's first dimension of the indices
  std::int64_t sizes_[kMaxRank];
  std::int64_t strides_[kMaxRank];
};

// The order of dimensions, from the outermost on, that torch gives a new tensor which
// is computed from one with these strides: TensorIteratorBase::reorder_dimensions.
inline void OrderOfResult(int rank, const std::int64_t* sizes,
                          const std::int64_t* strides, std::int64_t* order) {
  // Whether `a` lies further in than `b`: 1, or further out: -1, or neither.
  const auto compare = [&](std::int64_t a, std::int64_t b) {
    if (strides[a] == 0 || strides[b] == 0) return 0;
    if (strides[a] != strides[b]) return strides[a] < strides[b] ? 1 : -1;
    return sizes[a] < sizes[b] ? 1 : 0;
  };
  for (int i = 0; i < rank; ++i) order[i] = i;
  for (int i = rank - 2; i >= 0; --i) {
    int moved = i;
    for (int other = i + 1; other < rank; ++other) {
      const int found = compare(order[moved], order[other]);
      if (found < 0) break;
      if (found > 0) {
        std::swap(order[moved], order[other]);
        moved = other;
      }
    }
  }
}

// What elements become that several values fall on.
enum class Reduction { kNone, kSum, kProduct, kMean, kLargest, kLeast };

inline Reduction ReductionOf(std::string_view name) {
  if (name == "sum" || name == "add") return Reduction::kSum;
  if (name == "prod" || name == "multiply") return Reduction::kProduct;
  if (name == "mean") return Reduction::kMean;
  if (name == "amax") return Reduction::kLargest;
  if (name == "amin") return Reduction::kLeast;
  throw std::runtime_error("there is no reduction '" + std::string(name) + "'");
}

// In float for halves, which are rounded after each step.
template <typename T>
T Reduce(Reduction reduction, T a, T b) {
  using Wide = std::conditional_t<
      std::is_same_v<T, c10::Half> || std::is_same_v<T, c10::BFloat16>, float, T>;
  const Wide x = Convert<T, Wide>(a);
  const Wide y = Convert<T, Wide>(b);
  const auto as_result = [](auto value) {
    return Convert<Wide, T>(static_cast<Wide>(value));
  };
  switch (reduction) {
    case Reduction::kNone:
      return b;
    case Reduction::kSum:
    case Reduction::kMean:
      if constexpr (std::is_same_v<T, bool>) return x || y;
      return as_result(x + y);
    case Reduction::kProduct:
      if constexpr (std::is_same_v<T, bool>) return x && y;
      return as_result(x * y);
    case Reduction::kLargest:
      return x != x || x > y ? a : b;  // a NaN stays
    case Reduction::kLeast:
      return x != x || x < y ? a : b;
  }
  return b;
}

// What a reduction that leaves out what was there starts from.
template <typename T>
T Identity(Reduction reduction) {
  using Limits = std::numeric_limits<T>;
  switch (reduction) {
    case Reduction::kProduct:
      return T(1);
    case Reduction::kLargest:
      return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
    case Reduction::kLeast:
      return Limits::has_infinity ? Limits::infinity() : Limits::max();
    default:
      return T(0);
  }
}

// The elements of `out` that `index` names along `dim`, which a scatter writes.
class Scattered {
 public:
  Scattered(const Tensor& out, std::int64_t dim, const Tensor& index, const Tensor& src)
      : out_(out), dim_(DimOf(out, dim)), index_(index), src_rank_(src.rank) {
    if (NumElements(index) == 0) return;
    // A scalar is as a line of one element.
    const auto size = [](const Tensor& tensor, int i) {
      return tensor.rank > 0 ? tensor.sizes[i] : 1;
    };
    const auto rank = [](const Tensor& tensor) { return std::max(tensor.rank, 1); };
    bool fits = rank(index) == rank(out) && rank(index) == rank(src);
    for (int i = 0; fits && i < rank(index); ++i) {
      fits = size(index, i) <= size(src, i) &&
             (i == dim_ || size(index, i) <= size(out, i));
    }
    if (!fits) {
      throw std::runtime_error(
          "scatter has an index of shape " + ShapeText(index.rank, index.sizes) +
          " for a tensor of shape " + ShapeText(out.rank, out.sizes) +
          " and values of shape " + ShapeText(src.rank, src.sizes));
    }
  }

  // Calls act(at, other): where the element lies, and its value in one with these
  // strides.
  template <typename Act>
  void ForEachElement(const std::int64_t* strides, const Act& act) const {
    const auto* indices = DataOf<std::int64_t>(index_);
    ForEachPlace(index_, [&](const std::int64_t* place) {
      const std::int64_t size = out_.rank > 0 ? out_.sizes[dim_] : 1;
      const std::int64_t found =
          Place(indices[OffsetOf(index_, place)], false, dim_, size);
      std::int64_t at = 0;
      std::int64_t other = 0;
      for (int i = 0; i < index_.rank; ++i) {
        if (out_.rank > 0) at += (i == dim_ ? found : place[i]) * out_.strides[i];
        if (src_rank_ > 0) other += place[i] * strides[i];
      }
      act(at, other);
    });
  }

 private:
  const Tensor& out_;
  const std::int64_t dim_;
  const Tensor& index_;
  const int src_rank_;
};

// A scatter's result before anything is written: in place, or a copy.
inline Tensor& Start(AtenTensorHandle out, AtenTensorHandle self) {
  Tensor& result = Of(out);
  if (Of(self).data != result.data) Copy(Of(self), &result);
  return result;
}

inline AOTITorchError Scatter(AtenTensorHandle out, AtenTensorHandle self,
                              std::int64_t dim, AtenTensorHandle index,
                              AtenTensorHandle src, Reduction reduction,
                              bool include_self) {
  Tensor& result = Start(out, self);
  const Tensor& values = Of(src);
  const Scattered scattered(result, dim, Of(index), values);
  WithType(result.dtype, [&](auto type) {
    using T = decltype(type);
    auto* data = static_cast<T*>(result.data);
    const T* given = DataOf<T>(values);
    if (!include_self) {
      scattered.ForEachElement(values.strides, [&](std::int64_t at, std::int64_t) {
        data[at] = Identity<T>(reduction);
      });
    }
    scattered.ForEachElement(values.strides, [&](std::int64_t at, std::int64_t other) {
      data[at] = Reduce<T>(reduction, data[at], given[other]);
    });
    if (reduction != Reduction::kMean) return;
    OwnedTensor counts =
        Allocate(result.rank, result.sizes, result.strides, RTORCH_INT64);
    Zero(counts.get());
    auto* count = static_cast<std::int64_t*>(counts->data);
    scattered.ForEachElement(values.strides,
                             [&](std::int64_t at, std::int64_t) { ++count[at]; });
    ForEach(result, result.strides, 0, 0, 0, [&](std::int64_t at, std::int64_t) {
      const std::int64_t divisor = count[at] + (include_self ? 1 : 0);
      if (divisor < 2) return;
      if constexpr (std::is_integral_v<T>) {
        const auto sum = static_cast<std::int64_t>(data[at]);
        data[at] = static_cast<T>(sum / divisor - (sum % divisor < 0 ? 1 : 0));
      } else {
        data[at] = Convert<double, T>(Convert<T, double>(data[at]) /
                                      static_cast<double>(divisor));
      }
    });
  });
  return AOTI_TORCH_SUCCESS;
}

}  // namespace
}  // namespace rules_torch::standalone

extern "C" {

static AOTITorchError aoti_torch_cpu_nonzero(AtenTensorHandle self,
                                             AtenTensorHandle* ret0) {
  return rules_torch::standalone::Give(
      rules_torch::standalone::NonZero(rules_torch::standalone::Of(self)), ret0);
}

// Of masks; of other indices Inductor generates a kernel.
static AOTITorchError aoti_torch_cpu_index_Tensor(AtenTensorHandle self,
                                                  const AtenTensorHandle** indices,
                                                  std::int64_t indices_len,
                                                  AtenTensorHandle* ret0) {
  using namespace rules_torch::standalone;
  const Tensor& in = Of(self);
  const Indexed indexed(in, indices_len, [&](std::int64_t i) {
    return indices[i] != nullptr ? *indices[i] : nullptr;
  });
  std::int64_t order[kMaxRank];
  OrderOfResult(indexed.rank(), indexed.sizes(), indexed.strides(), order);
  OwnedTensor out = AllocateInOrder(indexed.rank(), indexed.sizes(), order, in.dtype);
  WithType(in.dtype, [&](auto type) {
    using T = decltype(type);
    auto* data = static_cast<T*>(out->data);
    indexed.ForEachElement(out->strides, [&](std::int64_t at, std::int64_t other) {
      data[other] = DataOf<T>(in)[at];
    });
  });
  return Give(std::move(out), ret0);
}

static AOTITorchError aoti_torch_index_put_out(
    AtenTensorHandle out, AtenTensorHandle self, const AtenTensorHandle* indices,
    const std::uint32_t num_indices, const AtenTensorHandle values, bool accumulate) {
  using namespace rules_torch::standalone;
  Tensor& result = Start(out, self);
  const Indexed indexed(result, num_indices,
                        [&](std::int64_t i) { return indices[i]; });
  if (!Broadcasts(Of(values), indexed.rank(), indexed.sizes())) {
    throw std::runtime_error("shape mismatch: value tensor of shape " +
                             ShapeText(Of(values).rank, Of(values).sizes) +
                             " cannot be broadcast to indexing result of shape " +
                             ShapeText(indexed.rank(), indexed.sizes()));
  }
  const Tensor given = Broadcast(Of(values), indexed.rank(), indexed.sizes());
  const Reduction reduction = accumulate ? Reduction::kSum : Reduction::kNone;
  WithType(result.dtype, [&](auto type) {
    using T = decltype(type);
    auto* data = static_cast<T*>(result.data);
    indexed.ForEachElement(given.strides, [&](std::int64_t at, std::int64_t other) {
      data[at] = Reduce<T>(reduction, data[at], DataOf<T>(given)[other]);
    });
  });
  return AOTI_TORCH_SUCCESS;
}

static AOTITorchError aoti_torch_cpu_scatter_reduce_two_out(
    AtenTensorHandle out, AtenTensorHandle self, std::int64_t dim,
    AtenTensorHandle index, AtenTensorHandle src, const char* reduce,
    std::int32_t include_self) {
  using namespace rules_torch::standalone;
  return Scatter(out, self, dim, index, src, ReductionOf(reduce), include_self != 0);
}

static AOTITorchError aoti_torch_cpu_masked_select(AtenTensorHandle self,
                                                   AtenTensorHandle mask,
                                                   AtenTensorHandle* ret0) {
  using namespace rules_torch::standalone;
  std::int64_t sizes[kMaxRank];
  const int rank = BroadcastSizes(Of(self), Of(mask), sizes);
  const Tensor given = Broadcast(Of(self), rank, sizes);
  const Tensor chosen = Broadcast(Of(mask), rank, sizes);
  std::int64_t count = 0;
  ForEachPlace(chosen, [&](const std::int64_t* place) {
    count += DataOf<bool>(chosen)[OffsetOf(chosen, place)];
  });
  OwnedTensor out = Contiguous(1, &count, given.dtype);
  WithType(given.dtype, [&](auto type) {
    using T = decltype(type);
    auto* data = static_cast<T*>(out->data);
    ForEachPlace(chosen, [&](const std::int64_t* place) {
      if (!DataOf<bool>(chosen)[OffsetOf(chosen, place)]) return;
      *data++ = DataOf<T>(given)[OffsetOf(given, place)];
    });
  });
  return Give(std::move(out), ret0);
}

static AOTITorchError aoti_torch_cpu_masked_scatter(AtenTensorHandle self,
                                                    AtenTensorHandle mask,
                                                    AtenTensorHandle source,
                                                    AtenTensorHandle* ret0) {
  using namespace rules_torch::standalone;
  std::int64_t sizes[kMaxRank];
  const int rank = BroadcastSizes(Of(self), Of(mask), sizes);
  const Tensor chosen = Broadcast(Of(mask), rank, sizes);
  OwnedTensor out = Contiguous(rank, sizes, Of(self).dtype);
  Copy(Of(self), out.get());
  OwnedTensor values = Contiguous(Of(source).rank, Of(source).sizes, out->dtype);
  Copy(Of(source), values.get());
  WithType(out->dtype, [&](auto type) {
    using T = decltype(type);
    auto* data = static_cast<T*>(out->data);
    std::int64_t next = 0;
    ForEachPlace(chosen, [&](const std::int64_t* place) {
      if (!DataOf<bool>(chosen)[OffsetOf(chosen, place)]) return;
      if (next == NumElements(*values)) {
        throw std::runtime_error(
            "masked_scatter has fewer values than the mask has "
            "ones");
      }
      data[OffsetOf(*out, place)] = DataOf<T>(*values)[next++];
    });
  });
  return Give(std::move(out), ret0);
}

static AOTITorchError aoti_torch_cpu_repeat_interleave_Tensor(AtenTensorHandle repeats,
                                                              std::int64_t* output_size,
                                                              AtenTensorHandle* ret0) {
  using namespace rules_torch::standalone;
  const Tensor& given = Of(repeats);
  const OwnedTensor counts = CopyAsInt64(given);
  const auto* count = DataOf<std::int64_t>(*counts);
  const std::int64_t size = NumElements(*counts);
  std::int64_t sum = 0;
  for (std::int64_t i = 0; i < size; ++i) {
    if (count[i] < 0) throw std::runtime_error("repeats can not be negative");
    sum += count[i];
  }
  if (output_size != nullptr && *output_size != sum) {
    throw std::runtime_error("repeat_interleave has an output_size of " +
                             std::to_string(*output_size) + ", but repeats add up to " +
                             std::to_string(sum));
  }
  OwnedTensor out = Contiguous(1, &sum, given.dtype);
  WithType(given.dtype, [&](auto type) {
    using T = decltype(type);
    auto* next = static_cast<T*>(out->data);
    for (std::int64_t i = 0; i < size; ++i) {
      next = std::fill_n(next, count[i], Convert<std::int64_t, T>(i));
    }
  });
  return Give(std::move(out), ret0);
}

}  // extern "C"

#endif  // RULES_TORCH_STANDALONE_INDEX_SHIMS_H_
