// Convolutions of fp32 images, channels last, with what follows them.
//
// Shapes: x [batch, height, width, channels], y [batch, out_height, out_width,
// out_channels], filters of kernel_height x kernel_width; 1-D is height 1, 3-D has a
// depth before the height. Any size may be 0, a filter's too. Out's sizes are given, so
// the padding at the end may differ from that at the start: what lies outside of x is
// 0. Padding may be negative.
// Layouts: channels are adjacent, x's other strides are free. y's pixels are evenly
// apart, or y_row is given. Filters are packed by PackFilters, at build time and for
// all instruction sets. Aliasing: y overlaps nothing that is read. Alignment: a
// float's; `scratch` 64 bytes. Errors: none. Thread-safe; `scratch` is one call's own.
// Bits depend neither on the number of threads nor on the pixels around. Sums are of
// fp32, in the order kernel row, kernel column, channel, in blocks of about kDepth. The
// epilogue (activation.h) gets the image as batch, the pixel as row, the output's
// channel as column; where y_row is given, it may use the channel alone.
//
// The method: a direct convolution is the matrix product of the filters and rows that
// are found by pointers, so an image is not spread out in memory. Outside of the image,
// pointers are to zeros. Where few channels make short rows, a copy of the image with
// its padding makes a whole row of the filter adjacent. 1 x 1 is a plain product.
#ifndef RULES_TORCH_STANDALONE_KERNELS_CONVOLUTION_H_
#define RULES_TORCH_STANDALONE_KERNELS_CONVOLUTION_H_

#include <cstddef>
#include <cstdint>

#include "runtime/standalone/kernels/activation.h"
#include "runtime/standalone/kernels/matmul.h"
#include "runtime/standalone/kernels/packing.h"
#include "runtime/standalone/kernels/parallel.h"
#include "runtime/standalone/kernels/tile.h"
#include "runtime/standalone/kernels/vector.h"

namespace rules_torch::standalone {
namespace {

struct Convolution {
  std::int64_t batch = 1;
  std::int64_t height = 1;
  std::int64_t width;
  std::int64_t channels;  // multiples of groups, as out_channels
  std::int64_t out_height = 1;
  std::int64_t out_width;
  std::int64_t out_channels;
  std::int64_t kernel_height = 1;
  std::int64_t kernel_width;
  std::int64_t stride_height = 1;
  std::int64_t stride_width = 1;
  std::int64_t padding_height = 0;  // above
  std::int64_t padding_width = 0;   // to the left
  std::int64_t dilation_height = 1;
  std::int64_t dilation_width = 1;
  std::int64_t groups = 1;
  const float* x;
  std::int64_t x_batch;  // strides, in elements
  std::int64_t x_row;
  std::int64_t x_column;
  const float* filters;
  float* y;
  std::int64_t y_batch;
  std::int64_t y_pixel;
  int threads = 1;  // at most so many
  // ScratchOf(convolution) floats, of any content; null for none.
  float* scratch = nullptr;
  // Of 3-D ones. Winograd's have none.
  std::int64_t depth = 1;
  std::int64_t out_depth = 1;
  std::int64_t kernel_depth = 1;
  std::int64_t stride_depth = 1;
  std::int64_t padding_depth = 0;  // in front
  std::int64_t dilation_depth = 1;
  std::int64_t x_depth = 0;
  // y's other strides; both 0 where all pixels are evenly apart.
  std::int64_t y_row = 0;
  std::int64_t y_depth = 0;
};

// One filter for each channel: other layout, other kernel.
RTORCH_INLINE bool IsDepthwise(const Convolution& c) {
  return c.groups > 1 && c.groups == c.channels && c.groups == c.out_channels;
}

RTORCH_INLINE std::int64_t TapsOf(const Convolution& c) {
  return c.kernel_depth * c.kernel_height * c.kernel_width;
}

RTORCH_INLINE std::int64_t PixelsOf(const Convolution& c) {
  return c.out_depth * c.out_height * c.out_width;
}

// Where a pixel of y begins.
RTORCH_INLINE float* PixelOf(const Convolution& c, std::int64_t image,
                             std::int64_t pixel) {
  float* y = c.y + image * c.y_batch;
  if (c.y_row == 0) return y + pixel * c.y_pixel;
  const std::int64_t line = pixel / c.out_width;
  return y + line / c.out_height * c.y_depth + line % c.out_height * c.y_row +
         pixel % c.out_width * c.y_pixel;
}

// The floats of a group's packed filters, and of all.
RTORCH_INLINE std::int64_t FiltersOfGroup(const Convolution& c) {
  return PackedSize(TapsOf(c) * (c.channels / c.groups), c.out_channels / c.groups);
}

RTORCH_INLINE std::int64_t FiltersSize(const Convolution& c) {
  return IsDepthwise(c) ? TapsOf(c) * c.channels : FiltersOfGroup(c) * c.groups;
}

// Packs weights as torch has them, [out_channels, channels / groups, [kernel_depth,]
// kernel_height, kernel_width], into FiltersSize(c) floats: for each group the matrix
// [taps x channels, out_channels] as packing.h has it, or [taps, channels] where
// IsDepthwise. Reads c's sizes alone.
inline void PackFilters(const float* weights, const Convolution& c, float* packed) {
  const std::int64_t taps = TapsOf(c);
  if (IsDepthwise(c)) {
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      for (std::int64_t i = 0; i < c.channels; ++i) {
        packed[tap * c.channels + i] = weights[i * taps + tap];
      }
    }
    return;
  }
  const std::int64_t in = c.channels / c.groups;
  const std::int64_t out = c.out_channels / c.groups;
  for (std::int64_t group = 0; group < c.groups; ++group) {
    const float* from = weights + group * out * in * taps;
    for (std::int64_t column = 0; column < RoundUp(out, kPanel); ++column) {
      float* to = packed + group * FiltersOfGroup(c) +
                  column / kPanel * kPanel * taps * in + column % kPanel;
      for (std::int64_t tap = 0; tap < taps; ++tap) {
        for (std::int64_t i = 0; i < in; ++i) {
          *to = column < out ? from[(column * in + i) * taps + tap] : 0.0f;
          to += kPanel;
        }
      }
    }
  }
}

// A convolution as the product that it is for one image and one group.
RTORCH_INLINE Product ProductOf(const Convolution& c) {
  Product p = {};
  p.batch = c.batch * c.groups;
  p.m = PixelsOf(c);
  p.n = c.out_channels / c.groups;
  p.k = TapsOf(c) * (c.channels / c.groups);
  p.threads = c.threads;
  return p;
}

// Whether the lines of pixels of all images are evenly apart, in x and in y.
RTORCH_INLINE bool HasEvenLines(const Convolution& c) {
  const std::int64_t lines = c.depth * c.height;
  return (c.depth == 1 ||
          (c.x_depth == c.height * c.x_row && c.y_depth == c.height * c.y_row)) &&
         (c.batch == 1 ||
          (c.x_batch == lines * c.x_row && c.y_batch == lines * c.y_row));
}

// Whether each pixel of y is made of the pixel of x at its place, and a matrix product
// can tell where they are.
RTORCH_INLINE bool IsPointwise(const Convolution& c) {
  if (c.groups != 1 || TapsOf(c) != 1 || c.stride_depth != 1 || c.stride_height != 1 ||
      c.stride_width != 1 || c.padding_depth != 0 || c.padding_height != 0 ||
      c.padding_width != 0 || c.depth != c.out_depth || c.height != c.out_height ||
      c.width != c.out_width) {
    return false;
  }
  if (c.y_row != 0) return HasEvenLines(c);
  return (c.height == 1 || c.x_row == c.width * c.x_column) &&
         (c.depth == 1 || c.x_depth == c.height * c.width * c.x_column);
}

// What the filters reach.
RTORCH_INLINE std::int64_t ReachOf(std::int64_t out, std::int64_t stride,
                                   std::int64_t kernel, std::int64_t dilation) {
  return (out - 1) * stride + (kernel - 1) * dilation + 1;
}

RTORCH_INLINE std::int64_t PaddedHeightOf(const Convolution& c) {
  return ReachOf(c.out_height, c.stride_height, c.kernel_height, c.dilation_height);
}

RTORCH_INLINE std::int64_t PaddedWidthOf(const Convolution& c) {
  return ReachOf(c.out_width, c.stride_width, c.kernel_width, c.dilation_width);
}

RTORCH_INLINE std::int64_t PaddedDepthOf(const Convolution& c) {
  return ReachOf(c.out_depth, c.stride_depth, c.kernel_depth, c.dilation_depth);
}

RTORCH_INLINE bool IsInside(const Convolution& c) {
  return c.padding_depth == 0 && c.padding_height == 0 && c.padding_width == 0 &&
         PaddedDepthOf(c) <= c.depth && PaddedHeightOf(c) <= c.height &&
         PaddedWidthOf(c) <= c.width;
}

// Whether rows of filters are adjacent in x.
RTORCH_INLINE bool HasLongRows(const Convolution& c) {
  return c.dilation_width == 1 && c.x_column == c.channels / c.groups;
}

RTORCH_INLINE bool IsEmpty(const Convolution& c) {
  return c.batch == 0 || PixelsOf(c) == 0 || c.out_channels == 0;
}

// Whether the image is copied first, so that a filter's rows are adjacent: where the
// rows of pointers would be short, or many.
RTORCH_INLINE bool CopiesX(const Convolution& c) {
  if (IsDepthwise(c) || IsPointwise(c) || IsEmpty(c) || c.dilation_width != 1) {
    return false;
  }
  if (TapsOf(c) == 0 || c.kernel_width == 1 || (IsInside(c) && HasLongRows(c)))
    return false;
  return c.channels / c.groups < 16 || TapsOf(c) > 32;
}

RTORCH_INLINE std::int64_t CopyOfX(const Convolution& c) {
  if (!CopiesX(c)) return 0;
  const std::int64_t channels = c.channels / c.groups;
  const std::int64_t size =
      PaddedDepthOf(c) * PaddedHeightOf(c) * PaddedWidthOf(c) * channels;
  return RoundUp(c.batch * c.groups * size, 16);
}

// The rows of a product whose pointers are in memory at once.
RTORCH_INLINE std::int64_t PointersOf(const Convolution& c, std::int64_t segments) {
  const std::int64_t most = 16'384 / Greatest<std::int64_t>(1, segments) / kTileRows;
  const std::int64_t tiles = Least<std::int64_t>(
      Greatest<std::int64_t>(1, Least<std::int64_t>(most, 256 / kTileRows)),
      DivideUp(PixelsOf(c), kTileRows));
  return tiles * kTileRows;
}

RTORCH_INLINE int PartsOf(const Convolution& c) {
  return PartsOf(WorkOf(ProductOf(c)), c.threads);
}

// The floats of a thread's scratch: pointers.
RTORCH_INLINE std::int64_t TableOf(const Convolution& c) {
  if (IsPointwise(c) || IsDepthwise(c) || IsEmpty(c)) return 0;
  constexpr std::int64_t kFloats = sizeof(const float*) / sizeof(float);
  const std::int64_t segments = TapsOf(c);  // at most
  return RoundUp(PointersOf(c, segments) * segments * kFloats, 16);
}

// The matrix product that a pointwise convolution is.
RTORCH_INLINE Product PointwiseOf(const Convolution& c) {
  const bool by_lines = c.y_row != 0;
  return {by_lines ? c.batch * c.depth * c.height : c.batch,
          by_lines ? c.width : PixelsOf(c),
          c.out_channels,
          c.channels,
          {{c.x, c.x_column, 1}, by_lines ? c.x_row : c.x_batch},
          c.y,
          c.y_pixel,
          by_lines ? c.y_row : c.y_batch,
          c.threads,
          c.scratch};
}

// The floats of scratch that Convolve needs.
RTORCH_INLINE std::int64_t ScratchOf(const Convolution& c) {
  if (IsPointwise(c)) return ScratchOfPacked(PointwiseOf(c));
  return CopyOfX(c) + TableOf(c) * PartsOf(c);
}

// A row of zeros for what is outside of an image: as long as a block along k.
alignas(64) constexpr float kZeros[kDepth] = {};

// Rows for the micro-kernel: row i of segment s begins at pointers[s * step + i] +
// offset, and is `length` floats long; zeros begin where they begin.
struct Segments {
  const float* const* pointers;
  std::int64_t step;
  std::int64_t count;
  std::int64_t offset;
  std::int64_t length;
};

template <int kRows, int kVectors, typename Epilogue>
__attribute__((noinline)) void ComputeSegments(const Segments& rows, const Panels& b,
                                               const Target& to,
                                               const Epilogue& epilogue,
                                               std::int64_t tiles) {
  Target target = to;
  const float* const* pointers = rows.pointers;
  Ahead ahead(b, kVectors / kVectorsOfPanel, rows.count * rows.length, tiles);
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    Vec sums[kRows][kVectors];
    Begin(sums, target);
    Panels panels = b;
    for (std::int64_t segment = 0; segment < rows.count; ++segment) {
      const float* row[kRows];
      RTORCH_UNROLL
      for (int i = 0; i < kRows; ++i) row[i] = pointers[segment * rows.step + i];
      if (rows.offset != 0) {
        for (int i = 0; i < kRows; ++i) row[i] += row[i] == kZeros ? 0 : rows.offset;
      }
      const auto row_of = [&](int i) RTORCH_INLINE_LAMBDA { return row[i]; };
      if constexpr (kRows == kTileRows) {
        Accumulate<true>(sums, row_of, panels, rows.length, ahead);
      } else {
        Accumulate<true>(sums, row_of, panels, rows.length);
      }
      panels.data += rows.length * kPanel;
    }
    End(sums, target, epilogue);
    pointers += kRows;
    target.c += kRows * target.stride;
    target.row += kRows;
  }
}

// All `rows` of the tile's columns. Returns how many those are.
template <typename Epilogue>
std::int64_t ComputeColumns(const Segments& segments, std::int64_t rows,
                            const Panels& b, const Target& to, const Epilogue& epilogue,
                            const AnyEpilogue& any) {
  const auto compute = [&](auto vectors) {
    constexpr int kVectors = decltype(vectors)::value;
    const std::int64_t tiles = rows / kTileRows;
    if (tiles > 0) {
      if constexpr (Epilogue::kIsShort && kVectors == kTileVectors) {
        ComputeSegments<kTileRows, kVectors>(segments, b, to, epilogue, tiles);
      } else {
        ComputeSegments<kTileRows, kVectors>(segments, b, to, any, tiles);
      }
    }
    const std::int64_t done = tiles * kTileRows;
    Segments rest = segments;
    rest.pointers += done;
    Target target = to;
    target.c += done * to.stride;
    target.row += done;
    WithRows<kTileRows - 1>(static_cast<int>(rows - done), [&](auto constant) {
      ComputeSegments<decltype(constant)::value, kVectors>(rest, b, target, any, 1);
    });
    return static_cast<std::int64_t>(kVectors * kLanes);
  };
  if constexpr (kTileVectors > kVectorsOfPanel) {
    if (to.columns <= kPanel) return compute(Constant<kVectorsOfPanel>{});
  }
  return compute(Constant<kTileVectors>{});
}

// Copies images with their padding, one for each group: [image, group, depth, row,
// column, channel of the group].
inline void CopyPadded(const Convolution& c, float* copy) {
  const std::int64_t channels = c.channels / c.groups;
  const std::int64_t depth = PaddedDepthOf(c);
  const std::int64_t height = PaddedHeightOf(c);
  const std::int64_t width = PaddedWidthOf(c);
  const std::int64_t rows = c.batch * c.groups * depth * height;
  ForEachPart(PartsOf(c), [&](int part) {
    const Range range = ShareOf(rows, part, PartsOf(c));
    for (std::int64_t at = range.begin; at < range.end; ++at) {
      const std::int64_t image = at / height / depth / c.groups;
      const std::int64_t group = at / height / depth % c.groups;
      const std::int64_t z = at / height % depth - c.padding_depth;
      const std::int64_t y = at % height - c.padding_height;
      float* to = copy + at * width * channels;
      // What is inside of x: [from, until).
      const bool is_row = z >= 0 && z < c.depth && y >= 0 && y < c.height;
      const std::int64_t from = Least(is_row ? c.padding_width : width, width);
      const std::int64_t until = Least(c.padding_width + c.width, width);
      for (std::int64_t i = 0; i < from * channels; ++i) to[i] = 0;
      const float* x = c.x + image * c.x_batch + group * channels +
                       (is_row ? z * c.x_depth + y * c.x_row : 0);
      if (from < until && c.x_column == channels) {
        __builtin_memcpy(
            to + from * channels, x,
            static_cast<std::size_t>((until - from) * channels) * sizeof(float));
      } else {
        for (std::int64_t i = from; i < until; ++i, x += c.x_column) {
          for (std::int64_t j = 0; j < channels; ++j) to[i * channels + j] = x[j];
        }
      }
      for (std::int64_t i = Greatest(from, until) * channels; i < width * channels;
           ++i) {
        to[i] = 0;
      }
    }
  });
}

// The pointers for `rows` pixels of y from `first` on: that of pixel i and segment s is
// pointers[s * step + i]. A filter's row is `kernel_width` segments. There is no
// division, and no branch for each pointer: they took longer than the products of few
// channels.
inline void FillPointers(const Convolution& c, const float* x, std::int64_t first,
                         std::int64_t rows, std::int64_t kernel_width,
                         std::int64_t step, const float** pointers) {
  const std::int64_t first_x = first % c.out_width;
  const std::int64_t first_line = first / c.out_width;
  const std::int64_t first_y = first_line % c.out_height;
  const std::int64_t first_z = first_line / c.out_height;
  const std::int64_t x_step = c.stride_width * c.x_column;
  for (std::int64_t z = 0; z < c.kernel_depth; ++z) {
    for (std::int64_t y = 0; y < c.kernel_height; ++y) {
      for (std::int64_t s = 0; s < kernel_width; ++s, pointers += step) {
        std::int64_t out_x = first_x, out_y = first_y, out_z = first_z;
        for (std::int64_t i = 0; i < rows;) {
          const std::int64_t end = Least(rows, i + c.out_width - out_x);
          const std::int64_t at_z =
              out_z * c.stride_depth - c.padding_depth + z * c.dilation_depth;
          const std::int64_t at_y =
              out_y * c.stride_height - c.padding_height + y * c.dilation_height;
          std::int64_t at_x =
              out_x * c.stride_width - c.padding_width + s * c.dilation_width;
          std::int64_t place = at_z * c.x_depth + at_y * c.x_row + at_x * c.x_column;
          const bool is_row =
              at_z >= 0 && at_z < c.depth && at_y >= 0 && at_y < c.height;
          const std::int64_t width = is_row ? c.width : 0;
          for (; i < end; ++i, at_x += c.stride_width, place += x_step) {
            const bool is_inside = at_x >= 0 && at_x < width;
            pointers[i] = (is_inside ? x : kZeros) + (is_inside ? place : 0);
          }
          out_x = 0;
          if (++out_y == c.out_height) {
            out_y = 0;
            ++out_z;
          }
        }
      }
    }
  }
}

// By pointers to rows.
template <typename Epilogue>
void ConvolveDirectly(const Convolution& convolution, const Epilogue& epilogue) {
  Convolution c = convolution;  // of which x may be the copy
  std::int64_t group_step = c.channels / c.groups;
  const std::int64_t channels = group_step;
  if (CopiesX(c)) {
    CopyPadded(c, c.scratch);
    c.x = c.scratch;
    c.depth = PaddedDepthOf(c);
    c.height = PaddedHeightOf(c);
    c.width = PaddedWidthOf(c);
    c.x_column = channels;
    c.x_row = c.width * channels;
    c.x_depth = c.height * c.x_row;
    group_step = c.depth * c.x_depth;
    c.x_batch = c.groups * group_step;
    c.padding_depth = 0;
    c.padding_height = 0;
    c.padding_width = 0;
  }
  // A segment is what is adjacent: a filter's row, or the channels of a tap.
  const bool long_rows = IsInside(c) && c.dilation_width == 1 && c.x_column == channels;
  const std::int64_t kernel_width = long_rows ? 1 : c.kernel_width;
  const std::int64_t length = TapsOf(c) == 0 ? 0
                              : long_rows    ? c.kernel_width * channels
                                             : channels;
  const std::int64_t count =
      length == 0 ? 0 : c.kernel_depth * c.kernel_height * kernel_width;
  // Blocks along k: some segments, or a part of one.
  const std::int64_t pieces = Greatest<std::int64_t>(1, DivideUp(length, kDepth));
  const std::int64_t piece = DivideUp(length, pieces);
  const std::int64_t most_segments =
      pieces > 1
          ? 1
          : Greatest<std::int64_t>(1, kDepth / Greatest<std::int64_t>(1, length));
  const std::int64_t step = PointersOf(c, TapsOf(c));
  const Product p = ProductOf(c);
  const float** tables =
      reinterpret_cast<const float**>(c.scratch + CopyOfX(convolution));
  const std::int64_t table_size = TableOf(convolution) *
                                  static_cast<std::int64_t>(sizeof(float)) /
                                  static_cast<std::int64_t>(sizeof(const float*));
  const AnyEpilogue any = Any(epilogue);
  // Each thread reads all filters, or all of the image.
  const bool by_rows =
      p.n * p.k <= c.depth * c.height * c.width * channels || p.m >= 4 * p.n;
  ForEachBlock(p, by_rows, [&](int part, const Block& block) {
    const std::int64_t image = block.batch / c.groups;
    const std::int64_t group = block.batch % c.groups;
    const float* x = c.x + image * c.x_batch + group * group_step;
    const Panels filters = {c.filters + group * FiltersOfGroup(c), kPanel,
                            kPanel * p.k};
    const float** table = tables + part * table_size;
    for (std::int64_t row = block.row_begin; row < block.row_end;) {
      std::int64_t rows = Least(step, block.row_end - row);
      if (c.y_row != 0) rows = Least(rows, c.out_width - row % c.out_width);
      if (count > 0) FillPointers(c, x, row, rows, kernel_width, step, table);
      std::int64_t segment = 0;
      std::int64_t offset = 0;
      do {  // once where k is 0
        const std::int64_t segments = Least(most_segments, count - segment);
        const std::int64_t block_length = Least(piece, length - offset);
        const std::int64_t from = segment * length + offset;
        const Segments block_rows = {table + segment * step, step, segments, offset,
                                     block_length};
        const bool is_last =
            segment + segments >= count && offset + block_length >= length;
        for (std::int64_t column = block.column_begin; column < block.column_end;) {
          Panels panels = filters;
          panels.data = ColumnOf(filters, column) + from * kPanel;
          const std::int64_t next = column + kTileVectors * kLanes;
          if (next < block.column_end) {
            panels.next = ColumnOf(filters, next) + from * kPanel;
          } else if (!is_last) {
            panels.next = ColumnOf(filters, block.column_begin) +
                          (from + segments * block_length) * kPanel;
          }
          const std::int64_t channel = group * p.n + column;
          const Target to = {
              PixelOf(c, image, row) + channel,
              c.y_pixel,
              block.column_end - column,
              from == 0,
              is_last,
              image,
              row,
              channel,
          };
          column += ComputeColumns(block_rows, rows, panels, to, epilogue, any);
        }
        offset += block_length;
        if (offset >= length) {
          offset = 0;
          segment += segments;
        }
      } while (segment < count);
      row += rows;
    }
  });
}

// Of the taps of a filter in one dimension, those that are inside of the image.
//   first: Where the first tap is.
RTORCH_INLINE Range TapsInside(std::int64_t first, std::int64_t taps,
                               std::int64_t dilation, std::int64_t size) {
  const std::int64_t begin = first < 0 ? DivideUp(-first, dilation) : 0;
  const std::int64_t end = first < size ? DivideUp(size - first, dilation) : 0;
  return {begin, Greatest(begin, Least(taps, end))};
}

// Pixels of one line of a depthwise convolution that have the same taps inside.
struct DepthwiseTile {
  const float* x;         // what the first of the taps reads for the first pixel
  const float* filters;   // the first of the taps
  std::int64_t sizes[3];  // taps: planes, rows, columns
  std::int64_t x_steps[3];
  std::int64_t filter_steps[3];
  std::int64_t pixel_step;
};

// kVectors vectors of the channels of kPixels pixels.
//   kIsWhole: whether `lanes` is kLanes.
template <int kPixels, int kVectors, bool kIsWhole, typename Epilogue>
RTORCH_INLINE void ComputeDepthwise(const DepthwiseTile& tile, int lanes,
                                    const Target& to, const Epilogue& epilogue) {
  const auto load = [&](const float* from) RTORCH_INLINE_LAMBDA {
    return kIsWhole ? Load(from) : Load(from, lanes);
  };
  Vec sums[kPixels][kVectors];
  Clear(sums);
  for (std::int64_t plane = 0; plane < tile.sizes[0]; ++plane) {
    for (std::int64_t row = 0; row < tile.sizes[1]; ++row) {
      const float* x =
          tile.x + plane * tile.x_steps[0] + row * tile.x_steps[1] + to.column;
      const float* filter = tile.filters + plane * tile.filter_steps[0] +
                            row * tile.filter_steps[1] + to.column;
      for (std::int64_t column = 0; column < tile.sizes[2]; ++column) {
        Vec weights[kVectors];
        RTORCH_UNROLL
        for (int j = 0; j < kVectors; ++j) weights[j] = load(filter + j * kLanes);
        RTORCH_UNROLL
        for (int i = 0; i < kPixels; ++i) {
          RTORCH_UNROLL
          for (int j = 0; j < kVectors; ++j) {
            sums[i][j] += load(x + i * tile.pixel_step + j * kLanes) * weights[j];
          }
        }
        x += tile.x_steps[2];
        filter += tile.filter_steps[2];
      }
    }
  }
  End(sums, to, epilogue);
}

// Pixels of a tile, and vectors of channels, as many sums as registers hold.
constexpr int kDepthwisePixels = 4;
constexpr int kDepthwiseVectors = kLanes == 16 ? 4 : 2;
constexpr std::int64_t kDepthwiseStep = kDepthwiseVectors * kLanes;

// Part of a line of a depthwise convolution: the pixels from `begin` to `end`.
//   image, line: Which one; a line has out_width pixels.
template <typename Epilogue>
void ConvolveDepthwiseLine(const Convolution& c, std::int64_t image, std::int64_t line,
                           const Range& pixels, const Epilogue& epilogue) {
  const std::int64_t front = line / c.out_height * c.stride_depth - c.padding_depth;
  const std::int64_t top = line % c.out_height * c.stride_height - c.padding_height;
  const Range planes = TapsInside(front, c.kernel_depth, c.dilation_depth, c.depth);
  const Range rows = TapsInside(top, c.kernel_height, c.dilation_height, c.height);
  DepthwiseTile tile = {};
  tile.sizes[0] = planes.end - planes.begin;
  tile.sizes[1] = rows.end - rows.begin;
  tile.x_steps[0] = c.dilation_depth * c.x_depth;
  tile.x_steps[1] = c.dilation_height * c.x_row;
  tile.x_steps[2] = c.dilation_width * c.x_column;
  tile.filter_steps[2] = c.channels;
  tile.filter_steps[1] = c.kernel_width * c.channels;
  tile.filter_steps[0] = c.kernel_height * tile.filter_steps[1];
  tile.pixel_step = c.stride_width * c.x_column;
  const float* x = c.x + image * c.x_batch +
                   (front + planes.begin * c.dilation_depth) * c.x_depth +
                   (top + rows.begin * c.dilation_height) * c.x_row;
  const float* filters = c.filters + planes.begin * tile.filter_steps[0] +
                         rows.begin * tile.filter_steps[1];
  float* y = PixelOf(c, image, line * c.out_width);

  // All taps of these pixels are inside: [inner.begin, inner.end).
  const std::int64_t reach = (c.kernel_width - 1) * c.dilation_width;
  const std::int64_t last = c.width - 1 - reach + c.padding_width;
  Range inner = {0, 0};
  inner.begin = c.padding_width > 0 ? DivideUp(c.padding_width, c.stride_width) : 0;
  inner.begin = Least(Greatest(inner.begin, pixels.begin), pixels.end);
  inner.end = last < 0 ? 0 : last / c.stride_width + 1;
  inner.end = Greatest(Least(inner.end, pixels.end), inner.begin);

  // Pixels from `pixel` on, whose taps inside are the same, and the channels of a
  // chunk.
  const auto compute = [&](auto count, std::int64_t pixel, const Range& taps,
                           const Range& chunk) {
    constexpr int kPixels = decltype(count)::value;
    const std::int64_t left = pixel * c.stride_width - c.padding_width;
    tile.sizes[2] = taps.end - taps.begin;
    tile.x = x + (left + taps.begin * c.dilation_width) * c.x_column;
    tile.filters = filters + taps.begin * c.channels;
    Target to = {y + pixel * c.y_pixel,      c.y_pixel, 0, true, true, image,
                 line * c.out_width + pixel, 0};
    const auto at = [&](std::int64_t channel) -> const Target& {
      to.c = y + pixel * c.y_pixel + channel;
      to.columns = c.channels - channel;
      to.column = channel;
      return to;
    };
    std::int64_t channel = chunk.begin;
    for (; channel + kDepthwiseStep <= chunk.end; channel += kDepthwiseStep) {
      ComputeDepthwise<kPixels, kDepthwiseVectors, true>(tile, kLanes, at(channel),
                                                         epilogue);
    }
    if (c.channels < kLanes) {
      return ComputeDepthwise<kPixels, 1, false>(tile, static_cast<int>(c.channels),
                                                 at(0), epilogue);
    }
    for (; channel < chunk.end; channel += kLanes) {
      // The last vector may begin before the end of the one before.
      channel = Least(channel, c.channels - kLanes);
      ComputeDepthwise<kPixels, 1, true>(tile, kLanes, at(channel), epilogue);
    }
  };
  const auto compute_edge = [&](std::int64_t pixel, const Range& chunk) {
    const std::int64_t left = pixel * c.stride_width - c.padding_width;
    compute(Constant<1>{}, pixel,
            TapsInside(left, c.kernel_width, c.dilation_width, c.width), chunk);
  };
  // Of so many channels a tile's filters and pixels stay in the first cache.
  const std::int64_t floats = 1 + TapsOf(c) +
                              c.kernel_depth * c.kernel_height *
                                  (c.kernel_width + kDepthwisePixels * c.stride_width);
  const std::int64_t chunk =
      Greatest<std::int64_t>(1, 4096 / floats / kDepthwiseStep) * kDepthwiseStep;
  const Range all = {0, c.kernel_width};
  for (std::int64_t channel = 0; channel < c.channels; channel += chunk) {
    const Range channels = {channel, Least(c.channels, channel + chunk)};
    std::int64_t pixel = pixels.begin;
    for (; pixel < inner.begin; ++pixel) compute_edge(pixel, channels);
    for (; pixel + kDepthwisePixels <= inner.end; pixel += kDepthwisePixels) {
      compute(Constant<kDepthwisePixels>{}, pixel, all, channels);
    }
    for (; pixel < inner.end; ++pixel) compute(Constant<1>{}, pixel, all, channels);
    for (; pixel < pixels.end; ++pixel) compute_edge(pixel, channels);
  }
}

// One filter for each channel: a vector is of channels. Taps outside of the image are
// left out.
template <typename Epilogue>
void ConvolveDepthwise(const Convolution& c, const Epilogue& epilogue) {
  const std::int64_t lines = c.out_depth * c.out_height;
  const int parts = PartsOf(c);
  // Lines are cut where there are few.
  const std::int64_t cuts =
      Least(c.out_width, DivideUp(std::int64_t{parts}, c.batch * lines));
  ForEachPart(parts, [&](int part) {
    const Range range = ShareOf(c.batch * lines * cuts, part, parts);
    for (std::int64_t unit = range.begin; unit < range.end; ++unit) {
      const std::int64_t line = unit / cuts;
      const Range pixels = {unit % cuts * c.out_width / cuts,
                            (unit % cuts + 1) * c.out_width / cuts};
      ConvolveDepthwiseLine(c, line / lines, line % lines, pixels, epilogue);
    }
  });
}

// y = epilogue(convolution of x with the filters).
template <typename Epilogue>
void Convolve(const Convolution& c, const Epilogue& epilogue) {
  if (IsEmpty(c)) return;
  if (IsDepthwise(c)) return ConvolveDepthwise(c, epilogue);
  if (IsPointwise(c)) return MatmulPacked(PointwiseOf(c), c.filters, 0, epilogue);
  ConvolveDirectly(c, epilogue);
}

}  // namespace
}  // namespace rules_torch::standalone

#endif  // RULES_TORCH_STANDALONE_KERNELS_CONVOLUTION_H_
