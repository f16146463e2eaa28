// Matrix products, of any dtype and strides. Those of float32 are kernels/matmul.h's;
// those of bfloat16 and float16 as well, with copies in float32 of what they read.

#include "runtime/standalone/kernels/matmul.h"

#include <cstdint>

#include "runtime/standalone/kernels/packing.h"
#include "runtime/standalone/kernels/parallel.h"
#include "runtime/standalone/operand.h"
#include "runtime/standalone/operators.h"
#include "runtime/standalone/operators/elements.h"
#include "runtime/standalone/operators/float_copy.h"
#include "runtime/standalone/operators/following.h"
#include "runtime/standalone/operators/panels.h"

namespace rules_torch::standalone {
namespace {

// A matrix of any dtype, or one for each member of a batch; strides in elements.
struct AnyMatrices {
  void* data;
  std::int64_t batch_stride;
  std::int64_t row_stride;
  std::int64_t column_stride;

  std::int64_t at(std::int64_t batch, std::int64_t row, std::int64_t column) const {
    return batch * batch_stride + row * row_stride + column * column_stride;
  }
};

// Of rank 2 or 3.
inline AnyMatrices MatricesOf(const Operand& operand) {
  const std::int64_t* strides = operand.strides + operand.rank - 2;
  return {operand.data, operand.rank == 3 ? operand.strides[0] : 0, strides[0],
          strides[1]};
}

// Of a tensor that is broadcast to [m, n].
inline AnyMatrices Broadcast(const Operand& operand) {
  AnyMatrices matrix{operand.data, 0, 0, 0};
  const int rank = operand.rank;
  if (rank > 0 && operand.sizes[rank - 1] != 1) {
    matrix.column_stride = operand.strides[rank - 1];
  }
  if (rank > 1 && operand.sizes[rank - 2] != 1) {
    matrix.row_stride = operand.strides[rank - 2];
  }
  return matrix;
}

// out = beta * added + alpha * a @ b.
struct AnyProduct {
  std::int64_t batch;
  std::int64_t m;
  std::int64_t n;
  std::int64_t k;
  AnyMatrices a;
  AnyMatrices b;
  const AnyMatrices* added;  // null: none
  double beta;
  double alpha;
  AnyMatrices out;
};

// The same as an epilogue of kernels/matmul.h's.
struct AddScaled {
  static constexpr bool kIsShort = false;

  const float* added;  // null: none
  std::int64_t row_stride;
  bool is_scalar;  // one element for all columns
  float beta;
  float alpha;

  RTORCH_INLINE Vec operator()(Vec v, std::int64_t, std::int64_t row,
                               std::int64_t column, int lanes) const {
    v = v * standalone::Broadcast(alpha);
    if (added == nullptr) return v;
    const float* at = added + row * row_stride + (is_scalar ? 0 : column);
    const Vec more = is_scalar ? standalone::Broadcast(*at) : Load(at, lanes);
    return v + more * standalone::Broadcast(beta);
  }
};

// Whether kernels/matmul.h can compute it.
inline bool HasKernel(const AnyProduct& p, std::int32_t dtype) {
  return dtype == RTORCH_FLOAT32 && (p.out.column_stride == 1 || p.n == 1) &&
         (p.added == nullptr || p.added->column_stride == 0 ||
          p.added->column_stride == 1);
}

// p's product of floats with an epilogue of kernels/matmul.h's in place of p's.
//   panels: b, packed; null: it lies as p says.
template <typename Epilogue>
void MultiplyFloats(const AnyProduct& p, const float* panels, const Epilogue& epilogue,
                    Workspace* workspace) {
  Product product{};
  product.batch = p.batch;
  product.m = p.m;
  product.n = p.n;
  product.k = p.k;
  product.a = {{static_cast<const float*>(p.a.data), p.a.row_stride, p.a.column_stride},
               p.a.batch_stride};
  product.c = static_cast<float*>(p.out.data);
  product.c_row = p.out.row_stride;
  product.c_batch = p.out.batch_stride;
  product.threads = MaxThreads();
  const Matrix b = {static_cast<const float*>(p.b.data), p.b.row_stride,
                    p.b.column_stride};
  // One matrix for the whole batch may be a weight.
  const float* packed = panels;
  if (packed == nullptr && p.batch == 1) {
    const PackedKey key = KeyOfPanels(b.data, p.k, p.n, b.row, b.column);
    packed = KeptFloats(workspace, key, PackedSize(p.k, p.n),
                        [&](float* to) { Pack(b, p.k, p.n, to); });
  }
  if (packed != nullptr) {
    product.scratch = TakeFloats(workspace, ScratchOfPacked(product));
    return MatmulPacked(product, packed, 0, Shared(epilogue));
  }
  product.scratch = TakeFloats(workspace, ScratchOf(product));
  Matmul(product, {b, p.b.batch_stride}, Shared(epilogue));
}

template <typename Elements>
void MultiplyAny(const AnyProduct& p) {
  using Sum = typename Elements::Accumulator;
  const int parts = PartsOf(2 * p.batch * p.m * p.n * p.k, MaxThreads());
  ForEachPart(parts, [&](int part) {
    const Range range = ShareOf(p.batch * p.m, part, parts);
    for (std::int64_t unit = range.begin; unit < range.end; ++unit) {
      const std::int64_t batch = unit / p.m;
      const std::int64_t i = unit % p.m;
      for (std::int64_t j = 0; j < p.n; ++j) {
        Sum sum = 0;
        for (std::int64_t l = 0; l < p.k; ++l) {
          sum += Elements::Load(p.a.data, p.a.at(batch, i, l)) *
                 Elements::Load(p.b.data, p.b.at(batch, l, j));
        }
        sum *= static_cast<Sum>(p.alpha);
        if (p.added != nullptr) {
          sum += static_cast<Sum>(p.beta) *
                 Elements::Load(p.added->data, p.added->at(batch, i, j));
        }
        Elements::Store(p.out.data, p.out.at(batch, i, j), sum);
      }
    }
  });
}

//   panels: As MultiplyFloats'; of float32 alone.
inline void Multiply(const AnyProduct& p, const float* panels, std::int32_t dtype,
                     Workspace* workspace) {
  if (HasKernel(p, dtype)) {
    AddScaled epilogue{nullptr, 0, false, static_cast<float>(p.beta),
                       static_cast<float>(p.alpha)};
    if (p.added != nullptr) {
      epilogue.added = static_cast<const float*>(p.added->data);
      epilogue.row_stride = p.added->row_stride;
      epilogue.is_scalar = p.added->column_stride == 0;
    }
    return MultiplyFloats(p, panels, epilogue, workspace);
  }
  WithElements("matrix product", dtype,
               [&](auto elements) { MultiplyAny<decltype(elements)>(p); });
}

// out = beta * bias + alpha * a @ b, of rank 2, or of rank 3 and a batch.
//   bias: Null: none.
inline void Multiply(const Operand& a, const Operand& b, const Operand* bias,
                     double beta, double alpha, const Operand& out, const float* panels,
                     Workspace* workspace) {
  const int row = out.rank - 2;
  const AnyMatrices added = bias != nullptr ? Broadcast(*bias) : AnyMatrices{};
  Multiply({row == 0 ? 1 : out.sizes[0], out.sizes[row], out.sizes[row + 1],
            a.sizes[row + 1], MatricesOf(a),
            panels != nullptr ? AnyMatrices{} : MatricesOf(b),
            bias != nullptr ? &added : nullptr, beta, alpha, MatricesOf(out)},
           panels, out.dtype, workspace);
}

// The panels of a weight of halves, or null if b is none.
inline const float* PanelsOfHalves(const Operand& b, Workspace* workspace) {
  if (b.rank != 2) return nullptr;
  const PackedKey key =
      KeyOfPanels(b.data, b.sizes[0], b.sizes[1], b.strides[0], b.strides[1]);
  return KeptFloats(workspace, key, PackedSize(b.sizes[0], b.sizes[1]), [&](float* to) {
    WithFloats(&b, Order::kSame, workspace, [&](const Operand* floats) {
      Pack({static_cast<const float*>(floats->data), floats->strides[0],
            floats->strides[1]},
           floats->sizes[0], floats->sizes[1], to);
    });
  });
}

// The same, of any dtype.
inline void MultiplyOperands(const Operand& a, const Operand& b, const Operand* bias,
                             double beta, double alpha, const Operand& out,
                             Workspace* workspace) {
  if (!IsHalf(out.dtype)) {
    return Multiply(a, b, bias, beta, alpha, out, nullptr, workspace);
  }
  const FloatCopy result(out, Order::kRowMajor, workspace);
  const float* panels = PanelsOfHalves(b, workspace);
  WithFloats(&a, Order::kSame, workspace, [&](const Operand* float_a) {
    WithFloats(bias, Order::kRowMajor, workspace, [&](const Operand* float_bias) {
      if (panels != nullptr) {
        return Multiply(*float_a, b, float_bias, beta, alpha, result.operand(), panels,
                        workspace);
      }
      WithFloats(&b, Order::kSame, workspace, [&](const Operand* float_b) {
        Multiply(*float_a, *float_b, float_bias, beta, alpha, result.operand(), nullptr,
                 workspace);
      });
    });
  });
  result.Store();
}

}  // namespace
}  // namespace rules_torch::standalone

RTORCH_OPERATOR(matmul)
(const rules_torch::standalone::Operand& a, const rules_torch::standalone::Operand& b,
 const rules_torch::standalone::Operand* bias, double beta, double alpha,
 const rules_torch::standalone::Operand& out,
 rules_torch::standalone::Workspace* workspace) {
  using namespace rules_torch::standalone;
  // As in torch, what is multiplied with 0 is not read: it may be NaN.
  MultiplyOperands(a, b, beta != 0 ? bias : nullptr, beta, alpha, out, workspace);
}

RTORCH_OPERATOR(fused_matmul)
(const rules_torch::standalone::Operand& a, const rules_torch::standalone::Operand& b,
 rules_torch::standalone::Packing packing,
 const rules_torch::standalone::Following& following,
 const rules_torch::standalone::Operand& out,
 rules_torch::standalone::Workspace* workspace) {
  using namespace rules_torch::standalone;
  const bool is_packed = packing != Packing::kNone;
  const AnyProduct product = {1,
                              out.sizes[0],
                              out.sizes[1],
                              a.sizes[1],
                              MatricesOf(a),
                              is_packed ? AnyMatrices{} : MatricesOf(b),
                              nullptr,
                              0,
                              1,
                              MatricesOf(out)};
  WithEpilogue(following, workspace, [&](auto epilogue) {
    if (const Operand* residual = following.residual) {
      epilogue.residual = static_cast<const float*>(residual->data);
      epilogue.residual_row = residual->strides[0];
      if (residual->strides[1] != 1 && product.n > 1) {
        float* copy = TakeFloats(workspace, product.m * product.n);
        CopyRows({epilogue.residual, residual->strides[0], residual->strides[1]},
                 product.m, product.n, copy, product.n);
        epilogue.residual = copy;
        epilogue.residual_row = product.n;
      }
    }
    MultiplyFloats(product, is_packed ? static_cast<const float*>(b.data) : nullptr,
                   epilogue, workspace);
  });
}

RTORCH_OPERATOR(batched_matmul)
(const rules_torch::standalone::Operand& a, const rules_torch::standalone::Operand& b,
 const rules_torch::standalone::Operand& out,
 rules_torch::standalone::Workspace* workspace) {
  using namespace rules_torch::standalone;
  MultiplyOperands(a, b, nullptr, 0, 1, out, workspace);
}
