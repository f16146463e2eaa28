// The memory of an output, shared by the objects that have it: a Tensor, and what
// DLPack's consumers made of it, in any thread and without Python's lock.
#ifndef RULES_TORCH_PYTHON_MEMORY_H_
#define RULES_TORCH_PYTHON_MEMORY_H_

#include <cstdint>

#include "rules_torch/abi.h"
#include "runtime/python/native/dlpack_abi.h"

namespace rules_torch::python {

// Counted; freed with the last reference.
struct Memory;

// Takes over what `tensor` owns, if it returns no null, for lack of memory.
Memory* NewMemory(const RTorchTensor& tensor);
void Keep(Memory* memory);
void Drop(Memory* memory);  // null is allowed

const RTorchTensor& TensorOf(const Memory& memory);

// A DLPack struct that keeps the memory until its deleter is called; null for lack of
// memory.
DLManagedTensorVersioned* ExportVersioned(Memory* memory);
DLManagedTensor* Export(Memory* memory);

// Whether DLPack's type is one of ours, and which.
bool DTypeOf(const DLDataType& type, RTorchDType* dtype);

}  // namespace rules_torch::python

#endif  // RULES_TORCH_PYTHON_MEMORY_H_
