// The shims of pooling, beside shims.h.
#ifndef RULES_TORCH_STANDALONE_POOLING_SHIMS_H_
#define RULES_TORCH_STANDALONE_POOLING_SHIMS_H_

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "rules_torch/abi.h"
#include "runtime/standalone/convolution_shape.h"
#include "runtime/standalone/operators.h"
#include "runtime/standalone/shims.h"
#include "runtime/standalone/tensor.h"

namespace rules_torch::standalone {
namespace {

// How many windows of a kernel there are along a dimension.
[[maybe_unused]] inline std::int64_t WindowsOf(std::int64_t size,
                                               const PoolingShape::Axis& axis,
                                               bool rounds_up) {
  const std::int64_t span =
      size + 2 * axis.padding - axis.dilation * (axis.kernel - 1) - 1;
  if (span < 0 && !rounds_up) {
    throw std::runtime_error("a pooling window is larger than the padded input");
  }
  std::int64_t count = (span + (rounds_up ? axis.stride - 1 : 0)) / axis.stride + 1;
  // The last one begins in the input, or before it.
  if (rounds_up && (count - 1) * axis.stride >= size + axis.padding) --count;
  return count;
}

// The sizes of a result, and its memory.
class PoolingArguments {
 public:
  // Of [n, c, ...] or [c, ...].
  PoolingArguments(const Tensor& in, int dims) : in_(in), first_(in.rank - dims) {
    if (first_ != 1 && first_ != 2) {
      throw std::runtime_error("pooling of a tensor of another rank");
    }
    std::copy_n(in.sizes, in.rank, sizes_);
    shape_.dims = dims;
  }

  PoolingArguments(const Tensor& in, int dims, Numbers kernel, Numbers stride,
                   Numbers padding, Numbers dilation, bool rounds_up)
      : PoolingArguments(in, dims) {
    for (int i = 0; i < dims; ++i) {
      PoolingShape::Axis& axis = shape_.axes[i];
      axis = {kernel[i], stride.size == 0 ? kernel[i] : stride[i], padding[i],
              dilation[i]};
      sizes_[first_ + i] = WindowsOf(in.sizes[first_ + i], axis, rounds_up);
    }
  }

  // Adaptive.
  PoolingArguments(const Tensor& in, int dims, Numbers out_sizes)
      : PoolingArguments(in, dims) {
    shape_.is_adaptive = true;
    for (int i = 0; i < dims; ++i) {
      shape_.axes[i] = {1, 1, 0, 1};
      sizes_[first_ + i] = out_sizes[i];
    }
  }

  PoolingShape& shape() { return shape_; }

  OwnedTensor Allocate(std::int32_t dtype, bool keeps_channels_last) const {
    std::int64_t order[kMaxRank];
    std::iota(order, order + in_.rank, std::int64_t{0});
    if (keeps_channels_last && first_ == 2 && IsChannelsLast(in_)) {
      std::rotate(order + 1, order + 2, order + in_.rank);
    }
    return AllocateInOrder(in_.rank, sizes_, order, dtype);
  }

  // A tensor as operators take it, [n, c, ...].
  class Batched {
   public:
    Batched(const Tensor& of, bool is_batched) : operand_(AsOperand(of)) {
      if (is_batched) return;
      sizes_[0] = 1;
      strides_[0] = 0;
      std::copy_n(of.sizes, of.rank, sizes_ + 1);
      std::copy_n(of.strides, of.rank, strides_ + 1);
      operand_.sizes = sizes_;
      operand_.strides = strides_;
      ++operand_.rank;
    }
    Batched(const Batched&) = delete;
    Batched& operator=(const Batched&) = delete;

    operator const Operand&() const { return operand_; }

   private:
    std::int64_t sizes_[kMaxRank], strides_[kMaxRank];
    Operand operand_;
  };

  AOTITorchError Mean(bool keeps_channels_last, AtenTensorHandle* ret0) const {
    OwnedTensor out = Allocate(in_.dtype, keeps_channels_last);
    RTORCH_VARIANT(mean_pool)
    (Batched(in_, first_ == 2), shape_, Batched(*out, first_ == 2));
    return Give(std::move(out), ret0);
  }

  AOTITorchError Maximum(bool keeps_channels_last, AtenTensorHandle* ret0,
                         AtenTensorHandle* ret1) const {
    OwnedTensor out = Allocate(in_.dtype, keeps_channels_last);
    OwnedTensor indices = Allocate(RTORCH_INT64, keeps_channels_last);
    RTORCH_VARIANT(maximum_pool)
    (Batched(in_, first_ == 2), shape_, Batched(*out, first_ == 2),
     Batched(*indices, first_ == 2));
    Give(std::move(out), ret0);
    return Give(std::move(indices), ret1);
  }

 private:
  const Tensor& in_;
  const int first_;  // of the spatial dimensions
  std::int64_t sizes_[kMaxRank];
  PoolingShape shape_{};
};

inline constexpr std::int64_t kNotDilated[] = {1};

[[maybe_unused]] inline AOTITorchError MeanPool(AtenTensorHandle self, int dims,
                                                Numbers kernel, Numbers stride,
                                                Numbers padding, bool rounds_up,
                                                bool includes_padding,
                                                const std::int64_t* divisor,
                                                AtenTensorHandle* ret0) {
  PoolingArguments pooling(Of(self), dims, kernel, stride, padding, {kNotDilated, 1},
                           rounds_up);
  pooling.shape().includes_padding = includes_padding;
  pooling.shape().divisor = divisor == nullptr ? 0 : *divisor;
  return pooling.Mean(dims == 2, ret0);
}

}  // namespace
}  // namespace rules_torch::standalone

extern "C" {

static AOTITorchError aoti_torch_cpu_avg_pool2d(
    AtenTensorHandle self, const std::int64_t* kernel_size, std::int64_t kernel_len,
    const std::int64_t* stride, std::int64_t stride_len, const std::int64_t* padding,
    std::int64_t padding_len, std::int32_t ceil_mode, std::int32_t count_include_pad,
    std::int64_t* divisor_override, AtenTensorHandle* ret0) {
  return rules_torch::standalone::MeanPool(
      self, 2, {kernel_size, kernel_len}, {stride, stride_len}, {padding, padding_len},
      ceil_mode != 0, count_include_pad != 0, divisor_override, ret0);
}

static AOTITorchError aoti_torch_cpu_avg_pool3d(
    AtenTensorHandle self, const std::int64_t* kernel_size, std::int64_t kernel_len,
    const std::int64_t* stride, std::int64_t stride_len, const std::int64_t* padding,
    std::int64_t padding_len, std::int32_t ceil_mode, std::int32_t count_include_pad,
    std::int64_t* divisor_override, AtenTensorHandle* ret0) {
  return rules_torch::standalone::MeanPool(
      self, 3, {kernel_size, kernel_len}, {stride, stride_len}, {padding, padding_len},
      ceil_mode != 0, count_include_pad != 0, divisor_override, ret0);
}

static AOTITorchError aoti_torch_cpu_max_pool2d_with_indices(
    AtenTensorHandle self, const std::int64_t* kernel_size, std::int64_t kernel_len,
    const std::int64_t* stride, std::int64_t stride_len, const std::int64_t* padding,
    std::int64_t padding_len, const std::int64_t* dilation, std::int64_t dilation_len,
    std::int32_t ceil_mode, AtenTensorHandle* ret0, AtenTensorHandle* ret1) {
  using namespace rules_torch::standalone;
  return PoolingArguments(Of(self), 2, {kernel_size, kernel_len}, {stride, stride_len},
                          {padding, padding_len}, {dilation, dilation_len},
                          ceil_mode != 0)
      .Maximum(true, ret0, ret1);
}

static AOTITorchError aoti_torch_cpu_max_pool3d_with_indices(
    AtenTensorHandle self, const std::int64_t* kernel_size, std::int64_t kernel_len,
    const std::int64_t* stride, std::int64_t stride_len, const std::int64_t* padding,
    std::int64_t padding_len, const std::int64_t* dilation, std::int64_t dilation_len,
    std::int32_t ceil_mode, AtenTensorHandle* ret0, AtenTensorHandle* ret1) {
  using namespace rules_torch::standalone;
  return PoolingArguments(Of(self), 3, {kernel_size, kernel_len}, {stride, stride_len},
                          {padding, padding_len}, {dilation, dilation_len},
                          ceil_mode != 0)
      .Maximum(true, ret0, ret1);
}

static AOTITorchError aoti_torch_cpu__adaptive_avg_pool2d(
    AtenTensorHandle self, const std::int64_t* output_size, std::int64_t output_len,
    AtenTensorHandle* ret0) {
  using namespace rules_torch::standalone;
  return PoolingArguments(Of(self), 2, {output_size, output_len}).Mean(true, ret0);
}

static AOTITorchError aoti_torch_cpu__adaptive_avg_pool3d(
    AtenTensorHandle self, const std::int64_t* output_size, std::int64_t output_len,
    AtenTensorHandle* ret0) {
  using namespace rules_torch::standalone;
  return PoolingArguments(Of(self), 3, {output_size, output_len}).Mean(false, ret0);
}

static AOTITorchError aoti_torch_cpu_adaptive_max_pool2d(
    AtenTensorHandle self, const std::int64_t* output_size, std::int64_t output_len,
    AtenTensorHandle* ret0, AtenTensorHandle* ret1) {
  using namespace rules_torch::standalone;
  return PoolingArguments(Of(self), 2, {output_size, output_len})
      .Maximum(true, ret0, ret1);
}

static AOTITorchError aoti_torch_cpu_adaptive_max_pool3d(
    AtenTensorHandle self, const std::int64_t* output_size, std::int64_t output_len,
    AtenTensorHandle* ret0, AtenTensorHandle* ret1) {
  using namespace rules_torch::standalone;
  return PoolingArguments(Of(self), 3, {output_size, output_len})
      .Maximum(false, ret0, ret1);
}

}  // extern "C"

#endif  // RULES_TORCH_STANDALONE_POOLING_SHIMS_H_
