// The heap of ptxas, preloaded into it: addresses that depend on nothing but what ptxas
// allocates.
//
// ptxas for Blackwell lays out code by the addresses of its data. Those of libc's heap
// depend on randomisation and on the kernel, the loader's cache, the libraries and
// what each of them allocates.
//
// What the program itself allocates comes from memory at a fixed address; what the
// libraries do, from other memory, so that another libc moves nothing of the program's.
// Any thread may call; with several the addresses depend on their order.

#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define EXPORT __attribute__((visibility("default")))
#define CALLER ((uintptr_t)__builtin_return_address(0))

enum {
  kAlignment = 16,
  // Free blocks are kept by size, in so many bins for each doubling: a block is at most
  // a quarter larger than asked for.
  kSteps = 4,
  kBins = 64 * kSteps,
  kGrowth = 1 << 20,  // bytes that are mapped at once, at least
};

// Where the heaps begin, 128 and 384 GiB. Linux puts programs, libraries and stacks
// near the ends of the address space or at a third of it, which is far above.
#define PROGRAM_HEAP ((uintptr_t)1 << 37)
#define LIBRARY_HEAP ((uintptr_t)3 << 37)

// Before each block.
typedef struct Header {
  size_t bin;
  struct Header* next;  // of the free ones of its bin
} Header;

// Memory that grows, and is reused and never given back.
typedef struct {
  uintptr_t next;    // where the next block begins
  uintptr_t mapped;  // the end of what is mapped
  Header* free[kBins];
} Heap;

static Heap program_heap = {PROGRAM_HEAP, PROGRAM_HEAP, {NULL}};
static Heap library_heap = {LIBRARY_HEAP, LIBRARY_HEAP, {NULL}};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void Die(const char* message) {
  if (write(STDERR_FILENO, message, strlen(message)) < 0) {
    // There is no other place to say it.
  }
  abort();
}

// Where the program's segments are, from the kernel: the loader may not have run.
static int IsProgram(uintptr_t address) {
  static uintptr_t begin, end;
  if (end == 0) {
    const ElfW(Phdr)* headers = (const ElfW(Phdr)*)getauxval(AT_PHDR);
    const size_t count = getauxval(AT_PHNUM);
    uintptr_t low = UINTPTR_MAX, high = 0, base = 0;
    for (size_t i = 0; i < count; ++i) {
      if (headers[i].p_type == PT_PHDR) {
        base = (uintptr_t)headers - headers[i].p_vaddr;
      } else if (headers[i].p_type == PT_LOAD) {
        const uintptr_t first = headers[i].p_vaddr;
        if (first < low) low = first;
        if (first + headers[i].p_memsz > high) high = first + headers[i].p_memsz;
      }
    }
    begin = base + low;
    end = base + high;
  }
  return begin <= address && address < end;
}

static Heap* HeapOf(uintptr_t caller) {
  return IsProgram(caller) ? &program_heap : &library_heap;
}

static size_t BinSize(size_t bin) {
  const size_t power = (size_t)kAlignment << bin / kSteps;
  const size_t size = power + power / kSteps * (bin % kSteps);
  return (size + kAlignment - 1) & ~(size_t)(kAlignment - 1);
}

// The smallest bin whose blocks hold `size` bytes, of at most PTRDIFF_MAX.
static size_t BinOf(size_t size) {
  if (size <= kAlignment) return 0;
  const int bits = 63 - __builtin_clzll(size - 1) - 4;  // whole doublings of kAlignment
  size_t bin = (size_t)bits * kSteps;
  while (BinSize(bin) < size) ++bin;
  return bin;
}

// Takes bytes from the end of a heap; NULL where there are no more.
static void* Extend(Heap* heap, size_t size) {
  if (size > heap->mapped - heap->next) {
    size_t more = size - (heap->mapped - heap->next);
    more = (more + kGrowth - 1) / kGrowth * kGrowth;
    void* const wanted = (void*)heap->mapped;
    void* const got =
        mmap(wanted, more, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, -1, 0);
    if (got == MAP_FAILED && errno == ENOMEM) return NULL;
    if (got != wanted) Die("ptxas_heap: the addresses of its memory are taken\n");
    heap->mapped += more;
  }
  void* const taken = (void*)heap->next;
  heap->next += size;
  return taken;
}

static void* Allocate(Heap* heap, size_t size) {
  if (size > PTRDIFF_MAX) {
    errno = ENOMEM;
    return NULL;
  }
  const size_t bin = BinOf(size);
  pthread_mutex_lock(&lock);
  Header* header = heap->free[bin];
  if (header != NULL) {
    heap->free[bin] = header->next;
  } else {
    header = Extend(heap, sizeof(Header) + BinSize(bin));
    if (header != NULL) header->bin = bin;
  }
  pthread_mutex_unlock(&lock);
  if (header == NULL) {
    errno = ENOMEM;
    return NULL;
  }
  return header + 1;
}

// An aligned block lies in a larger one, behind a header of the bin `kInside` that
// says where that is.
static const size_t kInside = SIZE_MAX;

static void* AllocateAligned(Heap* heap, size_t alignment, size_t size) {
  if (alignment <= kAlignment) return Allocate(heap, size);
  if (size > PTRDIFF_MAX - alignment - sizeof(Header)) {
    errno = ENOMEM;
    return NULL;
  }
  char* const outer = Allocate(heap, size + alignment + sizeof(Header));
  if (outer == NULL) return NULL;
  const uintptr_t first = (uintptr_t)outer + sizeof(Header);
  Header* const inner = (Header*)((first + alignment - 1) & ~(alignment - 1));
  inner[-1].bin = kInside;
  inner[-1].next = (Header*)outer - 1;
  return inner;
}

static Header* HeaderOf(void* block) {
  Header* const header = (Header*)block - 1;
  return header->bin == kInside ? header->next : header;
}

// Bytes from a block to the end of what it lies in.
static size_t SizeOf(void* block) {
  Header* const header = HeaderOf(block);
  return BinSize(header->bin) - (size_t)((char*)block - (char*)(header + 1));
}

static Heap* HeapWith(const void* block) {
  return (uintptr_t)block < LIBRARY_HEAP ? &program_heap : &library_heap;
}

EXPORT void free(void* block) {
  if (block == NULL) return;
  Heap* const heap = HeapWith(block);
  Header* const header = HeaderOf(block);
  pthread_mutex_lock(&lock);
  header->next = heap->free[header->bin];
  heap->free[header->bin] = header;
  pthread_mutex_unlock(&lock);
}

EXPORT void* malloc(size_t size) { return Allocate(HeapOf(CALLER), size); }

EXPORT void* calloc(size_t count, size_t size) {
  if (__builtin_mul_overflow(count, size, &size)) {
    errno = ENOMEM;
    return NULL;
  }
  void* const block = Allocate(HeapOf(CALLER), size);
  return block == NULL ? NULL : memset(block, 0, size);
}

static void* Reallocate(void* block, size_t size, uintptr_t caller) {
  if (block == NULL) return Allocate(HeapOf(caller), size);
  if (size == 0) {
    free(block);
    return NULL;
  }
  const size_t old = SizeOf(block);
  if (size <= old) return block;
  void* const larger = Allocate(HeapWith(block), size);
  if (larger == NULL) return NULL;
  memcpy(larger, block, old);
  free(block);
  return larger;
}

EXPORT void* realloc(void* block, size_t size) {
  return Reallocate(block, size, CALLER);
}

EXPORT void* reallocarray(void* block, size_t count, size_t size) {
  if (__builtin_mul_overflow(count, size, &size)) {
    errno = ENOMEM;
    return NULL;
  }
  return Reallocate(block, size, CALLER);
}

EXPORT void* memalign(size_t alignment, size_t size) {
  return AllocateAligned(HeapOf(CALLER), alignment, size);
}

EXPORT void* aligned_alloc(size_t alignment, size_t size) {
  return AllocateAligned(HeapOf(CALLER), alignment, size);
}

EXPORT int posix_memalign(void** block, size_t alignment, size_t size) {
  if (alignment % sizeof(void*) != 0 || (alignment & (alignment - 1)) != 0) {
    return EINVAL;
  }
  void* const got = AllocateAligned(HeapOf(CALLER), alignment, size);
  if (got == NULL) return ENOMEM;
  *block = got;
  return 0;
}

EXPORT void* valloc(size_t size) {
  return AllocateAligned(HeapOf(CALLER), (size_t)getpagesize(), size);
}

EXPORT void* pvalloc(size_t size) {
  const size_t page = (size_t)getpagesize();
  if (size > PTRDIFF_MAX) {
    errno = ENOMEM;
    return NULL;
  }
  return AllocateAligned(HeapOf(CALLER), page, (size + page - 1) & ~(page - 1));
}

EXPORT size_t malloc_usable_size(void* block) {
  return block == NULL ? 0 : SizeOf(block);
}
