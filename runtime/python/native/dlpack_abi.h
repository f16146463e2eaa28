// DLPack's structs, major version 1, whose layouts are its ABI
// (https://dmlc.github.io/dlpack/latest): what Python objects hand to each other as
// capsules, and the table of C functions that types like torch.Tensor have.
#ifndef RULES_TORCH_PYTHON_DLPACK_ABI_H_
#define RULES_TORCH_PYTHON_DLPACK_ABI_H_

#include <cstdint>

namespace rules_torch::python {

struct DLDevice {
  std::int32_t device_type;
  std::int32_t device_id;
};

struct DLDataType {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};

enum DLDataTypeCode : std::uint8_t {
  kDLInt = 0,
  kDLUInt = 1,
  kDLFloat = 2,
  kDLBfloat = 4,
  kDLComplex = 5,
  kDLBool = 6,
};

struct DLTensor {
  void* data;
  DLDevice device;
  std::int32_t ndim;
  DLDataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;  // in elements; before 1.2, null means row-major contiguous
  std::uint64_t byte_offset;
};

struct DLPackVersion {
  std::uint32_t major;
  std::uint32_t minor;
};

// In capsules called "dltensor".
struct DLManagedTensor {
  DLTensor dl_tensor;
  void* manager_ctx;
  void (*deleter)(DLManagedTensor* self);
};

// In capsules called "dltensor_versioned".
struct DLManagedTensorVersioned {
  DLPackVersion version;
  void* manager_ctx;
  void (*deleter)(DLManagedTensorVersioned* self);
  std::uint64_t flags;
  DLTensor dl_tensor;
};

constexpr std::uint32_t kDLPackMajor = 1;
constexpr std::uint64_t kDLPackReadOnly = 1;

// What the capsule `__dlpack_c_exchange_api__` of a type has, "dlpack_exchange_api".
// Functions return 0, or -1 with an exception of Python's set.
struct DLPackExchangeAPI {
  DLPackVersion version;
  DLPackExchangeAPI* previous;  // of an older major version
  void* managed_tensor_allocator;
  void* managed_tensor_from_py_object_no_sync;
  int (*managed_tensor_to_py_object_no_sync)(DLManagedTensorVersioned* stolen,
                                             void** object);
  int (*dltensor_from_py_object_no_sync)(void* object, DLTensor* borrowed);  // or null
  void* current_work_stream;
};

}  // namespace rules_torch::python

#endif  // RULES_TORCH_PYTHON_DLPACK_ABI_H_
