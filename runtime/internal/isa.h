// The instruction sets that models are compiled for, by the names that BUILD files
// use, and which of them this CPU runs.
#ifndef RULES_TORCH_INTERNAL_ISA_H_
#define RULES_TORCH_INTERNAL_ISA_H_

#include <string>

#include "runtime/internal/backend.h"

namespace rules_torch::internal {

// Names the highest instruction set that may be used, for all models of a process.
inline constexpr char kIsaVariable[] = "RTORCH_ISA";

// Whether this CPU and its operating system run code compiled for `isa`. False for
// what this kind of CPU does not know.
bool CpuRuns(const char* isa);

// Takes the first variant that `runs` and, unless `highest` is null or empty, is
// not above it. Returns nullptr and the reason where there is none.
const Variant* PickVariant(const Definition& definition, const char* highest,
                           bool (*runs)(const char* isa), std::string* reason);

}  // namespace rules_torch::internal

#endif  // RULES_TORCH_INTERNAL_ISA_H_
