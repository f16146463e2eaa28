// Tensors of the standalone runtime, and the memory of one run.
//
// Part of a generated model source, in an unnamed namespace: models in one binary share
// nothing of it.
#ifndef RULES_TORCH_STANDALONE_TENSOR_H_
#define RULES_TORCH_STANDALONE_TENSOR_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "rules_torch/abi.h"
#include "rules_torch/dtype.h"
#include "runtime/internal/layout.h"
#include "runtime/standalone/operand.h"
#include "runtime/standalone/packed_weights.h"

namespace rules_torch::standalone {
namespace {

class RunMemory;

// The run that the thread is in; null outside of one.
thread_local RunMemory* current_run = nullptr;

// A block of a run's memory, which tensors share.
struct Block {
  void* data;
  std::size_t bytes;
  std::int32_t references = 0;  // of tensors, all in the run's thread; 0: free
  std::uint32_t last_run = 0;   // the last one that used it
};

// What AOTInductor's code has handles to. Used by one thread, but for the weights',
// which no run modifies.
struct Tensor {
  void* data;
  std::int32_t dtype;  // as RTORCH_FLOAT32
  std::int32_t rank;
  std::int64_t sizes[kMaxRank];
  std::int64_t strides[kMaxRank];  // in elements
  void* base;                      // where the memory begins that it is a view of
  Block* block;                    // null: memory that somebody else keeps
  RunMemory* run;                  // that it is of; null: made by new
};

[[maybe_unused]] inline std::size_t ElementSize(std::int32_t dtype) {
  if (dtype == kComplex64) return 8;
  if (dtype == kComplex128) return 16;
  const std::int64_t size = DTypeSize(dtype);
  if (size == 0) {
    throw std::runtime_error("the standalone runtime has no dtype " +
                             std::to_string(dtype));
  }
  return static_cast<std::size_t>(size);
}

[[maybe_unused]] inline internal::Layout LayoutOf(const Tensor& tensor) {
  return {tensor.sizes, tensor.strides, tensor.rank};
}

[[maybe_unused]] inline std::int64_t NumElements(const Tensor& tensor) {
  return internal::NumElements(tensor.sizes, tensor.rank);
}

// How many bytes elements with such sizes and strides reach over.
[[maybe_unused]] inline std::size_t Reach(const Tensor& tensor) {
  internal::Extent extent;
  // Wherever it lies; what has no memory yet has no extent.
  if (!internal::FindExtent(&tensor, LayoutOf(tensor), ElementSize(tensor.dtype),
                            &extent)) {
    throw std::bad_alloc();
  }
  return static_cast<std::size_t>(extent.size());
}

// There is no memory for a tensor.
class OutOfMemory : public std::runtime_error {
 public:
  explicit OutOfMemory(std::size_t bytes)
      : std::runtime_error("out of memory: a tensor of " + std::to_string(bytes) +
                           " bytes cannot be allocated") {}
};

// Intermediate results of one run after another: blocks that are freed in a run are
// what the next allocation of a like size takes, so that a run of sizes seen before
// allocates nothing.
class RunMemory {
 public:
  RunMemory() = default;
  RunMemory(const RunMemory&) = delete;
  RunMemory& operator=(const RunMemory&) = delete;
  ~RunMemory() {
    for (const std::unique_ptr<Block>& block : blocks_) std::free(block->data);
  }

  Tensor* NewTensor() {
    if (free_tensors_.empty()) {
      chunks_.push_back(std::make_unique<Chunk>());
      free_tensors_.reserve(chunks_.size() * kChunk);
      for (Tensor& tensor : *chunks_.back()) {
        tensor.run = this;
        free_tensors_.push_back(&tensor);
      }
    }
    Tensor* tensor = free_tensors_.back();
    free_tensors_.pop_back();
    return tensor;
  }

  void Delete(Tensor* tensor) {
    if (tensor->block != nullptr) Drop(tensor->block);
    free_tensors_.push_back(tensor);
  }

  // A block with one reference and at least so many bytes, aligned to 64.
  Block* Take(std::size_t bytes) {
    bytes = (std::max<std::size_t>(bytes, 1) + 63) / 64 * 64;
    Block* best = nullptr;
    for (const std::unique_ptr<Block>& block : blocks_) {
      // Not one that a much larger tensor will want.
      if (block->references == 0 && block->bytes >= bytes &&
          block->bytes / 2 <= bytes &&
          (best == nullptr || block->bytes < best->bytes)) {
        best = block.get();
      }
    }
    if (best == nullptr) best = Add(bytes);
    best->references = 1;
    best->last_run = run_;
    return best;
  }

  static void Drop(Block* block) { --block->references; }

  // Gives a block's memory away, for std::free.
  static void* Release(Block* block) {
    block->bytes = 0;
    return std::exchange(block->data, nullptr);
  }

  // Of the weights that the run uses.
  PackedWeights* packed = nullptr;

  // Between two runs: frees what has long been of no use.
  void Tidy() {
    ++run_;
    std::size_t kept = 0;
    for (std::unique_ptr<Block>& block : blocks_) {
      if (block->data == nullptr || run_ - block->last_run > kUnusedRuns) {
        std::free(block->data);
      } else {
        blocks_[kept++].swap(block);
      }
    }
    blocks_.resize(kept);
  }

 private:
  static constexpr std::size_t kChunk = 16;
  static constexpr std::uint32_t kUnusedRuns = 16;
  using Chunk = std::array<Tensor, kChunk>;

  Block* Add(std::size_t bytes) {
    blocks_.push_back(std::make_unique<Block>());
    Block* block = blocks_.back().get();
    block->data = std::aligned_alloc(64, bytes);
    block->bytes = bytes;
    if (block->data == nullptr) {
      blocks_.pop_back();
      throw OutOfMemory(bytes);
    }
    return block;
  }

  std::vector<std::unique_ptr<Block>> blocks_;
  std::vector<std::unique_ptr<Chunk>> chunks_;
  std::vector<Tensor*> free_tensors_;
  std::uint32_t run_ = 0;
};

// An instance's, for as many runs at once as it has seen. Thread-safe, without locks.
class RunMemories {
 public:
  RunMemories() = default;
  RunMemories(const RunMemories&) = delete;
  RunMemories& operator=(const RunMemories&) = delete;
  ~RunMemories() {
    for (std::atomic<RunMemory*>& kept : kept_) delete kept.load();
  }

  std::unique_ptr<RunMemory> Take() {
    for (std::atomic<RunMemory*>& kept : kept_) {
      if (RunMemory* memory = kept.exchange(nullptr, std::memory_order_acquire)) {
        return std::unique_ptr<RunMemory>(memory);
      }
    }
    return std::make_unique<RunMemory>();
  }

  void Return(std::unique_ptr<RunMemory> memory) {
    for (std::atomic<RunMemory*>& kept : kept_) {
      RunMemory* none = nullptr;
      if (kept.compare_exchange_strong(none, memory.get(), std::memory_order_release)) {
        memory.release();
        return;
      }
    }
  }

 private:
  std::array<std::atomic<RunMemory*>, 16> kept_{};
};

[[maybe_unused]] inline Tensor* NewTensor() {
  if (current_run != nullptr) return current_run->NewTensor();
  auto* tensor = new Tensor;
  tensor->run = nullptr;
  return tensor;
}

[[maybe_unused]] inline void DeleteTensor(Tensor* tensor) {
  if (tensor->run != nullptr) {
    tensor->run->Delete(tensor);
  } else {
    delete tensor;
  }
}

// Sets all but the memory.
[[maybe_unused]] inline void Describe(Tensor* tensor, std::int64_t rank,
                                      const std::int64_t* sizes,
                                      const std::int64_t* strides, std::int32_t dtype) {
  if (rank > kMaxRank) throw std::runtime_error("a tensor's rank is too high");
  tensor->rank = static_cast<std::int32_t>(rank);
  tensor->dtype = dtype;
  std::copy_n(sizes, rank, tensor->sizes);
  std::copy_n(strides, rank, tensor->strides);
}

struct TensorDeleter {
  void operator()(Tensor* tensor) const { DeleteTensor(tensor); }
};
using OwnedTensor = std::unique_ptr<Tensor, TensorDeleter>;

// A tensor in memory that somebody else keeps; `offset` in elements.
[[maybe_unused]] inline OwnedTensor Borrow(void* data, std::int64_t rank,
                                           const std::int64_t* sizes,
                                           const std::int64_t* strides,
                                           std::int64_t offset, std::int32_t dtype) {
  OwnedTensor tensor(NewTensor());
  tensor->block = nullptr;
  Describe(tensor.get(), rank, sizes, strides, dtype);
  tensor->base = data;
  tensor->data =
      static_cast<char*>(data) + offset * static_cast<std::int64_t>(ElementSize(dtype));
  return tensor;
}

// A tensor in memory of the run's, uninitialised.
[[maybe_unused]] inline OwnedTensor Allocate(std::int64_t rank,
                                             const std::int64_t* sizes,
                                             const std::int64_t* strides,
                                             std::int32_t dtype) {
  if (current_run == nullptr) throw std::logic_error("allocation outside of a run");
  OwnedTensor tensor = Borrow(nullptr, rank, sizes, strides, 0, dtype);
  tensor->block = current_run->Take(Reach(*tensor));
  tensor->base = tensor->data = tensor->block->data;
  return tensor;
}

// The same, dense: with its dimensions in an order, from the outermost on.
[[maybe_unused]] inline OwnedTensor AllocateInOrder(std::int64_t rank,
                                                    const std::int64_t* sizes,
                                                    const std::int64_t* order,
                                                    std::int32_t dtype) {
  std::int64_t strides[kMaxRank];
  std::int64_t stride = 1;
  for (std::int64_t i = rank - 1; i >= 0; --i) {
    strides[order[i]] = stride;
    stride *= std::max<std::int64_t>(sizes[order[i]], 1);
  }
  return Allocate(rank, sizes, strides, dtype);
}

// The same, row-major.
[[maybe_unused]] inline OwnedTensor Contiguous(std::int64_t rank,
                                               const std::int64_t* sizes,
                                               std::int32_t dtype) {
  std::int64_t order[kMaxRank];
  std::iota(order, order + rank, std::int64_t{0});
  return AllocateInOrder(rank, sizes, order, dtype);
}

// Another tensor in the memory of `of`; `offset` in elements, from its beginning.
[[maybe_unused]] inline OwnedTensor View(const Tensor& of, std::int64_t rank,
                                         const std::int64_t* sizes,
                                         const std::int64_t* strides,
                                         std::int64_t offset) {
  OwnedTensor tensor = Borrow(of.base, rank, sizes, strides, offset, of.dtype);
  tensor->block = of.block;
  if (tensor->block != nullptr) ++tensor->block->references;
  return tensor;
}

// Sorts dimensions: the outermost in memory comes first.
[[maybe_unused]] inline void SortByStrides(const Tensor& of, std::int64_t* begin,
                                           std::int64_t* end) {
  std::stable_sort(begin, end, [&](std::int64_t a, std::int64_t b) {
    return of.strides[a] > of.strides[b];
  });
}

// An uninitialised tensor of equal sizes, dense: its dimensions lie in the order of
// `of`'s strides, as torch.empty_like's.
[[maybe_unused]] inline OwnedTensor EmptyLike(const Tensor& of) {
  std::int64_t order[kMaxRank];
  std::iota(order, order + of.rank, std::int64_t{0});
  SortByStrides(of, order, order + of.rank);
  return AllocateInOrder(of.rank, of.sizes, order, of.dtype);
}

[[maybe_unused]] inline Operand AsOperand(const Tensor& tensor) {
  return {tensor.data, tensor.dtype, tensor.rank, tensor.sizes, tensor.strides};
}

[[maybe_unused]] inline std::int64_t StorageOffset(const Tensor& tensor) {
  return (static_cast<char*>(tensor.data) - static_cast<char*>(tensor.base)) /
         static_cast<std::int64_t>(ElementSize(tensor.dtype));
}

}  // namespace
}  // namespace rules_torch::standalone

#endif  // RULES_TORCH_STANDALONE_TENSOR_H_
