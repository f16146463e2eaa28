#include "examples/kernels/problems.h"

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "examples/kernels/reference.h"
#include "kernels/add.h"
#include "kernels/flash_attention.h"
#include "kernels/layernorm.h"
#include "kernels/matmul.h"
#include "kernels/softmax.h"

namespace {

using rules_torch::bfloat16;
using rules_torch::float16;
using rules_torch::Gpu;

// The bound of the error is some roundings of the result. fp16 and bf16 results are
// computed in fp32 and rounded once; those of attention once more on the way. In fp32
// every step rounds.
template <typename T>
struct DType;
template <>
struct DType<float> {
  static constexpr char kName[] = "fp32";
  static constexpr double kBound = 0x1p-20;
};
template <>
struct DType<float16> {
  static constexpr char kName[] = "fp16";
  static constexpr double kBound = 0x1p-10;
};
template <>
struct DType<bfloat16> {
  static constexpr char kName[] = "bf16";
  static constexpr double kBound = 0x1p-7;
};

// [2, 3], or [2, 3]/8 with 8 elements from one row to the next, or [2, 3]+1 where the
// address is off by one element.
std::string Text(const Layout& layout) {
  std::string text =
      "[" + std::to_string(layout.rows) + ", " + std::to_string(layout.columns) + "]";
  if (layout.stride != layout.columns) text += "/" + std::to_string(layout.stride);
  if (layout.offset != 0) text += "+" + std::to_string(layout.offset);
  return text;
}

template <typename T>
Problem Make(std::string kernel, std::string shape, Call<T> call) {
  return {std::move(kernel), DType<T>::kName, std::move(shape), DType<T>::kBound,
          [call = std::move(call)](const Gpu& gpu, std::mt19937_64& random) {
            return PreparedCall<T>::Make(call, gpu, random);
          }};
}

Layout Matrix(std::int64_t rows, std::int64_t columns) {
  return {rows, columns, columns};
}

template <typename T>
Problem MakeAdd(std::int64_t n) {
  const Layout layout = Matrix(1, n);
  return Make<T>("add", "[" + std::to_string(n) + "]",
                 {layout,
                  {layout, layout},
                  [n](void* stream, T* out, const std::vector<const T*>& in) {
                    return kernels::add(stream, out, in[0], in[1], n);
                  },
                  [](const std::vector<Vector>& in) { return Add(in[0], in[1]); }});
}

template <typename T>
Problem MakeSoftmax(const Layout& layout) {
  return Make<T>("fused_softmax", Text(layout),
                 {layout,
                  {layout},
                  [layout](void* stream, T* out, const std::vector<const T*>& in) {
                    return kernels::fused_softmax(
                        stream, out, in[0], layout.stride, layout.stride, layout.rows,
                        static_cast<std::int32_t>(layout.columns));
                  },
                  [layout](const std::vector<Vector>& in) {
                    return Softmax(in[0], layout.columns);
                  }});
}

template <typename T>
Problem MakeLayerNorm(const Layout& layout) {
  constexpr float kEpsilon = 1e-5f;
  const Layout row = Matrix(1, layout.columns);
  return Make<T>("layer_norm", Text(layout),
                 {layout,
                  {layout, row, row},
                  [layout](void* stream, T* out, const std::vector<const T*>& in) {
                    return kernels::layer_norm(
                        stream, out, in[0], in[1], in[2], layout.stride, layout.stride,
                        layout.rows, static_cast<std::int32_t>(layout.columns),
                        kEpsilon);
                  },
                  [](const std::vector<Vector>& in) {
                    return LayerNorm(in[0], in[1], in[2], kEpsilon);
                  }});
}

// a [m, k] times b [k, n].
struct MatmulShape {
  Layout a;
  Layout b;
  std::int64_t c_stride;
};

// Rows that lie `padding` elements apart.
MatmulShape Product(std::int64_t m, std::int64_t n, std::int64_t k,
                    std::int64_t a_padding = 0, std::int64_t bc_padding = 0) {
  return {{m, k, k + a_padding}, {k, n, n + bc_padding}, n + bc_padding};
}

enum class MatmulKernel { kPointers, kDescriptors };

template <typename T>
Problem MakeMatmul(MatmulKernel kernel, const MatmulShape& shape) {
  const bool descriptors = kernel == MatmulKernel::kDescriptors;
  const std::int64_t m = shape.a.rows;
  const std::int64_t n = shape.b.columns;
  const std::int64_t k = shape.a.columns;
  return Make<T>(
      descriptors ? "matmul_descriptor" : "matmul",
      Text(shape.a) + " x " + Text(shape.b),
      {{m, n, shape.c_stride},
       {shape.a, shape.b},
       [=](void* stream, T* c, const std::vector<const T*>& in) {
         const auto launch = [&](auto function) {
           return function(stream, c, in[0], in[1], static_cast<std::int32_t>(m),
                           static_cast<std::int32_t>(n), static_cast<std::int32_t>(k),
                           shape.c_stride, shape.a.stride, shape.b.stride);
         };
         using Function = rules_torch::Status (*)(
             void*, T*, const T*, const T*, std::int32_t, std::int32_t, std::int32_t,
             std::int64_t, std::int64_t, std::int64_t);
         return launch(descriptors ? Function(kernels::matmul_descriptor)
                                   : Function(kernels::matmul));
       },
       [n, k](const std::vector<Vector>& in) { return Matmul(in[0], in[1], n, k); }});
}

template <typename T>
Problem MakeAttention(bool causal, std::int32_t heads, std::int32_t sequence,
                      std::int32_t head_size) {
  const Layout layout = Matrix(std::int64_t{heads} * sequence, head_size);
  const float scale = 1 / std::sqrt(static_cast<float>(head_size));
  return Make<T>(
      causal ? "flash_attention_causal" : "flash_attention",
      "[" + std::to_string(heads) + ", " + std::to_string(sequence) + ", " +
          std::to_string(head_size) + "]",
      {layout,
       {layout, layout, layout},
       [=](void* stream, T* out, const std::vector<const T*>& in) {
         const auto launch = [&](auto function) {
           return function(stream, out, in[0], in[1], in[2], heads, sequence, head_size,
                           scale);
         };
         using Function =
             rules_torch::Status (*)(void*, T*, const T*, const T*, const T*,
                                     std::int32_t, std::int32_t, std::int32_t, float);
         return launch(causal ? Function(kernels::flash_attention_causal)
                              : Function(kernels::flash_attention));
       },
       [=](const std::vector<Vector>& in) {
         return Attention(in[0], in[1], in[2], sequence, head_size, scale, causal);
       }});
}

template <typename T>
void AppendRowProblems(std::vector<Problem>* problems) {
  for (const std::int64_t n : {1, 1000, 1 << 18, (1 << 18) + 3}) {
    problems->push_back(MakeAdd<T>(n));
  }
  // Each size of block, full and not; more rows than programs; then what is not made of
  // multiples of 16, and what is not aligned.
  const std::vector<Layout> layouts = {
      {100, 1024, 1024},   {5000, 48, 64},  {40, 4096, 4096},  {7, 4000, 4096},
      {9, 8192, 8192},     {1, 1, 1},       {100, 1000, 1000}, {33, 992, 1003},
      {64, 1024, 1024, 1}, {5, 4095, 4095}, {3, 8191, 8191, 3}};
  for (const Layout& layout : layouts) problems->push_back(MakeSoftmax<T>(layout));
  problems->push_back(MakeSoftmax<T>({6, 16384, 16384}));
  problems->push_back(MakeSoftmax<T>({6, 16381, 16390}));
  for (const Layout& layout : layouts) problems->push_back(MakeLayerNorm<T>(layout));
}

template <typename T>
void AppendMatrixProblems(std::vector<Problem>* problems) {
  MatmulShape unaligned = Product(144, 160, 96);
  unaligned.a.offset = 1;
  for (const MatmulShape& shape :
       {Product(512, 512, 512), Product(300, 336, 320), Product(16, 512, 1024),
        Product(1, 256, 512), Product(129, 255, 65), Product(70, 97, 1000, 3, 5),
        Product(1, 1, 1), unaligned}) {
    problems->push_back(MakeMatmul<T>(MatmulKernel::kPointers, shape));
  }
  // The second has more tiles than a GPU has multiprocessors.
  for (const MatmulShape& shape :
       {Product(512, 512, 512), Product(2304, 2048, 64), Product(129, 248, 72, 8, 8),
        Product(1, 8, 8, 8, 8), Product(70, 104, 1000, 8, 8)}) {
    problems->push_back(MakeMatmul<T>(MatmulKernel::kDescriptors, shape));
  }
  for (const bool causal : {false, true}) {
    problems->push_back(MakeAttention<T>(causal, 8, 256, 64));
    problems->push_back(MakeAttention<T>(causal, 2, 1024, 128));
    problems->push_back(MakeAttention<T>(causal, 3, 1000, 64));
    problems->push_back(MakeAttention<T>(causal, 3, 129, 112));
    problems->push_back(MakeAttention<T>(causal, 5, 77, 16));
    problems->push_back(MakeAttention<T>(causal, 2, 1, 80));
  }
}

}  // namespace

std::vector<Problem> AllProblems() {
  std::vector<Problem> problems;
  AppendRowProblems<float>(&problems);
  AppendRowProblems<float16>(&problems);
  AppendRowProblems<bfloat16>(&problems);
  AppendMatrixProblems<float16>(&problems);
  AppendMatrixProblems<bfloat16>(&problems);
  return problems;
}

std::vector<Problem> SmallProblems() {
  return {MakeAdd<float>(10007),
          MakeSoftmax<bfloat16>({16, 1000, 1000}),
          MakeLayerNorm<float16>({16, 1024, 1024}),
          MakeMatmul<float16>(MatmulKernel::kPointers, Product(100, 144, 80)),
          MakeMatmul<bfloat16>(MatmulKernel::kDescriptors, Product(100, 144, 80)),
          MakeAttention<float16>(false, 4, 100, 64),
          MakeAttention<bfloat16>(true, 2, 100, 112)};
}
