// Where AOTInductor's generated code gets the memory of a model's outputs.
//
// Included at the start of each generated model source, and nowhere else: the code
// calls this in place of aoti_torch_empty_strided. Its run is what it calls
// `proxy_executor`, which no model needs.
#ifndef RULES_TORCH_INTERNAL_AOTI_OUTPUTS_H_
#define RULES_TORCH_INTERNAL_AOTI_OUTPUTS_H_

#include <torch/csrc/inductor/aoti_torch/c/shim.h>

#include <cstdint>

#include "runtime/internal/backend.h"
#include "runtime/internal/layout.h"

namespace rules_torch::internal {
namespace {

// A tensor in the memory that the caller gave for an output, or a new one if there is
// none. The caller may have given another number of bytes where only the run knows the
// sizes.
[[maybe_unused]] AOTITorchError EmptyOutput(
    AOTIProxyExecutorHandle run, std::int32_t output, std::int64_t rank,
    const std::int64_t* sizes, const std::int64_t* strides, std::int32_t dtype,
    std::int32_t device_type, std::int32_t device_index, AtenTensorHandle* tensor) {
  const RTorchTensor& given = reinterpret_cast<const RunRequest*>(run)->outputs[output];
  const Layout layout{sizes, strides, static_cast<std::int32_t>(rank)};
  const std::size_t width = aoti_torch_dtype_element_size(dtype);
  if (given.data == nullptr ||
      ExtentOf(given.data, layout, width).size() != ExtentOf(given).size()) {
    return aoti_torch_empty_strided(rank, sizes, strides, dtype, device_type,
                                    device_index, tensor);
  }
  return aoti_torch_create_tensor_from_blob_v2(given.data, rank, sizes, strides, 0,
                                               dtype, device_type, device_index, tensor,
                                               aoti_torch_layout_strided(), nullptr, 0);
}

}  // namespace
}  // namespace rules_torch::internal

#endif  // RULES_TORCH_INTERNAL_AOTI_OUTPUTS_H_
