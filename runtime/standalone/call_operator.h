// How generated code calls an operator of the user's: a C function, of the type that
// rules_torch/op.h has.
//
// Included by wrappers that call such operators, behind the runtime's header, and
// nowhere else.
#ifndef RULES_TORCH_STANDALONE_CALL_OPERATOR_H_
#define RULES_TORCH_STANDALONE_CALL_OPERATOR_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <initializer_list>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rules_torch/abi.h"
#include "rules_torch/op.h"
#include "runtime/internal/check_result.h"
#include "runtime/standalone/tensor.h"

namespace rules_torch::internal {
namespace {

// A tensor of the run's, which keeps it.
struct OperatorTensor {
  RTorchTensor view;
};

[[maybe_unused]] OperatorTensor TensorOf(AtenTensorHandle handle) {
  const standalone::Tensor& tensor = standalone::Of(handle);
  RTorchTensor view = {};
  view.data = tensor.data;
  view.dtype = tensor.dtype;
  view.rank = tensor.rank;
  view.device = {RTORCH_CPU, 0};
  std::copy_n(tensor.sizes, tensor.rank, view.sizes);
  std::copy_n(tensor.strides, tensor.rank, view.strides);
  return {view};
}

// Arguments, and what they point to.
class Values {
 public:
  template <typename... Arguments>
  explicit Values(const Arguments&... arguments) : values_{Of(arguments)...} {}
  Values(const Values&) = delete;
  Values& operator=(const Values&) = delete;

  const RTorchValue* data() const { return values_.data(); }
  std::int32_t size() const { return static_cast<std::int32_t>(values_.size()); }

 private:
  static RTorchValue Make(RTorchValueKind kind) {
    RTorchValue value = {};
    value.kind = kind;
    return value;
  }
  RTorchValue Of(const OperatorTensor& tensor) {
    RTorchValue value = Make(RTORCH_VALUE_TENSOR);
    value.as.tensor = &tensor.view;
    return value;
  }
  RTorchValue Of(std::int64_t integer) {
    RTorchValue value = Make(RTORCH_VALUE_INT);
    value.as.integer = integer;
    return value;
  }
  RTorchValue Of(double number) {
    RTorchValue value = Make(RTORCH_VALUE_FLOAT);
    value.as.number = number;
    return value;
  }
  RTorchValue Of(bool truth) {
    RTorchValue value = Make(RTORCH_VALUE_BOOL);
    value.as.integer = truth ? 1 : 0;
    return value;
  }
  RTorchValue Of(const std::string& text) {
    RTorchValue value = Make(RTORCH_VALUE_STRING);
    value.as.string = text.c_str();
    return value;
  }
  RTorchValue Of(std::nullopt_t) { return Make(RTORCH_VALUE_NONE); }
  template <typename T>
  RTorchValue Of(const std::optional<T>& optional) {
    return optional.has_value() ? Of(*optional) : Make(RTORCH_VALUE_NONE);
  }
  template <typename T>
  RTorchValue Of(const std::vector<T>& items) {
    std::vector<RTorchValue>& list = lists_.emplace_back();
    for (const T& item : items) list.push_back(Of(item));
    RTorchValue value = Make(RTORCH_VALUE_LIST);
    value.size = static_cast<std::int32_t>(list.size());
    value.as.list = list.data();
    return value;
  }

  std::deque<std::vector<RTorchValue>> lists_;
  std::vector<RTorchValue> values_;
};

// A result is a tensor of the run's: its owner.
[[maybe_unused]] RTorchCode AllocateResult(void*, std::uint64_t, std::uint64_t,
                                           RTorchTensor* result) {
  try {
    standalone::OwnedTensor tensor = standalone::Allocate(
        result->rank, result->sizes, result->strides, result->dtype);
    result->data = tensor->data;
    result->owner = tensor.release();
    return RTORCH_OK;
  } catch (const std::exception&) {
    return RTORCH_RESOURCE_EXHAUSTED;
  }
}

// The function of an operator, "shop::scale"; a wrapper defines it for those that it
// calls.
RTorchOp OperatorNamed(std::string_view name, std::string_view overload);

// Calls an operator with arguments of the types of its schema, and takes its results.
// Null among them is one that nobody reads. Throws what the operator says.
template <typename... Arguments>
AOTITorchError CallOperator(
    const char* name, const char* overload,
    std::initializer_list<torch::aot_inductor::RAIIAtenTensorHandle*> results,
    const Arguments&... arguments) {
  constexpr RTorchAllocator kAllocator = {sizeof(RTorchAllocator), 0, nullptr,
                                          AllocateResult};
  const Values values(arguments...);
  std::vector<RTorchTensor> made(results.size());
  RTorchError error = {};
  const RTorchCode code = OperatorNamed(name, overload)(
      values.data(), values.size(), made.data(), static_cast<std::int32_t>(made.size()),
      &kAllocator, &error);
  std::vector<torch::aot_inductor::RAIIAtenTensorHandle> owned;
  for (const RTorchTensor& result : made) {
    owned.emplace_back(static_cast<AtenTensorHandle>(result.owner));
  }
  if (code == RTORCH_RESOURCE_EXHAUSTED) throw std::bad_alloc();
  if (code != RTORCH_OK) throw std::runtime_error(error.message);
  std::size_t i = 0;
  for (torch::aot_inductor::RAIIAtenTensorHandle* result : results) {
    if (made[i].owner == nullptr) {
      throw std::runtime_error(std::string(name) + " has not made its result number " +
                               std::to_string(i));
    }
    if (result != nullptr) *result = std::move(owned[i]);
    ++i;
  }
  return AOTI_TORCH_SUCCESS;
}

}  // namespace
}  // namespace rules_torch::internal

#endif  // RULES_TORCH_STANDALONE_CALL_OPERATOR_H_
