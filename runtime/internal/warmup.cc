#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "rules_torch/dtype.h"
#include "rules_torch/model.h"
#include "rules_torch/signature.h"

namespace rules_torch {
namespace {

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

// As std::calloc aligns, and more than any element type needs.
constexpr std::size_t kAlignment = 16;

}  // namespace

Status Model::Warmup(const RunOptions& options) const {
  if (api_->device_type != RTORCH_CPU) {
    return Status(RTORCH_UNIMPLEMENTED,
                  std::string(api_->name) +
                      ": inputs of device memory are the caller's "
                      "to make; run the model once");
  }
  if (again_ != nullptr) {
    StatusOr<Model> other = Create(api_, *again_);
    if (!other.ok()) return std::move(other).status();
    other->again_ = nullptr;  // its state is nobody's
    return other->Warmup(options);
  }

  // A symbol's smallest value above 0, or 0 where it has no other.
  std::vector<std::int64_t> symbols;
  for (std::int32_t i = 0; i < api_->num_symbols; ++i) {
    const RTorchSymbol& symbol = api_->symbols[i];
    symbols.push_back(std::min(std::max<std::int64_t>(symbol.min, 1), symbol.max));
  }

  std::vector<RTorchTensor> inputs(static_cast<std::size_t>(api_->num_inputs));
  std::vector<std::size_t> offsets;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const RTorchTensorSpec& spec = api_->inputs[i];
    RTorchTensor& input = inputs[i];
    input.dtype = spec.dtype;
    input.rank = spec.rank;
    input.device = kHost;
    SizesOf(spec, symbols.data(), input.sizes);
    std::int64_t count = 1;
    for (std::int32_t dim = spec.rank; dim-- > 0;) {
      input.strides[dim] = count;
      if (__builtin_mul_overflow(count, input.sizes[dim], &count)) count = -1;
    }
    std::size_t size = 0;
    if (count < 0 || __builtin_mul_overflow(count, DTypeSize(spec.dtype), &size) ||
        size > PTRDIFF_MAX - bytes - kAlignment) {
      return Status(RTORCH_RESOURCE_EXHAUSTED,
                    "input '" + std::string(spec.name) + "' is too large");
    }
    offsets.push_back(bytes);
    bytes += (size + kAlignment - 1) / kAlignment * kAlignment;
  }
  const std::unique_ptr<void, Free> zeros(std::calloc(bytes + kAlignment, 1));
  if (zeros == nullptr) return Status(RTORCH_RESOURCE_EXHAUSTED, "out of memory");
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    inputs[i].data = static_cast<unsigned char*>(zeros.get()) + offsets[i];
  }

  std::vector<RTorchTensor> outputs(static_cast<std::size_t>(api_->num_outputs));
  Status status =
      Run(inputs.data(), api_->num_inputs, outputs.data(), api_->num_outputs, options);
  for (RTorchTensor& output : outputs) api_->release(&output);
  return status;
}

}  // namespace rules_torch
