#include "runtime/python/native/library.h"

#include <dlfcn.h>

#include <cstdint>

#include "rules_torch/abi.h"
#include "rules_torch/loader.h"
#include "runtime/python/native/object.h"
#include "runtime/python/native/python_abi.h"

namespace rules_torch::python {
namespace {

struct LibraryObject {
  PyObject base;
  RTorchLibrary library;
  PyObject* input_names;
  PyObject* output_names;
};

PyTypeObject* library_type = nullptr;

// Opens the library; false with an exception set on failure.
bool Open(PyObject* path, RTorchLibrary* library) {
  PyObject* bytes = nullptr;
  if (!PyUnicode_FSConverter(path, &bytes)) return false;
  const Ref owned(bytes);
  RTorchError error;
  if (rtorch_open_library(PyBytes_AsString(bytes), library, &error) != RTORCH_OK) {
    PyErr_Format(PyExc_ImportError, "%s", error.message);
    return false;
  }
  return true;
}

PyObject* Names(const RTorchTensorSpec* specs, std::int32_t count) {
  Ref names(PyTuple_New(count));
  for (std::int32_t i = 0; names && i < count; ++i) {
    PyObject* const name = PyUnicode_InternFromString(specs[i].name);
    if (name == nullptr) return nullptr;
    PyTuple_SetItem(names.get(), i, name);
  }
  return names.Release();
}

PyObject* New(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  PyObject* path = nullptr;
  const char* names[] = {"path", nullptr};
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "U:Library", const_cast<char**>(names),
                                   &path)) {
    return nullptr;
  }
  Ref self(PyType_GenericAlloc(type, 0));
  if (!self) return nullptr;
  auto* const library = As<LibraryObject>(self.get());
  if (!Open(path, &library->library)) return nullptr;
  const RTorchModelApi& api = *library->library.api;
  library->input_names = Names(api.inputs, api.num_inputs);
  library->output_names = Names(api.outputs, api.num_outputs);
  if (library->input_names == nullptr || library->output_names == nullptr) {
    return nullptr;
  }
  return self.Release();
}

void Dealloc(PyObject* self) {
  auto* const library = As<LibraryObject>(self);
  Py_DecRef(library->input_names);
  Py_DecRef(library->output_names);
  // No model is left: each keeps its library.
  rtorch_close_library(&library->library);
  FreeObject(self);
}

PyObject* Name(PyObject* self, void*) { return PyUnicode_FromString(ApiOf(self).name); }

PyObject* Signature(PyObject* self, void*) {
  return PyUnicode_FromString(ApiOf(self).signature);
}

PyObject* Torch(PyObject* self, void*) {
  return PyUnicode_FromString(ApiOf(self).build->torch);
}

PyObject* Inputs(PyObject* self, void*) { return NewRef(InputNamesOf(self)); }

PyObject* Outputs(PyObject* self, void*) {
  return NewRef(As<LibraryObject>(self)->output_names);
}

PyGetSetDef getters[] = {
    {"name", &Name, nullptr, "The target's label.", nullptr},
    {"signature", &Signature, nullptr, "Inputs and outputs, as text.", nullptr},
    {"torch", &Torch, nullptr, "The version of torch that compiled it.", nullptr},
    {"inputs", &Inputs, nullptr, "The names of the inputs.", nullptr},
    {"outputs", &Outputs, nullptr, "The names of the outputs.", nullptr},
    {},
};

}  // namespace

bool InitLibraryType() {
  PyType_Slot slots[] = {
      {Py_tp_new, Slot(&New)},
      {Py_tp_dealloc, Slot(&Dealloc)},
      {Py_tp_getset, getters},
      {0, nullptr},
  };
  PyType_Spec spec = {"rtorch._native.Library", sizeof(LibraryObject), 0,
                      Py_TPFLAGS_DEFAULT, slots};
  library_type = AsType(PyType_FromSpec(&spec));
  return library_type != nullptr;
}

PyTypeObject* LibraryType() { return library_type; }

const RTorchModelApi& ApiOf(PyObject* library) {
  return *As<LibraryObject>(library)->library.api;
}

PyObject* InputNamesOf(PyObject* library) {
  return As<LibraryObject>(library)->input_names;
}

PyObject* Preload(PyObject*, PyObject* path) {
  PyObject* bytes = nullptr;
  if (!PyUnicode_FSConverter(path, &bytes)) return nullptr;
  const Ref owned(bytes);
  if (dlopen(PyBytes_AsString(bytes), RTLD_NOW | RTLD_LOCAL) == nullptr) {
    return PyErr_Format(PyExc_ImportError, "%s", dlerror());
  }
  return NewRef(Py_None);
}

}  // namespace rules_torch::python
