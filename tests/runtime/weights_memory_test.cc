// Memory that runs out while weights are looked for: nothing leaks, nor is half found.
#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "rules_torch/abi.h"
#include "runtime/internal/weights_file.h"
#include "tests/runtime/allocations.h"
#include "tests/runtime/weights_files.h"

namespace rules_torch::testing {
namespace {

using internal::FindWeights;
using internal::Weights;

// Calls FindWeights with more and more memory until it ends, and demands this code.
void FindWithLittleMemory(const WeightsApi& model, const std::string& file,
                          RTorchCode expected) {
  const InMemory memory(file, 1);  // all of it is copied
  int deletions = 0;
  const RTorchWeights source = memory.source(&deletions);
  std::shared_ptr<const Weights> found;
  std::string reason;
  const auto find = [&](int count, RTorchError* error) -> RTorchCode {
    reason.clear();
    RTorchCode code = RTORCH_RESOURCE_EXHAUSTED;
    try {
      const OnlyAllocations scarce(count);
      code = FindWeights(model.api(), source, &found, &reason);
    } catch (const std::bad_alloc&) {
      const std::string text = "out of memory";
      std::copy(text.begin(), text.end(), error->message);
      error->code = code;
      EXPECT_EQ(found, nullptr);
    }
    EXPECT_EQ(deletions, 0);
    if (code != expected) return code;
    EXPECT_EQ(found != nullptr, code == RTORCH_OK);
    return RTORCH_OK;
  };
  EXPECT_GT(FailuresUntilSuccess(find), 10);
  found.reset();
  EXPECT_EQ(deletions, expected == RTORCH_OK ? 1 : 0);
}

TEST(WeightsOutOfMemoryTest, FindWeights) {
  const WeightsApi model({{"a.long.enough.name.of.a.weight", RTORCH_FLOAT32, {2}, {}},
                          {"another.long.enough.name", RTORCH_INT64, {2, 2}, {1, 2}}});
  std::vector<Stored> tensors = {
      {"a.long.enough.name.of.a.weight", "F32", {2}, std::string(8, 'x')},
      {"another.long.enough.name", "I64", {2, 2}, std::string(32, 'y')}};
  FindWithLittleMemory(model, FileOf(tensors), RTORCH_OK);
  tensors[0].shape = {1};
  tensors[0].bytes.resize(4);
  FindWithLittleMemory(model, FileOf(tensors), RTORCH_INVALID_ARGUMENT);
}

}  // namespace
}  // namespace rules_torch::testing
