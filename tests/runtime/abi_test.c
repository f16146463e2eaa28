/* The header of the C ABI, alone and in C99. The values are promises: programs
 * that dlopen a model were compiled against another copy of the header. */
#include "rules_torch/abi.h"

#include <stddef.h>
#include <stdio.h>

#define CHECK(condition)                                              \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      return 1;                                                       \
    }                                                                 \
  } while (0)

static int Values(void) {
  CHECK(RTORCH_ABI_VERSION == 3);
  CHECK(RTORCH_UINT8 == 0 && RTORCH_INT8 == 1 && RTORCH_INT16 == 2);
  CHECK(RTORCH_INT32 == 3 && RTORCH_INT64 == 4 && RTORCH_FLOAT16 == 5);
  CHECK(RTORCH_FLOAT32 == 6 && RTORCH_FLOAT64 == 7 && RTORCH_BOOL == 11);
  CHECK(RTORCH_BFLOAT16 == 15);
  CHECK(RTORCH_OK == 0 && RTORCH_INVALID_ARGUMENT == 3);
  CHECK(RTORCH_RESOURCE_EXHAUSTED == 8 && RTORCH_UNIMPLEMENTED == 12);
  CHECK(RTORCH_INTERNAL == 13 && RTORCH_UNAVAILABLE == 14);
  CHECK(RTORCH_CANCELLED == 1 && RTORCH_NOT_FOUND == 5 && RTORCH_DATA_LOSS == 15);
  CHECK(RTORCH_CPU == 1 && RTORCH_CUDA == 2 && RTORCH_CUDA_HOST == 3);
  CHECK(RTORCH_ROCM == 10);
  CHECK(RTORCH_MAX_RANK == 8 && RTORCH_MAX_MESSAGE == 1024);
  CHECK(sizeof(RTorchCode) == 4 && sizeof(RTorchDType) == 4);
  return 0;
}

/* ABI 3 as it is frozen: a line here changes with RTORCH_ABI_VERSION alone. Structs
 * with a struct_size may get members behind those that are listed; then their sizes
 * grow. */
static int Layouts(void) {
  CHECK(offsetof(RTorchModelApi, abi_version) == 0);
  if (sizeof(void*) != 8) return 0;
  CHECK(sizeof(RTorchError) == 1028);
  CHECK(offsetof(RTorchError, code) == 0);
  CHECK(offsetof(RTorchError, message) == 4);
  CHECK(sizeof(RTorchDevice) == 8);
  CHECK(offsetof(RTorchDevice, type) == 0);
  CHECK(offsetof(RTorchDevice, index) == 4);
  CHECK(sizeof(RTorchTensor) == 184);
  CHECK(offsetof(RTorchTensor, data) == 0);
  CHECK(offsetof(RTorchTensor, dtype) == 8);
  CHECK(offsetof(RTorchTensor, rank) == 12);
  CHECK(offsetof(RTorchTensor, device) == 16);
  CHECK(offsetof(RTorchTensor, sizes) == 24);
  CHECK(offsetof(RTorchTensor, strides) == 88);
  CHECK(offsetof(RTorchTensor, owner) == 152);
  CHECK(offsetof(RTorchTensor, deleter) == 160);
  CHECK(offsetof(RTorchTensor, reserved) == 168);
  CHECK(sizeof(RTorchSymbol) == 24);
  CHECK(offsetof(RTorchSymbol, name) == 0);
  CHECK(offsetof(RTorchSymbol, min) == 8);
  CHECK(offsetof(RTorchSymbol, max) == 16);
  CHECK(sizeof(RTorchDim) == 40);
  CHECK(offsetof(RTorchDim, min) == 0);
  CHECK(offsetof(RTorchDim, max) == 8);
  CHECK(offsetof(RTorchDim, scale) == 16);
  CHECK(offsetof(RTorchDim, offset) == 24);
  CHECK(offsetof(RTorchDim, symbol) == 32);
  CHECK(offsetof(RTorchDim, reserved) == 36);
  CHECK(sizeof(RTorchTensorSpec) == 48);
  CHECK(offsetof(RTorchTensorSpec, name) == 0);
  CHECK(offsetof(RTorchTensorSpec, type) == 8);
  CHECK(offsetof(RTorchTensorSpec, dtype) == 16);
  CHECK(offsetof(RTorchTensorSpec, rank) == 20);
  CHECK(offsetof(RTorchTensorSpec, dims) == 24);
  CHECK(offsetof(RTorchTensorSpec, reserved) == 32);
  CHECK(sizeof(RTorchWeightSpec) == 56);
  CHECK(offsetof(RTorchWeightSpec, name) == 0);
  CHECK(offsetof(RTorchWeightSpec, dtype) == 8);
  CHECK(offsetof(RTorchWeightSpec, rank) == 12);
  CHECK(offsetof(RTorchWeightSpec, sizes) == 16);
  CHECK(offsetof(RTorchWeightSpec, strides) == 24);
  CHECK(offsetof(RTorchWeightSpec, offset) == 32);
  CHECK(offsetof(RTorchWeightSpec, bytes) == 40);
  CHECK(offsetof(RTorchWeightSpec, is_mutable) == 48);
  CHECK(offsetof(RTorchWeightSpec, packing) == 52);
  CHECK(sizeof(RTorchStep) == 24);
  CHECK(offsetof(RTorchStep, name) == 0);
  CHECK(offsetof(RTorchStep, operators) == 8);
  CHECK(offsetof(RTorchStep, source) == 16);
  CHECK(sizeof(RTorchBuild) == 24);
  CHECK(offsetof(RTorchBuild, torch) == 0);
  CHECK(offsetof(RTorchBuild, rules_torch) == 8);
  CHECK(offsetof(RTorchBuild, model) == 16);
  CHECK(sizeof(RTorchAllocator) == 24);
  CHECK(offsetof(RTorchAllocator, struct_size) == 0);
  CHECK(offsetof(RTorchAllocator, reserved) == 4);
  CHECK(offsetof(RTorchAllocator, context) == 8);
  CHECK(offsetof(RTorchAllocator, allocate) == 16);
  CHECK(sizeof(RTorchWeights) == 48);
  CHECK(offsetof(RTorchWeights, struct_size) == 0);
  CHECK(offsetof(RTorchWeights, flags) == 4);
  CHECK(offsetof(RTorchWeights, path) == 8);
  CHECK(offsetof(RTorchWeights, data) == 16);
  CHECK(offsetof(RTorchWeights, size) == 24);
  CHECK(offsetof(RTorchWeights, deleter) == 32);
  CHECK(offsetof(RTorchWeights, owner) == 40);
  CHECK(sizeof(RTorchCreateOptions) == 32);
  CHECK(offsetof(RTorchCreateOptions, struct_size) == 0);
  CHECK(offsetof(RTorchCreateOptions, threads) == 4);
  CHECK(offsetof(RTorchCreateOptions, device) == 8);
  CHECK(offsetof(RTorchCreateOptions, weights) == 16);
  CHECK(offsetof(RTorchCreateOptions, allocator) == 24);
  CHECK(sizeof(RTorchTracer) == 32);
  CHECK(offsetof(RTorchTracer, struct_size) == 0);
  CHECK(offsetof(RTorchTracer, reserved) == 4);
  CHECK(offsetof(RTorchTracer, context) == 8);
  CHECK(offsetof(RTorchTracer, begin) == 16);
  CHECK(offsetof(RTorchTracer, end) == 24);
  CHECK(sizeof(RTorchRunOptions) == 40);
  CHECK(offsetof(RTorchRunOptions, struct_size) == 0);
  CHECK(offsetof(RTorchRunOptions, flags) == 4);
  CHECK(offsetof(RTorchRunOptions, stream) == 8);
  CHECK(offsetof(RTorchRunOptions, tracer) == 16);
  CHECK(offsetof(RTorchRunOptions, cancelled) == 24);
  CHECK(offsetof(RTorchRunOptions, cancel_context) == 32);
  CHECK(sizeof(RTorchModelApi) == 176);
  CHECK(offsetof(RTorchModelApi, abi_version) == 0);
  CHECK(offsetof(RTorchModelApi, struct_size) == 4);
  CHECK(offsetof(RTorchModelApi, name) == 8);
  CHECK(offsetof(RTorchModelApi, signature) == 16);
  CHECK(offsetof(RTorchModelApi, num_inputs) == 24);
  CHECK(offsetof(RTorchModelApi, num_outputs) == 28);
  CHECK(offsetof(RTorchModelApi, num_symbols) == 32);
  CHECK(offsetof(RTorchModelApi, num_weights) == 36);
  CHECK(offsetof(RTorchModelApi, num_steps) == 40);
  CHECK(offsetof(RTorchModelApi, stateful) == 44);
  CHECK(offsetof(RTorchModelApi, device_type) == 48);
  CHECK(offsetof(RTorchModelApi, reserved) == 52);
  CHECK(offsetof(RTorchModelApi, inputs) == 56);
  CHECK(offsetof(RTorchModelApi, outputs) == 64);
  CHECK(offsetof(RTorchModelApi, symbols) == 72);
  CHECK(offsetof(RTorchModelApi, weights) == 80);
  CHECK(offsetof(RTorchModelApi, steps) == 88);
  CHECK(offsetof(RTorchModelApi, weights_size) == 96);
  CHECK(offsetof(RTorchModelApi, weights_fingerprint) == 104);
  CHECK(offsetof(RTorchModelApi, build) == 112);
  CHECK(offsetof(RTorchModelApi, create) == 120);
  CHECK(offsetof(RTorchModelApi, destroy) == 128);
  CHECK(offsetof(RTorchModelApi, run) == 136);
  CHECK(offsetof(RTorchModelApi, release) == 144);
  CHECK(offsetof(RTorchModelApi, swap) == 152);
  CHECK(offsetof(RTorchModelApi, isa) == 160);
  CHECK(offsetof(RTorchModelApi, definition) == 168);
  return 0;
}

static const RTorchModelApi* GetApi(void) {
  static RTorchModelApi api;
  api.abi_version = RTORCH_ABI_VERSION;
  return &api;
}

static int EntryPoint(void) {
  const RTorchGetModelApi get = &GetApi;
  const char name[] = RTORCH_ENTRY_POINT;
  CHECK(get()->abi_version == RTORCH_ABI_VERSION);
  CHECK(sizeof name == sizeof "rtorch_model_api");
  return 0;
}

int main(void) { return Values() || Layouts() || EntryPoint(); }
