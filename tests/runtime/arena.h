// An allocator of outputs that a test can look at.
#ifndef RULES_TORCH_TESTS_RUNTIME_ARENA_H_
#define RULES_TORCH_TESTS_RUNTIME_ARENA_H_

#include <atomic>
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <vector>

#include "rules_torch/abi.h"

namespace rules_torch::testing {

// Gives memory, and counts what of it is in use. Must outlive that. Thread-safe.
class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  const RTorchAllocator& abi() const { return abi_; }

  // Gives memory so often, and then RESOURCE_EXHAUSTED.
  void set_left(int left) { left_ = left; }

  // How many of the tensors that it gave memory are not freed, and all of them.
  int live() const { return live_; }
  const std::vector<RTorchTensor>& given() const { return given_; }

 private:
  struct Block {
    Arena* arena;
    void* data;
  };

  static RTorchCode Allocate(void* context, std::uint64_t bytes,
                             std::uint64_t alignment, RTorchTensor* tensor) {
    auto* arena = static_cast<Arena*>(context);
    if (arena->left_-- <= 0) return RTORCH_RESOURCE_EXHAUSTED;
    tensor->data = std::aligned_alloc(alignment, bytes);
    if (tensor->data == nullptr) return RTORCH_RESOURCE_EXHAUSTED;
    tensor->owner = new Block{arena, tensor->data};
    tensor->deleter = [](void* owner) {
      const std::unique_ptr<Block> block(static_cast<Block*>(owner));
      std::free(block->data);
      --block->arena->live_;
    };
    ++arena->live_;
    const std::lock_guard<std::mutex> lock(arena->mutex_);
    arena->given_.push_back(*tensor);
    return RTORCH_OK;
  }

  const RTorchAllocator abi_{sizeof(RTorchAllocator), 0, this, &Allocate};
  std::atomic<int> left_{INT_MAX};
  std::atomic<int> live_{0};
  std::mutex mutex_;
  std::vector<RTorchTensor> given_;  // guarded by mutex_ while models run
};

}  // namespace rules_torch::testing

#endif  // RULES_TORCH_TESTS_RUNTIME_ARENA_H_
