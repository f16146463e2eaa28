// What operators make of weights, once for all runs that use these.
#ifndef RULES_TORCH_STANDALONE_PACKED_WEIGHTS_H_
#define RULES_TORCH_STANDALONE_PACKED_WEIGHTS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include "runtime/internal/backend.h"
#include "runtime/internal/layout.h"
#include "runtime/standalone/operand.h"

namespace rules_torch::standalone {
namespace {

// Shared by the instances that have the same weights. Thread-safe: what is there is
// found without a lock.
class PackedWeights {
 public:
  explicit PackedWeights(const internal::LoadRequest& request) {
    for (int i = 0; i < request.api->num_weights; ++i) {
      const RTorchWeightSpec& spec = request.api->weights[i];
      if (spec.is_mutable != 0) continue;
      const auto* begin = static_cast<const std::uint8_t*>(request.weights[i]);
      constants_.push_back({begin, begin + spec.bytes});
    }
  }
  ~PackedWeights() {
    for (Entry* entry = first_.load(); entry != nullptr;) {
      const std::unique_ptr<Entry> owned(entry);
      entry = entry->next;
      std::free(owned->memory);
    }
  }
  PackedWeights(const PackedWeights&) = delete;
  PackedWeights& operator=(const PackedWeights&) = delete;

  // As Workspace::keep.
  const void* Find(const PackedKey& key, std::size_t bytes,
                   void (*fill)(const void* context, void* memory),
                   const void* context) {
    if (const void* found = Find(key)) return found;
    if (!IsConstant(key.data)) return nullptr;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (const void* found = Find(key)) return found;
    auto entry = std::make_unique<Entry>();
    entry->key = key;
    entry->memory = std::aligned_alloc(64, bytes / 64 * 64 + 64);
    if (entry->memory == nullptr) throw std::bad_alloc();
    fill(context, entry->memory);
    entry->next = first_.load(std::memory_order_relaxed);
    first_.store(entry.get(), std::memory_order_release);
    return entry.release()->memory;
  }

 private:
  struct Entry {
    PackedKey key;
    void* memory;
    Entry* next;
  };

  const void* Find(const PackedKey& key) const {
    const Entry* entry = first_.load(std::memory_order_acquire);
    while (entry != nullptr && !(entry->key == key)) entry = entry->next;
    return entry == nullptr ? nullptr : entry->memory;
  }

  bool IsConstant(const void* data) const {
    const auto* place = static_cast<const std::uint8_t*>(data);
    for (const internal::Extent& constant : constants_) {
      if (constant.begin <= place && place < constant.end) return true;
    }
    return false;
  }

  std::vector<internal::Extent> constants_;
  std::atomic<Entry*> first_{nullptr};
  std::mutex mutex_;  // of who adds one
};

}  // namespace
}  // namespace rules_torch::standalone

#endif  // RULES_TORCH_STANDALONE_PACKED_WEIGHTS_H_
