// A model's shared library that is none: what Python hands over, and what it makes of
// each code, without any model's doing.
//
// run computes y = x, for any dtype and rank. If that is float32 and x[0] the number of
// an RTorchCode below 0, it fails with that; if it is kWait, it waits until fake_let_go
// is called.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "rules_torch/abi.h"
#include "rules_torch/dtype.h"

#ifndef ABI_VERSION
#define ABI_VERSION RTORCH_ABI_VERSION
#endif

#ifndef TABLE_SIZE
#define TABLE_SIZE sizeof(RTorchModelApi)
#endif

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using rules_torch::DTypeSize;

constexpr float kWait = -100;

std::atomic<bool> waiting{false};
std::atomic<bool> let_go{false};
std::atomic<int> live{0};  // outputs that were not freed
void* last_input = nullptr;
void* last_output = nullptr;
int model;

constexpr RTorchSymbol kSymbols[] = {{"n", 0, INT64_MAX}};
constexpr RTorchDim kDims[] = {{0, INT64_MAX, 1, 0, 0, 0}};
constexpr RTorchTensorSpec kInputs[] = {
    {"x", "float32[n]", RTORCH_FLOAT32, 1, kDims, {}}};
constexpr RTorchTensorSpec kOutputs[] = {
    {"y", "float32[n]", RTORCH_FLOAT32, 1, kDims, {}}};
constexpr RTorchBuild kBuild = {"0.0.0", "0.0.0", ""};

RTorchCode Fail(RTorchError* error, RTorchCode code, const char* message) {
  error->code = code;
  std::snprintf(error->message, sizeof error->message, "%s", message);
  return code;
}

RTorchCode Create(const RTorchModelApi*, const RTorchCreateOptions* options,
                  RTorchModel** made, RTorchError* error) {
  if (options != nullptr && options->threads == 99) {
    return Fail(error, RTORCH_UNIMPLEMENTED, "no 99 threads");
  }
  *made = reinterpret_cast<RTorchModel*>(&model);
  return RTORCH_OK;
}

void Destroy(RTorchModel*) {}

void Free(void* memory) {
  std::free(memory);
  --live;
}

std::int64_t SizeOf(const RTorchTensor& tensor) {
  std::int64_t size = 1;
  for (std::int32_t i = 0; i < tensor.rank; ++i) size *= tensor.sizes[i];
  return size;
}

// Where the element of a row-major number lies.
char* At(const RTorchTensor& tensor, std::int64_t number) {
  std::int64_t offset = 0;
  for (std::int32_t i = tensor.rank; i-- > 0;) {
    offset += number % tensor.sizes[i] * tensor.strides[i];
    number /= tensor.sizes[i];
  }
  return static_cast<char*>(tensor.data) + offset * DTypeSize(tensor.dtype);
}

void Allocate(const RTorchTensor& like, RTorchTensor* tensor) {
  *tensor = like;
  const std::int64_t bytes = SizeOf(like) * DTypeSize(like.dtype);
  tensor->data = tensor->owner = std::malloc(static_cast<std::size_t>(bytes) + 1);
  tensor->deleter = &Free;
  std::int64_t stride = 1;
  for (std::int32_t i = tensor->rank; i-- > 0;) {
    tensor->strides[i] = stride;
    stride *= tensor->sizes[i];
  }
  ++live;
}

RTorchCode Run(const RTorchModel*, const RTorchTensor* inputs, std::int32_t,
               RTorchTensor* outputs, std::int32_t, const RTorchRunOptions*,
               RTorchError* error) {
  const RTorchTensor& x = inputs[0];
  RTorchTensor& y = outputs[0];
  last_input = x.data;
  const std::int64_t size = SizeOf(x);
  const float first =
      x.dtype == RTORCH_FLOAT32 && size > 0 ? *static_cast<const float*>(x.data) : 0;
  if (first == kWait) {
    waiting = true;
    while (!let_go) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    waiting = let_go = false;
  } else if (first < 0) {
    // Cut in the middle of a character, as messages may be.
    return Fail(error, static_cast<RTorchCode>(-first), "what it says\xc3");
  }
  if (y.data == nullptr) Allocate(x, &y);
  last_output = y.data;
  for (std::int64_t i = 0; i < size; ++i) {
    std::memcpy(At(y, i), At(x, i), static_cast<std::size_t>(DTypeSize(x.dtype)));
  }
  return RTORCH_OK;
}

void Release(RTorchTensor* output) {
  if (output->deleter != nullptr) output->deleter(output->owner);
  *output = RTorchTensor{};
}

RTorchCode Swap(RTorchModel*, const RTorchWeights* weights, RTorchError* error) {
  return weights == nullptr ? RTORCH_OK : Fail(error, RTORCH_DATA_LOSS, weights->path);
}

const char* Isa(const RTorchModel*) { return "none"; }

RTorchModelApi MakeApi() {
  RTorchModelApi api{};
  api.abi_version = ABI_VERSION;
  api.struct_size = TABLE_SIZE;
  api.name = "//tests/python:fake";
  api.signature = "(x: float32[n]) -> (y: float32[n])";
  api.num_inputs = 1;
  api.num_outputs = 1;
  api.num_symbols = 1;
  api.device_type = RTORCH_CPU;
  api.inputs = kInputs;
  api.outputs = kOutputs;
  api.symbols = kSymbols;
  api.weights_fingerprint = "";
  api.build = &kBuild;
  api.create = &Create;
  api.destroy = &Destroy;
  api.run = &Run;
  api.release = &Release;
  api.swap = &Swap;
  api.isa = &Isa;
  return api;
}

}  // namespace

EXPORT const RTorchModelApi* rtorch_model_api() {
  static const RTorchModelApi api = MakeApi();
  return &api;
}

EXPORT void* fake_last_input() { return last_input; }
EXPORT void* fake_last_output() { return last_output; }
EXPORT int fake_live() { return live; }
EXPORT int fake_waiting() { return waiting; }
EXPORT void fake_let_go() { let_go = true; }
