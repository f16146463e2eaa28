// The kernels of runtime/standalone/kernels as tests call them: compiled once for each
// instruction set, all of them in one program, as a library's variants are.
#ifndef RULES_TORCH_TESTS_RUNTIME_STANDALONE_KERNELS_H_
#define RULES_TORCH_TESTS_RUNTIME_STANDALONE_KERNELS_H_

#include <cstdint>

namespace rules_torch::testing {

enum class Activate {
  kNone,
  kRelu,
  kClamp,
  kHardsigmoid,
  kSigmoid,
  kTanh,
  kHardswish,
  kSilu,
  kGelu,
  kGeluTanh
};

inline constexpr Activate kActivations[] = {
    Activate::kNone,        Activate::kRelu,    Activate::kClamp,
    Activate::kHardsigmoid, Activate::kSigmoid, Activate::kTanh,
    Activate::kHardswish,   Activate::kSilu,    Activate::kGelu,
    Activate::kGeluTanh};

// An Epilogue's arguments, and Clamp's.
struct EpilogueCall {
  Activate activation = Activate::kNone;
  const float* factors = nullptr;
  const float* bias = nullptr;
  const float* residual = nullptr;
  std::int64_t residual_batch = 0;
  std::int64_t residual_row = 0;
  float scale = 1;
  float lowest = 0;
  float highest = 0;
};

// A Product's arguments. B is packed, or in memory.
struct MatmulCall {
  std::int64_t batch, m, n, k;
  const float* a;
  std::int64_t a_batch, a_row, a_column;
  const float* b;
  std::int64_t b_batch, b_row, b_column;
  bool packed;
  float* c;
  std::int64_t c_batch, c_row;
  int threads;
  float* scratch;
  EpilogueCall epilogue;
};

// A Convolution's arguments. The filters are torch's, or packed.
struct ConvolutionCall {
  std::int64_t batch, height, width, channels;
  std::int64_t out_height, out_width, out_channels;
  std::int64_t kernel_height, kernel_width, stride_height, stride_width;
  std::int64_t padding_height, padding_width, dilation_height, dilation_width, groups;
  const float* x;
  std::int64_t x_batch, x_row, x_column;
  const float* filters;
  float* y;
  std::int64_t y_batch, y_pixel;
  int threads;
  float* scratch;
  EpilogueCall epilogue;
  int winograd;  // the tile, 2 or 4; 0: none
  std::int64_t depth = 1, out_depth = 1, kernel_depth = 1, stride_depth = 1;
  std::int64_t padding_depth = 0, dilation_depth = 1, x_depth = 0;
  std::int64_t y_row = 0, y_depth = 0;  // 0: y's pixels are evenly apart
};

// One instruction set's. Its source includes no header of the standard library but
// those of plain types: what it instantiated could become everybody's.
struct Kernels {
  const char* isa;
  // to[i] = activation(from[i]), for `count` of them.
  void (*activate)(Activate activation, const float* from, std::int64_t count,
                   float* to);
  void (*pack)(const float* b, std::int64_t row, std::int64_t column, std::int64_t k,
               std::int64_t n, float* packed);
  std::int64_t (*matmul_scratch)(const MatmulCall& call);
  void (*matmul)(const MatmulCall& call);
  std::int64_t (*filters_size)(const ConvolutionCall& call);
  void (*pack_filters)(const ConvolutionCall& call, float* packed);
  std::int64_t (*convolution_scratch)(const ConvolutionCall& call);
  void (*convolve)(const ConvolutionCall& call);
};

}  // namespace rules_torch::testing

#endif  // RULES_TORCH_TESTS_RUNTIME_STANDALONE_KERNELS_H_
