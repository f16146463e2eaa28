// What AotiBackend (runtime/internal/aoti_backend.h) asks of libtorch.
//
// Included at the start of each generated model source with this runtime, and nowhere
// else. Of libtorch it uses C functions alone, as AOTInductor's code does.
#ifndef RULES_TORCH_LIBTORCH_AOTI_RUNTIME_H_
#define RULES_TORCH_LIBTORCH_AOTI_RUNTIME_H_

#include <torch/csrc/inductor/aoti_runtime/utils.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/c/shim.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <string>

#include "rules_torch/abi.h"
#include "runtime/internal/aoti_run.h"
#include "runtime/internal/backend.h"

namespace rules_torch::internal {
namespace {

// libtorch has allocators of its own.
struct LoadResources {
  explicit LoadResources(const LoadRequest&) {}
};
struct RunResources {};

// Inference only: autograd is off in the calling thread while one of these is
// alive.
class NoGrad {
 public:
  NoGrad() : before_(aoti_torch_grad_mode_is_enabled()) {
    aoti_torch_grad_mode_set_enabled(false);
  }
  ~NoGrad() { aoti_torch_grad_mode_set_enabled(before_); }
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool before_;
};

// The text of an exception, without the backtrace that libtorch's have, which names the
// builder's files. For a failed call of a shim AOTInductor has the call's source text
// only; libtorch knows why it failed.
std::string Reason(const std::exception& error) {
  std::string text = error.what();
  text.resize(std::min(text.find("\nException raised from "), text.size()));
  if (text.find(" API call failed at ") == std::string::npos) return text;
  text.resize(std::min(text.find('('), text.size()));
#if TORCH_FEATURE_VERSION >= TORCH_VERSION_2_13_0
  const std::string reason = torch_exception_get_what_without_backtrace();
  // What calls the user's operators has no name that says anything.
  return text.rfind("aoti_torch_", 0) == 0 ? text + ": " + reason : reason;
#else
  return text + " failed";
#endif
}

// What libtorch and the code that it calls say where there is no memory. Its shims
// turn every exception into text.
constexpr const char* kOutOfMemory[] = {
    "DefaultCPUAllocator: can't allocate memory",
    "Storage size calculation overflowed",
    "std::bad_alloc",
};

RTorchCode Explain(const std::exception& error, std::string* reason) {
  *reason = Reason(error);
  for (const char* text : kOutOfMemory) {
    if (reason->find(text) == std::string::npos) continue;
    *reason = "out of memory: " + *reason;
    return RTORCH_RESOURCE_EXHAUSTED;
  }
  return RTORCH_INTERNAL;
}

class RunScope {
 public:
  RunScope(LoadResources*, RunResources*, int threads) {
    if (threads == 0) return;
#if TORCH_FEATURE_VERSION >= TORCH_VERSION_2_10_0
    // The first time that a thread asks libtorch, libtorch sets the number of threads
    // to MKL's: that has to be before ours is set.
    std::uint32_t number = 0;
    torch_get_num_threads(&number);
#endif
  }

 private:
  NoGrad no_grad_;
};

// Frees a tensor, as RTorchTensor.deleter. libtorch's own function, which, unlike
// one of ours, is still there once the model's shared library was unloaded. What it
// returns is of no use.
void (*const kDeleteHandle)(void*) =
    reinterpret_cast<void (*)(void*)>(&aoti_torch_delete_tensor_object);

Result Keep(torch::aot_inductor::RAIIAtenTensorHandle handle, Result result,
            const RTorchTensor&, RTorchTensor* tensor) {
  tensor->owner = handle.release();
  tensor->deleter = kDeleteHandle;
  return result;
}

}  // namespace
}  // namespace rules_torch::internal

#endif  // RULES_TORCH_LIBTORCH_AOTI_RUNTIME_H_
