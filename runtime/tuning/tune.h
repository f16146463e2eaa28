// What a triton_tuner generates: the kernels that it measures. tune.cc does it.
#ifndef RULES_TORCH_TUNING_TUNE_H_
#define RULES_TORCH_TUNING_TUNE_H_

#include <cstdint>

#include "rules_torch/kernel.h"
#include "runtime/internal/kernel.h"

namespace rules_torch::tuning {

enum class Kind : std::uint8_t { kInteger, kReal, kPointer };

// One argument of the declared example. `type` is Triton's: "i32", "fp16"; of a
// pointer, what it points to.
struct Argument {
  const char* name;
  const char* type;
  Kind kind;
  std::int64_t integer;  // a scalar's value, a pointer's number of elements
  double real;
};

// One configuration of @triton.autotune. An image whose size is 0 does not fit its
// architecture.
struct Candidate {
  const char*
      choice;  // JSON, what goes into the table: {"BLOCK_M": 128, "num_warps": 8}
  internal::Kernel* kernel;
  Grid (*grid)(std::int64_t multiprocessors);
};

// One instantiation, on its example.
struct Case {
  const char* function;       // "matmul"
  const char* instantiation;  // "T=fp16, m <= 64"
  const Argument* arguments;  // those that the kernel takes, in its order
  int num_arguments;
  const Candidate* candidates;
  int num_candidates;
};

// An entry of the table as it was when the tuner was built.
struct Row {
  const char* function;
  const char* instantiation;
  const char* architecture;
  const char* choice;
};

struct Tuner {
  const char* label;  // "//kernels:tune_matmul"
  const char* table;  // "kernels/matmul.tuning.json", from the workspace's root
  internal::KernelLibrary* library;
  const Case* cases;
  int num_cases;
  const Row* rows;
  int num_rows;
};

// Defined by the generated source.
const Tuner& GetTuner();

}  // namespace rules_torch::tuning

#endif  // RULES_TORCH_TUNING_TUNE_H_
