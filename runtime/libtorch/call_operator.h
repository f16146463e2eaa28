// How generated code calls an operator that has no shim of its own: one that a library
// of the program's has registered with PyTorch's dispatcher.
//
// Included by wrappers that call such operators, and nowhere else. Of libtorch it uses
// the stable C ABI alone.
#ifndef RULES_TORCH_LIBTORCH_CALL_OPERATOR_H_
#define RULES_TORCH_LIBTORCH_CALL_OPERATOR_H_

#include <torch/csrc/inductor/aoti_runtime/utils.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/internal/check_result.h"

namespace rules_torch::internal {
namespace {

using OperatorTensor = torch::stable::Tensor;

// A reference to a tensor of the run's, for the operator. May throw.
[[maybe_unused]] OperatorTensor TensorOf(AtenTensorHandle tensor) {
  AtenTensorHandle reference = nullptr;
  AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_new_tensor_handle(tensor, &reference));
  return OperatorTensor(reference);
}

// Calls an operator, "shop::scale", with arguments of the types of its schema, and
// takes its results, which are tensors. Null among the results is one that nobody
// reads.
template <typename... Arguments>
AOTITorchError CallOperator(
    const char* name, const char* overload,
    std::initializer_list<torch::aot_inductor::RAIIAtenTensorHandle*> results,
    const Arguments&... arguments) {
  std::vector<StableIValue> stack{torch::stable::detail::from(arguments)...};
  stack.resize(std::max(stack.size(), results.size()));
  const AOTITorchError code =
      torch_call_dispatcher(name, overload, stack.data(), TORCH_ABI_VERSION);
  if (code != AOTI_TORCH_SUCCESS) return code;
  std::size_t i = 0;
  for (torch::aot_inductor::RAIIAtenTensorHandle* result : results) {
    torch::aot_inductor::RAIIAtenTensorHandle tensor(
        torch::stable::detail::to<AtenTensorHandle>(stack[i++]));
    if (result != nullptr) *result = std::move(tensor);
  }
  return AOTI_TORCH_SUCCESS;
}

}  // namespace
}  // namespace rules_torch::internal

#endif  // RULES_TORCH_LIBTORCH_CALL_OPERATOR_H_
