// Random models, and random calls of them: right ones, and ones that are wrong in a
// place or two. What a call should come to is worked out here a second time, in numbers
// that do not overflow.
#ifndef RULES_TORCH_TESTS_RUNTIME_RANDOM_CALLS_H_
#define RULES_TORCH_TESTS_RUNTIME_RANDOM_CALLS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "rules_torch/abi.h"
#include "tests/runtime/fake_model.h"
#include "tests/runtime/fuzz.h"

namespace rules_torch::testing {

using Bytes = std::vector<std::uint8_t>;

// What an input or output is; bytes in row-major order.
struct Value {
  RTorchDType dtype;
  std::vector<std::int64_t> sizes;
  Bytes bytes;
};

// How the backend gives a result.
enum class How {
  kWritten,  // in the memory that it was told, or as kOwned
  kOwned,    // in new memory
  kStrided,  // likewise, its first dimension innermost
  kShared,   // in memory that something else may use
  kInput,    // as a view of an input like it, or as kOwned
  kOutput,   // as a view of an output before it like it, or as kOwned
};

// What the backend and the allocator do in a call.
struct Plan {
  enum Failure { kNone, kSaysNo, kThrows, kOutOfMemory };

  std::vector<How> how;        // for each output
  std::int64_t fresh = 0;      // what only the run tells: a size, and a symbol - 1
  Failure failure = kNone;     // of the backend
  bool no_allocation = false;  // the allocator has no memory
};

// A tensor of the caller's, and its memory, which ends with the last of its elements.
struct Argument {
  RTorchTensor tensor{};
  std::shared_ptr<std::uint8_t[]> memory;  // null: an output that is to be allocated
  std::size_t size = 0;
};

// The arguments of RTorchModelApi.run.
struct Call {
  std::vector<Argument> inputs;
  std::vector<Argument> outputs;
  std::int32_t num_inputs = 0;
  std::int32_t num_outputs = 0;
  bool null_model = false;
  bool null_inputs = false;
  bool null_outputs = false;
  bool null_error = false;
  std::optional<RTorchRunOptions> options;
  int allocations = -1;          // how many succeed, as in OnlyAllocations
  bool outputs_overlap = false;  // then results may be anything
  Plan plan;
};

// What a call may return.
struct Outcome {
  std::set<RTorchCode> errors;  // one of them, if there are any
  bool scarce = false;          // RESOURCE_EXHAUSTED, or as if there were memory

  bool Allows(RTorchCode code) const;
};

// Inputs, outputs and symbols at random. The model has the weight "w", float32[2].
class RandomModel {
 public:
  explicit RandomModel(Random* random);

  const FakeSignature& signature() const { return signature_; }

  // A call that succeeds.
  Call RightCall(Random* random) const;

  // What the model computes: elements that depend on every byte of the inputs, and on
  // the weight. `symbols`: as RunRequest has them. None if a result would be too large.
  std::optional<std::vector<Value>> Compute(const Plan& plan,
                                            const std::vector<Value>& inputs,
                                            const std::int64_t* symbols,
                                            float weight) const;

  // The backend's run.
  bool Run(const Plan& plan, FakeModel* fake, const RTorchTensor* inputs,
           RTorchTensor* outputs, Result* results, std::string* reason) const;

 private:
  struct Symbol {
    std::int64_t min;
    std::int64_t max;
  };

  std::vector<RTorchDim> Dims(Random* random, std::size_t max_rank, bool output) const;

  std::vector<Symbol> symbols_;
  FakeSignature signature_;
};

// Changes a call in one place. It may still be right.
void Spoil(Random* random, Call* call);

// What should become of a call.
class Judgement {
 public:
  // `has_allocator`: whether the model does.
  Judgement(const RandomModel& model, const Call& call, bool has_allocator);

  const Outcome& outcome() const { return outcome_; }

  // Whether nobody could tell that it is wrong, as with an address where no memory is,
  // or it would take too long.
  bool hopeless() const { return hopeless_; }

  // As RunRequest should have them.
  const std::int64_t* symbols() const { return symbols_.data(); }

 private:
  void Judge(const RTorchRunOptions& options);
  void JudgeInput(const FakeSpec& spec, const Argument& input);
  void JudgeOutput(const FakeSpec& spec, const Argument& output, const Plan& plan);
  bool Bind(const RTorchDim& dim, std::int64_t size);

  Outcome outcome_;
  bool hopeless_ = false;
  std::vector<std::int64_t> symbols_;
};

// Puts a value where a tensor of its sizes has its elements.
void Scatter(const Value& value, const RTorchTensor& tensor, std::uint8_t* data);

// Whether no two elements of a tensor are one.
bool ElementsAreApart(const RTorchTensor& tensor);

std::vector<std::int64_t> SizesOf(const RTorchTensor& tensor);

}  // namespace rules_torch::testing

#endif  // RULES_TORCH_TESTS_RUNTIME_RANDOM_CALLS_H_
