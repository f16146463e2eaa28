#include "runtime/testing/model_test.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "rules_torch/dtype.h"
#include "rules_torch/model.h"
#include "runtime/testing/cases.h"

namespace rules_torch::testing {
namespace {

constexpr int kThreads = 4;
constexpr int kRunsPerThread = 3;

struct Tolerance {
  double atol;
  double rtol;
};

// torch.testing.assert_close's.
Tolerance DefaultTolerance(std::int32_t dtype) {
  switch (dtype) {
    case RTORCH_FLOAT16:
      return {1e-5, 1e-3};
    case RTORCH_BFLOAT16:
      return {1e-5, 1.6e-2};
    case RTORCH_FLOAT32:
      return {1e-5, 1.3e-6};
    case RTORCH_FLOAT64:
      return {1e-7, 1e-7};
    default:
      return {0, 0};
  }
}

template <typename T>
double Load(const std::uint8_t* address) {
  T value;
  std::memcpy(&value, address, sizeof value);
  return static_cast<double>(value);
}

double LoadAs(std::int32_t dtype, const std::uint8_t* address) {
  switch (dtype) {
    case RTORCH_FLOAT16: {
      float16 value;
      std::memcpy(&value, address, sizeof value);
      return static_cast<float>(value);
    }
    case RTORCH_BFLOAT16: {
      bfloat16 value;
      std::memcpy(&value, address, sizeof value);
      return static_cast<float>(value);
    }
    case RTORCH_FLOAT32:
      return Load<float>(address);
    case RTORCH_FLOAT64:
      return Load<double>(address);
    default:
      return 0;
  }
}

bool IsFloat(std::int32_t dtype) {
  return dtype == RTORCH_FLOAT16 || dtype == RTORCH_BFLOAT16 ||
         dtype == RTORCH_FLOAT32 || dtype == RTORCH_FLOAT64;
}

class Tester {
 public:
  Tester(const RTorchModelApi& api, double atol, double rtol)
      : api_(api), atol_(atol), rtol_(rtol) {}

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
    for (std::int32_t i = 0; i < api_.num_outputs; ++i) {
      std::printf("  %s %s: largest error %.3g absolute, %.3g relative\n",
                  api_.outputs[i].name, api_.outputs[i].type, worst_[i].atol,
                  worst_[i].rtol);
    }
    std::printf("%d comparisons, %d failed\n", comparisons_, failures_);
    return failures_ == 0 && comparisons_ > 0 ? 0 : 1;
  }

 private:
  using Way = void (Tester::*)(const Model&, const Case&, const std::string&);

  bool Fits(const std::vector<Case>& cases) {
    worst_.resize(static_cast<std::size_t>(api_.num_outputs), {0, 0});
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
    RunAndCompare(model, Views(one.inputs), one, what);
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
      Compare(outputs[i], one.expected[i], static_cast<std::int32_t>(i), what);
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
    }
  }

  void RunAndCompare(const Model& model, const std::vector<RTorchTensor>& inputs,
                     const Case& one, const std::string& what) {
    std::vector<RTorchTensor> outputs(static_cast<std::size_t>(api_.num_outputs),
                                      RTorchTensor{});
    const Status status =
        model.Run(inputs.data(), api_.num_inputs, outputs.data(), api_.num_outputs);
    if (!status.ok()) return Fail(what + ": " + status.message());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      Compare(outputs[i], one.expected[i], static_cast<std::int32_t>(i), what);
      api_.release(&outputs[i]);
    }
  }

  void Compare(const RTorchTensor& got, const HostTensor& expected, std::int32_t output,
               const std::string& what) {
    ++comparisons_;
    const std::string where = what + ", output " + api_.outputs[output].name;
    if (got.dtype != expected.abi.dtype || got.rank != expected.abi.rank ||
        !std::equal(got.sizes, got.sizes + got.rank, expected.abi.sizes)) {
      return Fail(where + ": the dtype or the shape differs from eager PyTorch's");
    }
    Tolerance tolerance = DefaultTolerance(got.dtype);
    if (atol_ >= 0) tolerance.atol = atol_;
    if (rtol_ >= 0) tolerance.rtol = rtol_;
    const std::int64_t width = DTypeSize(got.dtype);
    RTorchTensor reference = expected.abi;
    std::int64_t wrong = 0;
    std::string first;
    ForEachIndex(got, [&](const std::int64_t* index) {
      const auto* a =
          static_cast<const std::uint8_t*>(got.data) + Offset(got, index) * width;
      const auto* b = expected.bytes.data() + Offset(reference, index) * width;
      if (std::memcmp(a, b, static_cast<std::size_t>(width)) == 0) return;
      std::string text = "the bytes differ";
      if (IsFloat(got.dtype)) {
        const double x = LoadAs(got.dtype, a);
        const double y = LoadAs(got.dtype, b);
        if (std::isnan(x) && std::isnan(y)) return;
        const double error = std::fabs(x - y);
        if (std::isfinite(error)) {
          Tolerance& worst = worst_[static_cast<std::size_t>(output)];
          worst.atol = std::max(worst.atol, error);
          if (y != 0) worst.rtol = std::max(worst.rtol, error / std::fabs(y));
        }
        if (x == y) return;
        if (std::isfinite(error) &&
            error <= tolerance.atol + tolerance.rtol * std::fabs(y)) {
          return;
        }
        text = std::to_string(x) + " instead of " + std::to_string(y);
      }
      if (wrong++ > 0) return;
      first = "at [";
      for (std::int32_t i = 0; i < got.rank; ++i) {
        first += (i > 0 ? ", " : "") + std::to_string(index[i]);
      }
      first += "] " + text;
    });
    if (wrong > 0) {
      Fail(where + ": " + std::to_string(wrong) + " elements are wrong, the first " +
           first);
    }
  }

  void Fail(const std::string& message) {
    ++failures_;
    std::printf("FAILED %s\n", message.c_str());
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
  int comparisons_ = 0;
  int failures_ = 0;
  std::vector<Tolerance> worst_;
};

}  // namespace

int TestModel(const RTorchModelApi& api, const char* cases, double atol, double rtol) {
  const StatusOr<std::vector<Case>> read = ReadCases(cases);
  if (!read.ok()) {
    std::printf("%s\nrun this with `bazel test`\n", read.status().message().c_str());
    return 1;
  }
  return Tester(api, atol, rtol).Test(*read);
}

}  // namespace rules_torch::testing
