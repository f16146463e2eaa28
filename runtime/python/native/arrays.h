// Tensors, arrays and buffers of Python's as tensors of the C ABI, and back.
#ifndef RULES_TORCH_PYTHON_ARRAYS_H_
#define RULES_TORCH_PYTHON_ARRAYS_H_

#include "rules_torch/abi.h"
#include "runtime/python/native/dlpack_abi.h"
#include "runtime/python/native/python_abi.h"

namespace rules_torch::python {

// What is known of a type of objects; looked up once.
struct ArrayType {
  // Rising: of several inputs, the one with the highest says what is made of outputs.
  enum Makes {
    kTensor,     // ours
    kNamespace,  // what the array's library makes: the array API standard
    kNumpy,      // numpy.ndarray
    kExchange,   // what the table makes: torch.Tensor
  };
  enum Reads {
    kReadsTensor,
    kReadsDLPack,
    kReadsBuffer,
    kReadsExchange,
  };

  PyTypeObject* type;
  Makes makes;
  Reads reads;
  const DLPackExchangeAPI* exchange;  // for kExchange
  bool is_torch_like;                 // has `requires_grad` and `is_neg()`
  ArrayType* next;
};

// Which argument of a run an object is; for messages.
struct Place {
  const char* side;  // "input", "output"
  const RTorchTensorSpec* spec;
};

// What a tensor's memory is borrowed through, while a run uses it.
class Borrowed {
 public:
  Borrowed() = default;
  ~Borrowed();
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;

  // Describes an object's memory; `writable`: it is to be written to. Returns the
  // object's type, or null with an exception set. Whether it fits the spec is for the
  // C ABI to check, but for what that cannot express.
  const ArrayType* Borrow(PyObject* object, const Place& place, bool writable,
                          RTorchTensor* tensor);

 private:
  enum Through { kNothing, kBuffer, kManaged, kVersioned };

  bool BorrowBuffer(PyObject* object, const Place& place, bool writable,
                    RTorchTensor* tensor);
  bool BorrowDLPack(PyObject* object, const Place& place, bool writable,
                    RTorchTensor* tensor);

  Through through_ = kNothing;
  union {
    Py_buffer buffer_;
    DLManagedTensor* managed_;
    DLManagedTensorVersioned* versioned_;
  };
};

// Which kind of object results become.
struct Kind {
  const ArrayType* type = nullptr;  // null: Tensor
  PyObject* example = nullptr;      // borrowed; an object of that type

  void Take(const ArrayType* other, PyObject* object) {
    if (type != nullptr && other->makes <= type->makes) return;
    type = other;
    example = object;
  }
};

// Makes an object of a result, whose memory is taken over in any case; null with an
// exception set on failure.
PyObject* MakeArray(const Kind& kind, RTorchTensor* result);

}  // namespace rules_torch::python

#endif  // RULES_TORCH_PYTHON_ARRAYS_H_
