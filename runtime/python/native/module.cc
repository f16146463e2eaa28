// The extension module rtorch._native, which all models share: Python over the C ABI.
#include "runtime/python/native/library.h"
#include "runtime/python/native/model.h"
#include "runtime/python/native/object.h"
#include "runtime/python/native/python_abi.h"
#include "runtime/python/native/tensor.h"

namespace rules_torch::python {
namespace {

PyMethodDef functions[] = {
    {"preload", &Preload, METH_O,
     "preload(path, /)\n--\n\n"
     "Loads a shared library that others need by its name, and keeps it."},
    {},
};

PyModuleDef module = {
    {1, nullptr}, nullptr,   0,       nullptr, "rtorch._native", nullptr,
    -1,           functions, nullptr, nullptr, nullptr,          nullptr,
};

bool Add(PyObject* to, const char* name, PyTypeObject* type) {
  return PyModule_AddObjectRef(to, name, AsObject(type)) == 0;
}

}  // namespace
}  // namespace rules_torch::python

extern "C" __attribute__((visibility("default"))) PyObject* PyInit__native() {
  using namespace rules_torch::python;
  if (!InitTensorType() || !InitLibraryType() || !InitModelType()) return nullptr;
  Ref made(PyModule_Create2(&module, PYTHON_ABI_VERSION));
  if (!made || !Add(made.get(), "Tensor", TensorType()) ||
      !Add(made.get(), "Library", LibraryType()) ||
      !Add(made.get(), "Model", ModelType())) {
    return nullptr;
  }
  return made.Release();
}
