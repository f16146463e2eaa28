#include "runtime/python/native/tensor.h"

#include <cstddef>
#include <cstdint>

#include "rules_torch/abi.h"
#include "rules_torch/dtype.h"
#include "runtime/python/native/dlpack_abi.h"
#include "runtime/python/native/memory.h"
#include "runtime/python/native/object.h"
#include "runtime/python/native/python_abi.h"

namespace rules_torch::python {
namespace {

struct TensorObject {
  PyObject base;
  Memory* memory;
  Py_ssize_t strides[RTORCH_MAX_RANK];  // in bytes, for the buffer protocol
};

PyTypeObject* tensor_type = nullptr;

const RTorchTensor& Get(PyObject* self) {
  return TensorOf(*As<TensorObject>(self)->memory);
}

PyObject* New(PyTypeObject*, PyObject*, PyObject*) {
  PyErr_SetString(PyExc_TypeError, "models make Tensors");
  return nullptr;
}

void Dealloc(PyObject* self) {
  Drop(As<TensorObject>(self)->memory);
  FreeObject(self);
}

PyObject* TupleOf(const std::int64_t* numbers, std::int32_t count) {
  Ref tuple(PyTuple_New(count));
  for (std::int32_t i = 0; tuple && i < count; ++i) {
    PyObject* const number = PyLong_FromLongLong(numbers[i]);
    if (number == nullptr) return nullptr;
    PyTuple_SetItem(tuple.get(), i, number);
  }
  return tuple.Release();
}

PyObject* Shape(PyObject* self, void*) {
  return TupleOf(Get(self).sizes, Get(self).rank);
}

PyObject* DType(PyObject* self, void*) {
  return PyUnicode_FromString(DTypeName(Get(self).dtype));
}

PyObject* Repr(PyObject* self) {
  const Ref shape(Shape(self, nullptr));
  if (!shape) return nullptr;
  return PyUnicode_FromFormat("<rtorch.Tensor %s %S>", DTypeName(Get(self).dtype),
                              shape.get());
}

// The buffer protocol's name of a dtype, as the module `struct` has it; null for
// bfloat16, which has none. numpy's int64 is C's long.
const char* FormatOf(RTorchDType dtype) {
  static_assert(sizeof(long) == 8);
  switch (dtype) {
    case RTORCH_UINT8:
      return "B";
    case RTORCH_INT8:
      return "b";
    case RTORCH_INT16:
      return "h";
    case RTORCH_INT32:
      return "i";
    case RTORCH_INT64:
      return "l";
    case RTORCH_FLOAT16:
      return "e";
    case RTORCH_FLOAT32:
      return "f";
    case RTORCH_FLOAT64:
      return "d";
    case RTORCH_BOOL:
      return "?";
    default:
      return nullptr;
  }
}

// The memory is row-major contiguous, and writable.
int GetBuffer(PyObject* self, Py_buffer* view, int flags) {
  const RTorchTensor& tensor = Get(self);
  const char* const format = FormatOf(tensor.dtype);
  view->obj = nullptr;
  if (tensor.device.type != RTORCH_CPU) {
    PyErr_SetString(PyExc_BufferError, "the tensor is not in the host's memory");
    return -1;
  }
  // numpy.frombuffer wants no format, and is told one.
  if (format == nullptr && (flags & PyBUF_FORMAT) != 0) {
    PyErr_Format(PyExc_BufferError, "buffers have no format for %s; use DLPack",
                 DTypeName(tensor.dtype));
    return -1;
  }
  if ((flags & PyBUF_F_CONTIGUOUS) == PyBUF_F_CONTIGUOUS && tensor.rank > 1) {
    PyErr_SetString(PyExc_BufferError, "the tensor is row-major contiguous");
    return -1;
  }
  *view = Py_buffer{};
  view->itemsize = static_cast<Py_ssize_t>(DTypeSize(tensor.dtype));
  view->len = view->itemsize;
  for (std::int32_t i = 0; i < tensor.rank; ++i) {
    view->len *= static_cast<Py_ssize_t>(tensor.sizes[i]);
  }
  view->buf = tensor.data;
  view->obj = NewRef(self);
  view->ndim = tensor.rank;
  if ((flags & PyBUF_FORMAT) != 0) view->format = const_cast<char*>(format);
  static_assert(sizeof(Py_ssize_t) == sizeof(std::int64_t));
  if ((flags & PyBUF_ND) != 0) view->shape = const_cast<Py_ssize_t*>(tensor.sizes);
  if ((flags & PyBUF_STRIDES) == PyBUF_STRIDES) {
    view->strides = As<TensorObject>(self)->strides;
  }
  return 0;
}

constexpr const char* kVersioned = "dltensor_versioned";
constexpr const char* kUnversioned = "dltensor";

// Frees what no consumer took.
template <typename Managed>
void DeleteCapsule(PyObject* capsule, const char* name) {
  if (!PyCapsule_IsValid(capsule, name)) return;
  auto* const managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule, name));
  managed->deleter(managed);
}

void DeleteVersioned(PyObject* capsule) {
  DeleteCapsule<DLManagedTensorVersioned>(capsule, kVersioned);
}

void DeleteUnversioned(PyObject* capsule) {
  DeleteCapsule<DLManagedTensor>(capsule, kUnversioned);
}

template <typename Managed>
PyObject* NewCapsule(Managed* managed, const char* name,
                     PyCapsule_Destructor destructor) {
  if (managed == nullptr) return PyErr_NoMemory();
  PyObject* const capsule = PyCapsule_New(managed, name, destructor);
  if (capsule == nullptr) managed->deleter(managed);
  return capsule;
}

// The number at a place of a pair; false with an exception set.
bool Item(PyObject* pair, Py_ssize_t i, long* number) {
  PyObject* const item = PyTuple_GetItem(pair, i);
  *number = item == nullptr ? -1 : PyLong_AsLong(item);
  return !PyErr_Occurred();
}

PyObject* DLPackDevice(PyObject* self, PyObject*) {
  const std::int64_t device[] = {Get(self).device.type, Get(self).device.index};
  return TupleOf(device, 2);
}

PyObject* DLPack(PyObject* self, PyObject* args, PyObject* kwargs) {
  PyObject* stream = Py_None;
  PyObject* max_version = Py_None;
  PyObject* device = Py_None;
  PyObject* copy = Py_None;
  const char* names[] = {"stream", "max_version", "dl_device", "copy", nullptr};
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OOOO:__dlpack__",
                                   const_cast<char**>(names), &stream, &max_version,
                                   &device, &copy)) {
    return nullptr;
  }
  if (copy != Py_None) {
    const int wanted = PyObject_IsTrue(copy);
    if (wanted < 0) return nullptr;
    if (wanted == 1) {
      PyErr_SetString(PyExc_BufferError, "a Tensor makes no copies of itself");
      return nullptr;
    }
  }
  if (device != Py_None) {
    long type = 0;
    long index = 0;
    if (!Item(device, 0, &type) || !Item(device, 1, &index)) return nullptr;
    if (type != Get(self).device.type || index != Get(self).device.index) {
      PyErr_SetString(PyExc_BufferError,
                      "the tensor is in the memory of another device");
      return nullptr;
    }
  }
  long major = 0;
  if (max_version != Py_None && !Item(max_version, 0, &major)) return nullptr;
  Memory* const memory = MemoryOf(self);
  return major >= static_cast<long>(kDLPackMajor)
             ? NewCapsule(ExportVersioned(memory), kVersioned, &DeleteVersioned)
             : NewCapsule(Export(memory), kUnversioned, &DeleteUnversioned);
}

PyMethodDef methods[] = {
    {"__dlpack__", Method(&DLPack), METH_VARARGS | METH_KEYWORDS,
     "Gives the memory, which stays shared, to another library, as a capsule."},
    {"__dlpack_device__", Method(&DLPackDevice), METH_NOARGS,
     "The kind of memory and its device, as DLPack numbers them."},
    {},
};

PyGetSetDef getters[] = {
    {"shape", &Shape, nullptr, "The sizes, a tuple of ints.", nullptr},
    {"dtype", &DType, nullptr, "The element type, 'float32'.", nullptr},
    {},
};

constexpr const char* kDoc =
    "An output of a compiled model: row-major contiguous memory.\n\n"
    "numpy.asarray, memoryview, torch.from_dlpack and others use it without a copy. "
    "It\n"
    "may outlive the model.";

}  // namespace

bool InitTensorType() {
  PyType_Slot slots[] = {
      {Py_tp_new, Slot(&New)},
      {Py_tp_dealloc, Slot(&Dealloc)},
      {Py_tp_repr, Slot(&Repr)},
      {Py_tp_doc, const_cast<char*>(kDoc)},
      {Py_tp_methods, methods},
      {Py_tp_getset, getters},
      {Py_bf_getbuffer, Slot(&GetBuffer)},
      {0, nullptr},
  };
  PyType_Spec spec = {"rtorch.Tensor", sizeof(TensorObject), 0, Py_TPFLAGS_DEFAULT,
                      slots};
  tensor_type = AsType(PyType_FromSpec(&spec));
  return tensor_type != nullptr;
}

PyTypeObject* TensorType() { return tensor_type; }

PyObject* NewTensor(Memory* memory) {
  PyObject* const self = PyType_GenericAlloc(tensor_type, 0);
  if (self == nullptr) return nullptr;
  auto* const object = As<TensorObject>(self);
  Keep(memory);
  object->memory = memory;
  const RTorchTensor& tensor = TensorOf(*memory);
  for (std::int32_t i = 0; i < tensor.rank; ++i) {
    object->strides[i] =
        static_cast<Py_ssize_t>(tensor.strides[i] * DTypeSize(tensor.dtype));
  }
  return self;
}

Memory* MemoryOf(PyObject* tensor) { return As<TensorObject>(tensor)->memory; }

}  // namespace rules_torch::python
