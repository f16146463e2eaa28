// The images of convolutions of floats, in one to three dimensions, and copies of them.
#ifndef RULES_TORCH_STANDALONE_OPERATORS_IMAGE_H_
#define RULES_TORCH_STANDALONE_OPERATORS_IMAGE_H_

#include <cstdint>

#include "runtime/standalone/kernels/convolution.h"
#include "runtime/standalone/kernels/packing.h"
#include "runtime/standalone/kernels/parallel.h"
#include "runtime/standalone/kernels/vector.h"
#include "runtime/standalone/operand.h"
#include "runtime/standalone/operators.h"

namespace rules_torch::standalone {
namespace {

// ConvolutionShape with three dimensions.
struct Steps {
  explicit Steps(const ConvolutionShape& shape) {
    for (int i = 0; i < shape.dims; ++i) {
      const int to = 3 - shape.dims + i;
      stride[to] = shape.stride[i];
      padding[to] = shape.padding[i];
      dilation[to] = shape.dilation[i];
    }
  }

  std::int64_t stride[3] = {1, 1, 1};
  std::int64_t padding[3] = {0, 0, 0};
  std::int64_t dilation[3] = {1, 1, 1};
};

// An image of floats [n, c, d, h, w]; dimensions that a tensor lacks have size 1.
// Strides in elements.
struct Image {
  explicit Image(const Operand& operand)
      : data(static_cast<float*>(operand.data)),
        batch(operand.sizes[0]),
        channels(operand.sizes[1]),
        depth(operand.rank > 4 ? operand.sizes[operand.rank - 3] : 1),
        height(operand.rank > 3 ? operand.sizes[operand.rank - 2] : 1),
        width(operand.sizes[operand.rank - 1]),
        batch_stride(operand.strides[0]),
        channel_stride(operand.strides[1]),
        depth_stride(operand.rank > 4 ? operand.strides[operand.rank - 3] : 0),
        row_stride(operand.rank > 3 ? operand.strides[operand.rank - 2] : 0),
        column_stride(operand.strides[operand.rank - 1]) {}

  // Of the same sizes, channels last and dense.
  Image ChannelsLast(float* memory) const {
    Image image = *this;
    image.data = memory;
    image.channel_stride = 1;
    image.column_stride = channels;
    image.row_stride = width * channels;
    image.depth_stride = height * image.row_stride;
    image.batch_stride = depth * image.depth_stride;
    return image;
  }

  // Likewise, channels first.
  Image ChannelsFirst(float* memory) const {
    Image image = *this;
    image.data = memory;
    image.column_stride = 1;
    image.row_stride = width;
    image.depth_stride = height * width;
    image.channel_stride = depth * image.depth_stride;
    image.batch_stride = channels * image.channel_stride;
    return image;
  }

  std::int64_t count() const { return batch * channels * depth * height * width; }

  float* data;
  std::int64_t batch, channels, depth, height, width;
  std::int64_t batch_stride, channel_stride, depth_stride, row_stride, column_stride;
};

// Whether all pixels are evenly apart.
inline bool HasEvenPixels(const Image& image) {
  return (image.height == 1 || image.row_stride == image.width * image.column_stride) &&
         (image.depth == 1 ||
          image.depth_stride == image.height * image.width * image.column_stride);
}

// How far, where they are.
inline std::int64_t PixelStride(const Image& image) {
  if (image.width > 1) return image.column_stride;
  return image.height > 1  ? image.row_stride
         : image.depth > 1 ? image.depth_stride
                           : image.column_stride;
}

// An image whose pixels are evenly apart, as one row of them.
inline Image AsOneRow(const Image& image) {
  Image row = image;
  row.column_stride = PixelStride(image);
  row.width = image.depth * image.height * image.width;
  row.depth = row.height = 1;
  return row;
}

// `to` has `from`'s sizes.
inline void CopyImage(const Image& from, const Image& to) {
  if (HasEvenPixels(from) && HasEvenPixels(to) && from.depth * from.height > 1) {
    return CopyImage(AsOneRow(from), AsOneRow(to));
  }
  // Some pixels at a time: those of all channels stay in the first cache.
  constexpr std::int64_t kPixels = 64;
  const std::int64_t blocks = DivideUp(from.width, kPixels);
  const std::int64_t rows = from.depth * from.height;
  const int parts = PartsOf(4 * from.count(), MaxThreads());
  ForEachPart(parts, [&](int part) {
    const Range range = ShareOf(from.batch * rows * blocks, part, parts);
    for (std::int64_t unit = range.begin; unit < range.end; ++unit) {
      const std::int64_t n = unit / blocks / rows;
      const std::int64_t z = unit / blocks % rows / from.height;
      const std::int64_t y = unit / blocks % rows % from.height;
      const std::int64_t x = unit % blocks * kPixels;
      const std::int64_t width = Least(kPixels, from.width - x);
      const float* read = from.data + n * from.batch_stride + z * from.depth_stride +
                          y * from.row_stride + x * from.column_stride;
      float* write = to.data + n * to.batch_stride + z * to.depth_stride +
                     y * to.row_stride + x * to.column_stride;
      if (to.column_stride == 1) {
        CopyRows({read, from.channel_stride, from.column_stride}, from.channels, width,
                 write, to.channel_stride);
        continue;
      }
      if (to.channel_stride == 1) {
        CopyRows({read, from.column_stride, from.channel_stride}, width, from.channels,
                 write, to.column_stride);
        continue;
      }
      for (std::int64_t i = 0; i < width; ++i) {
        for (std::int64_t c = 0; c < from.channels; ++c) {
          write[i * to.column_stride + c * to.channel_stride] =
              read[i * from.column_stride + c * from.channel_stride];
        }
      }
    }
  });
}

// An image or a copy of it, whose channels are adjacent.
inline Image WithChannelsLast(const Image& image, Workspace* workspace) {
  if (image.channel_stride == 1 || image.channels <= 1) return image;
  const Image copy = image.ChannelsLast(TakeFloats(workspace, image.count()));
  CopyImage(image, copy);
  return copy;
}

// A convolution of x to y, whose channels are last, without what they do not tell: the
// kernel, its steps, and how far y's pixels are apart.
inline Convolution ConvolutionOf(const Image& x, const Image& y) {
  Convolution c{};
  c.batch = x.batch;
  c.depth = x.depth;
  c.height = x.height;
  c.width = x.width;
  c.channels = x.channels;
  c.out_depth = y.depth;
  c.out_height = y.height;
  c.out_width = y.width;
  c.out_channels = y.channels;
  c.x = x.data;
  c.x_batch = x.batch_stride;
  c.x_depth = x.depth_stride;
  c.x_row = x.row_stride;
  c.x_column = x.column_stride;
  c.y = y.data;
  c.y_batch = y.batch_stride;
  c.threads = MaxThreads();
  return c;
}

}  // namespace
}  // namespace rules_torch::standalone

#endif  // RULES_TORCH_STANDALONE_OPERATORS_IMAGE_H_
