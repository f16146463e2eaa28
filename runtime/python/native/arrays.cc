#include "runtime/python/native/arrays.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "rules_torch/abi.h"
#include "rules_torch/dtype.h"
#include "runtime/python/native/dlpack_abi.h"
#include "runtime/python/native/errors.h"
#include "runtime/python/native/memory.h"
#include "runtime/python/native/object.h"
#include "runtime/python/native/python_abi.h"
#include "runtime/python/native/tensor.h"

namespace rules_torch::python {
namespace {

// ---- Types.

ArrayType* known_types = nullptr;  // as many as a program has kinds of arrays

// An attribute, or null without an exception where there is none.
Ref Attribute(PyObject* object, const char* name) {
  Ref attribute(PyObject_GetAttrString(object, name));
  if (!attribute) PyErr_Clear();
  return attribute;
}

bool Has(PyTypeObject* type, const char* name) {
  return static_cast<bool>(Attribute(AsObject(type), name));
}

// The table of a type's C functions, of the major version that we know, or null.
const DLPackExchangeAPI* ExchangeOf(PyTypeObject* type) {
  constexpr const char* kName = "dlpack_exchange_api";
  const Ref capsule = Attribute(AsObject(type), "__dlpack_c_exchange_api__");
  if (!capsule || !PyCapsule_IsValid(capsule.get(), kName)) return nullptr;
  const auto* api =
      static_cast<const DLPackExchangeAPI*>(PyCapsule_GetPointer(capsule.get(), kName));
  while (api != nullptr && api->version.major != kDLPackMajor) api = api->previous;
  return api != nullptr && api->dltensor_from_py_object_no_sync != nullptr ? api
                                                                           : nullptr;
}

// An attribute of numpy's, or null; numpy is not imported if the program did not.
Ref OfNumpy(const char* name) {
  static PyObject* const numpy = PyUnicode_InternFromString("numpy");
  const Ref module(PyImport_GetModule(numpy));
  if (!module) PyErr_Clear();
  return module ? Attribute(module.get(), name) : Ref();
}

bool IsNumpy(PyTypeObject* type) {
  for (const char* name : {"ndarray", "generic"}) {
    const Ref base = OfNumpy(name);
    if (base && PyType_IsSubtype(type, AsType(base.get()))) return true;
  }
  return false;
}

bool Describe(PyObject* object, ArrayType* about) {
  PyTypeObject* const type = object->ob_type;
  about->type = type;
  about->is_torch_like = Has(type, "requires_grad") && Has(type, "is_neg");
  about->exchange = ExchangeOf(type);
  about->makes = about->exchange != nullptr         ? ArrayType::kExchange
                 : IsNumpy(type)                    ? ArrayType::kNumpy
                 : Has(type, "__array_namespace__") ? ArrayType::kNamespace
                                                    : ArrayType::kTensor;
  if (type == TensorType()) {
    about->reads = ArrayType::kReadsTensor;
  } else if (about->exchange != nullptr) {
    about->reads = ArrayType::kReadsExchange;
  } else if (PyObject_CheckBuffer(object)) {
    about->reads = ArrayType::kReadsBuffer;
  } else if (Has(type, "__dlpack__")) {
    about->reads = ArrayType::kReadsDLPack;
  } else {
    return false;
  }
  return true;
}

// Null with an exception set for what is no array.
const ArrayType* ArrayTypeOf(PyObject* object, const Place& place) {
  for (ArrayType* each = known_types; each != nullptr; each = each->next) {
    if (each->type == object->ob_type) return each;
  }
  ArrayType about{};
  if (!Describe(object, &about)) {
    const Ref name(PyType_GetName(object->ob_type));
    if (name) {
      PyErr_Format(PyExc_TypeError,
                   "%s '%s': expected %s as a tensor, an array or a buffer, got %U",
                   place.side, place.spec->name, place.spec->type, name.get());
    }
    return nullptr;
  }
  auto* const made = static_cast<ArrayType*>(std::malloc(sizeof(ArrayType)));
  if (made == nullptr) {
    PyErr_NoMemory();
    return nullptr;
  }
  *made = about;
  made->next = known_types;
  Py_IncRef(AsObject(made->type));  // or another type could come to lie there
  known_types = made;
  return made;
}

// ---- Borrowing.

bool Refuse(const Place& place, const char* what) {
  PyErr_Format(PyExc_ValueError, "%s '%s': %s", place.side, place.spec->name, what);
  return false;
}

bool RefuseType(const Place& place, const char* type) {
  PyErr_Format(PyExc_ValueError, "%s '%s': expected %s, got elements of the type %s",
               place.side, place.spec->name, place.spec->type, type);
  return false;
}

bool RefuseRank(const Place& place, int rank) {
  PyErr_Format(PyExc_ValueError, "%s '%s': expected %s, got a tensor of rank %d",
               place.side, place.spec->name, place.spec->type, rank);
  return false;
}

void SetRowMajor(RTorchTensor* tensor) {
  std::int64_t stride = 1;
  for (std::int32_t i = tensor->rank; i-- > 0;) {
    tensor->strides[i] = stride;
    stride *= std::max<std::int64_t>(tensor->sizes[i], 1);
  }
}

// "complex64", or by numbers for what is not one of DLPack's first types.
bool RefuseDLPackType(const Place& place, const DLDataType& type) {
  constexpr const char* kNames[] = {"int",   "uint",   "float",
                                    nullptr, "bfloat", "complex"};
  const bool named = type.code <= kDLComplex && type.lanes == 1;
  char text[64];
  if (named && kNames[type.code] != nullptr) {
    std::snprintf(text, sizeof text, "%s%d", kNames[type.code], type.bits);
  } else {
    std::snprintf(text, sizeof text, "DLPack code %d, %d bits, %d lanes", type.code,
                  type.bits, type.lanes);
  }
  return RefuseType(place, text);
}

bool FromDLPack(const DLTensor& dl, const Place& place, RTorchTensor* tensor) {
  if (!DTypeOf(dl.dtype, &tensor->dtype)) return RefuseDLPackType(place, dl.dtype);
  if (dl.ndim < 0 || dl.ndim > RTORCH_MAX_RANK) return RefuseRank(place, dl.ndim);
  tensor->data = dl.data == nullptr
                     ? nullptr
                     : static_cast<unsigned char*>(dl.data) + dl.byte_offset;
  tensor->rank = dl.ndim;
  // As models have it: the one of the host, whatever number it was given.
  const std::int32_t index =
      dl.device.device_type == RTORCH_CPU ? 0 : dl.device.device_id;
  tensor->device = {dl.device.device_type, index};
  std::copy_n(dl.shape, dl.ndim, tensor->sizes);
  if (dl.strides == nullptr) {
    SetRowMajor(tensor);
  } else {
    std::copy_n(dl.strides, dl.ndim, tensor->strides);
  }
  return true;
}

// Whether the elements lie one after the other; false for one element or none.
bool IsDense(const RTorchTensor& tensor) {
  std::int64_t size = 1;
  for (std::int32_t i = tensor.rank; i-- > 0;) {
    if (tensor.sizes[i] != 1 && tensor.strides[i] != size) return false;
    size *= tensor.sizes[i];
  }
  return size > 1;
}

// Whether a tensor of torch's is what its memory says.
bool IsPlain(PyObject* object, const Place& place, const RTorchTensor& tensor) {
  static PyObject* const requires_grad = PyUnicode_InternFromString("requires_grad");
  static PyObject* const is_neg = PyUnicode_InternFromString("is_neg");
  const Ref grad(PyObject_GetAttr(object, requires_grad));
  const int has_grad = grad ? PyObject_IsTrue(grad.get()) : -1;
  if (has_grad < 0) return false;
  if (has_grad == 1) {
    return Refuse(place,
                  "the tensor requires a gradient, which compiled models do not "
                  "compute; pass tensor.detach()");
  }
  // Imaginary parts of conjugates, every second number: to ask costs as much as all of
  // the above.
  if (IsDense(tensor)) return true;
  const Ref method(PyObject_GetAttr(object, is_neg));
  const Ref neg(method ? PyObject_CallNoArgs(method.get()) : nullptr);
  const int is_negated = neg ? PyObject_IsTrue(neg.get()) : -1;
  if (is_negated < 0) return false;
  return is_negated == 0 ||
         Refuse(place,
                "the tensor has its negative bit set; pass tensor.resolve_neg()");
}

bool BorrowExchange(const ArrayType& type, PyObject* object, const Place& place,
                    RTorchTensor* tensor) {
  DLTensor dl;
  if (type.exchange->dltensor_from_py_object_no_sync(object, &dl) != 0) {
    RaiseAt(place.side, place.spec->name);
    return false;
  }
  return FromDLPack(dl, place, tensor);
}

// The dtype of elements in the buffer protocol's terms; false for another.
bool DTypeOf(const char* format, Py_ssize_t size, RTorchDType* dtype) {
  if (format == nullptr) format = "B";
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  constexpr char kForeign = '>';
#else
  constexpr char kForeign = '<';
#endif
  if (std::strchr("@=<>!", format[0]) != nullptr && format[0] != '\0') {
    const bool foreign = format[0] == kForeign || (format[0] == '!' && kForeign == '>');
    if (foreign && size != 1) return false;
    ++format;
  }
  if (format[0] == '\0' || format[1] != '\0') return false;
  struct Choice {
    const char* formats;
    Py_ssize_t size;
    RTorchDType dtype;
  };
  constexpr Choice kChoices[] = {
      {"f", 4, RTORCH_FLOAT32},    {"d", 8, RTORCH_FLOAT64},
      {"e", 2, RTORCH_FLOAT16},    {"bhilqn", 8, RTORCH_INT64},
      {"bhilqn", 4, RTORCH_INT32}, {"bhilqn", 2, RTORCH_INT16},
      {"bhilqn", 1, RTORCH_INT8},  {"B", 1, RTORCH_UINT8},
      {"?", 1, RTORCH_BOOL},
  };
  for (const Choice& choice : kChoices) {
    if (choice.size == size && std::strchr(choice.formats, format[0]) != nullptr) {
      *dtype = choice.dtype;
      return true;
    }
  }
  return false;
}

}  // namespace

Borrowed::~Borrowed() {
  switch (through_) {
    case kNothing:
      break;
    case kBuffer:
      PyBuffer_Release(&buffer_);
      break;
    case kManaged:
      if (managed_->deleter != nullptr) managed_->deleter(managed_);
      break;
    case kVersioned:
      if (versioned_->deleter != nullptr) versioned_->deleter(versioned_);
      break;
  }
}

const ArrayType* Borrowed::Borrow(PyObject* object, const Place& place, bool writable,
                                  RTorchTensor* tensor) {
  const ArrayType* const type = ArrayTypeOf(object, place);
  if (type == nullptr) return nullptr;
  bool borrowed = true;
  switch (type->reads) {
    case ArrayType::kReadsTensor:
      *tensor = TensorOf(*MemoryOf(object));
      break;
    case ArrayType::kReadsExchange:
      borrowed = BorrowExchange(*type, object, place, tensor);
      break;
    case ArrayType::kReadsBuffer:
      borrowed = BorrowBuffer(object, place, writable, tensor);
      break;
    case ArrayType::kReadsDLPack:
      borrowed = BorrowDLPack(object, place, writable, tensor);
      break;
  }
  if (!borrowed) return nullptr;
  return !type->is_torch_like || IsPlain(object, place, *tensor) ? type : nullptr;
}

bool Borrowed::BorrowBuffer(PyObject* object, const Place& place, bool writable,
                            RTorchTensor* tensor) {
  const int flags = PyBUF_STRIDES | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0);
  if (PyObject_GetBuffer(object, &buffer_, flags) != 0) {
    RaiseAt(place.side, place.spec->name);
    return false;
  }
  through_ = kBuffer;
  if (!DTypeOf(buffer_.format, buffer_.itemsize, &tensor->dtype)) {
    return RefuseType(place, buffer_.format == nullptr ? "B" : buffer_.format);
  }
  if (buffer_.ndim > RTORCH_MAX_RANK) return RefuseRank(place, buffer_.ndim);
  tensor->data = buffer_.buf;
  tensor->rank = buffer_.ndim;
  tensor->device = {RTORCH_CPU, 0};
  std::copy_n(buffer_.shape, buffer_.ndim, tensor->sizes);
  if (buffer_.strides == nullptr) {
    SetRowMajor(tensor);
    return true;
  }
  for (int i = 0; i < buffer_.ndim; ++i) {
    tensor->strides[i] = buffer_.strides[i] / buffer_.itemsize;
    if (buffer_.strides[i] % buffer_.itemsize != 0 && buffer_.shape[i] > 1) {
      return Refuse(place, "elements lie at odd places between others; pass a copy");
    }
  }
  return true;
}

bool Borrowed::BorrowDLPack(PyObject* object, const Place& place, bool writable,
                            RTorchTensor* tensor) {
  const Ref method(PyObject_GetAttrString(object, "__dlpack__"));
  const Ref none(PyTuple_New(0));
  const Ref version(PyTuple_New(2));
  const Ref options(PyDict_New());
  if (!method || !none || !version || !options) return false;
  PyTuple_SetItem(version.get(), 0, PyLong_FromLongLong(kDLPackMajor));
  PyTuple_SetItem(version.get(), 1, PyLong_FromLongLong(0));
  if (PyDict_SetItemString(options.get(), "max_version", version.get()) != 0) {
    return false;
  }
  Ref capsule(PyObject_Call(method.get(), none.get(), options.get()));
  if (!capsule && PyErr_ExceptionMatches(PyExc_TypeError)) {
    // A library from before DLPack had versions.
    PyErr_Clear();
    capsule.Reset(PyObject_CallNoArgs(method.get()));
  }
  if (!capsule) {
    RaiseAt(place.side, place.spec->name);
    return false;
  }
  if (PyCapsule_IsValid(capsule.get(), "dltensor_versioned")) {
    versioned_ = static_cast<DLManagedTensorVersioned*>(
        PyCapsule_GetPointer(capsule.get(), "dltensor_versioned"));
    if (PyCapsule_SetName(capsule.get(), "used_dltensor_versioned") != 0) return false;
    through_ = kVersioned;
    if (versioned_->version.major != kDLPackMajor) {
      return Refuse(place, "the array is of another major version of DLPack");
    }
    if (writable && (versioned_->flags & kDLPackReadOnly) != 0) {
      return Refuse(place, "the array is read-only");
    }
    return FromDLPack(versioned_->dl_tensor, place, tensor);
  }
  if (PyCapsule_IsValid(capsule.get(), "dltensor")) {
    managed_ =
        static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule.get(), "dltensor"));
    if (PyCapsule_SetName(capsule.get(), "used_dltensor") != 0) return false;
    through_ = kManaged;
    return FromDLPack(managed_->dl_tensor, place, tensor);
  }
  return Refuse(place, "__dlpack__ returned no DLPack capsule");
}

PyObject* MakeArray(const Kind& kind, RTorchTensor* result) {
  Memory* const memory = NewMemory(*result);
  if (memory == nullptr) {
    if (result->deleter != nullptr) result->deleter(result->owner);
    *result = RTorchTensor{};
    return PyErr_NoMemory();
  }
  *result = RTorchTensor{};
  const ArrayType::Makes makes =
      kind.type == nullptr ? ArrayType::kTensor : kind.type->makes;
  if (makes == ArrayType::kExchange) {
    DLManagedTensorVersioned* const managed = ExportVersioned(memory);
    Drop(memory);
    if (managed == nullptr) return PyErr_NoMemory();
    void* made = nullptr;
    const int failed =
        kind.type->exchange->managed_tensor_to_py_object_no_sync(managed, &made);
    return failed != 0 ? nullptr : static_cast<PyObject*>(made);
  }
  const bool has_format = TensorOf(*memory).dtype != RTORCH_BFLOAT16;
  Ref tensor(NewTensor(memory));
  Drop(memory);
  // numpy has no bfloat16.
  if (!tensor || makes == ArrayType::kTensor ||
      (makes == ArrayType::kNumpy && !has_format)) {
    return tensor.Release();
  }
  if (makes == ArrayType::kNumpy) {
    static PyObject* asarray = nullptr;
    if (asarray == nullptr) asarray = OfNumpy("asarray").Release();
    if (asarray == nullptr) return tensor.Release();
    return PyObject_CallFunctionObjArgs(asarray, tensor.get(), nullptr);
  }
  const Ref method(PyObject_GetAttrString(kind.example, "__array_namespace__"));
  const Ref library(method ? PyObject_CallNoArgs(method.get()) : nullptr);
  const Ref from(library ? PyObject_GetAttrString(library.get(), "from_dlpack")
                         : nullptr);
  return from ? PyObject_CallFunctionObjArgs(from.get(), tensor.get(), nullptr)
              : nullptr;
}

}  // namespace rules_torch::python
