// A value that is replaced while others read it, and readers never wait.
//
// There are two places. Readers count themselves in at the one in use; a writer fills
// the other, points readers there, and waits until the first is empty: the "left-right"
// technique (Ramalhete and Correia, 2015) for one writer at a time.
#ifndef RULES_TORCH_INTERNAL_LEFT_RIGHT_H_
#define RULES_TORCH_INTERNAL_LEFT_RIGHT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <utility>

namespace rules_torch::internal {

// T is movable. Its value does not change but by Replace.
template <typename T>
class LeftRight {
 public:
  // Reads the value that was in use when this began, until it ends. Costs two atomic
  // additions.
  class Reader {
   public:
    explicit Reader(const LeftRight& both) {
      for (;;) {
        const std::uint64_t version = both.version_.load();
        count_ = &both.CountOf(version);
        count_->fetch_add(1);
        if (both.version_.load() == version) {
          value_ = &both.places_[version % 2];
          return;
        }
        count_->fetch_sub(1);  // replaced in between
      }
    }
    ~Reader() { count_->fetch_sub(1, std::memory_order_release); }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    const T& operator*() const { return *value_; }
    const T* operator->() const { return value_; }

   private:
    std::atomic<std::int64_t>* count_;
    const T* value_;
  };

  explicit LeftRight(T value) { places_[0] = std::move(value); }

  // Destroys the old value once no reader has it, and returns then. By one thread at a
  // time, which is no reader.
  void Replace(T value) {
    const std::uint64_t old = version_.load();
    places_[(old + 1) % 2] = std::move(value);
    version_.store(old + 1);
    for (const Count& count : counts_[old % 2]) {
      while (count.readers.load() != 0) std::this_thread::yield();
    }
    places_[old % 2] = T();
  }

 private:
  // Threads count on different cache lines, mostly, so as not to take them from each
  // other.
  struct alignas(64) Count {
    std::atomic<std::int64_t> readers{0};
  };
  static constexpr std::size_t kCounts = 8;

  std::atomic<std::int64_t>& CountOf(std::uint64_t version) const {
    // Stacks of threads lie megabytes apart.
    const char here = 0;
    const auto stack = reinterpret_cast<std::uintptr_t>(&here);
    return counts_[version % 2][(stack >> 20 ^ stack >> 23) % kCounts].readers;
  }

  T places_[2];
  std::atomic<std::uint64_t> version_{0};
  mutable Count counts_[2][kCounts];
};

}  // namespace rules_torch::internal

#endif  // RULES_TORCH_INTERNAL_LEFT_RIGHT_H_
