// What follows a product, as an epilogue for the kernels.
#ifndef RULES_TORCH_STANDALONE_OPERATORS_FOLLOWING_H_
#define RULES_TORCH_STANDALONE_OPERATORS_FOLLOWING_H_

#include <cstdint>

#include "runtime/standalone/kernels/activation.h"
#include "runtime/standalone/operand.h"
#include "runtime/standalone/operators.h"

namespace rules_torch::standalone {
namespace {

// An activation that is known when it is called: each tile of a product goes through
// memory for it, and through the same code.
struct AnyActivation {
  static constexpr bool kIsShort = false;

  Activation activation;

  RTORCH_INLINE Vec operator()(Vec v) const {
    switch (activation) {
      case Activation::kGelu:
        return Gelu()(v);
      case Activation::kGeluTanh:
        return GeluTanh()(v);
      case Activation::kHardsigmoid:
        return Hardsigmoid()(v);
      case Activation::kHardswish:
        return Hardswish()(v);
      case Activation::kSigmoid:
        return Sigmoid(v);
      case Activation::kSilu:
        return Silu()(v);
      case Activation::kTanh:
        return Tanh(v);
      case Activation::kClamp:
        break;
    }
    return v;
  }
};

// Calls act(epilogue) with the epilogue that does what follows, but for the residual:
// `act` knows where its rows are.
template <typename Act>
void WithEpilogue(const Following& following, Workspace* workspace, const Act& act) {
  const float* factors = AdjacentFloats(following.factors, workspace);
  const float* bias = AdjacentFloats(following.bias, workspace);
  const auto with = [&](auto activation) {
    Epilogue<decltype(activation)> epilogue;
    epilogue.factors = factors;
    epilogue.bias = bias;
    epilogue.activation = activation;
    act(epilogue);
  };
  if (following.activation == Activation::kClamp) {
    with(Clamp{following.lowest, following.highest});
  } else {
    with(AnyActivation{following.activation});
  }
}

}  // namespace
}  // namespace rules_torch::standalone

#endif  // RULES_TORCH_STANDALONE_OPERATORS_FOLLOWING_H_
