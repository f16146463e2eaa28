// Tensors of bfloat16 and float16 as floats, for the kernels: what these compute is
// rounded once, when it is stored.
#ifndef RULES_TORCH_STANDALONE_OPERATORS_FLOAT_COPY_H_
#define RULES_TORCH_STANDALONE_OPERATORS_FLOAT_COPY_H_

#include <cstdint>

#include "rules_torch/abi.h"
#include "runtime/standalone/kernels/parallel.h"
#include "runtime/standalone/kernels/vector.h"
#include "runtime/standalone/operand.h"
#include "runtime/standalone/operators/elements.h"

namespace rules_torch::standalone {
namespace {

// kLanes 16-bit patterns, each in 32 bits.
RTORCH_INLINE IntVec LoadPatterns(const std::uint16_t* from) {
  typedef std::uint16_t Short __attribute__((vector_size(kLanes * 2)));
  typedef std::uint16_t UnalignedShort
      __attribute__((vector_size(kLanes * 2), aligned(2), may_alias));
  const Short patterns = *reinterpret_cast<const UnalignedShort*>(from);
  return __builtin_convertvector(patterns, IntVec);
}

RTORCH_INLINE Vec FloatsOf(BFloat16, IntVec patterns) {
  return FromBits(patterns << 16);
}

RTORCH_INLINE Vec FloatsOf(Plain<_Float16, float>, IntVec patterns) {
  const IntVec size = (patterns & Broadcast(std::int32_t{0x7fff})) << 13;
  // The exponents' biases differ by 112: a product, as it makes denormals numbers.
  const IntVec finite = Bits(FromBits(size) * Broadcast(0x1p112f));
  const IntVec infinite = size | Broadcast(std::int32_t{0x7f800000});
  const IntVec all = size < Broadcast(std::int32_t{0x7c00 << 13}) ? finite : infinite;
  return FromBits(all | (patterns & Broadcast(std::int32_t{0x8000})) << 16);
}

// How the dimensions of a copy lie: as the other tensor's, or the last one innermost.
enum class Order { kSame, kRowMajor };

// A dense tensor of floats with the sizes of another one, which is of halves.
class FloatCopy {
 public:
  // Its memory is the workspace's, uninitialised. `tensor` must outlive it.
  FloatCopy(const Operand& tensor, Order order, Workspace* workspace)
      : tensor_(tensor) {
    const int rank = tensor.rank;
    // From the outermost dimension on. Where a dimension is broadcast it is outside, so
    // that elements that are adjacent stay so.
    const auto is_outside = [&](int dim) {
      return order == Order::kSame &&
             (tensor.sizes[dim] == 1 || tensor.strides[dim] == 0);
    };
    for (int i = 0; i < rank; ++i) {
      int at = i;
      for (; at > 0; --at) {
        const int before = order_[at - 1];
        if (order == Order::kRowMajor || is_outside(before)) break;
        if (!is_outside(i) && tensor.strides[before] >= tensor.strides[i]) break;
        order_[at] = before;
      }
      order_[at] = i;
      count_ *= tensor.sizes[i];
    }
    std::int64_t stride = 1;
    for (int i = rank - 1; i >= 0; --i) {
      strides_[order_[i]] = stride;
      stride *= tensor.sizes[order_[i]];
    }
    data_ = TakeFloats(workspace, count_);
  }

  FloatCopy(const FloatCopy&) = delete;
  FloatCopy& operator=(const FloatCopy&) = delete;

  Operand operand() const {
    return {data_, RTORCH_FLOAT32, tensor_.rank, tensor_.sizes, strides_};
  }

  // Reads the other tensor.
  const FloatCopy& Load() const {
    WithHalves(tensor_.dtype, [&](auto elements) {
      ForEachRow(
          [&](std::int64_t from, float* to, std::int64_t count, std::int64_t stride) {
            LoadRow(elements, from, to, count, stride);
          });
    });
    return *this;
  }

  // Writes the other tensor.
  void Store() const {
    WithHalves(tensor_.dtype, [&](auto elements) {
      using Elements = decltype(elements);
      ForEachRow([&](std::int64_t to, const float* from, std::int64_t count,
                     std::int64_t stride) {
        for (std::int64_t i = 0; i < count; ++i) {
          Elements::Store(tensor_.data, to + i * stride, from[i]);
        }
      });
    });
  }

 private:
  template <typename Elements>
  void LoadRow(Elements elements, std::int64_t from, float* to, std::int64_t count,
               std::int64_t stride) const {
    std::int64_t i = 0;
    if (stride == 1) {
      const auto* patterns = static_cast<const std::uint16_t*>(tensor_.data) + from;
      for (; i + kLanes <= count; i += kLanes) {
        standalone::Store(to + i, FloatsOf(elements, LoadPatterns(patterns + i)));
      }
    }
    for (; i < count; ++i) to[i] = Elements::Load(tensor_.data, from + i * stride);
  }

  // Calls act(place in the other tensor, copy, elements, step in the other tensor) for
  // each row of the innermost dimension.
  template <typename Act>
  void ForEachRow(const Act& act) const {
    if (count_ == 0) return;
    const int rank = tensor_.rank;
    const std::int64_t count = rank == 0 ? 1 : tensor_.sizes[order_[rank - 1]];
    const std::int64_t stride = rank == 0 ? 1 : tensor_.strides[order_[rank - 1]];
    const std::int64_t rows = count_ / count;
    const int parts = PartsOf(2 * count_, MaxThreads());
    ForEachPart(parts, [&](int part) {
      const Range range = ShareOf(rows, part, parts);
      for (std::int64_t row = range.begin; row < range.end; ++row) {
        std::int64_t place = 0;
        std::int64_t rest = row;
        for (int i = rank - 2; i >= 0; --i) {
          place += rest % tensor_.sizes[order_[i]] * tensor_.strides[order_[i]];
          rest /= tensor_.sizes[order_[i]];
        }
        act(place, data_ + row * count, count, stride);
      }
    });
  }

  const Operand& tensor_;
  float* data_;
  std::int64_t count_ = 1;
  int order_[kMaxRank] = {};
  std::int64_t strides_[kMaxRank] = {};
};

// Calls act(floats) with a tensor of floats of the same elements: itself, or a copy of
// one of halves. Null for null.
template <typename Act>
void WithFloats(const Operand* tensor, Order order, Workspace* workspace,
                const Act& act) {
  if (tensor == nullptr || !IsHalf(tensor->dtype)) return act(tensor);
  const FloatCopy copy(*tensor, order, workspace);
  const Operand floats = copy.Load().operand();
  act(&floats);
}

}  // namespace
}  // namespace rules_torch::standalone

#endif  // RULES_TORCH_STANDALONE_OPERATORS_FLOAT_COPY_H_
