// The sizes and the layout of a convolution's result.
#ifndef RULES_TORCH_STANDALONE_CONVOLUTION_SHAPE_H_
#define RULES_TORCH_STANDALONE_CONVOLUTION_SHAPE_H_

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <stdexcept>

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

// A list of a shim's: one number for all dimensions, or one for each.
struct Numbers {
  const std::int64_t* values;
  std::int64_t size;

  std::int64_t operator[](int dim) const { return values[size == 1 ? 0 : dim]; }
};

// A convolution's shape, of a shim's arguments.
class ConvolutionArguments {
 public:
  ConvolutionArguments(int dims, Numbers stride, Numbers padding, Numbers dilation,
                       std::int64_t groups, bool is_transposed)
      : shape_{dims, stride_, padding_, dilation_, groups, is_transposed} {
    if (dims < 1 || dims > 3) {
      throw std::runtime_error("a convolution has 1 to 3 spatial dimensions");
    }
    for (int i = 0; i < dims; ++i) {
      stride_[i] = stride[i];
      padding_[i] = padding[i];
      dilation_[i] = dilation[i];
    }
  }
  ConvolutionArguments(const ConvolutionArguments&) = delete;
  ConvolutionArguments& operator=(const ConvolutionArguments&) = delete;

  const ConvolutionShape& shape() const { return shape_; }

 private:
  std::int64_t stride_[3] = {};
  std::int64_t padding_[3] = {};
  std::int64_t dilation_[3] = {};
  ConvolutionShape shape_;
};

// What aten.convolution gives for some arguments: uninitialised, in the memory format
// that eager's result has.
[[maybe_unused]] inline OwnedTensor AllocateConvolution(const Tensor& input,
                                                        const Tensor& weight,
                                                        const ConvolutionShape& shape,
                                                        Numbers output_padding) {
  std::int64_t sizes[kMaxRank] = {input.sizes[0], shape.is_transposed
                                                      ? weight.sizes[1] * shape.groups
                                                      : weight.sizes[0]};
  for (int i = 0; i < shape.dims; ++i) {
    const std::int64_t size = input.sizes[2 + i];
    const std::int64_t stride = shape.stride[i];
    const std::int64_t reach = shape.dilation[i] * (weight.sizes[2 + i] - 1) + 1;
    sizes[2 + i] =
        shape.is_transposed
            ? (size - 1) * stride - 2 * shape.padding[i] + reach + output_padding[i]
            : (size + 2 * shape.padding[i] - reach) / stride + 1;
  }
  std::int64_t order[kMaxRank];
  std::iota(order, order + input.rank, std::int64_t{0});
  if (IsChannelsLast(input) || IsChannelsLast(weight)) {
    std::rotate(order + 1, order + 2, order + input.rank);
  }
  return AllocateInOrder(input.rank, sizes, order, input.dtype);
}

}  // namespace
}  // namespace rules_torch::standalone

#endif  // RULES_TORCH_STANDALONE_CONVOLUTION_SHAPE_H_
