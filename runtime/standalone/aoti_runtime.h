// What AotiBackend (runtime/internal/aoti_backend.h) asks of the standalone runtime.
//
// Included at the start of each generated model source with this runtime, and nowhere
// else.
#ifndef RULES_TORCH_STANDALONE_AOTI_RUNTIME_H_
#define RULES_TORCH_STANDALONE_AOTI_RUNTIME_H_

#include "runtime/standalone/cat_shims.h"
#include "runtime/standalone/index_shims.h"
#include "runtime/standalone/shims.h"
#include "runtime/standalone/view_shims.h"
// Behind the shims.
#include <torch/csrc/inductor/aoti_runtime/utils.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "rules_torch/abi.h"
#include "runtime/internal/aoti_run.h"
#include "runtime/internal/backend.h"
#include "runtime/standalone/tensor.h"

namespace rules_torch::internal {
namespace {

using LoadResources = standalone::PackedWeights;
using RunResources = standalone::RunMemories;

RTorchCode Explain(const std::exception& error, std::string* reason) {
  *reason = error.what();
  const bool is_memory =
      dynamic_cast<const standalone::OutOfMemory*>(&error) != nullptr;
  return is_memory ? RTORCH_RESOURCE_EXHAUSTED : RTORCH_INTERNAL;
}

class RunScope {
 public:
  RunScope(LoadResources* packed, RunResources* memories, int)
      : memories_(memories),
        memory_(memories->Take()),
        // A model may be run while another one is: by its allocator, say.
        outer_(std::exchange(standalone::current_run, memory_.get())) {
    memory_->packed = packed;
  }
  ~RunScope() {
    standalone::current_run = outer_;
    memory_->Tidy();
    memories_->Return(std::move(memory_));
  }
  RunScope(const RunScope&) = delete;
  RunScope& operator=(const RunScope&) = delete;

 private:
  RunResources* memories_;
  std::unique_ptr<standalone::RunMemory> memory_;
  standalone::RunMemory* outer_;
};

// Copies a result to where the caller wants it. Else gives its memory away where
// nothing else uses it, or a copy.
Result Keep(torch::aot_inductor::RAIIAtenTensorHandle handle, Result,
            const RTorchTensor& wanted, RTorchTensor* tensor) {
  using namespace standalone;
  const Tensor& result = Of(handle.get());
  if (wanted.data != nullptr &&
      std::equal(result.sizes, result.sizes + result.rank, wanted.sizes)) {
    CopyElements(*tensor, wanted);
    *tensor = wanted;
    return Result::kWritten;
  }
  // The deleter is the C library's: the model's may be unloaded first.
  tensor->deleter = &std::free;
  if (result.block != nullptr && result.block->references == 1 &&
      result.data == result.block->data && Reach(result) * 2 > result.block->bytes) {
    tensor->owner = RunMemory::Release(result.block);
    return Result::kOwned;
  }
  SetRowMajor(tensor);
  const auto bytes =
      static_cast<std::size_t>(NumElements(result)) * ElementSize(result.dtype);
  tensor->owner = std::aligned_alloc(64, bytes / 64 * 64 + 64);
  if (tensor->owner == nullptr) throw std::bad_alloc();
  tensor->data = tensor->owner;
  CopyElements(result.data, LayoutOf(result), tensor->data, tensor->strides,
               ElementSize(result.dtype));
  return Result::kOwned;
}

// The inputs of a run, which are taken over one after another.
class StolenHandles {
 public:
  StolenHandles(AtenTensorHandle* handles, int size) : handles_(handles), size_(size) {}
  ~StolenHandles() { clear(); }
  StolenHandles(const StolenHandles&) = delete;
  StolenHandles& operator=(const StolenHandles&) = delete;

  torch::aot_inductor::RAIIAtenTensorHandle operator[](std::int64_t i) {
    return torch::aot_inductor::RAIIAtenTensorHandle(
        std::exchange(handles_[i], nullptr));
  }
  void clear() {
    for (int i = 0; i < size_; ++i) (*this)[i].reset();
  }

 private:
  AtenTensorHandle* handles_;
  int size_;
};

}  // namespace
}  // namespace rules_torch::internal

namespace torch::aot_inductor {
namespace {

// AOTInductor's own, whose number is a size_t, makes a vector: an allocation in each
// run. Its code calls it with an int, for which this is the better match.
[[maybe_unused]] inline rules_torch::internal::StolenHandles
steal_from_raw_handles_to_raii_handles(AtenTensorHandle* handles, int size) {
  return {handles, size};
}

}  // namespace
}  // namespace torch::aot_inductor

#endif  // RULES_TORCH_STANDALONE_AOTI_RUNTIME_H_
