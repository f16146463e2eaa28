// Convolutions with 3 x 3 filters by fewer multiplications: Winograd's F(2x2, 3x3) and
// F(4x4, 3x3), of fp32 images, channels last, with what follows them.
//
// Shapes, layouts, alignment, aliasing, threads and epilogue: as convolution.h has
// them, for stride 1, dilation 1 and one group. Any padding. The filters are packed by
// PackWinograd, at build time and for all instruction sets.
// Bits do not depend on the number of threads. NaN or infinity in x makes NaN of the
// whole tile of y that it has a part in, where eager has numbers in some of its pixels.
// Errors: none are reported. WinogradTwo multiplies 4/9 as often as a direct
// convolution, and its sums are about as exact; WinogradFour 1/4 as often, and its
// errors are about ten times as large. Tests of random images hold an element's below
// 2^-23 (Two) and 2^-20 (Four) of the sum of its filter's sizes times the image's
// largest one.
//
// The method: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks".
// Tiles of the image are transformed, (kTile + 2)^2 matrix products follow, and the
// transform back. A block of tiles stays in the second cache from one end to the other.
#ifndef RULES_TORCH_STANDALONE_KERNELS_WINOGRAD_H_
#define RULES_TORCH_STANDALONE_KERNELS_WINOGRAD_H_

#include <cstdint>

#include "runtime/standalone/kernels/activation.h"
#include "runtime/standalone/kernels/convolution.h"
#include "runtime/standalone/kernels/matmul.h"
#include "runtime/standalone/kernels/packing.h"
#include "runtime/standalone/kernels/parallel.h"
#include "runtime/standalone/kernels/tile.h"
#include "runtime/standalone/kernels/vector.h"

namespace rules_torch::standalone {
namespace {

// F(2x2, 3x3): tiles of 2 x 2 pixels, made of 4 x 4.
struct WinogradTwo {
  static constexpr int kTile = 2;
  static constexpr int kReach = 4;

  // d[step * i], for 4 of them, in place.
  RTORCH_INLINE static void ToTiles(Vec* d, int step) {
    const Vec d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step];
    d[0] = d0 - d2;
    d[step] = d1 + d2;
    d[2 * step] = d2 - d1;
    d[3 * step] = d1 - d3;
  }

  // The first 2 of 4.
  RTORCH_INLINE static void FromTiles(Vec* s, int step) {
    const Vec s0 = s[0], s1 = s[step], s2 = s[2 * step], s3 = s[3 * step];
    s[0] = s0 + s1 + s2;
    s[step] = s1 - s2 - s3;
  }

  static void Filter(double g0, double g1, double g2, double* to, int step) {
    to[0] = g0;
    to[step] = (g0 + g1 + g2) / 2;
    to[2 * step] = (g0 - g1 + g2) / 2;
    to[3 * step] = g2;
  }
};

// F(4x4, 3x3): tiles of 4 x 4 pixels, made of 6 x 6; the points 0, 1, -1, 2, -2.
struct WinogradFour {
  static constexpr int kTile = 4;
  static constexpr int kReach = 6;

  RTORCH_INLINE static void ToTiles(Vec* d, int step) {
    const Vec d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step],
              d4 = d[4 * step], d5 = d[5 * step];
    const Vec two = Broadcast(2.0f), four = Broadcast(4.0f), five = Broadcast(5.0f);
    const Vec p = d4 - four * d2, q = d3 - four * d1;
    const Vec r = d4 - d2, t = two * (d3 - d1);
    d[0] = four * d0 - five * d2 + d4;
    d[step] = p + q;
    d[2 * step] = p - q;
    d[3 * step] = r + t;
    d[4 * step] = r - t;
    d[5 * step] = four * d1 - five * d3 + d5;
  }

  RTORCH_INLINE static void FromTiles(Vec* s, int step) {
    const Vec s0 = s[0], s5 = s[5 * step];
    const Vec a = s[step] + s[2 * step], b = s[step] - s[2 * step];
    const Vec c = s[3 * step] + s[4 * step], d = s[3 * step] - s[4 * step];
    s[0] = s0 + a + c;
    s[step] = b + Broadcast(2.0f) * d;
    s[2 * step] = a + Broadcast(4.0f) * c;
    s[3 * step] = b + Broadcast(8.0f) * d + s5;
  }

  static void Filter(double g0, double g1, double g2, double* to, int step) {
    to[0] = g0 / 4;
    to[step] = -(g0 + g1 + g2) / 6;
    to[2 * step] = -(g0 - g1 + g2) / 6;
    to[3 * step] = (g0 + 2 * g1 + 4 * g2) / 24;
    to[4 * step] = (g0 - 2 * g1 + 4 * g2) / 24;
    to[5 * step] = g2;
  }
};

// Whether ConvolveWinograd may do it. It is faster than Convolve where channels and
// out_channels are 32 or more and y has some 150 pixels or more: below, filters that
// are larger than the image take their time from memory.
RTORCH_INLINE bool FitsWinograd(const Convolution& c) {
  return c.kernel_height == 3 && c.kernel_width == 3 && c.stride_height == 1 &&
         c.stride_width == 1 && c.dilation_height == 1 && c.dilation_width == 1 &&
         c.groups == 1 && c.depth == 1 && c.out_depth == 1 && c.kernel_depth == 1;
}

// The floats of the packed filters.
template <typename Method>
RTORCH_INLINE std::int64_t WinogradFiltersSize(const Convolution& c) {
  return Method::kReach * Method::kReach * PackedSize(c.channels, c.out_channels);
}

// Packs weights as torch has them, [out_channels, channels, 3, 3]: for each place of a
// tile the matrix [channels, out_channels] as packing.h has it. Computes in float64.
template <typename Method>
void PackWinograd(const float* weights, const Convolution& c, float* packed) {
  constexpr int kReach = Method::kReach;
  const std::int64_t size = PackedSize(c.channels, c.out_channels);
  for (std::int64_t out = 0; out < RoundUp(c.out_channels, kPanel); ++out) {
    for (std::int64_t in = 0; in < c.channels; ++in) {
      double rows[kReach * 3] = {};
      double all[kReach * kReach] = {};
      if (out < c.out_channels) {
        const float* g = weights + (out * c.channels + in) * 9;
        for (int i = 0; i < 3; ++i) {
          Method::Filter(double{g[i]}, double{g[3 + i]}, double{g[6 + i]}, rows + i, 3);
        }
        for (int i = 0; i < kReach; ++i) {
          const double* row = rows + i * 3;
          Method::Filter(row[0], row[1], row[2], all + i * kReach, 1);
        }
      }
      float* to =
          packed + out / kPanel * kPanel * c.channels + in * kPanel + out % kPanel;
      for (int i = 0; i < kReach * kReach; ++i) {
        to[i * size] = static_cast<float>(all[i]);
      }
    }
  }
}

// Columns of the products that are transformed back at a time.
constexpr std::int64_t kWinogradColumns = 32;

// The products, for each image.
template <typename Method>
RTORCH_INLINE Product WinogradProductOf(const Convolution& c) {
  Product p = {};
  p.batch = c.batch;
  p.m = DivideUp(c.out_height, Method::kTile) * DivideUp(c.out_width, Method::kTile);
  p.n = c.out_channels;
  p.k = Method::kReach * Method::kReach * c.channels;
  p.threads = c.threads;
  return p;
}

RTORCH_INLINE std::int64_t WinogradRowOf(const Convolution& c) {
  return RoundUp(c.channels, kPanel) + kRowPadding;
}

// Tiles of a block: few enough to stay in the second cache, and so many that filters
// which do not fit into it are read but a few times.
template <typename Method>
RTORCH_INLINE std::int64_t WinogradTilesOf(const Convolution& c) {
  constexpr std::int64_t kPlaces = Method::kReach * Method::kReach;
  const std::int64_t floats =
      WinogradFiltersSize<Method>(c) > 262'144 ? 262'144 : 65'536;
  const std::int64_t fit = floats / (kPlaces * (WinogradRowOf(c) + kWinogradColumns));
  const std::int64_t all = WinogradProductOf<Method>(c).m;
  return Least(RoundUp(all, kTileRows),
               Greatest<std::int64_t>(1, fit / kTileRows) * kTileRows);
}

template <typename Method>
RTORCH_INLINE std::int64_t WinogradScratchOfPart(const Convolution& c) {
  return Method::kReach * Method::kReach * WinogradTilesOf<Method>(c) *
         (WinogradRowOf(c) + kWinogradColumns);
}

// The floats of scratch that ConvolveWinograd needs.
template <typename Method>
RTORCH_INLINE std::int64_t ScratchOfWinograd(const Convolution& c) {
  return WinogradScratchOfPart<Method>(c) *
         PartsOf(WorkOf(WinogradProductOf<Method>(c)), c.threads);
}

// Transforms a tile of an image: place i's vector goes to `to + i * step`.
template <typename Method>
__attribute__((noinline)) void TransformTile(const Convolution& c, const float* x,
                                             std::int64_t top, std::int64_t left,
                                             float* to, std::int64_t step) {
  constexpr int kReach = Method::kReach;
  const bool inside =
      top >= 0 && left >= 0 && top + kReach <= c.height && left + kReach <= c.width;
  for (std::int64_t channel = 0; channel < c.channels; channel += kLanes) {
    const int lanes =
        static_cast<int>(Least<std::int64_t>(kLanes, c.channels - channel));
    Vec d[kReach * kReach];
    if (inside) {
      const float* at = x + top * c.x_row + left * c.x_column + channel;
      RTORCH_UNROLL
      for (int i = 0; i < kReach; ++i) {
        RTORCH_UNROLL
        for (int j = 0; j < kReach; ++j) {
          d[i * kReach + j] = Load(at + i * c.x_row + j * c.x_column, lanes);
        }
      }
    } else {
      for (int i = 0; i < kReach; ++i) {
        for (int j = 0; j < kReach; ++j) {
          const std::int64_t y = top + i;
          const std::int64_t z = left + j;
          const bool is_pixel = y >= 0 && y < c.height && z >= 0 && z < c.width;
          d[i * kReach + j] =
              is_pixel ? Load(x + y * c.x_row + z * c.x_column + channel, lanes)
                       : Vec{};
        }
      }
    }
    RTORCH_UNROLL
    for (int i = 0; i < kReach; ++i) Method::ToTiles(d + i * kReach, 1);
    RTORCH_UNROLL
    for (int j = 0; j < kReach; ++j) Method::ToTiles(d + j, kReach);
    RTORCH_UNROLL
    for (int i = 0; i < kReach * kReach; ++i) Store(to + i * step + channel, d[i]);
  }
}

// Transforms a tile's products back, and stores the pixels that are there.
//   from: Place i's products at from + i * step, `columns` of them.
template <typename Method, typename Epilogue>
RTORCH_INLINE void TransformBack(const Convolution& c, std::int64_t image,
                                 const float* from, std::int64_t step, std::int64_t top,
                                 std::int64_t left, std::int64_t column,
                                 std::int64_t columns, const Epilogue& epilogue) {
  constexpr int kReach = Method::kReach;
  const auto height =
      static_cast<int>(Least<std::int64_t>(Method::kTile, c.out_height - top));
  const auto width =
      static_cast<int>(Least<std::int64_t>(Method::kTile, c.out_width - left));
  for (std::int64_t at = 0; at < columns; at += kLanes) {
    const int lanes = static_cast<int>(Least<std::int64_t>(kLanes, columns - at));
    Vec s[kReach * kReach];
    RTORCH_UNROLL
    for (int i = 0; i < kReach * kReach; ++i) s[i] = Load(from + i * step + at);
    RTORCH_UNROLL
    for (int j = 0; j < kReach; ++j) Method::FromTiles(s + j, kReach);
    RTORCH_UNROLL
    for (int i = 0; i < Method::kTile; ++i) Method::FromTiles(s + i * kReach, 1);
    for (int i = 0; i < height; ++i) {
      for (int j = 0; j < width; ++j) {
        const std::int64_t pixel = (top + i) * c.out_width + left + j;
        float* y = c.y + image * c.y_batch + pixel * c.y_pixel + column + at;
        const Vec sum = s[i * kReach + j];
        if constexpr (Epilogue::kIsShort) {
          Store(y, epilogue(sum, image, pixel, column + at, lanes), lanes);
        } else {
          float stored[kLanes];
          Store(stored, sum);
          const AnyEpilogue any = Any(epilogue);
          any.store(any.epilogue, stored, 1, 1,
                    {y, 0, lanes, true, true, image, pixel, column + at});
        }
      }
    }
  }
}

// y = epilogue(convolution of x with the filters), where FitsWinograd(c).
//   c.filters: Packed by PackWinograd<Method>.
//   c.scratch: ScratchOfWinograd<Method>(c) floats.
template <typename Method, typename Epilogue>
void ConvolveWinograd(const Convolution& c, const Epilogue& epilogue) {
  constexpr int kPlaces = Method::kReach * Method::kReach;
  const Product p = WinogradProductOf<Method>(c);
  const std::int64_t across = DivideUp(c.out_width, Method::kTile);
  const std::int64_t most = WinogradTilesOf<Method>(c);
  const std::int64_t row = WinogradRowOf(c);
  const std::int64_t size = PackedSize(c.channels, c.out_channels);
  const standalone::Epilogue<> plain;
  const AnyEpilogue any = Any(plain);
  const bool by_rows = c.batch * p.m * p.k >= kPlaces * size;
  ForEachBlock(p, by_rows, [&](int part, const Block& block) {
    float* tiles = c.scratch + part * WinogradScratchOfPart<Method>(c);
    float* products = tiles + kPlaces * most * row;
    const float* x = c.x + block.batch * c.x_batch;
    for (std::int64_t first = block.row_begin; first < block.row_end; first += most) {
      const std::int64_t count = Least(most, block.row_end - first);
      for (std::int64_t i = 0; i < count; ++i) {
        TransformTile<Method>(c, x,
                              (first + i) / across * Method::kTile - c.padding_height,
                              (first + i) % across * Method::kTile - c.padding_width,
                              tiles + i * row, most * row);
      }
      for (std::int64_t column = block.column_begin; column < block.column_end;
           column += kWinogradColumns) {
        const std::int64_t columns =
            Least(kWinogradColumns, RoundUp(block.column_end - column, kPanel));
        for (int place = 0; place < kPlaces; ++place) {
          const Panels filters = {c.filters + place * size, kPanel,
                                  kPanel * c.channels};
          float* to = products + place * most * kWinogradColumns;
          for (std::int64_t done = 0; done < columns;) {
            Panels panels = filters;
            panels.data = ColumnOf(filters, column + done);
            const Target target = {
                to + done, kWinogradColumns, columns - done, true, false, 0, 0, 0};
            done += ComputeColumns<true>(tiles + place * most * row, row, count, panels,
                                         c.channels, target, plain, any);
          }
        }
        for (std::int64_t i = 0; i < count; ++i) {
          TransformBack<Method>(
              c, block.batch, products + i * kWinogradColumns, most * kWinogradColumns,
              (first + i) / across * Method::kTile,
              (first + i) % across * Method::kTile, column,
              Least(kWinogradColumns, block.column_end - column), epilogue);
        }
      }
    }
  });
}

}  // namespace
}  // namespace rules_torch::standalone

#endif  // RULES_TORCH_STANDALONE_KERNELS_WINOGRAD_H_
