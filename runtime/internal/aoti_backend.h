// Implements the Backend of a model over AOTInductor's generated C++ class.
//
// Included at the end of each generated model source, and nowhere else. There
// the namespace torch::aot_inductor has been renamed to one of the model's own,
// so that nothing in it is shared between models; what is here lies in an
// unnamed namespace for the same reason.
//
// It stands over the aoti_torch_* C functions, as the generated code does, and over
// what the model's runtime says in a header of its own,
// //runtime/libtorch:aoti_runtime.h or
// //runtime/standalone:aoti_runtime.h, which is included before AOTInductor's code:
//
//   LoadResources(request)       what all instances with the same weights share
//   RunResources                 what the runs of one instance share
//   RunScope(LoadResources*, RunResources*, int threads)
//                                lives while a thread is in a run that is to compute in
//                                so many threads, before these are set; 0: as before
//   Explain(exception, reason)   the code and the reason of a failure
//   Keep(handle, result, wanted, tensor)
//                                makes a result the caller's, which `tensor` describes:
//                                sets its owner and deleter, and says if it is shared;
//                                or copies it to `wanted`, if that has memory, and
//                                gives that back
//
// AOTInductor's own container is left out: it keeps a pool of models to guard a
// CUDA event, and copies the weights. A CPU model's run_impl touches nothing of
// the model but its constants, so many threads may be in it at once.
#ifndef RULES_TORCH_INTERNAL_AOTI_BACKEND_H_
#define RULES_TORCH_INTERNAL_AOTI_BACKEND_H_

#include <pthread.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "runtime/internal/aoti_run.h"
#include "runtime/internal/backend.h"
#include "runtime/internal/layout.h"
#include "runtime/internal/parallel_copy.h"

namespace rules_torch::internal {
namespace {

using torch::aot_inductor::ConstantHandle;
using torch::aot_inductor::ConstantMap;
using torch::aot_inductor::MaybeOwningAtenTensorHandle;
using torch::aot_inductor::RAIIAtenTensorHandle;

// The code and the reason of the exception that is being handled.
RTorchCode Failure(std::string* reason) {
  try {
    throw;
  } catch (const RunCancelled&) {
    *reason = "cancelled";
    return RTORCH_CANCELLED;
  } catch (const std::bad_alloc&) {
    *reason = "out of memory";
    return RTORCH_RESOURCE_EXHAUSTED;
  } catch (const std::exception& e) {
    return Explain(e, reason);
  } catch (...) {
    *reason = "unknown exception";
    return RTORCH_INTERNAL;
  }
}

#ifdef _OPENMP
// A child of fork() has none of the threads that OpenMP keeps for the forking one, and
// libgomp would wait for them. So they end before the fork, and both processes start
// new ones.
void SurviveFork() {
  static const int error =
      pthread_atfork([] { omp_pause_resource_all(omp_pause_soft); }, nullptr, nullptr);
  if (error != 0) throw std::bad_alloc();  // its only reason
}

int MaxThreads() { return omp_get_max_threads(); }

void SetMaxThreads(int threads) { omp_set_num_threads(threads); }
#else
void SurviveFork() {}

int MaxThreads() { return 1; }

void SetMaxThreads(int) {}
#endif

// How many threads the calling one computes in, the runtime's operators included, while
// one of these is alive. 0: as many as before.
class ThreadCount {
 public:
  explicit ThreadCount(int threads) {
    if (threads == 0) return;
    before_ = MaxThreads();
    SetMaxThreads(threads);
  }
  ~ThreadCount() {
    if (before_ > 0) SetMaxThreads(before_);
  }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_ = 0;
};

AtenTensorHandle HandleOver(void* data, std::int64_t rank, const std::int64_t* sizes,
                            const std::int64_t* strides, std::int64_t offset,
                            std::int32_t dtype) {
  AtenTensorHandle handle;
  AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_create_tensor_from_blob_v2(
      data, rank, sizes, strides, offset, dtype, aoti_torch_device_type_cpu(), 0,
      &handle, aoti_torch_layout_strided(), nullptr, 0));
  return handle;
}

// AOTInductor's model with constants, and the state of those that it mutates.
// `Model` is AOTInductor's class.
template <typename Model>
class BoundModel {
 public:
  // Mutable constants are copied from `before`, or from the weights if it is null.
  BoundModel(const LoadRequest& request, const BoundModel* before)
      : model_(std::make_shared<ConstantMap>(),
               std::make_shared<std::vector<ConstantHandle>>(), "cpu", std::nullopt) {
    const RTorchModelApi& api = *request.api;
    AOTI_RUNTIME_CHECK(
        model_.num_constants() == static_cast<std::size_t>(api.num_weights),
        "the weights do not fit the code");
    auto constants = std::make_shared<ConstantMap>();
    for (std::size_t i = 0; i < model_.num_constants(); ++i) {
      const RTorchWeightSpec& spec = api.weights[i];
      // The runtime takes void*, but writes to none but the mutable ones.
      auto* memory = static_cast<std::uint8_t*>(const_cast<void*>(request.weights[i]));
      if (spec.is_mutable != 0) {
        const void* initial =
            before == nullptr ? memory : before->state_[state_.size()][0].bytes;
        state_.push_back(std::make_unique<Line[]>((spec.bytes + 63) / 64));
        memory = state_.back()[0].bytes;
        std::memcpy(memory, initial, spec.bytes);
      }
      Cover({memory, memory + spec.bytes});
      constants->emplace(
          model_.constant_name(static_cast<std::int64_t>(i)),
          HandleOver(memory, spec.rank, spec.sizes, spec.strides, 0, spec.dtype));
    }
    model_.update_constants_map(std::move(constants));
  }

  Model& model() { return model_; }

  // Whether constants lie there.
  bool Overlaps(const Extent& extent) const {
    return std::any_of(extents_.begin(), extents_.end(),
                       [&](const Extent& e) { return e.Overlaps(extent); });
  }

 private:
  struct alignas(64) Line {
    std::uint8_t bytes[64];
  };

  // Neighbours in one file become one extent.
  void Cover(const Extent& extent) {
    if (!extents_.empty() && extents_.back().end == extent.begin) {
      extents_.back().end = extent.end;
    } else if (!extents_.empty() && extents_.back().begin == extent.end) {
      extents_.back().begin = extent.begin;
    } else {
      extents_.push_back(extent);
    }
  }

  std::vector<std::unique_ptr<Line[]>> state_;  // in the order of the mutable constants
  std::vector<Extent> extents_;
  Model model_;
};

// `Model` numbers `kNumbered` outputs; `kOutputs` says which of them ours are, in
// rising order: what is None has a number, and no tensor. `kThreads` is what the code
// was generated for; 0: as many as there are.
template <typename Model, int kInputs, int kNumbered, const auto& kOutputs,
          int kThreads>
class AotiBackend {
 public:
  static constexpr Backend Table() {
    Backend table{&Load, &Unload, &Create, &Destroy, &Run, nullptr};
    if constexpr (kThreads != 1) table.copy = &Copy;
    return table;
  }

 private:
  static constexpr std::size_t kNumOutputs = kOutputs.size();

  struct Loaded {
    explicit Loaded(const LoadRequest& given) : request(given), resources(given) {}

    LoadRequest request;
    LoadResources resources;
    // Instances of a model without state differ in nothing.
    std::unique_ptr<BoundModel<Model>> shared;
  };

  static RTorchCode Load(const LoadRequest& request, void** loaded,
                         std::string* reason) {
    try {
      if constexpr (kThreads != 1) SurviveFork();
      auto made = std::make_unique<Loaded>(request);
      if (request.api->stateful == 0) {
        made->shared = std::make_unique<BoundModel<Model>>(request, nullptr);
      }
      *loaded = made.release();
      return RTORCH_OK;
    } catch (...) {
      return Failure(reason);
    }
  }

  static void Unload(void* loaded) { delete static_cast<Loaded*>(loaded); }

  static RTorchCode Create(void* loaded, std::int32_t threads, const void* state_of,
                           void** instance, std::string* reason) {
    if (threads != 0 && kThreads != 0 && threads != kThreads) {
      *reason = "compiled for calls in " + std::to_string(kThreads) +
                " threads, not in " + std::to_string(threads);
      return RTORCH_UNIMPLEMENTED;
    }
    try {
      auto made = std::make_unique<AotiBackend>();
      made->threads_ = kThreads != 0 ? kThreads : threads;
      Loaded& from = *static_cast<Loaded*>(loaded);
      made->loaded_ = &from.resources;
      made->steps_ = from.request.api->steps;
      made->bound_ = from.shared.get();
      if (made->bound_ == nullptr) {
        const auto* before = static_cast<const AotiBackend*>(state_of);
        made->own_ = std::make_unique<BoundModel<Model>>(
            from.request, before == nullptr ? nullptr : before->bound_);
        made->bound_ = made->own_.get();
      }
      *instance = made.release();
      return RTORCH_OK;
    } catch (...) {
      return Failure(reason);
    }
  }

  static void Destroy(void* instance) { delete static_cast<AotiBackend*>(instance); }

  static RTorchCode Run(void* instance, const RunRequest& request,
                        std::string* reason) {
    try {
      static_cast<AotiBackend*>(instance)->Run(request);
      return RTORCH_OK;
    } catch (...) {
      return Failure(reason);
    }
  }

  static RTorchCode Copy(std::int32_t threads, const RTorchTensor& from,
                         const RTorchTensor& to, void*, std::string*) {
    if (kThreads != 0) threads = kThreads;
    CopyInThreads(from, to, threads != 0 ? threads : MaxThreads());
    return RTORCH_OK;
  }

  void Run(const RunRequest& request) {
    const RunScope scope(loaded_, &resources_, threads_);
    const ThreadCount threads(threads_);
    std::array<RAIIAtenTensorHandle, kInputs> arguments;
    for (int i = 0; i < kInputs; ++i) {
      const RTorchTensor& input = request.inputs[i];
      arguments[i] = RAIIAtenTensorHandle(HandleOver(
          input.data, input.rank, input.sizes, input.strides, 0, input.dtype));
    }
    std::array<AtenTensorHandle, kInputs> stolen{};
    for (int i = 0; i < kInputs; ++i) stolen[i] = arguments[i].release();
    std::array<AtenTensorHandle, kNumbered> handles{};
    AotiRun run{request, steps_};
    bound_->model().run_impl(stolen.data(), handles.data(), nullptr, run.handle());
    Hand(request, Adopt(handles));
  }

  // Says of each output what became of it, and who owns it.
  void Hand(const RunRequest& request,
            std::array<RAIIAtenTensorHandle, kNumOutputs> handles) const {
    std::array<RTorchTensor, kNumOutputs> results;
    std::array<Extent, kNumOutputs> extents;
    std::array<Extent, kNumOutputs> given;
    for (std::size_t i = 0; i < kNumOutputs; ++i) {
      results[i] = Describe(handles[i]);
      extents[i] = ExtentOf(results[i]);
      given[i] = ExtentOf(request.outputs[i]);
    }
    const auto overlaps_one = [](const auto& others, std::size_t n, const Extent& e) {
      return std::any_of(others.begin(), others.begin() + n,
                         [&](const Extent& other) { return other.Overlaps(e); });
    };
    for (std::size_t i = 0; i < kNumOutputs; ++i) {
      const bool shared = bound_->Overlaps(extents[i]) ||
                          std::any_of(request.inputs, request.inputs + kInputs,
                                      [&](const RTorchTensor& input) {
                                        return ExtentOf(input).Overlaps(extents[i]);
                                      }) ||
                          overlaps_one(extents, i, extents[i]) ||
                          overlaps_one(given, kNumOutputs, extents[i]);
      request.results[i] = IsWritten(results[i], request.outputs[i]) ? Result::kWritten
                           : shared                                  ? Result::kShared
                                                                     : Result::kOwned;
    }
    std::size_t i = 0;
    try {
      for (; i < kNumOutputs; ++i) {
        if (request.results[i] == Result::kWritten) continue;
        const bool is_free = !overlaps_one(extents, kNumOutputs, given[i]);
        const RTorchTensor wanted = is_free ? request.outputs[i] : RTorchTensor{};
        request.outputs[i] = results[i];
        request.results[i] = Keep(std::move(handles[i]), request.results[i], wanted,
                                  &request.outputs[i]);
      }
    } catch (...) {
      while (i-- > 0) {
        if (request.results[i] == Result::kWritten) continue;
        request.outputs[i].deleter(std::exchange(request.outputs[i].owner, nullptr));
      }
      throw;
    }
  }

  // Whether a result lies where the caller wants it.
  static bool IsWritten(const RTorchTensor& result, const RTorchTensor& given) {
    return given.data != nullptr && result.data == given.data && IsRowMajor(result) &&
           std::equal(result.sizes, result.sizes + result.rank, given.sizes);
  }

  // Takes over what run_impl left. One tensor that is returned twice is one handle in
  // two places: each output gets a handle of its own.
  static std::array<RAIIAtenTensorHandle, kNumOutputs> Adopt(
      const std::array<AtenTensorHandle, kNumbered>& handles) {
    const auto first = [&](std::size_t i) {
      std::size_t j = 0;
      while (handles[kOutputs[j]] != handles[kOutputs[i]]) ++j;
      return j;
    };
    std::array<RAIIAtenTensorHandle, kNumOutputs> results;
    for (std::size_t i = 0; i < kNumOutputs; ++i) {
      if (first(i) == i) results[i] = RAIIAtenTensorHandle(handles[kOutputs[i]]);
    }
    for (std::size_t i = 0; i < kNumOutputs; ++i) {
      const AtenTensorHandle original = results[first(i)].get();
      // The generated code does not check the call that copies a returned weight, and
      // that call fails only where there is no memory.
      if (original == nullptr) throw std::bad_alloc();
      if (first(i) == i) continue;
      AtenTensorHandle handle = nullptr;
      AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_new_tensor_handle(original, &handle));
      results[i] = RAIIAtenTensorHandle(handle);
    }
    return results;
  }

  static RTorchTensor Describe(AtenTensorHandle handle) {
    RTorchTensor tensor{};
    tensor.device = {RTORCH_CPU, 0};
    std::int64_t rank = 0;
    std::int64_t* sizes = nullptr;
    std::int64_t* strides = nullptr;
    AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_get_dim(handle, &rank));
    AOTI_RUNTIME_CHECK(rank <= RTORCH_MAX_RANK, "an output's rank is too high");
    AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_get_data_ptr(handle, &tensor.data));
    AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_get_dtype(handle, &tensor.dtype));
    AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_get_sizes(handle, &sizes));
    AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_get_strides(handle, &strides));
    tensor.rank = static_cast<std::int32_t>(rank);
    std::copy_n(sizes, rank, tensor.sizes);
    std::copy_n(strides, rank, tensor.strides);
    return tensor;
  }

  int threads_ = 0;
  const RTorchStep* steps_ = nullptr;
  LoadResources* loaded_ = nullptr;
  RunResources resources_;
  BoundModel<Model>* bound_ = nullptr;
  std::unique_ptr<BoundModel<Model>> own_;
};

}  // namespace
}  // namespace rules_torch::internal

#endif  // RULES_TORCH_INTERNAL_AOTI_BACKEND_H_
