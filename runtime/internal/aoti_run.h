// What AOTInductor's generated code asks of the run that it is in.
//
// Included by the runtime's header, at the start of each generated model source, and
// nowhere else. The code calls the run its `proxy_executor`, which no model needs.
#ifndef RULES_TORCH_INTERNAL_AOTI_RUN_H_
#define RULES_TORCH_INTERNAL_AOTI_RUN_H_

#include <torch/csrc/inductor/aoti_torch/c/shim.h>

#include <cstddef>
#include <cstdint>

#include "runtime/internal/backend.h"
#include "runtime/internal/layout.h"

namespace rules_torch::internal {
namespace {

// Thrown by Step.
struct RunCancelled {};

// One run of a model, in one thread.
struct AotiRun {
  const RunRequest& request;
  const RTorchStep* steps;  // the model's
  const bool is_watched =
      request.options->tracer != nullptr || request.options->cancelled != nullptr;

  static const AotiRun& Of(AOTIProxyExecutorHandle handle) {
    return *reinterpret_cast<const AotiRun*>(handle);
  }
  AOTIProxyExecutorHandle handle() {
    return reinterpret_cast<AOTIProxyExecutorHandle>(this);
  }
};

// Lives while a kernel or an operator is called: `place` is that of the step in the
// model's table.
class Step {
 public:
  Step(AOTIProxyExecutorHandle run, std::int32_t place) : run_(AotiRun::Of(run)) {
    if (run_.is_watched) Begin(place);
  }
  ~Step() {
    if (step_ == nullptr) return;
    const RTorchTracer& tracer = *run_.request.options->tracer;
    tracer.end(tracer.context, step_);
  }
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

 private:
  void Begin(std::int32_t place) {
    const RTorchRunOptions& options = *run_.request.options;
    if (options.cancelled != nullptr &&
        options.cancelled(options.cancel_context) != 0) {
      throw RunCancelled();
    }
    if (options.tracer == nullptr) return;
    step_ = &run_.steps[place];
    options.tracer->begin(options.tracer->context, step_);
  }

  const AotiRun& run_;
  const RTorchStep* step_ = nullptr;
};

// A tensor in the memory that the caller gave for an output, or a new one if there is
// none: stands for aoti_torch_empty_strided. The caller may have given another number
// of bytes where only the run knows the sizes.
[[maybe_unused]] inline AOTITorchError EmptyOutput(
    AOTIProxyExecutorHandle run, std::int32_t output, std::int64_t rank,
    const std::int64_t* sizes, const std::int64_t* strides, std::int32_t dtype,
    std::int32_t device_type, std::int32_t device_index, AtenTensorHandle* tensor) {
  const RTorchTensor& given = AotiRun::Of(run).request.outputs[output];
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

#endif  // RULES_TORCH_INTERNAL_AOTI_RUN_H_
