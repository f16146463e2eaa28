// Convolutions, of any dtype and strides. Those of float32 are kernels/convolution.h's;
// those of bfloat16 and float16 as well, with copies in float32 of what they read.

#include "runtime/standalone/kernels/convolution.h"

#include <cstddef>
#include <cstdint>
#include <limits>

#include "rules_torch/abi.h"
#include "runtime/standalone/kernels/activation.h"
#include "runtime/standalone/kernels/packing.h"
#include "runtime/standalone/kernels/parallel.h"
#include "runtime/standalone/kernels/winograd.h"
#include "runtime/standalone/operand.h"
#include "runtime/standalone/operators.h"
#include "runtime/standalone/operators/elements.h"
#include "runtime/standalone/operators/float_copy.h"
#include "runtime/standalone/operators/following.h"
#include "runtime/standalone/operators/image.h"
#include "runtime/standalone/operators/transposed_convolution.h"

namespace rules_torch::standalone {
namespace {

// A tensor [n, c, d, h, w]: dimensions that it lacks have size 1.
struct Volume {
  explicit Volume(const Operand& operand)
      : data(operand.data),
        batch_stride(operand.strides[0]),
        channel_stride(operand.strides[1]) {
    for (int i = 0; i < operand.rank - 2; ++i) {
      const int to = 3 - (operand.rank - 2) + i;
      sizes[to] = operand.sizes[2 + i];
      strides[to] = operand.strides[2 + i];
    }
  }

  void* data;
  std::int64_t batch_stride;
  std::int64_t channel_stride;
  std::int64_t sizes[3] = {1, 1, 1};
  std::int64_t strides[3] = {0, 0, 0};
};

// A copy of filters as torch has them: dense, [out_channels, channels, height, width].
inline const float* FiltersOfTorch(const Image& filters, Workspace* workspace) {
  const Image dense = filters.ChannelsFirst(TakeFloats(workspace, filters.count()));
  CopyImage(filters, dense);
  return dense.data;
}

// Packs filters of any strides, as kernels/convolution.h wants them.
inline void PackFiltersOf(const Image& weight, const Convolution& c,
                          Workspace* workspace, float* packed) {
  const std::int64_t taps = TapsOf(c);
  const std::int64_t in = c.channels / c.groups;
  const std::int64_t out = c.out_channels / c.groups;
  if (!IsDepthwise(c) && (in == 1 || weight.channel_stride == 1) &&
      (c.kernel_width == 1 || weight.column_stride == in) &&
      (c.kernel_height == 1 || weight.row_stride == c.kernel_width * in) &&
      (c.kernel_depth == 1 ||
       weight.depth_stride == c.kernel_height * c.kernel_width * in)) {
    const std::int64_t panels = DivideUp(out, kPanel);
    const int parts = PartsOf(8 * c.out_channels * in * taps, MaxThreads());
    ForEachPart(parts, [&](int part) {
      const Range range = ShareOf(c.groups * panels, part, parts);
      for (std::int64_t i = range.begin; i < range.end; ++i) {
        const std::int64_t group = i / panels;
        const std::int64_t column = i % panels * kPanel;
        const float* from = weight.data + (group * out + column) * weight.batch_stride;
        PackPanel({from, 1, weight.batch_stride}, taps * in,
                  static_cast<int>(Least(kPanel, out - column)),
                  packed + group * FiltersOfGroup(c) + column * taps * in);
      }
    });
    return;
  }
  PackFilters(FiltersOfTorch(weight, workspace), c, packed);
}

inline PackedKey KeyOf(Packing packing, const Image& filters, const Convolution& c) {
  return {filters.data,
          {static_cast<std::int64_t>(packing), c.groups, IsDepthwise(c), filters.batch,
           filters.channels, filters.depth, filters.height, filters.width,
           filters.batch_stride, filters.channel_stride, filters.row_stride,
           filters.column_stride, filters.depth_stride}};
}

// Whether fewer multiplications are worth their transforms, and filters that are 16/9
// as large: not of small images. F(2x2, 3x3) alone: its sums are about as exact as a
// direct convolution's.
inline bool UsesWinograd(const Convolution& c) {
  return FitsWinograd(c) && c.channels >= 16 && c.out_channels >= 16 &&
         c.out_height * c.out_width >= 100;
}

// Weights for it, or null where they are not constant.
inline const float* WinogradFilters(const Operand& weight, const Convolution& c,
                                    Workspace* workspace) {
  const auto pack = [&](float* packed) {
    WithFloats(&weight, Order::kSame, workspace, [&](const Operand* floats) {
      PackWinograd<WinogradTwo>(FiltersOfTorch(Image(*floats), workspace), c, packed);
    });
  };
  return KeptFloats(workspace, KeyOf(Packing::kWinograd, Image(weight), c),
                    WinogradFiltersSize<WinogradTwo>(c), pack);
}

// Whether a kernel writes it as it lies.
inline bool IsDirect(const Image& image) {
  return (image.channel_stride == 1 || image.channels == 1) && HasEvenPixels(image);
}

// The filters of a convolution of floats; they may be halves that are not packed.
struct Filters {
  const Operand& weight;
  const std::int64_t* kernel;  // their sizes
  Packing packing;
};

// Packs filters that a build did not pack, and picks the kernel by its packing.
inline Packing PackedBy(const Filters& filters, Convolution* c, Workspace* workspace) {
  if (filters.packing != Packing::kNone) {
    c->filters = static_cast<const float*>(filters.weight.data);
    return filters.packing;
  }
  if (UsesWinograd(*c)) {
    c->filters = WinogradFilters(filters.weight, *c, workspace);
    if (c->filters != nullptr) return Packing::kWinograd;
  }
  const auto pack = [&](float* packed) {
    WithFloats(&filters.weight, Order::kSame, workspace, [&](const Operand* floats) {
      PackFiltersOf(Image(*floats), *c, workspace, packed);
    });
  };
  c->filters =
      PackedFloats(workspace, KeyOf(Packing::kPanels, Image(filters.weight), *c),
                   FiltersSize(*c), pack);
  return IsDepthwise(*c) ? Packing::kTaps : Packing::kPanels;
}

inline void ConvolveFloats(const Operand& input, const Filters& filters,
                           const Following& following, const ConvolutionShape& shape,
                           const Operand& out, Workspace* workspace) {
  const Image x = WithChannelsLast(Image(input), workspace);
  const Image result(out);
  Image y = result;
  const bool is_direct = IsDirect(y);
  if (!is_direct) y = y.ChannelsLast(TakeFloats(workspace, y.count()));

  const Steps steps(shape);
  Convolution c = ConvolutionOf(x, y);
  c.kernel_depth = shape.dims > 2 ? filters.kernel[0] : 1;
  c.kernel_height = shape.dims > 1 ? filters.kernel[shape.dims - 2] : 1;
  c.kernel_width = filters.kernel[shape.dims - 1];
  c.stride_depth = steps.stride[0];
  c.stride_height = steps.stride[1];
  c.stride_width = steps.stride[2];
  c.padding_depth = steps.padding[0];
  c.padding_height = steps.padding[1];
  c.padding_width = steps.padding[2];
  c.dilation_depth = steps.dilation[0];
  c.dilation_height = steps.dilation[1];
  c.dilation_width = steps.dilation[2];
  c.groups = shape.groups;
  c.y_pixel = PixelStride(y);
  WithEpilogue(following, workspace, [&](auto epilogue) {
    if (following.residual != nullptr) {
      Image residual(*following.residual);
      if (!IsDirect(residual)) {
        const Image copy = residual.ChannelsLast(TakeFloats(workspace, y.count()));
        CopyImage(residual, copy);
        residual = copy;
      }
      epilogue.residual = residual.data;
      epilogue.residual_batch = residual.batch_stride;
      epilogue.residual_row = PixelStride(residual);
    }
    if (PackedBy(filters, &c, workspace) == Packing::kWinograd) {
      c.scratch = TakeFloats(workspace, ScratchOfWinograd<WinogradTwo>(c));
      ConvolveWinograd<WinogradTwo>(c, Shared(epilogue));
    } else {
      c.scratch = TakeFloats(workspace, ScratchOf(c));
      Convolve(c, Shared(epilogue));
    }
  });
  if (!is_direct) CopyImage(y, result);
}

// The place in the input that a tap of the filter reads for one in the output, in one
// dimension. False if there is none.
inline bool Reads(const Steps& steps, bool is_transposed, int dim, std::int64_t at,
                  std::int64_t tap, std::int64_t size, std::int64_t* place) {
  if (!is_transposed) {
    *place = at * steps.stride[dim] - steps.padding[dim] + tap * steps.dilation[dim];
  } else {
    const std::int64_t reached = at + steps.padding[dim] - tap * steps.dilation[dim];
    if (reached % steps.stride[dim] != 0) return false;
    *place = reached / steps.stride[dim];
  }
  return *place >= 0 && *place < size;
}

template <typename Elements>
void ConvolveAny(const Operand& input, const Operand& weight, const Operand* bias,
                 const ConvolutionShape& shape, const Operand& out) {
  using Sum = typename Elements::Accumulator;
  const Volume in(input);
  const Volume filter(weight);
  const Volume result(out);
  const Steps steps(shape);
  const std::int64_t images = out.sizes[0];
  const std::int64_t out_channels = out.sizes[1];
  const std::int64_t channels = input.sizes[1] / shape.groups;
  const std::int64_t per_group = out_channels / shape.groups;
  const std::int64_t pixels = result.sizes[0] * result.sizes[1] * result.sizes[2];
  const std::int64_t taps_of_filter =
      filter.sizes[0] * filter.sizes[1] * filter.sizes[2];
  const int parts = PartsOf(
      2 * images * out_channels * pixels * channels * taps_of_filter, MaxThreads());
  ForEachPart(parts, [&](int part) {
    const Range range = ShareOf(images * out_channels, part, parts);
    for (std::int64_t unit = range.begin; unit < range.end; ++unit) {
      const std::int64_t n = unit / out_channels;
      const std::int64_t oc = unit % out_channels;
      const std::int64_t first = oc / per_group * channels;
      // In the filter: its first channel, and the step to the next.
      const std::int64_t start =
          shape.is_transposed
              ? first * filter.batch_stride + oc % per_group * filter.channel_stride
              : oc * filter.batch_stride;
      const std::int64_t step =
          shape.is_transposed ? filter.batch_stride : filter.channel_stride;
      const Sum initial =
          bias != nullptr ? Elements::Load(bias->data, oc * bias->strides[0]) : Sum{0};
      std::int64_t at[3];
      for (at[0] = 0; at[0] < result.sizes[0]; ++at[0]) {
        for (at[1] = 0; at[1] < result.sizes[1]; ++at[1]) {
          for (at[2] = 0; at[2] < result.sizes[2]; ++at[2]) {
            Sum sum = initial;
            std::int64_t taps[3];
            for (taps[0] = 0; taps[0] < filter.sizes[0]; ++taps[0]) {
              for (taps[1] = 0; taps[1] < filter.sizes[1]; ++taps[1]) {
                for (taps[2] = 0; taps[2] < filter.sizes[2]; ++taps[2]) {
                  std::int64_t from = n * in.batch_stride + first * in.channel_stride;
                  std::int64_t tap = start;
                  bool is_inside = true;
                  for (int d = 0; d < 3 && is_inside; ++d) {
                    std::int64_t place = 0;
                    is_inside = Reads(steps, shape.is_transposed, d, at[d], taps[d],
                                      in.sizes[d], &place);
                    from += place * in.strides[d];
                    tap += taps[d] * filter.strides[d];
                  }
                  if (!is_inside) continue;
                  for (std::int64_t c = 0; c < channels; ++c) {
                    sum += Elements::Load(in.data, from + c * in.channel_stride) *
                           Elements::Load(filter.data, tap + c * step);
                  }
                }
              }
            }
            Elements::Store(result.data,
                            n * result.batch_stride + oc * result.channel_stride +
                                at[0] * result.strides[0] + at[1] * result.strides[1] +
                                at[2] * result.strides[2],
                            sum);
          }
        }
      }
    }
  });
}

// As the operator `convolution`, of floats; the weight may be of halves.
inline void ConvolveFloats(const Operand& input, const Operand& weight,
                           const Operand* bias, const ConvolutionShape& shape,
                           const Operand& out, Workspace* workspace) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const Following following = {nullptr,    bias,     nullptr, Activation::kClamp,
                               -kInfinity, kInfinity};
  if (shape.is_transposed) {
    return ConvolveTransposed(input, weight, following, shape, out, workspace);
  }
  const Filters filters = {weight, weight.sizes + 2, Packing::kNone};
  ConvolveFloats(input, filters, following, shape, out, workspace);
}

}  // namespace
}  // namespace rules_torch::standalone

RTORCH_OPERATOR(convolution)
(const rules_torch::standalone::Operand& input,
 const rules_torch::standalone::Operand& weight,
 const rules_torch::standalone::Operand* bias,
 const rules_torch::standalone::ConvolutionShape& shape,
 const rules_torch::standalone::Operand& out,
 rules_torch::standalone::Workspace* workspace) {
  using namespace rules_torch::standalone;
  if (out.dtype == RTORCH_FLOAT32) {
    return ConvolveFloats(input, weight, bias, shape, out, workspace);
  }
  if (IsHalf(out.dtype)) {
    const FloatCopy result(out, Order::kSame, workspace);
    WithFloats(&input, Order::kSame, workspace, [&](const Operand* x) {
      WithFloats(bias, Order::kSame, workspace, [&](const Operand* float_bias) {
        ConvolveFloats(*x, weight, float_bias, shape, result.operand(), workspace);
      });
    });
    return result.Store();
  }
  WithElements("convolution", out.dtype, [&](auto elements) {
    ConvolveAny<decltype(elements)>(input, weight, bias, shape, out);
  });
}

RTORCH_OPERATOR(fused_convolution)
(const rules_torch::standalone::Operand& input,
 const rules_torch::standalone::Operand& weight, const std::int64_t* kernel,
 rules_torch::standalone::Packing packing,
 const rules_torch::standalone::Following& following,
 const rules_torch::standalone::ConvolutionShape& shape,
 const rules_torch::standalone::Operand& out,
 rules_torch::standalone::Workspace* workspace) {
  rules_torch::standalone::ConvolveFloats(input, {weight, kernel, packing}, following,
                                          shape, out, workspace);
}
