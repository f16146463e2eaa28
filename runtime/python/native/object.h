// Python objects in C++: references that are given back, and structs that are objects.
//
// The extension uses nothing that the C++ library has to be loaded for: it is in every
// process that imports a model, and the process may bring a C++ library of its own. So
// no exceptions, and malloc.
#ifndef RULES_TORCH_PYTHON_OBJECT_H_
#define RULES_TORCH_PYTHON_OBJECT_H_

#include "runtime/python/native/python_abi.h"

namespace rules_torch::python {

// Owns a reference, or nothing.
class Ref {
 public:
  Ref() = default;
  explicit Ref(PyObject* owned) : object_(owned) {}
  ~Ref() { Py_DecRef(object_); }
  Ref(const Ref&) = delete;
  Ref& operator=(const Ref&) = delete;
  Ref(Ref&& other) noexcept : object_(other.Release()) {}
  Ref& operator=(Ref&& other) noexcept {
    if (this != &other) Reset(other.Release());
    return *this;
  }

  static Ref Borrow(PyObject* borrowed) {
    Py_IncRef(borrowed);
    return Ref(borrowed);
  }

  PyObject* get() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }

  PyObject* Release() {
    PyObject* object = object_;
    object_ = nullptr;
    return object;
  }

  void Reset(PyObject* owned = nullptr) {
    PyObject* before = object_;
    object_ = owned;
    Py_DecRef(before);
  }

 private:
  PyObject* object_ = nullptr;
};

inline PyObject* NewRef(PyObject* object) {
  Py_IncRef(object);
  return object;
}

inline PyObject* AsObject(PyTypeObject* type) {
  return reinterpret_cast<PyObject*>(type);
}

inline PyTypeObject* AsType(PyObject* type) {
  return reinterpret_cast<PyTypeObject*>(type);
}

// A struct that begins with a PyObject, by its object; memory starts out as zeros.
template <typename Struct>
Struct* As(PyObject* object) {
  return reinterpret_cast<Struct*>(object);
}

// The end of a type's tp_dealloc: types made from specs are counted by their objects.
inline void FreeObject(PyObject* self) {
  PyTypeObject* const type = self->ob_type;
  reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(self);
  Py_DecRef(AsObject(type));
}

// For slots, whose values are void*.
template <typename Function>
void* Slot(Function* function) {
  return reinterpret_cast<void*>(function);
}

// For METH_FASTCALL | METH_KEYWORDS and METH_VARARGS | METH_KEYWORDS.
template <typename Function>
PyCFunction Method(Function* function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(function));
}

}  // namespace rules_torch::python

#endif  // RULES_TORCH_PYTHON_OBJECT_H_
