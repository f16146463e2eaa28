// A call of a kernel with a known answer.
#ifndef EXAMPLES_KERNELS_PROBLEM_H_
#define EXAMPLES_KERNELS_PROBLEM_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "examples/kernels/operand.h"
#include "rules_torch/gpu.h"

// A problem with its inputs on a GPU. Not thread-safe; must go before the Gpu does.
class PreparedProblem {
 public:
  virtual ~PreparedProblem() = default;

  // Makes room for the results of this many launches, and poisons it.
  virtual rules_torch::Status Reset(int launches) = 0;

  // Enqueues the kernel, once for each launch that Reset made room for.
  virtual rules_torch::Status Launch(const rules_torch::GpuStream& stream) = 0;

  // Waits for those launches, and compares their results with what is expected. An
  // error if one differs in a bit from the first ever (these kernels are
  // deterministic), or if something was written outside the output.
  virtual rules_torch::StatusOr<Deviation> Check() = 0;
};

struct Problem {
  std::string kernel;
  std::string dtype;
  std::string shape;
  double bound;  // see Deviation

  // Draws inputs, copies them to the GPU and computes what the kernel should.
  std::function<rules_torch::StatusOr<std::unique_ptr<PreparedProblem>>(
      const rules_torch::Gpu&, std::mt19937_64&)>
      prepare;
};

// What Problem::prepare is made of: operands of type T, the kernel, and its reference.
template <typename T>
struct Call {
  Layout output;
  std::vector<Layout> inputs;
  std::function<rules_torch::Status(void* stream, T* out, const std::vector<const T*>&)>
      launch;
  std::function<std::vector<double>(const std::vector<std::vector<double>>&)> reference;
};

template <typename T>
class PreparedCall final : public PreparedProblem {
 public:
  static rules_torch::StatusOr<std::unique_ptr<PreparedProblem>> Make(
      const Call<T>& call, const rules_torch::Gpu& gpu, std::mt19937_64& random) {
    auto prepared = std::make_unique<PreparedCall>(call, gpu);
    std::vector<std::vector<double>> exact(call.inputs.size());
    for (std::size_t i = 0; i < call.inputs.size(); ++i) {
      auto array = gpu.Upload(RandomOperand<T>(call.inputs[i], random, &exact[i]));
      if (!array.ok()) return array.status();
      prepared->pointers_.push_back(array->data() + call.inputs[i].offset);
      prepared->inputs_.push_back(*std::move(array));
    }
    prepared->expected_ = call.reference(exact);
    return std::unique_ptr<PreparedProblem>(std::move(prepared));
  }

  PreparedCall(const Call<T>& call, const rules_torch::Gpu& gpu)
      : call_(call), gpu_(gpu) {}

  rules_torch::Status Reset(int launches) override {
    constexpr std::size_t kBeyond = 64;  // elements after the last row
    const std::vector<T> poison(call_.output.elements() + kBeyond, Poison<T>());
    launched_ = 0;
    outputs_.clear();
    for (int i = 0; i < launches; ++i) {
      auto output = gpu_.Upload(poison);
      if (!output.ok()) return output.status();
      outputs_.push_back(*std::move(output));
    }
    return rules_torch::Status();
  }

  rules_torch::Status Launch(const rules_torch::GpuStream& stream) override {
    T* const out = outputs_[launched_++].data() + call_.output.offset;
    return call_.launch(stream.get(), out, pointers_);
  }

  rules_torch::StatusOr<Deviation> Check() override {
    for (const rules_torch::DeviceArray<T>& output : outputs_) {
      auto values = gpu_.Download(output);
      if (!values.ok()) return values.status();
      if (first_.empty()) {
        if (!OutsideIsPoison(call_.output, *values)) {
          return Wrong("wrote outside the output");
        }
        first_ = *values;
      }
      if (!SameBits(*values, first_)) return Wrong("a launch gave another result");
    }
    return DeviationOf(call_.output, first_, expected_);
  }

 private:
  static rules_torch::Status Wrong(const char* what) {
    return rules_torch::Status(RTORCH_INTERNAL, what);
  }

  const Call<T> call_;
  const rules_torch::Gpu& gpu_;
  std::vector<rules_torch::DeviceArray<T>> inputs_;
  std::vector<const T*> pointers_;
  std::vector<rules_torch::DeviceArray<T>> outputs_;
  std::size_t launched_ = 0;
  std::vector<double> expected_;
  std::vector<T> first_;
};

#endif  // EXAMPLES_KERNELS_PROBLEM_H_
