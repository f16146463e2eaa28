#include "tests/runtime/allocations.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

std::atomic<int> rules_torch::testing::allocations_left{-1};

namespace {

using rules_torch::testing::allocations_left;

bool MayAllocate() {
  if (allocations_left == 0) return false;
  if (allocations_left > 0) --allocations_left;
  return true;
}

void* Allocate(std::size_t size, std::align_val_t alignment) {
  const auto unit = static_cast<std::size_t>(alignment);
  const std::size_t rounded = (size + unit) / unit * unit;  // never zero
  void* memory = MayAllocate() ? std::aligned_alloc(unit, rounded) : nullptr;
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

// Not inlined, or the compiler sees `free` for what a `new` gave and complains.
[[gnu::noinline]] void Free(void* memory) noexcept { std::free(memory); }

}  // namespace

// All forms that this program uses. One that were missing would be the default, which
// calls one of these, but with a sanitizer it would be the sanitizer's, which does not.
constexpr std::align_val_t kUsual{alignof(std::max_align_t)};
void* operator new(std::size_t size) { return Allocate(size, kUsual); }
void* operator new[](std::size_t size) { return Allocate(size, kUsual); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return Allocate(size, alignment);
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return MayAllocate() ? std::malloc(size + 1) : nullptr;
}
void operator delete(void* memory) noexcept { Free(memory); }
void operator delete[](void* memory) noexcept { Free(memory); }
void operator delete(void* memory, std::size_t) noexcept { Free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { Free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { Free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  Free(memory);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept { Free(memory); }

// Sanitizers end the process at a huge allocation unless told otherwise.
extern "C" const char* __asan_default_options() {
  return "allocator_may_return_null=1";
}
extern "C" const char* __tsan_default_options() {
  return "allocator_may_return_null=1";
}
