// A model whose computation is a function of the test's, behind the C ABI: shows
// both sides of what the runtime makes of arguments and results.
#ifndef RULES_TORCH_TESTS_RUNTIME_FAKE_MODEL_H_
#define RULES_TORCH_TESTS_RUNTIME_FAKE_MODEL_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "rules_torch/abi.h"
#include "rules_torch/dtype.h"
#include "runtime/internal/backend.h"

namespace rules_torch::testing {

using internal::Result;

// Dimensions of a declared shape: fixed; `scale * symbol + offset` within
// bounds; known to the run alone.
RTorchDim Fixed(std::int64_t size);
RTorchDim Symbolic(std::int32_t symbol, std::int64_t min, std::int64_t max,
                   std::int64_t scale = 1, std::int64_t offset = 0);
RTorchDim DataDependent();

// An instruction set that every CPU has which runs the tests.
#if defined(__aarch64__)
inline constexpr char kBaseline[] = "aarch64";
#else
inline constexpr char kBaseline[] = "x86-64-v2";
#endif

struct FakeSpec {
  const char* name;
  const char* type;
  RTorchDType dtype;
  std::vector<RTorchDim> dims;
};

// What may differ between models; the rest is FakeModel's.
struct FakeSignature {
  std::vector<FakeSpec> inputs;
  std::vector<FakeSpec> outputs;
  std::vector<const char*> symbols;
  bool stateful = false;
  // The instruction sets that it is compiled for; all run the same body.
  std::vector<const char*> isas = {kBaseline};
  std::vector<RTorchWeightSpec> weights = {};
  // The weights file in the library, which has this one and no weights by default;
  // empty: it is not in the library.
  std::vector<std::uint8_t> file = std::vector<std::uint8_t>(64);
};

// Named "//fake:model". Must outlive its instances and results. Its destructor
// fails the test if an instance or a result was not freed exactly once.
class FakeModel {
 public:
  // Computes the results, as Backend.run says; false: INTERNAL.
  using Body = std::function<bool(const RTorchTensor* inputs, RTorchTensor* outputs,
                                  Result* results, std::string* reason)>;
  // Called for each new instance; returns why there is none, or an empty string.
  using Creation = std::function<std::string()>;

  FakeModel(FakeSignature signature, Body body, Creation creation = nullptr);
  ~FakeModel();
  FakeModel(const FakeModel&) = delete;
  FakeModel& operator=(const FakeModel&) = delete;

  const RTorchModelApi& api() const { return api_; }

  // Within the body: where the weights of the instance that runs lie, as Backend.load
  // got them, and RunRequest.symbols.
  static const void* const* weights();
  static const std::int64_t* symbols();

  // How often the backend has been called, by how many instances it is held, and for
  // how many sets of weights.
  int runs() const { return runs_; }
  int instances() const { return created_ - destroyed_; }
  int loads() const { return loaded_ - unloaded_; }

  // Makes a result of `elements`, row-major contiguous; the caller may change
  // its strides. Freed memory is overwritten, so that a use after it shows.
  template <typename T>
  RTorchTensor NewResult(const std::vector<T>& elements,
                         const std::vector<std::int64_t>& sizes) {
    return NewResult(DTypeOf<T>::value, elements.data(), elements.size() * sizeof(T),
                     sizes);
  }
  RTorchTensor NewResult(RTorchDType dtype, const void* elements, std::size_t bytes,
                         const std::vector<std::int64_t>& sizes);

  // Results that were made and not yet freed.
  int live_results() const;

 private:
  struct Memory {
    std::vector<std::uint8_t> bytes;
    std::atomic<int> deletions{0};
  };

  static RTorchCode Load(const internal::LoadRequest& request, void** loaded,
                         std::string* reason);
  static void Unload(void* loaded);
  static RTorchCode Create(void* loaded, std::int32_t threads, const void* state_of,
                           void** instance, std::string* reason);
  static void Destroy(void* instance);
  static RTorchCode Run(void* instance, const internal::RunRequest& request,
                        std::string* reason);
  static void Delete(void* owner);
  static std::vector<RTorchSymbol> Symbols(const std::vector<const char*>& names);
  static std::vector<RTorchTensorSpec> Specs(const std::vector<FakeSpec>& specs);
  std::vector<internal::Variant> Variants() const;

  const FakeSignature signature_;
  const Body body_;
  const Creation creation_;
  const std::vector<RTorchSymbol> symbols_;
  const std::vector<RTorchTensorSpec> inputs_;
  const std::vector<RTorchTensorSpec> outputs_;
  const internal::Backend backend_;
  const std::vector<internal::Variant> variants_;
  struct Api : RTorchModelApi {
    FakeModel* model;
  };
  Api MakeApi();

  const internal::Blob file_;
  const internal::Definition definition_;
  const Api api_;

  std::atomic<int> runs_{0};
  std::atomic<int> loaded_{0};
  std::atomic<int> unloaded_{0};
  std::atomic<int> created_{0};
  std::atomic<int> destroyed_{0};
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Memory>> results_;  // guarded by mutex_
};

}  // namespace rules_torch::testing

#endif  // RULES_TORCH_TESTS_RUNTIME_FAKE_MODEL_H_
