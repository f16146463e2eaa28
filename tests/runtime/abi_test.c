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
  CHECK(RTORCH_ABI_VERSION == 2);
  CHECK(RTORCH_UINT8 == 0 && RTORCH_INT8 == 1 && RTORCH_INT16 == 2);
  CHECK(RTORCH_INT32 == 3 && RTORCH_INT64 == 4 && RTORCH_FLOAT16 == 5);
  CHECK(RTORCH_FLOAT32 == 6 && RTORCH_FLOAT64 == 7 && RTORCH_BOOL == 11);
  CHECK(RTORCH_BFLOAT16 == 15);
  CHECK(RTORCH_OK == 0 && RTORCH_INVALID_ARGUMENT == 3);
  CHECK(RTORCH_RESOURCE_EXHAUSTED == 8 && RTORCH_UNIMPLEMENTED == 12);
  CHECK(RTORCH_INTERNAL == 13 && RTORCH_UNAVAILABLE == 14);
  return 0;
}

/* The version is compared before anything else is known of the table. */
static int Layouts(void) {
  CHECK(offsetof(RTorchModelApi, abi_version) == 0);
  if (sizeof(void*) != 8) return 0;
  CHECK(sizeof(RTorchTensor) == 160);
  CHECK(offsetof(RTorchTensor, sizes) == 16);
  CHECK(offsetof(RTorchTensor, strides) == 80);
  CHECK(offsetof(RTorchTensor, owner) == 144);
  CHECK(sizeof(RTorchDim) == 40);
  CHECK(sizeof(RTorchTensorSpec) == 32);
  CHECK(sizeof(RTorchModelApi) == 120);
  CHECK(sizeof(RTorchError) == 1028);
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
