// The shims of Fourier transforms, beside shims.h.
#ifndef RULES_TORCH_STANDALONE_FOURIER_SHIMS_H_
#define RULES_TORCH_STANDALONE_FOURIER_SHIMS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <utility>

#include "runtime/standalone/copy.h"
#include "runtime/standalone/operand.h"
#include "runtime/standalone/operators.h"
#include "runtime/standalone/shims.h"
#include "runtime/standalone/tensor.h"
#include "runtime/standalone/view_shims.h"

namespace rules_torch::standalone {
namespace {

// The dimensions of a transform: from the outermost in memory on, but for the last
// `kept`, which stay where they are.
struct FourierDims {
  FourierDims(const Tensor& self, const std::int64_t* dims, std::int64_t dims_len,
              int kept)
      : count(static_cast<int>(dims_len)) {
    std::copy_n(dims, dims_len, list);
    for (int i = 0; i < count; ++i) list[i] = DimOf(self, list[i]);
    SortByStrides(self, list, list + count - kept);
  }

  std::int64_t last() const { return list[count - 1]; }

  int count;
  std::int64_t list[kMaxRank];
};

// A transform's result, as torch's CPU library lays it out: the other dimensions in the
// order of self's strides, and then those that are transformed.
inline OwnedTensor AllocateFourier(const Tensor& self, const FourierDims& dims,
                                   const std::int64_t* sizes, std::int32_t dtype) {
  std::int64_t order[kMaxRank];
  int count = 0;
  for (int i = 0; i < self.rank; ++i) {
    if (std::find(dims.list, dims.list + dims.count, i) == dims.list + dims.count) {
      order[count++] = i;
    }
  }
  SortByStrides(self, order, order + count);
  std::copy_n(dims.list, dims.count, order + count);
  return AllocateInOrder(self.rank, sizes, order, dtype);
}

// What torch multiplies with: `normalization` is 0 for 1, 1 for 1 / sqrt(n), 2 for 1 /
// n.
inline double FourierScale(std::int64_t normalization, const std::int64_t* sizes,
                           const FourierDims& dims) {
  double count = 1;
  for (int i = 0; i < dims.count; ++i) {
    count *= static_cast<double>(sizes[dims.list[i]]);
  }
  return normalization == 0 ? 1 : normalization == 1 ? 1 / std::sqrt(count) : 1 / count;
}

// Transforms complex numbers along all of `dims`, the last one first: from `in` to
// `out`, which may be one.
inline void TransformAlong(const Operand& in, const Operand& out,
                           const std::int64_t* dims, int count, bool is_forward,
                           double scale) {
  for (int i = count - 1; i >= 0; --i) {
    RunWorkspace workspace;
    RTORCH_VARIANT(fourier)
    (i == count - 1 ? in : out, out, static_cast<std::int32_t>(dims[i]), is_forward,
     i == count - 1 ? scale : 1, &workspace);
  }
}

}  // namespace
}  // namespace rules_torch::standalone

extern "C" {

static AOTITorchError aoti_torch_cpu__fft_c2c(
    AtenTensorHandle self, const std::int64_t* dim, std::int64_t dim_len,
    std::int64_t normalization, std::int32_t forward, AtenTensorHandle* ret0) {
  using namespace rules_torch::standalone;
  const Tensor& in = Of(self);
  if (dim_len == 0) return aoti_torch_clone_preserve_strides(self, ret0);
  const FourierDims dims(in, dim, dim_len, /*kept=*/0);
  OwnedTensor out = AllocateFourier(in, dims, in.sizes, in.dtype);
  TransformAlong(AsOperand(in), AsOperand(*out), dims.list, dims.count, forward != 0,
                 FourierScale(normalization, in.sizes, dims));
  return Give(std::move(out), ret0);
}

static AOTITorchError aoti_torch_cpu__fft_r2c(
    AtenTensorHandle self, const std::int64_t* dim, std::int64_t dim_len,
    std::int64_t normalization, std::int32_t onesided, AtenTensorHandle* ret0) {
  using namespace rules_torch::standalone;
  const Tensor& in = Of(self);
  const FourierDims dims(in, dim, dim_len, /*kept=*/1);
  std::int64_t sizes[kMaxRank];
  std::copy_n(in.sizes, in.rank, sizes);
  if (onesided != 0) sizes[dims.last()] = sizes[dims.last()] / 2 + 1;
  OwnedTensor out = AllocateFourier(in, dims, sizes, ComplexOf(in.dtype));
  const Operand made = AsOperand(*out);
  TransformAlong(AsOperand(in), made, dims.list + dims.count - 1, 1, true,
                 FourierScale(normalization, in.sizes, dims));
  TransformAlong(made, made, dims.list, dims.count - 1, true, 1);
  return Give(std::move(out), ret0);
}

// Declared in tools/torch_aot/runtimes.py, as torch has no shim for it.
static AOTITorchError aoti_torch_cpu__fft_c2r(
    AtenTensorHandle self, const std::int64_t* dim, std::int64_t dim_len,
    std::int64_t normalization, std::int64_t last_dim_size, AtenTensorHandle* ret0) {
  using namespace rules_torch::standalone;
  const Tensor& given = Of(self);
  const FourierDims last(given, dim + dim_len - 1, 1, /*kept=*/1);
  const FourierDims others(given, dim, dim_len - 1, /*kept=*/0);
  std::int64_t sizes[kMaxRank];
  std::copy_n(given.sizes, given.rank, sizes);
  sizes[last.last()] = last_dim_size;
  const double scale = FourierScale(normalization, sizes, last) *
                       FourierScale(normalization, sizes, others);
  OwnedTensor between;
  if (others.count > 0) {
    between = AllocateFourier(given, others, given.sizes, given.dtype);
    TransformAlong(AsOperand(given), AsOperand(*between), others.list, others.count,
                   false, 1);
  }
  const Tensor& in = others.count > 0 ? *between : given;
  if (last_dim_size < 1 || in.sizes[last.last()] < last_dim_size / 2 + 1) {
    throw std::runtime_error("_fft_c2r has too few elements in its last dimension");
  }
  OwnedTensor out = AllocateFourier(in, last, sizes, PartsOfComplex(in, 0).dtype);
  TransformAlong(AsOperand(in), AsOperand(*out), last.list, 1, false, scale);
  return Give(std::move(out), ret0);
}

}  // extern "C"

#endif  // RULES_TORCH_STANDALONE_FOURIER_SHIMS_H_
