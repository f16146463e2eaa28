// The shims that compute with complex numbers, beside shims.h.
#ifndef RULES_TORCH_STANDALONE_COMPLEX_SHIMS_H_
#define RULES_TORCH_STANDALONE_COMPLEX_SHIMS_H_

#include <cstdint>
#include <stdexcept>
#include <utility>

#include "runtime/standalone/copy.h"
#include "runtime/standalone/operand.h"
#include "runtime/standalone/operators.h"
#include "runtime/standalone/shims.h"
#include "runtime/standalone/tensor.h"

extern "C" {

static AOTITorchError aoti_torch_cpu_abs(AtenTensorHandle self,
                                         AtenTensorHandle* ret0) {
  using namespace rules_torch::standalone;
  // Of real numbers Inductor generates a kernel.
  if (!IsComplex(Of(self).dtype)) throw std::runtime_error("abs of no complex tensor");
  const OwnedTensor layout = EmptyLike(Of(self));
  OwnedTensor out = Allocate(layout->rank, layout->sizes, layout->strides,
                             PartsOfComplex(*layout, 0).dtype);
  RTORCH_VARIANT(absolute)(Read(self), AsOperand(*out));
  return Give(std::move(out), ret0);
}

}  // extern "C"

#endif  // RULES_TORCH_STANDALONE_COMPLEX_SHIMS_H_
