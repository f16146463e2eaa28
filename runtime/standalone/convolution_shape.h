// The sizes and the layout of a convolution's result.
#ifndef RULES_TORCH_STANDALONE_CONVOLUTION_SHAPE_H_
#define RULES_TORCH_STANDALONE_CONVOLUTION_SHAPE_H_

#include <algorithm>
#include <cstdint>
#include <stdexcept>

#include "runtime/internal/layout.h"
#include "runtime/standalone/operators.h"
#include "runtime/standalone/tensor.h"

namespace rules_torch::standalone {
namespace {

// Whether channels lie innermost, as torch's suggest_memory_format says: where both
// readings of the strides fit, they do not.
[[maybe_unused]] inline bool IsChannelsLast(const Tensor& tensor) {
  if (tensor.rank < 4 || tensor.strides[1] == 0) return false;
  std::int64_t least = 0;
  for (int step = 0; step < tensor.rank; ++step) {
    // The channels, the spatial dimensions from the last one on, the batch.
    const int dim = step == 0 ? 1 : step == tensor.rank - 1 ? 0 : tensor.rank - step;
    if (tensor.sizes[dim] == 0 || tensor.strides[dim] < least) return false;
    if (dim == 0 && least == tensor.strides[1]) return false;
    least = tensor.strides[dim] * std::max<std::int64_t>(tensor.sizes[dim], 1);
  }
  return true;
}

// What aten.convolution gives for some arguments.
class ConvolutionResult {
 public:
  struct Numbers {
    const std::int64_t* values;
    std::int64_t size;  // one for all dimensions, or one for each
  };

  ConvolutionResult(const Tensor& input, const Tensor& weight, Numbers stride,
                    Numbers padding, Numbers dilation, bool is_transposed,
                    Numbers output_padding, std::int64_t groups)
      : input_(input),
        weight_(weight),
        shape_{input.rank - 2, stride_, padding_, dilation_, groups, is_transposed} {
    if (shape_.dims < 1 || shape_.dims > 3) {
      throw std::runtime_error("a convolution has 1 to 3 spatial dimensions");
    }
    Expand(stride, stride_);
    Expand(padding, padding_);
    Expand(dilation, dilation_);
    Expand(output_padding, output_padding_);
  }
  ConvolutionResult(const ConvolutionResult&) = delete;
  ConvolutionResult& operator=(const ConvolutionResult&) = delete;

  const ConvolutionShape& shape() const { return shape_; }

  // Uninitialised, in the memory format that eager's result has.
  OwnedTensor Allocate() const {
    std::int64_t sizes[kMaxRank] = {
        input_.sizes[0],
        shape_.is_transposed ? weight_.sizes[1] * shape_.groups : weight_.sizes[0]};
    for (int i = 0; i < shape_.dims; ++i) {
      const std::int64_t size = input_.sizes[2 + i];
      const std::int64_t reach = dilation_[i] * (weight_.sizes[2 + i] - 1) + 1;
      sizes[2 + i] =
          shape_.is_transposed
              ? (size - 1) * stride_[i] - 2 * padding_[i] + reach + output_padding_[i]
              : (size + 2 * padding_[i] - reach) / stride_[i] + 1;
    }
    std::int64_t strides[kMaxRank];
    internal::SetRowMajor(sizes, input_.rank, strides);
    if (IsChannelsLast(input_) || IsChannelsLast(weight_)) {
      std::int64_t stride = std::max<std::int64_t>(sizes[1], 1);
      strides[1] = 1;
      for (int i = input_.rank - 1; i >= 2; --i) {
        strides[i] = stride;
        stride *= std::max<std::int64_t>(sizes[i], 1);
      }
      strides[0] = stride;
    }
    return standalone::Allocate(input_.rank, sizes, strides, input_.dtype);
  }

 private:
  void Expand(Numbers numbers, std::int64_t* all) const {
    for (int i = 0; i < shape_.dims; ++i) {
      all[i] = numbers.values[numbers.size == 1 ? 0 : i];
    }
  }

  const Tensor& input_;
  const Tensor& weight_;
  std::int64_t stride_[3] = {};
  std::int64_t padding_[3] = {};
  std::int64_t dilation_[3] = {};
  std::int64_t output_padding_[3] = {};
  ConvolutionShape shape_;
};

}  // namespace
}  // namespace rules_torch::standalone

#endif  // RULES_TORCH_STANDALONE_CONVOLUTION_SHAPE_H_
