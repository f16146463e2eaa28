#include "runtime/python/native/library.h"

#include <dlfcn.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "rules_torch/abi.h"
#include "runtime/python/native/object.h"
#include "runtime/python/native/python_abi.h"

namespace rules_torch::python {
namespace {

struct LibraryObject {
  PyObject base;
  void* handle;
  const RTorchModelApi* api;
  PyObject* input_names;
  PyObject* output_names;
};

PyTypeObject* library_type = nullptr;

PyObject* FailToLoad(const char* what) {
  return PyErr_Format(PyExc_ImportError, "%s", what);
}

// dlopen; null with an exception set on failure.
void* Open(PyObject* path) {
  PyObject* bytes = nullptr;
  if (!PyUnicode_FSConverter(path, &bytes)) return nullptr;
  const Ref owned(bytes);
  void* const handle = dlopen(PyBytes_AsString(bytes), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) FailToLoad(dlerror());
  return handle;
}

// The model's table, or null with an exception set.
const RTorchModelApi* FindApi(void* handle) {
  void* const symbol = dlsym(handle, RTORCH_ENTRY_POINT);
  if (symbol == nullptr) {
    PyErr_Format(PyExc_ImportError,
                 "no compiled model: it does not export %s, as what "
                 "cc_torch_shared_library makes does",
                 RTORCH_ENTRY_POINT);
    return nullptr;
  }
  RTorchGetModelApi get;
  std::memcpy(&get, &symbol, sizeof get);
  const RTorchModelApi* const api = get();
  // The version is what all versions of the table begin with.
  if (api->abi_version != RTORCH_ABI_VERSION) {
    PyErr_Format(PyExc_ImportError,
                 "it has version %u of rules_torch's C ABI, and this rtorch knows %u; "
                 "build both with one rules_torch",
                 static_cast<unsigned>(api->abi_version), RTORCH_ABI_VERSION);
    return nullptr;
  }
  constexpr std::size_t kSize = offsetof(RTorchModelApi, definition);
  if (api->struct_size < kSize) {
    PyErr_Format(PyExc_ImportError, "its table has %u bytes, and this rtorch needs %zd",
                 static_cast<unsigned>(api->struct_size),
                 static_cast<Py_ssize_t>(kSize));
    return nullptr;
  }
  return api;
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
  library->handle = Open(path);
  if (library->handle == nullptr) return nullptr;
  library->api = FindApi(library->handle);
  if (library->api == nullptr) return nullptr;
  const RTorchModelApi& api = *library->api;
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
  if (library->handle != nullptr) dlclose(library->handle);
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
  return *As<LibraryObject>(library)->api;
}

PyObject* InputNamesOf(PyObject* library) {
  return As<LibraryObject>(library)->input_names;
}

PyObject* Preload(PyObject*, PyObject* path) {
  return Open(path) == nullptr ? nullptr : NewRef(Py_None);
}

}  // namespace rules_torch::python
