// Compiled once for each instruction set, which defines
//   ISA: its name.
//   KERNELS: this program's name for its kernels.
#include "tests/runtime/standalone/kernels.h"

#include <cstdint>

#include "runtime/standalone/kernels/activation.h"
#include "runtime/standalone/kernels/convolution.h"
#include "runtime/standalone/kernels/matmul.h"
#include "runtime/standalone/kernels/packing.h"
#include "runtime/standalone/kernels/winograd.h"

namespace rules_torch::testing {
namespace {

namespace sa = rules_torch::standalone;

// Calls act(activation).
template <typename Act>
void WithActivation(Activate activation, float lowest, float highest, const Act& act) {
  switch (activation) {
    case Activate::kNone:
      return act(sa::Clamp{});
    case Activate::kRelu:
      return act(sa::Clamp{0});
    case Activate::kClamp:
      return act(sa::Clamp{lowest, highest});
    case Activate::kHardsigmoid:
      return act(sa::Hardsigmoid{});
    case Activate::kSigmoid:
      return act(sa::SigmoidOf{});
    case Activate::kTanh:
      return act(sa::TanhOf{});
    case Activate::kHardswish:
      return act(sa::Hardswish{});
    case Activate::kSilu:
      return act(sa::Silu{});
    case Activate::kGelu:
      return act(sa::Gelu{});
    case Activate::kGeluTanh:
      return act(sa::GeluTanh{});
  }
}

// The long activations, in one type, as the operators have them.
struct Chosen {
  static constexpr bool kIsShort = false;

  Activate activation;

  RTORCH_INLINE sa::Vec operator()(sa::Vec v) const {
    sa::Vec result = v;
    WithActivation(activation, 0, 0, [&](auto act) { result = act(v); });
    return result;
  }
};

// Calls act(epilogue) for one of two types: the kernels are compiled for each.
template <typename Act>
void WithEpilogue(const EpilogueCall& call, const Act& act) {
  const auto with = [&](auto activation) {
    const sa::Epilogue<decltype(activation)> epilogue = {
        call.factors,      call.bias,  call.residual, call.residual_batch,
        call.residual_row, call.scale, activation};
    act(sa::Shared(epilogue));
  };
  switch (call.activation) {
    case Activate::kNone:
      return with(sa::Clamp{});
    case Activate::kRelu:
      return with(sa::Clamp{0});
    case Activate::kClamp:
      return with(sa::Clamp{call.lowest, call.highest});
    default:
      return with(Chosen{call.activation});
  }
}

void RunActivation(Activate activation, const float* from, std::int64_t count,
                   float* to) {
  WithActivation(activation, -1, 1, [&](auto act) {
    for (std::int64_t i = 0; i < count; i += sa::kLanes) {
      const int lanes =
          static_cast<int>(sa::Least<std::int64_t>(sa::kLanes, count - i));
      sa::Store(to + i, act(sa::Load(from + i, lanes)), lanes);
    }
  });
}

void RunPack(const float* b, std::int64_t row, std::int64_t column, std::int64_t k,
             std::int64_t n, float* packed) {
  sa::Pack({b, row, column}, k, n, packed);
}

sa::Product ProductOf(const MatmulCall& call) {
  return {call.batch,
          call.m,
          call.n,
          call.k,
          {{call.a, call.a_row, call.a_column}, call.a_batch},
          call.c,
          call.c_row,
          call.c_batch,
          call.threads,
          call.scratch};
}

std::int64_t MatmulScratch(const MatmulCall& call) {
  return call.packed ? sa::ScratchOfPacked(ProductOf(call))
                     : sa::ScratchOf(ProductOf(call));
}

void RunMatmul(const MatmulCall& call) {
  WithEpilogue(call.epilogue, [&](const auto& epilogue) {
    if (call.packed) {
      sa::MatmulPacked(ProductOf(call), call.b, call.b_batch, epilogue);
    } else {
      sa::Matmul(ProductOf(call), {{call.b, call.b_row, call.b_column}, call.b_batch},
                 epilogue);
    }
  });
}

sa::Convolution ConvolutionOf(const ConvolutionCall& call) {
  return {call.batch,
          call.height,
          call.width,
          call.channels,
          call.out_height,
          call.out_width,
          call.out_channels,
          call.kernel_height,
          call.kernel_width,
          call.stride_height,
          call.stride_width,
          call.padding_height,
          call.padding_width,
          call.dilation_height,
          call.dilation_width,
          call.groups,
          call.x,
          call.x_batch,
          call.x_row,
          call.x_column,
          call.filters,
          call.y,
          call.y_batch,
          call.y_pixel,
          call.threads,
          call.scratch,
          call.depth,
          call.out_depth,
          call.kernel_depth,
          call.stride_depth,
          call.padding_depth,
          call.dilation_depth,
          call.x_depth,
          call.y_row,
          call.y_depth};
}

std::int64_t FiltersSize(const ConvolutionCall& call) {
  const sa::Convolution c = ConvolutionOf(call);
  return call.winograd == 2   ? sa::WinogradFiltersSize<sa::WinogradTwo>(c)
         : call.winograd == 4 ? sa::WinogradFiltersSize<sa::WinogradFour>(c)
                              : sa::FiltersSize(c);
}

void PackFilters(const ConvolutionCall& call, float* packed) {
  const sa::Convolution c = ConvolutionOf(call);
  if (call.winograd == 2) {
    sa::PackWinograd<sa::WinogradTwo>(call.filters, c, packed);
  } else if (call.winograd == 4) {
    sa::PackWinograd<sa::WinogradFour>(call.filters, c, packed);
  } else {
    sa::PackFilters(call.filters, c, packed);
  }
}

std::int64_t ConvolutionScratch(const ConvolutionCall& call) {
  const sa::Convolution c = ConvolutionOf(call);
  return call.winograd == 2   ? sa::ScratchOfWinograd<sa::WinogradTwo>(c)
         : call.winograd == 4 ? sa::ScratchOfWinograd<sa::WinogradFour>(c)
                              : sa::ScratchOf(c);
}

void RunConvolution(const ConvolutionCall& call) {
  const sa::Convolution c = ConvolutionOf(call);
  WithEpilogue(call.epilogue, [&](const auto& epilogue) {
    if (call.winograd == 2) {
      sa::ConvolveWinograd<sa::WinogradTwo>(c, epilogue);
    } else if (call.winograd == 4) {
      sa::ConvolveWinograd<sa::WinogradFour>(c, epilogue);
    } else {
      sa::Convolve(c, epilogue);
    }
  });
}

}  // namespace

extern const Kernels KERNELS;
const Kernels KERNELS = {ISA,           RunActivation,      RunPack,
                         MatmulScratch, RunMatmul,          FiltersSize,
                         PackFilters,   ConvolutionScratch, RunConvolution};

}  // namespace rules_torch::testing
