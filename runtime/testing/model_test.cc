#include "runtime/testing/model_test.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "rules_torch/dtype.h"
#include "rules_torch/model.h"
#include "rules_torch/trace.h"
#include "runtime/testing/cases.h"
#include "runtime/testing/judge.h"

namespace rules_torch::testing {
namespace {

constexpr int kThreads = 4;
constexpr int kRunsPerThread = 3;

class Tester {
 public:
  Tester(const RTorchModelApi& api, double atol, double rtol, Trace* trace = nullptr)
      : api_(api), atol_(atol), rtol_(rtol), trace_(trace) {}

  int Test(const std::vector<Case>& cases) {
    const StatusOr<Model> model = Model::Create(&api_);
    if (!model.ok()) {
      Fail("cannot create the model: " + model.status().message());
      return 1;
    }
    std::printf("%s on %s: %s\n", api_.name, model->isa(), api_.signature);
    if (!Fits(cases)) return 1;
    RunAll("plain", cases, &Tester::Plain);
    RunAll("strided inputs", cases, &Tester::StridedInputs);
    RunAll("given buffers", cases, &Tester::GivenBuffers);
    if (api_.stateful == 0) Threads(cases);
    PrintDistances();
    PrintWhyNoFloat64(cases);
    std::printf("%d comparisons, %d failed\n", comparisons_, failures_);
    return failures_ == 0 && comparisons_ > 0 ? 0 : 1;
  }

 private:
  // The largest distances that an output had in any run.
  struct Seen {
    std::optional<Distance> from_float64;
    std::optional<Distance> eager_from_float64;
    std::optional<Distance> from_eager;  // where float64 is not known
  };

  using Way = void (Tester::*)(const Model&, const Case&, const std::string&);

  bool Fits(const std::vector<Case>& cases) {
    seen_.resize(static_cast<std::size_t>(api_.num_outputs));
    for (const Case& one : cases) {
      if (one.inputs.size() != static_cast<std::size_t>(api_.num_inputs) ||
          one.expected.size() != static_cast<std::size_t>(api_.num_outputs)) {
        std::printf("the cases do not have the model's number of tensors\n");
        return false;
      }
    }
    return true;
  }

  void RunAll(const char* way, const std::vector<Case>& cases, Way run) {
    StatusOr<Model> model = Model::Create(&api_);
    if (!model.ok()) {
      Fail(std::string("cannot create the model: ") + model.status().message());
      return;
    }
    for (std::size_t i = 0; i < cases.size(); ++i) {
      (this->*run)(*model, cases[i], std::string(way) + ", case " + std::to_string(i));
    }
  }

  void Plain(const Model& model, const Case& one, const std::string& what) {
    RunOptions options;
    if (trace_ != nullptr) options.tracer = trace_->tracer();
    RunAndCompare(model, Views(one.inputs), one, what, options);
  }

  // Every other element of rows twice as long, dimensions laid out in reverse.
  void StridedInputs(const Model& model, const Case& one, const std::string& what) {
    std::vector<RTorchTensor> inputs = Views(one.inputs);
    std::vector<std::vector<std::uint8_t>> memory;
    for (RTorchTensor& input : inputs) memory.push_back(Spread(&input));
    RunAndCompare(model, inputs, one, what);
  }

  static std::vector<std::uint8_t> Spread(RTorchTensor* tensor) {
    const std::int64_t width = DTypeSize(tensor->dtype);
    const RTorchTensor from = *tensor;
    std::int64_t stride = 2;
    for (std::int32_t i = 0; i < tensor->rank; ++i) {
      tensor->strides[i] = stride;
      stride *= std::max<std::int64_t>(tensor->sizes[i], 1);
    }
    std::vector<std::uint8_t> memory(static_cast<std::size_t>(stride * width), 0xff);
    ForEachIndex(from, [&](const std::int64_t* index) {
      std::memcpy(memory.data() + Offset(*tensor, index) * width,
                  static_cast<std::uint8_t*>(from.data) + Offset(from, index) * width,
                  static_cast<std::size_t>(width));
    });
    tensor->data = memory.data();
    return memory;
  }

  void GivenBuffers(const Model& model, const Case& one, const std::string& what) {
    std::vector<std::vector<std::uint8_t>> memory;
    std::vector<RTorchTensor> outputs = Views(one.expected);
    for (RTorchTensor& output : outputs) {
      const std::int64_t width = DTypeSize(output.dtype);
      std::int64_t stride = 1;
      for (std::int32_t i = 0; i < output.rank; ++i) {
        output.strides[i] = stride;
        stride *= std::max<std::int64_t>(output.sizes[i], 1);
      }
      memory.emplace_back(static_cast<std::size_t>(stride * width), 0xff);
      output.data = memory.back().data();
    }
    const std::vector<RTorchTensor> inputs = Views(one.inputs);
    const Status status =
        model.RunInto(inputs.data(), api_.num_inputs, outputs.data(), api_.num_outputs);
    if (!status.ok()) return Fail(what + ": " + status.message());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      Compare(outputs[i], one, i, what);
    }
  }

  // Many threads on one instance must all get what one thread gets.
  void Threads(const std::vector<Case>& cases) {
    StatusOr<Model> model = Model::Create(&api_);
    if (!model.ok()) return Fail(model.status().message());
    std::vector<Tester> testers(kThreads, Tester(api_, atol_, rtol_));
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      Tester& tester = testers[static_cast<std::size_t>(t)];
      tester.Fits({});
      threads.emplace_back([&, t] {
        for (int run = 0; run < kRunsPerThread; ++run) {
          const std::size_t i = static_cast<std::size_t>(t + run) % cases.size();
          tester.Plain(*model, cases[i],
                       "thread " + std::to_string(t) + ", case " + std::to_string(i));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const Tester& tester : testers) {
      comparisons_ += tester.comparisons_;
      failures_ += tester.failures_;
      for (std::size_t i = 0; i < seen_.size(); ++i) {
        const Seen& seen = tester.seen_[i];
        if (seen.from_float64) Widen(&seen_[i].from_float64, *seen.from_float64);
        if (seen.eager_from_float64) {
          Widen(&seen_[i].eager_from_float64, *seen.eager_from_float64);
        }
        if (seen.from_eager) Widen(&seen_[i].from_eager, *seen.from_eager);
      }
    }
  }

  void RunAndCompare(const Model& model, const std::vector<RTorchTensor>& inputs,
                     const Case& one, const std::string& what,
                     const RunOptions& options = {}) {
    std::vector<RTorchTensor> outputs(static_cast<std::size_t>(api_.num_outputs),
                                      RTorchTensor{});
    const Status status = model.Run(inputs.data(), api_.num_inputs, outputs.data(),
                                    api_.num_outputs, options);
    if (!status.ok()) return Fail(what + ": " + status.message());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      Compare(outputs[i], one, i, what);
      api_.release(&outputs[i]);
    }
  }

  void Compare(const RTorchTensor& got, const Case& one, std::size_t i,
               const std::string& what) {
    ++comparisons_;
    const HostTensor& expected = one.expected[i];
    const std::string where = what + ", output " + api_.outputs[i].name;
    if (got.dtype != expected.abi.dtype || got.rank != expected.abi.rank ||
        !std::equal(got.sizes, got.sizes + got.rank, expected.abi.sizes)) {
      return Fail(where + ": the dtype or the shape differs from eager PyTorch's");
    }
    Tolerance tolerance = DefaultTolerance(got.dtype);
    if (atol_ >= 0) tolerance.atol = atol_;
    if (rtol_ >= 0) tolerance.rtol = rtol_;
    const std::vector<double>& float64 = one.float64[i];
    Judge judge(got.dtype, tolerance, float64);
    const std::int64_t width = DTypeSize(got.dtype);
    ForEachIndex(got, [&](const std::int64_t* index) {
      judge.Add(static_cast<const std::uint8_t*>(got.data) + Offset(got, index) * width,
                expected.bytes.data() + Offset(expected.abi, index) * width);
    });
    Seen& seen = seen_[i];
    if (!IsFloat(got.dtype)) {
      // Equal or wrong.
    } else if (float64.empty()) {
      Widen(&seen.from_eager, judge.compiled_distance());
    } else {
      Widen(&seen.from_float64, judge.compiled_distance());
      Widen(&seen.eager_from_float64, judge.eager_distance());
    }
    const std::int64_t wrong = judge.CountWrong();
    if (wrong == 0) return;
    Fail(where + ": " + std::to_string(wrong) + " elements are wrong, the worst at " +
         IndexText(expected.abi, judge.worst()) + ": " + judge.what());
  }

  void Fail(const std::string& message) {
    ++failures_;
    std::printf("FAILED %s\n", message.c_str());
  }

  void PrintDistances() const {
    for (std::size_t i = 0; i < seen_.size(); ++i) {
      const Seen& seen = seen_[i];
      std::printf("  %s %s:", api_.outputs[i].name, api_.outputs[i].type);
      if (!IsFloat(api_.outputs[i].dtype)) std::printf(" compared exactly");
      if (seen.from_float64) {
        std::printf(" largest error from float64 %s; eager's %s, %d times that allowed",
                    Text(*seen.from_float64).c_str(),
                    Text(*seen.eager_from_float64).c_str(),
                    Judge::Factor(api_.outputs[i].dtype));
      }
      if (seen.from_eager) {
        std::printf("%s largest error from eager %s", seen.from_float64 ? ";" : "",
                    Text(*seen.from_eager).c_str());
      }
      std::printf("\n");
    }
  }

  // What is judged by eager PyTorch alone, and why.
  static void PrintWhyNoFloat64(const std::vector<Case>& cases) {
    std::map<std::string, std::string> reasons;
    for (std::size_t i = 0; i < cases.size(); ++i) {
      const std::string& why = cases[i].why_no_float64;
      if (why.empty()) continue;
      std::string& list = reasons[why];
      list += (list.empty() ? "" : ", ") + std::to_string(i);
    }
    for (const auto& [why, list] : reasons) {
      std::printf("  judged by eager PyTorch alone: case %s: %s\n", list.c_str(),
                  why.c_str());
    }
  }

  static std::string Text(const Distance& distance) {
    char text[64];
    std::snprintf(text, sizeof text, "%.3g absolute, %.3g relative", distance.absolute,
                  distance.relative);
    return text;
  }

  static void Widen(std::optional<Distance>* distance, const Distance& by) {
    if (!*distance) distance->emplace();
    (*distance)->absolute = std::max((*distance)->absolute, by.absolute);
    (*distance)->relative = std::max((*distance)->relative, by.relative);
  }

  // "[1, 2]", of the element at a place in row-major order.
  static std::string IndexText(const RTorchTensor& tensor, std::int64_t place) {
    std::string text;
    for (std::int32_t i = tensor.rank; i-- > 0;) {
      const std::string index = std::to_string(place % tensor.sizes[i]);
      text = index + (text.empty() ? "" : ", ") + text;
      place /= tensor.sizes[i];
    }
    return "[" + text + "]";
  }

  static std::vector<RTorchTensor> Views(const std::vector<HostTensor>& tensors) {
    std::vector<RTorchTensor> views;
    for (const HostTensor& tensor : tensors) {
      views.push_back(tensor.abi);
      views.back().data = const_cast<std::uint8_t*>(tensor.bytes.data());
    }
    return views;
  }

  static std::int64_t Offset(const RTorchTensor& tensor, const std::int64_t* index) {
    std::int64_t offset = 0;
    for (std::int32_t i = 0; i < tensor.rank; ++i) {
      offset += index[i] * tensor.strides[i];
    }
    return offset;
  }

  template <typename Visit>
  static void ForEachIndex(const RTorchTensor& tensor, Visit visit) {
    std::int64_t count = 1;
    for (std::int32_t i = 0; i < tensor.rank; ++i) count *= tensor.sizes[i];
    std::int64_t index[RTORCH_MAX_RANK] = {};
    for (; count > 0; --count) {
      visit(index);
      for (std::int32_t i = tensor.rank; i-- > 0;) {
        if (++index[i] < tensor.sizes[i]) break;
        index[i] = 0;
      }
    }
  }

  const RTorchModelApi& api_;
  double atol_;
  double rtol_;
  Trace* trace_;  // may be null
  int comparisons_ = 0;
  int failures_ = 0;
  std::vector<Seen> seen_;  // for each output
};

}  // namespace

int TestModel(const RTorchModelApi& api, const char* cases, double atol, double rtol,
              int argc, const char* const* argv) {
  std::optional<std::string> trace_path;
  constexpr std::string_view kTrace = "--trace=";
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument.substr(0, kTrace.size()) != kTrace) {
      std::printf("'%s' is not of the form --trace=FILE\n", argv[i]);
      return 2;
    }
    // `bazel run` starts programs in another folder than the one it was called in.
    const char* directory = std::getenv("BUILD_WORKING_DIRECTORY");
    trace_path = std::filesystem::path(directory == nullptr ? "" : directory) /
                 argument.substr(kTrace.size());
  }
  const StatusOr<std::vector<Case>> read = ReadCases(cases);
  if (!read.ok()) {
    std::printf("%s\nrun this with `bazel test`\n", read.status().message().c_str());
    return 1;
  }
  if (!trace_path.has_value()) return Tester(api, atol, rtol).Test(*read);
  Trace trace;
  const int result = Tester(api, atol, rtol, &trace).Test(*read);
  const Status status = trace.Write(*trace_path);
  std::printf("%s\n", status.ok() ? ("the trace is in " + *trace_path).c_str()
                                  : status.message().c_str());
  return status.ok() ? result : 1;
}

}  // namespace rules_torch::testing
