// Each calls the function `fill` of its own library; no file can include both headers
// and call it.
#ifndef TESTS_GPU_GENERATED_TWINS_H_
#define TESTS_GPU_GENERATED_TWINS_H_

#include "rules_torch/status.h"

rules_torch::Status FillWith1(void* stream);
rules_torch::Status FillWith2(void* stream);

#endif  // TESTS_GPU_GENERATED_TWINS_H_
