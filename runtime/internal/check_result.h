// What an operator of the user's must have made: generated code goes by the sizes and
// strides that its fake implementation said.
//
// Included by each runtime's call_operator.h, behind the shims.
#ifndef RULES_TORCH_INTERNAL_CHECK_RESULT_H_
#define RULES_TORCH_INTERNAL_CHECK_RESULT_H_

#include <torch/csrc/inductor/aoti_torch/c/shim.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>

namespace rules_torch::internal {
namespace {

// Throws where a result is another; the stride of a dimension of one element is no
// matter, nor are those of no elements.
[[maybe_unused]] void CheckResult(const char* name, AtenTensorHandle result,
                                  std::int32_t dtype,
                                  std::initializer_list<std::int64_t> sizes,
                                  std::initializer_list<std::int64_t> strides) {
  std::int64_t rank = 0;
  std::int32_t found_dtype = 0;
  std::int64_t* found_sizes = nullptr;
  std::int64_t* found_strides = nullptr;
  bool fits = aoti_torch_get_dim(result, &rank) == AOTI_TORCH_SUCCESS &&
              aoti_torch_get_dtype(result, &found_dtype) == AOTI_TORCH_SUCCESS &&
              aoti_torch_get_sizes(result, &found_sizes) == AOTI_TORCH_SUCCESS &&
              aoti_torch_get_strides(result, &found_strides) == AOTI_TORCH_SUCCESS &&
              rank == static_cast<std::int64_t>(sizes.size()) && found_dtype == dtype;
  bool is_empty = false;
  for (std::size_t i = 0; fits && i < sizes.size(); ++i) {
    fits = found_sizes[i] == sizes.begin()[i];
    is_empty = is_empty || found_sizes[i] == 0;
  }
  for (std::size_t i = 0; fits && !is_empty && i < strides.size(); ++i) {
    fits = found_sizes[i] == 1 || found_strides[i] == strides.begin()[i];
  }
  if (fits) return;
  throw std::runtime_error(std::string(name) +
                           " made a result of another dtype, sizes or strides than its "
                           "fake implementation says");
}

}  // namespace
}  // namespace rules_torch::internal

#endif  // RULES_TORCH_INTERNAL_CHECK_RESULT_H_
