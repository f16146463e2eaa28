// Pooling: means and maxima of windows, of any sizes, in one to three dimensions.
#include <cstdint>

#include "rules_torch/abi.h"
#include "runtime/standalone/kernels/parallel.h"
#include "runtime/standalone/kernels/vector.h"
#include "runtime/standalone/operand.h"
#include "runtime/standalone/operators.h"
#include "runtime/standalone/operators/elements.h"

namespace rules_torch::standalone {
namespace {

// Windows along one dimension.
struct Axis {
  std::int64_t size, out_size;
  std::int64_t stride, out_stride, indices_stride;  // of the tensors
  PoolingShape::Axis window;
  bool is_adaptive;

  // Where window `i` begins and ends, padding included.
  RTORCH_INLINE std::int64_t Begin(std::int64_t i) const {
    return is_adaptive ? i * size / out_size : i * window.stride - window.padding;
  }
  RTORCH_INLINE std::int64_t End(std::int64_t i) const {
    if (is_adaptive) return ((i + 1) * size + out_size - 1) / out_size;
    return Least(Begin(i) + window.kernel * window.dilation - (window.dilation - 1),
                 size + window.padding);
  }
  // The first element in the tensor.
  RTORCH_INLINE std::int64_t First(std::int64_t i) const {
    const std::int64_t begin = Begin(i);
    if (begin >= 0) return begin;
    const std::int64_t skipped = (-begin + window.dilation - 1) / window.dilation;
    return begin + skipped * window.dilation;
  }
};

// So many channels, or columns, are computed side by side.
constexpr std::int64_t kBeside = 64;

template <typename Elements>
struct Mean {
  using Number = typename Elements::Accumulator;

  Number sums[kBeside];

  void Clear(std::int64_t lanes) {
    for (std::int64_t i = 0; i < lanes; ++i) sums[i] = 0;
  }
  RTORCH_INLINE void Take(std::int64_t lane, Number value, std::int64_t) {
    sums[lane] += value;
  }
};

template <typename Elements>
struct Maximum {
  using Number = typename Elements::Accumulator;

  Number most[kBeside];
  std::int64_t at[kBeside];

  void Clear(std::int64_t lanes) {
    for (std::int64_t i = 0; i < lanes; ++i) {
      most[i] = 0;
      at[i] = -1;
    }
  }
  // The first one of equal elements, and the last NaN.
  RTORCH_INLINE void Take(std::int64_t lane, Number value, std::int64_t place) {
    const bool is_taken = at[lane] < 0 || value > most[lane] || value != value;
    most[lane] = is_taken ? value : most[lane];
    at[lane] = is_taken ? place : at[lane];
  }
};

template <typename Elements, template <typename> typename Kind>
class Pooling {
 public:
  Pooling(const Operand& in, const PoolingShape& shape, const Operand& out,
          const Operand* indices)
      : in_(in), out_(out), indices_(indices), shape_(shape) {
    const int missing = 3 - shape.dims;
    for (int i = 0; i < 3; ++i) {
      axes_[i] = {1, 1, 0, 0, 0, {1, 1, 0, 1}, false};
      if (i < missing) continue;
      const int dim = 2 + i - missing;
      axes_[i] = {in.sizes[dim],
                  out.sizes[dim],
                  in.strides[dim],
                  out.strides[dim],
                  indices == nullptr ? 0 : indices->strides[dim],
                  shape.axes[i - missing],
                  shape.is_adaptive};
    }
    // Columns of windows that move evenly lie side by side; else channels do, or need
    // not.
    has_columns_ = !shape.is_adaptive && in.strides[1] != 1;
  }

  void Run() const {
    const std::int64_t batch = out_.sizes[0];
    const std::int64_t channels = out_.sizes[1];
    const std::int64_t planes = axes_[0].out_size * axes_[1].out_size;
    const std::int64_t rows =
        batch * planes * (has_columns_ ? channels : axes_[2].out_size);
    const std::int64_t lanes = has_columns_ ? axes_[2].out_size : channels;
    std::int64_t window = 1;
    for (const Axis& axis : axes_) {
      window *= axis.is_adaptive && axis.out_size > 0 ? axis.size / axis.out_size + 1
                                                      : axis.window.kernel;
    }
    const int parts = PartsOf(rows * lanes * window, MaxThreads());
    ForEachPart(parts, [&](int part) {
      const Range range = ShareOf(rows, part, parts);
      for (std::int64_t row = range.begin; row < range.end; ++row) {
        for (std::int64_t lane = 0; lane < lanes; lane += kBeside) {
          PoolRow(row, lane, Least(lane + kBeside, lanes));
        }
      }
    });
  }

 private:
  // Windows of one row of results, of lanes `begin` to `end`.
  void PoolRow(std::int64_t row, std::int64_t begin, std::int64_t end) const {
    std::int64_t w = 0;
    std::int64_t channel = 0;
    std::int64_t rest = row;
    if (!has_columns_) {
      w = rest % axes_[2].out_size;
      rest /= axes_[2].out_size;
    }
    const std::int64_t h = rest % axes_[1].out_size;
    rest /= axes_[1].out_size;
    const std::int64_t d = rest % axes_[0].out_size;
    rest /= axes_[0].out_size;
    if (has_columns_) {
      channel = rest % out_.sizes[1];
      rest /= out_.sizes[1];
    }
    const std::int64_t from = rest * in_.strides[0] + channel * in_.strides[1];
    Kind<Elements> kind;
    kind.Clear(end - begin);
    const Axis& columns = axes_[2];
    const std::int64_t d_end = Least(axes_[0].End(d), axes_[0].size);
    const std::int64_t h_end = Least(axes_[1].End(h), axes_[1].size);
    for (std::int64_t z = axes_[0].First(d); z < d_end; z += axes_[0].window.dilation) {
      for (std::int64_t y = axes_[1].First(h); y < h_end;
           y += axes_[1].window.dilation) {
        const std::int64_t line = from + z * axes_[0].stride + y * axes_[1].stride;
        const std::int64_t place = (z * axes_[1].size + y) * columns.size;
        if (has_columns_) {
          TakeColumns(line, place, begin, end, &kind);
          continue;
        }
        const std::int64_t w_end = Least(columns.End(w), columns.size);
        for (std::int64_t x = columns.First(w); x < w_end;
             x += columns.window.dilation) {
          const std::int64_t at = line + x * columns.stride;
          for (std::int64_t lane = begin; lane < end; ++lane) {
            kind.Take(lane - begin,
                      Elements::Load(in_.data, at + lane * in_.strides[1]), place + x);
          }
        }
      }
    }
    for (std::int64_t lane = begin; lane < end; ++lane) {
      Store(kind, lane - begin, rest, has_columns_ ? channel : lane, d, h,
            has_columns_ ? lane : w);
    }
  }

  // The elements of one line, for windows `begin` to `end` along it.
  RTORCH_INLINE void TakeColumns(std::int64_t line, std::int64_t place,
                                 std::int64_t begin, std::int64_t end,
                                 Kind<Elements>* kind) const {
    const Axis& columns = axes_[2];
    const std::int64_t stride = columns.window.stride;
    for (std::int64_t i = 0; i < columns.window.kernel; ++i) {
      const std::int64_t offset = i * columns.window.dilation - columns.window.padding;
      // Of which windows it is in the tensor.
      const std::int64_t low = offset < 0 ? (-offset + stride - 1) / stride : 0;
      const std::int64_t last = columns.size - 1 - offset;
      if (last < 0) break;
      const std::int64_t first = low > begin ? low : begin;
      const std::int64_t bound = Least(end, last / stride + 1);
      for (std::int64_t w = first; w < bound; ++w) {
        const std::int64_t x = w * stride + offset;
        kind->Take(w - begin, Elements::Load(in_.data, line + x * columns.stride),
                   place + x);
      }
    }
  }

  static std::int64_t Offset(const Operand& of, std::int64_t n, std::int64_t channel) {
    return n * of.strides[0] + channel * of.strides[1];
  }

  void Store(const Maximum<Elements>& kind, std::int64_t lane, std::int64_t n,
             std::int64_t channel, std::int64_t d, std::int64_t h,
             std::int64_t w) const {
    Elements::Store(out_.data,
                    Offset(out_, n, channel) + d * axes_[0].out_stride +
                        h * axes_[1].out_stride + w * axes_[2].out_stride,
                    kind.most[lane]);
    static_cast<std::int64_t*>(
        indices_->data)[Offset(*indices_, n, channel) + d * axes_[0].indices_stride +
                        h * axes_[1].indices_stride + w * axes_[2].indices_stride] =
        kind.at[lane];
  }

  void Store(const Mean<Elements>& kind, std::int64_t lane, std::int64_t n,
             std::int64_t channel, std::int64_t d, std::int64_t h,
             std::int64_t w) const {
    using Number = typename Elements::Accumulator;
    const std::int64_t at[] = {d, h, w};
    std::int64_t inside = 1;
    std::int64_t all = 1;
    for (int i = 0; i < 3; ++i) {
      const std::int64_t first = axes_[i].Begin(at[i]) < 0 ? 0 : axes_[i].Begin(at[i]);
      const std::int64_t count = Least(axes_[i].End(at[i]), axes_[i].size) - first;
      inside *= count > 0 ? count : 0;
      all *= axes_[i].End(at[i]) - axes_[i].Begin(at[i]);
    }
    const std::int64_t divisor = shape_.divisor != 0       ? shape_.divisor
                                 : shape_.includes_padding ? all
                                                           : inside;
    Elements::Store(
        out_.data,
        Offset(out_, n, channel) + d * axes_[0].out_stride + h * axes_[1].out_stride +
            w * axes_[2].out_stride,
        inside == 0 ? Number{0} : kind.sums[lane] / static_cast<Number>(divisor));
  }

  const Operand& in_;
  const Operand& out_;
  const Operand* indices_;
  const PoolingShape& shape_;
  Axis axes_[3];
  bool has_columns_;
};

}  // namespace
}  // namespace rules_torch::standalone

RTORCH_OPERATOR(mean_pool)
(const rules_torch::standalone::Operand& in,
 const rules_torch::standalone::PoolingShape& shape,
 const rules_torch::standalone::Operand& out) {
  using namespace rules_torch::standalone;
  WithAllElements("pooling", in.dtype, [&](auto elements) {
    Pooling<decltype(elements), Mean>(in, shape, out, nullptr).Run();
  });
}

RTORCH_OPERATOR(maximum_pool)
(const rules_torch::standalone::Operand& in,
 const rules_torch::standalone::PoolingShape& shape,
 const rules_torch::standalone::Operand& out,
 const rules_torch::standalone::Operand& indices) {
  using namespace rules_torch::standalone;
  WithAllElements("pooling", in.dtype, [&](auto elements) {
    Pooling<decltype(elements), Maximum>(in, shape, out, &indices).Run();
  });
}
