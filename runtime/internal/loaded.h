// What the instances of a model share that have the same weights: the weights, and what
// the backend made of them once.
#ifndef RULES_TORCH_INTERNAL_LOADED_H_
#define RULES_TORCH_INTERNAL_LOADED_H_

#include <string>
#include <utility>

#include "rules_torch/abi.h"
#include "runtime/internal/backend.h"

namespace rules_torch::internal {

struct Loaded;

// A share of a loaded variant. Movable; the last share of it unloads it. Shares may be
// made and dropped in any thread.
class Share {
 public:
  Share() = default;
  Share(Share&& other) noexcept : loaded_(std::exchange(other.loaded_, nullptr)) {}
  Share& operator=(Share&& other) noexcept {
    std::swap(loaded_, other.loaded_);
    return *this;
  }
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;
  ~Share();

  // Finds what is loaded already from the same file, memory or library on the same
  // device, or loads it. `weights`: null for the library's own. Memory stays its
  // owner's, and must outlive the share.
  //
  // Returns a code, and sets the share or the reason. May throw std::bad_alloc.
  static RTorchCode Of(const RTorchModelApi& api, const Variant& variant,
                       RTorchDevice device, const RTorchWeights* weights, Share* share,
                       std::string* reason);

  // What Backend.load made.
  void* get() const;

 private:
  Loaded* loaded_ = nullptr;
};

}  // namespace rules_torch::internal

#endif  // RULES_TORCH_INTERNAL_LOADED_H_
