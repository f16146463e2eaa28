// The driver of torch_model_test: a compiled model against recorded results.
#ifndef RULES_TORCH_TESTING_MODEL_TEST_H_
#define RULES_TORCH_TESTING_MODEL_TEST_H_

#include "rules_torch/abi.h"

namespace rules_torch::testing {

// Runs a model on all cases of a file, in several ways, and compares the outputs.
// Prints what it did and each mismatch.
//
//   cases: the file's path, from the runfiles' root of the main repository, where
//       Bazel starts tests
//   atol, rtol: tolerances of floating-point outputs; negative for the defaults of
//       torch.testing.assert_close
//   argc, argv: of the command line, which may have
//       --trace=FILE  record the plain run of each case: trace.h
//
// Returns the process's exit status: 0 if everything matched, 2 for a command line that
// is wrong.
int TestModel(const RTorchModelApi& api, const char* cases, double atol, double rtol,
              int argc = 1, const char* const* argv = nullptr);

}  // namespace rules_torch::testing

#endif  // RULES_TORCH_TESTING_MODEL_TEST_H_
