// rtorch.Tensor: an output in Python, where neither torch nor numpy is what came in.
#ifndef RULES_TORCH_PYTHON_TENSOR_H_
#define RULES_TORCH_PYTHON_TENSOR_H_

#include "rules_torch/abi.h"
#include "runtime/python/native/memory.h"
#include "runtime/python/native/python_abi.h"

namespace rules_torch::python {

// Makes the type; false with an exception set on failure.
bool InitTensorType();
PyTypeObject* TensorType();

// A Tensor that shares the memory; null with an exception set on failure.
PyObject* NewTensor(Memory* memory);

// The memory of an object whose type is TensorType().
Memory* MemoryOf(PyObject* tensor);

}  // namespace rules_torch::python

#endif  // RULES_TORCH_PYTHON_TENSOR_H_
