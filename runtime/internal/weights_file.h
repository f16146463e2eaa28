// Finds a model's weights in a .safetensors file.
//
// A file that a build made has, beside the tensors, these texts in its metadata:
//
//   rules_torch.format          "1"
//   rules_torch.byte_order      "little"
//   rules_torch.digest.<name>   BLAKE2b-256 of the tensor's bytes, in hexadecimal
//   rules_torch.strides.<name>  "1,3", if the kernels want no row-major tensor
//   rules_torch.packing.<name>  "panels/1", if they want it packed (weight_packing.h)
//
// and its tensors are in the order in which the kernels read them: one that is dense,
// but not row-major, has its dimensions in the order of its strides, the greatest
// first; one that is packed, or not dense (expanded, or with gaps), has the one
// dimension of its memory. What is there, `tools/torch_aot/weights_file.py` writes.
#ifndef RULES_TORCH_INTERNAL_WEIGHTS_FILE_H_
#define RULES_TORCH_INTERNAL_WEIGHTS_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rules_torch/abi.h"
#include "runtime/internal/blob.h"

namespace rules_torch::internal {

// Keeps the caller's memory: calls RTorchWeights.deleter once, at the end. Movable.
class Owner {
 public:
  Owner() = default;
  explicit Owner(const RTorchWeights& weights)
      : deleter_(weights.deleter), owner_(weights.owner) {}
  Owner(Owner&& other) noexcept
      : deleter_(std::exchange(other.deleter_, nullptr)), owner_(other.owner_) {}
  Owner& operator=(Owner&& other) noexcept {
    std::swap(deleter_, other.deleter_);
    std::swap(owner_, other.owner_);
    return *this;
  }
  ~Owner() {
    if (deleter_ != nullptr) deleter_(owner_);
  }

 private:
  void (*deleter_)(void*) = nullptr;
  void* owner_ = nullptr;
};

// Where each of a model's weights lies, and what keeps it there. Constant, so that any
// number of threads may use it.
class Weights {
 public:
  // Unmaps the file or calls RTorchWeights.deleter, and frees copies.
  ~Weights();
  Weights(const Weights&) = delete;
  Weights& operator=(const Weights&) = delete;

  // For each of RTorchModelApi.weights its first byte, aligned for its element type.
  const void* const* pointers() const { return pointers_.data(); }

 private:
  friend class WeightsFinder;
  friend std::shared_ptr<const Weights> EmbeddedWeights(const RTorchModelApi& api,
                                                        const Blob& file);
  struct Free {
    void operator()(std::uint8_t* memory) const;
  };

  Weights() = default;

  Owner owner_;  // goes last
  std::vector<const void*> pointers_;
  std::vector<std::unique_ptr<std::uint8_t, Free>> copies_;
  void* mapping_ = nullptr;
  std::size_t mapping_size_ = 0;
};

// Whether this is an RTorchWeights that names a file or memory, and asks for nothing
// that is not known here; nothing of it is read otherwise. INVALID_ARGUMENT and the
// reason if not.
RTorchCode CheckSource(const RTorchWeights& source, std::string* reason);

// Finds the weights as RTorchWeights says, in a file or memory of whatever bytes. Where
// it fails, `reason` names the file and says what was found and what expected:
//
//   NOT_FOUND           there is no such file
//   DATA_LOSS           the file is cut short, or a weight does not have its digest
//   INVALID_ARGUMENT    anything else that is wrong with `source`, or does not fit
//   RESOURCE_EXHAUSTED  the file cannot be opened or mapped now
//
// Throws nothing but std::bad_alloc. `source.deleter` is called by the destructor of
// what was found, and not at all where this fails or throws.
//
// The file is mapped and must not be written to while it is: its weights would change
// with it, and reading what was cut off is a SIGBUS, which ends the process. Replace a
// file by renaming another to its name.
RTorchCode FindWeights(const RTorchModelApi& api, const RTorchWeights& source,
                       std::shared_ptr<const Weights>* found, std::string* reason);

// The weights of a file in the library, which a build made for this model: trusted, and
// not read. Throws nothing but std::bad_alloc.
std::shared_ptr<const Weights> EmbeddedWeights(const RTorchModelApi& api,
                                               const Blob& file);

}  // namespace rules_torch::internal

#endif  // RULES_TORCH_INTERNAL_WEIGHTS_FILE_H_
