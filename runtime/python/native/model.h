// rtorch's Model: an instance of a compiled model.
#ifndef RULES_TORCH_PYTHON_MODEL_H_
#define RULES_TORCH_PYTHON_MODEL_H_

#include "runtime/python/native/python_abi.h"

namespace rules_torch::python {

// Makes the type, which others may derive from; false with an exception set on failure.
bool InitModelType();
PyTypeObject* ModelType();

}  // namespace rules_torch::python

#endif  // RULES_TORCH_PYTHON_MODEL_H_
