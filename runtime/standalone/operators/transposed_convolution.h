// Transposed convolutions of floats, in one to three dimensions.
//
// The method: with a stride of s, the outputs s apart are made of the same taps of the
// filter, and the others of other taps. Each such phase is a convolution with stride 1
// with its taps, turned around, that writes every s-th output: nothing is multiplied
// that is 0, and nothing is added up in memory.
#ifndef RULES_TORCH_STANDALONE_OPERATORS_TRANSPOSED_CONVOLUTION_H_
#define RULES_TORCH_STANDALONE_OPERATORS_TRANSPOSED_CONVOLUTION_H_

#include <cstdint>

#include "runtime/standalone/kernels/convolution.h"
#include "runtime/standalone/kernels/parallel.h"
#include "runtime/standalone/kernels/vector.h"
#include "runtime/standalone/operand.h"
#include "runtime/standalone/operators.h"
#include "runtime/standalone/operators/float_copy.h"
#include "runtime/standalone/operators/following.h"
#include "runtime/standalone/operators/image.h"

namespace rules_torch::standalone {
namespace {

// What a phase uses of one dimension of the filter: `count` taps from `first` on, each
// `step` after the one before, whose places in the input are `dilation` apart.
struct PhaseTaps {
  std::int64_t first;
  std::int64_t count;
  std::int64_t step;
  std::int64_t dilation;
};

// Of the outputs whose place and padding are together `phase`, modulo the stride.
inline PhaseTaps TapsOfPhase(std::int64_t phase, std::int64_t kernel,
                             std::int64_t stride, std::int64_t dilation) {
  std::int64_t divisor = stride;  // and at the end the greatest that both have
  for (std::int64_t rest = dilation; rest != 0;) {
    const std::int64_t next = divisor % rest;
    divisor = rest;
    rest = next;
  }
  PhaseTaps taps = {0, 0, stride / divisor, dilation / divisor};
  while (taps.first < kernel && taps.first * dilation % stride != phase) ++taps.first;
  if (taps.first < kernel) taps.count = DivideUp(kernel - taps.first, taps.step);
  return taps;
}

// The phases of a filter, in each dimension.
struct Phases {
  Phases(const Image& filters, const Steps& steps)
      : kernel{filters.depth, filters.height, filters.width} {
    for (int d = 0; d < 3; ++d) {
      stride[d] = steps.stride[d];
      dilation[d] = steps.dilation[d];
    }
  }

  std::int64_t count() const { return stride[0] * stride[1] * stride[2]; }

  // Sets c's kernel and its dilation, and `taps` of each dimension.
  void Set(std::int64_t phase, Convolution* c, PhaseTaps (&taps)[3]) const {
    std::int64_t rest = phase;
    for (int d = 2; d >= 0; --d) {
      taps[d] = TapsOfPhase(rest % stride[d], kernel[d], stride[d], dilation[d]);
      rest /= stride[d];
    }
    c->kernel_depth = taps[0].count;
    c->kernel_height = taps[1].count;
    c->kernel_width = taps[2].count;
    c->dilation_depth = taps[0].dilation;
    c->dilation_height = taps[1].dilation;
    c->dilation_width = taps[2].dilation;
  }

  std::int64_t kernel[3];
  std::int64_t stride[3];
  std::int64_t dilation[3];
};

// The floats of the packed filters of all phases, each of which begins at a vector.
inline std::int64_t PhaseFiltersSize(const Phases& phases, Convolution c) {
  std::int64_t size = 0;
  for (std::int64_t phase = 0; phase < phases.count(); ++phase) {
    PhaseTaps taps[3];
    phases.Set(phase, &c, taps);
    size += RoundUp(FiltersSize(c), 16);
  }
  return size;
}

// Packs `filters`, [channels, out_channels / groups, ...], for each phase.
inline void PackPhases(const Image& filters, const Phases& phases, Convolution c,
                       Workspace* workspace, float* packed) {
  const std::int64_t in = c.channels / c.groups;
  const std::int64_t out = c.out_channels / c.groups;
  float* dense = TakeFloats(workspace, filters.count());
  for (std::int64_t phase = 0; phase < phases.count(); ++phase) {
    PhaseTaps taps[3];
    phases.Set(phase, &c, taps);
    float* to = dense;
    for (std::int64_t i = 0; i < c.out_channels; ++i) {
      for (std::int64_t j = 0; j < in; ++j) {
        const float* from = filters.data + (i / out * in + j) * filters.batch_stride +
                            i % out * filters.channel_stride;
        for (std::int64_t z = taps[0].count - 1; z >= 0; --z) {
          for (std::int64_t y = taps[1].count - 1; y >= 0; --y) {
            for (std::int64_t x = taps[2].count - 1; x >= 0; --x) {
              *to++ = from[(taps[0].first + z * taps[0].step) * filters.depth_stride +
                           (taps[1].first + y * taps[1].step) * filters.row_stride +
                           (taps[2].first + x * taps[2].step) * filters.column_stride];
            }
          }
        }
      }
    }
    PackFilters(dense, c, packed);
    packed += RoundUp(FiltersSize(c), 16);
  }
}

// One dimension of a phase's convolution: reads `size` elements from `skipped` on.
struct PhaseInput {
  std::int64_t skipped;
  std::int64_t size;
  std::int64_t padding;
};

// Of the outputs from `first` on.
inline PhaseInput InputOfPhase(std::int64_t first, std::int64_t padding,
                               std::int64_t stride, std::int64_t dilation,
                               const PhaseTaps& taps, std::int64_t size) {
  if (taps.count == 0) return {0, size, 0};
  const std::int64_t place = (first + padding - taps.first * dilation) / stride;
  const std::int64_t before = (taps.count - 1) * taps.dilation - place;
  if (before >= 0) return {0, size, before};
  const std::int64_t skipped = Least(-before, size);
  return {skipped, size - skipped, before + skipped};
}

// As the operator `convolution`, with what follows but a residual. The weight may be of
// halves.
inline void ConvolveTransposed(const Operand& input, const Operand& weight,
                               const Following& following,
                               const ConvolutionShape& shape, const Operand& out,
                               Workspace* workspace) {
  const Image x = WithChannelsLast(Image(input), workspace);
  const Image filters(weight);
  const Image result(out);
  const Steps steps(shape);
  const Phases phases(filters, steps);
  Image y = result;
  const bool is_direct = y.channel_stride == 1 || y.channels == 1;
  if (!is_direct) y = y.ChannelsLast(TakeFloats(workspace, y.count()));

  Convolution all = ConvolutionOf(x, y);
  all.stride_depth = all.stride_height = all.stride_width = 1;
  all.groups = shape.groups;
  constexpr std::int64_t kPhases = 100;  // beside Packing's
  const PackedKey key = {
      filters.data,
      {kPhases, shape.groups, filters.batch, filters.channels, filters.depth,
       filters.height, filters.width, filters.batch_stride, filters.channel_stride,
       filters.row_stride, filters.column_stride, filters.depth_stride,
       (steps.stride[0] << 42) + (steps.stride[1] << 21) + steps.stride[2],
       (steps.dilation[0] << 42) + (steps.dilation[1] << 21) + steps.dilation[2]}};
  const float* packed =
      PackedFloats(workspace, key, PhaseFiltersSize(phases, all), [&](float* to) {
        WithFloats(&weight, Order::kSame, workspace, [&](const Operand* floats) {
          PackPhases(Image(*floats), phases, all, workspace, to);
        });
      });

  const std::int64_t in_sizes[] = {x.depth, x.height, x.width};
  const std::int64_t sizes[] = {y.depth, y.height, y.width};
  WithEpilogue(following, workspace, [&](const auto& epilogue) {
    for (std::int64_t phase = 0; phase < phases.count(); ++phase) {
      Convolution c = all;
      PhaseTaps taps[3];
      phases.Set(phase, &c, taps);
      c.filters = packed;
      packed += RoundUp(FiltersSize(c), 16);
      std::int64_t first[3];
      std::int64_t count[3];
      PhaseInput in[3];
      std::int64_t rest = phase;
      for (int d = 2; d >= 0; --d) {
        const std::int64_t stride = steps.stride[d];
        first[d] = (rest % stride + stride - steps.padding[d] % stride) % stride;
        rest /= stride;
        count[d] = sizes[d] > first[d] ? DivideUp(sizes[d] - first[d], stride) : 0;
        in[d] = InputOfPhase(first[d], steps.padding[d], stride, steps.dilation[d],
                             taps[d], in_sizes[d]);
      }
      c.depth = in[0].size;
      c.height = in[1].size;
      c.width = in[2].size;
      c.padding_depth = in[0].padding;
      c.padding_height = in[1].padding;
      c.padding_width = in[2].padding;
      c.x += in[0].skipped * x.depth_stride + in[1].skipped * x.row_stride +
             in[2].skipped * x.column_stride;
      c.out_depth = count[0];
      c.out_height = count[1];
      c.out_width = count[2];
      c.y += first[0] * y.depth_stride + first[1] * y.row_stride +
             first[2] * y.column_stride;
      c.y_pixel = steps.stride[2] * y.column_stride;
      if (count[0] * count[1] > 1) {
        c.y_row = y.height > 1 ? steps.stride[1] * y.row_stride : 1;
        c.y_depth = steps.stride[0] * y.depth_stride;
      }
      c.scratch = TakeFloats(workspace, ScratchOf(c));
      Convolve(c, Shared(epilogue));
    }
  });
  if (!is_direct) CopyImage(y, result);
}

}  // namespace
}  // namespace rules_torch::standalone

#endif  // RULES_TORCH_STANDALONE_OPERATORS_TRANSPOSED_CONVOLUTION_H_
