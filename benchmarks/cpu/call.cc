// What a call costs beside the model: checks, and the table behind the seam, over a
// backend that computes nothing; and copies of inputs that are not row-major, in as
// many threads as OpenMP has.
//
// Prints medians of rounds, in ns; the backend's own call is measured in the same
// rounds.
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "rules_torch/model.h"
#include "rules_torch/tensor.h"
#include "runtime/internal/backend.h"
#include "runtime/internal/layout.h"
#include "runtime/internal/parallel_copy.h"

namespace {

using rules_torch::Model;
using rules_torch::TensorView;
using rules_torch::internal::Backend;
using rules_torch::internal::LoadRequest;
using rules_torch::internal::Result;
using rules_torch::internal::RunRequest;

int instance;

// A backend whose results are where they were wanted.
RTorchCode Load(const LoadRequest&, void** loaded, std::string*) {
  *loaded = &instance;
  return RTORCH_OK;
}
void Drop(void*) {}
RTorchCode Create(void*, std::int32_t, const void*, void** made, std::string*) {
  *made = &instance;
  return RTORCH_OK;
}
RTorchCode Run(void*, const RunRequest& request, std::string*) {
  request.results[0] = Result::kWritten;
  return RTORCH_OK;
}
RTorchCode Copy(std::int32_t, const RTorchTensor& from, const RTorchTensor& to, void*,
                std::string*) {
  rules_torch::internal::CopyInThreads(from, to, omp_get_max_threads());
  return RTORCH_OK;
}
constexpr Backend kBackend = {&Load, &Drop, &Create, &Drop, &Run, &Copy};

#if defined(__aarch64__)
constexpr rules_torch::internal::Variant kVariants[] = {{"aarch64", &kBackend}};
#else
constexpr rules_torch::internal::Variant kVariants[] = {{"x86-64-v2", &kBackend}};
#endif
alignas(64) constexpr std::uint8_t kFile[64] = {};
constexpr rules_torch::internal::Blob kWeights = {kFile, sizeof kFile};
constexpr rules_torch::internal::Definition kDefinition = {kVariants, 1, &kWeights};
constexpr RTorchBuild kBuild = {"", "", ""};
constexpr RTorchSymbol kSymbols[] = {{"batch", 1, 1024}};
constexpr RTorchDim kBatch = {1, 1024, 1, 0, 0, 0};
constexpr RTorchDim Fixed(std::int64_t size) { return {size, size, 1, 0, -1, 0}; }
constexpr RTorchDim kRow[] = {kBatch, Fixed(8)};
constexpr RTorchDim kImage[] = {kBatch, Fixed(3), Fixed(224), Fixed(224)};
constexpr RTorchTensorSpec kOutputs[] = {{"y", "", RTORCH_FLOAT32, 2, kRow, {}}};
constexpr RTorchTensorSpec kRows[] = {{"x", "", RTORCH_FLOAT32, 2, kRow, {}}};
constexpr RTorchTensorSpec kImages[] = {{"a", "", RTORCH_FLOAT32, 4, kImage, {}},
                                        {"b", "", RTORCH_FLOAT32, 4, kImage, {}},
                                        {"c", "", RTORCH_FLOAT32, 4, kImage, {}}};

RTorchModelApi ApiOf(const RTorchTensorSpec* inputs, std::int32_t num_inputs) {
  RTorchModelApi api{};
  api.abi_version = RTORCH_ABI_VERSION;
  api.struct_size = sizeof api;
  api.name = "//benchmarks/cpu:call";
  api.num_inputs = num_inputs;
  api.num_outputs = 1;
  api.num_symbols = 1;
  api.device_type = RTORCH_CPU;
  api.inputs = inputs;
  api.outputs = kOutputs;
  api.symbols = kSymbols;
  api.weights_fingerprint = "";
  api.build = &kBuild;
  api.create = &rules_torch::internal::CreateModel;
  api.destroy = &rules_torch::internal::DestroyModel;
  api.run = &rules_torch::internal::RunModel;
  api.release = &rules_torch::internal::ReleaseTensor;
  api.swap = &rules_torch::internal::SwapWeights;
  api.isa = &rules_torch::internal::IsaOfModel;
  api.definition = &kDefinition;
  return api;
}

// ns of one call, the median of rounds.
template <typename Call>
double Median(int calls, const Call& call) {
  std::vector<double> rounds;
  for (int round = 0; round < 15; ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) call();
    const std::chrono::duration<double, std::nano> took =
        std::chrono::steady_clock::now() - start;
    rounds.push_back(took.count() / calls);
  }
  std::nth_element(rounds.begin(), rounds.begin() + 7, rounds.end());
  return rounds[7];
}

void Report(const char* what, double ns, const char* aim) {
  std::printf("%-52s %10.1f ns%s\n", what, ns, aim);
}

}  // namespace

int main() {
  std::vector<float> pixels(std::size_t{2} * 3 * 224 * 224);
  std::vector<float> y(16);
  const RTorchModelApi rows = ApiOf(kRows, 1);
  const RTorchModelApi images = ApiOf(kImages, 3);
  const auto row_model = Model::Create(&rows);
  const auto image_model = Model::Create(&images);
  if (!row_model.ok() || !image_model.ok()) return 1;
  RTorchTensor output = TensorView<float, 2>(y.data(), {2, 8}).abi();
  const RTorchTensor row = TensorView<const float, 2>(pixels.data(), {2, 8}).abi();
  const RTorchTensor image =
      TensorView<const float, 4>(pixels.data(), {2, 3, 224, 224}).abi();
  const RTorchTensor nhwc = TensorView<const float, 4>(pixels.data(), {2, 3, 224, 224},
                                                       {3 * 224 * 224, 1, 3 * 224, 3})
                                .abi();
  const RTorchTensor contiguous[] = {image, image, image};
  const RTorchTensor one_strided[] = {image, nhwc, image};
  bool ok = true;

  const RTorchRunOptions options{};
  std::int64_t symbol = 2;
  Result result{};
  const RunRequest request{&row, &symbol, &output, &result, &options};
  std::string reason;
  RTorchCode (*volatile run)(void*, const RunRequest&, std::string*) = kBackend.run;
  Report("the backend alone",
         Median(200000, [&] { ok &= run(&instance, request, &reason) == RTORCH_OK; }),
         "");
  Report("1 input of rank 2, 1 output, buffers given",
         Median(200000, [&] { ok &= row_model->Run(&row, 1, &output, 1).ok(); }),
         "  (aim: 60)");
  Report(
      "3 inputs of rank 4, 1 output, buffers given",
      Median(200000, [&] { ok &= image_model->Run(contiguous, 3, &output, 1).ok(); }),
      "  (aim: 150)");
  Report("the same, one of them NHWC: 2x3x224x224 copied",
         Median(50, [&] { ok &= image_model->Run(one_strided, 3, &output, 1).ok(); }),
         "");

  std::vector<float> many(std::size_t{16} * 3 * 224 * 224);
  std::vector<float> copy(many.size());
  const RTorchTensor from = TensorView<float, 4>(many.data(), {16, 3, 224, 224},
                                                 {3 * 224 * 224, 1, 3 * 224, 3})
                                .abi();
  const RTorchTensor to = TensorView<float, 4>(copy.data(), {16, 3, 224, 224}).abi();
  Report("NHWC, 16x3x224x224 copied in one thread",
         Median(10, [&] { rules_torch::internal::CopyElements(from, to); }), "");
  char what[64];
  std::snprintf(what, sizeof what, "NHWC, 16x3x224x224 copied in %d threads",
                omp_get_max_threads());
  Report(what, Median(10, [&] { Copy(0, from, to, nullptr, nullptr); }), "");
  return ok ? 0 : 1;
}
