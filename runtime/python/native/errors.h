// Python's exceptions for what the C ABI reports.
#ifndef RULES_TORCH_PYTHON_ERRORS_H_
#define RULES_TORCH_PYTHON_ERRORS_H_

#include "rules_torch/abi.h"
#include "runtime/python/native/python_abi.h"

namespace rules_torch::python {

// Sets the exception that stands for the error's code, with its message. Returns null.
PyObject* Raise(const RTorchError& error);

// Replaces the exception that is set by a ValueError, of which it becomes the cause,
// with the first line of its message behind `where`: "input 'image'".
void RaiseAt(const char* side, const char* name);

}  // namespace rules_torch::python

#endif  // RULES_TORCH_PYTHON_ERRORS_H_
