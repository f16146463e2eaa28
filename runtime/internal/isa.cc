#include "runtime/internal/isa.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace rules_torch::internal {
namespace {

#if defined(__x86_64__)

// The names of rules/private/isa.bzl. Each runs what the ones before it run.
constexpr std::array<const char*, 4> kIsas = {"x86-64-v2", "x86-64-v3", "x86-64-v4",
                                              "x86-64-v4-amx"};

struct Registers {
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;  // zero: the CPU has no such leaf
};

Registers Cpuid(std::uint32_t leaf, std::uint32_t subleaf = 0) {
  Registers r;
  __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}

// The registers that the operating system saves at a context switch.
std::uint64_t SavedState() {
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return std::uint64_t{high} << 32 | low;
}

constexpr bool All(std::uint64_t value, std::uint64_t bits) {
  return (value & bits) == bits;
}

constexpr std::uint64_t Bits() { return 0; }
template <typename... Rest>
constexpr std::uint64_t Bits(int bit, Rest... rest) {
  return std::uint64_t{1} << bit | Bits(rest...);
}

// Linux lends AMX's tiles to a process that asks for them, which then has larger signal
// frames: only what uses tiles asks.
bool Permitted(int rank) {
  if (std::strcmp(kIsas[static_cast<std::size_t>(rank)], "x86-64-v4-amx") != 0) {
    return true;
  }
#if defined(__linux__)
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

// How many of kIsas this CPU runs. The levels are those of the x86-64 psABI; bit
// numbers are those of Intel's manual (CPUID, and XCR0 for the saved state).
int Level() {
  const Registers basic = Cpuid(1);
  const Registers extended = Cpuid(7);
  const Registers amd = Cpuid(0x80000001);
  // SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT; LAHF.
  if (!All(basic.ecx, Bits(0, 9, 13, 19, 20, 23)) || !All(amd.ecx, Bits(0))) return 0;
  // FMA, MOVBE, OSXSAVE, AVX, F16C; BMI1, AVX2, BMI2; LZCNT; SSE's and AVX's state.
  if (!All(basic.ecx, Bits(12, 22, 27, 28, 29)) || !All(extended.ebx, Bits(3, 5, 8)) ||
      !All(amd.ecx, Bits(5)) || !All(SavedState(), Bits(1, 2))) {
    return 1;
  }
  // AVX512F, DQ, CD, BW, VL; the state of masks and of both halves of ZMM.
  if (!All(extended.ebx, Bits(16, 17, 28, 30, 31)) ||
      !All(SavedState(), Bits(5, 6, 7))) {
    return 2;
  }
  // VNNI; AMX-BF16, AMX-TILE, AMX-INT8; AVX512_BF16; the state of tiles.
  if (!All(extended.ecx, Bits(11)) || !All(extended.edx, Bits(22, 24, 25)) ||
      !All(Cpuid(7, 1).eax, Bits(5)) || !All(SavedState(), Bits(17, 18))) {
    return 3;
  }
  return 4;
}

#elif defined(__aarch64__)

constexpr std::array<const char*, 1> kIsas = {"aarch64"};
bool Permitted(int) { return true; }
int Level() { return 1; }

#else

constexpr std::array<const char*, 0> kIsas = {};
bool Permitted(int) { return true; }
int Level() { return 0; }

#endif

// The place of a name in kIsas, or -1.
int Rank(const char* isa) {
  const auto found = std::find_if(kIsas.begin(), kIsas.end(), [&](const char* known) {
    return std::strcmp(known, isa) == 0;
  });
  return found == kIsas.end() ? -1 : static_cast<int>(found - kIsas.begin());
}

std::string Names(const Definition& definition) {
  std::string names;
  for (int i = 0; i < definition.num_variants; ++i) {
    names += (i > 0 ? ", " : "") + std::string(definition.variants[i].isa);
  }
  return names;
}

}  // namespace

bool CpuRuns(const char* isa) {
  static const int level = Level();
  const int rank = Rank(isa);
  return rank >= 0 && rank < level && Permitted(rank);
}

const Variant* PickVariant(const Definition& definition, const char* highest,
                           bool (*runs)(const char* isa), std::string* reason) {
  const bool limited = highest != nullptr && *highest != '\0';
  if (limited && Rank(highest) < 0) {
    *reason = std::string(kIsaVariable) + " is '" + highest + "', not one of";
    for (const char* isa : kIsas) *reason += std::string(" ") + isa;
    return nullptr;
  }
  for (int i = 0; i < definition.num_variants; ++i) {
    const Variant& variant = definition.variants[i];
    const bool allowed = !limited || Rank(variant.isa) <= Rank(highest);
    if (allowed && runs(variant.isa)) return &variant;
  }
  *reason = "compiled for " + Names(definition) + ", none of which this CPU runs";
  if (limited) {
    *reason += " and " + std::string(kIsaVariable) + "=" + highest + " allows";
  }
  return nullptr;
}

}  // namespace rules_torch::internal
