#include "runtime/python/native/memory.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "rules_torch/abi.h"
#include "runtime/python/native/dlpack_abi.h"

namespace rules_torch::python {

struct Memory {
  std::atomic<std::int64_t> references;
  RTorchTensor tensor;
};

namespace {

template <typename Managed>
struct Exported {
  Managed managed;
  Memory* memory;

  static void Delete(Managed* managed) {
    auto* const self = static_cast<Exported*>(managed->manager_ctx);
    Drop(self->memory);
    std::free(self);
  }
};

struct Pair {
  RTorchDType ours;
  DLDataType dlpack;
};

constexpr Pair kTypes[] = {
    {RTORCH_UINT8, {kDLUInt, 8, 1}},     {RTORCH_INT8, {kDLInt, 8, 1}},
    {RTORCH_INT16, {kDLInt, 16, 1}},     {RTORCH_INT32, {kDLInt, 32, 1}},
    {RTORCH_INT64, {kDLInt, 64, 1}},     {RTORCH_FLOAT16, {kDLFloat, 16, 1}},
    {RTORCH_FLOAT32, {kDLFloat, 32, 1}}, {RTORCH_FLOAT64, {kDLFloat, 64, 1}},
    {RTORCH_BOOL, {kDLBool, 8, 1}},      {RTORCH_BFLOAT16, {kDLBfloat, 16, 1}},
};

DLDataType DLPackTypeOf(RTorchDType dtype) {
  for (const Pair& pair : kTypes) {
    if (pair.ours == dtype) return pair.dlpack;
  }
  return {};
}

template <typename Managed>
Managed* MakeExported(Memory* memory) {
  void* const place = std::calloc(1, sizeof(Exported<Managed>));
  if (place == nullptr) return nullptr;
  auto* const made = new (place) Exported<Managed>{};
  Keep(memory);
  made->memory = memory;
  made->managed.manager_ctx = made;
  made->managed.deleter = &Exported<Managed>::Delete;
  RTorchTensor& tensor = memory->tensor;
  DLTensor& dl = made->managed.dl_tensor;
  dl.data = tensor.data;
  dl.device = {tensor.device.type, tensor.device.index};
  dl.ndim = tensor.rank;
  dl.dtype = DLPackTypeOf(tensor.dtype);
  dl.shape = tensor.sizes;
  dl.strides = tensor.strides;
  return &made->managed;
}

}  // namespace

Memory* NewMemory(const RTorchTensor& tensor) {
  void* const place = std::malloc(sizeof(Memory));
  return place == nullptr ? nullptr : new (place) Memory{{1}, tensor};
}

void Keep(Memory* memory) {
  memory->references.fetch_add(1, std::memory_order_relaxed);
}

void Drop(Memory* memory) {
  if (memory == nullptr ||
      memory->references.fetch_sub(1, std::memory_order_acq_rel) > 1) {
    return;
  }
  const RTorchTensor& tensor = memory->tensor;
  if (tensor.deleter != nullptr) tensor.deleter(tensor.owner);
  std::free(memory);
}

const RTorchTensor& TensorOf(const Memory& memory) { return memory.tensor; }

DLManagedTensorVersioned* ExportVersioned(Memory* memory) {
  auto* const made = MakeExported<DLManagedTensorVersioned>(memory);
  if (made != nullptr) made->version = {kDLPackMajor, 0};
  return made;
}

DLManagedTensor* Export(Memory* memory) {
  return MakeExported<DLManagedTensor>(memory);
}

bool DTypeOf(const DLDataType& type, RTorchDType* dtype) {
  for (const Pair& pair : kTypes) {
    if (pair.dlpack.code != type.code || pair.dlpack.bits != type.bits ||
        type.lanes != 1) {
      continue;
    }
    *dtype = pair.ours;
    return true;
  }
  return false;
}

}  // namespace rules_torch::python
