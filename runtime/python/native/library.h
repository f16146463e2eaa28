// rtorch's Library: a compiled model's shared library, loaded.
#ifndef RULES_TORCH_PYTHON_LIBRARY_H_
#define RULES_TORCH_PYTHON_LIBRARY_H_

#include "rules_torch/abi.h"
#include "runtime/python/native/python_abi.h"

namespace rules_torch::python {

// Makes the type; false with an exception set on failure.
bool InitLibraryType();
PyTypeObject* LibraryType();

// Of an object whose type is LibraryType().
const RTorchModelApi& ApiOf(PyObject* library);
PyObject* InputNamesOf(PyObject* library);  // a tuple of interned str; borrowed

// Loads a shared library whose symbols others find by its name alone (DT_NEEDED), and
// keeps it: for libtorch. METH_O, of its path.
PyObject* Preload(PyObject* module, PyObject* path);

}  // namespace rules_torch::python

#endif  // RULES_TORCH_PYTHON_LIBRARY_H_
