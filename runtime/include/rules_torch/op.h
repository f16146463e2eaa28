/* Operators of your own for models without libtorch, which is the default: such a
 * model calls `shop::scale` as the C function rtorch_op_shop__scale, that of an
 * overload `out` as rtorch_op_shop__scale__out, of the type RTorchOp:
 *
 *   // shop::scale(Tensor x, float factor, int? shift=None) -> Tensor
 *   RTorchCode rtorch_op_shop__scale(const RTorchValue* arguments, int32_t
 * num_arguments, RTorchTensor* results, int32_t num_results, const RTorchAllocator*
 * allocator, RTorchError* error) { const RTorchTensor* x = arguments[0].as.tensor;
 *     RTorchCode code = rtorch_new_result(allocator, x->dtype, x->rank, x->sizes,
 *                                         &results[0], error);
 *     if (code != RTORCH_OK) return code;
 *     ...
 *   }
 *
 * The cc_library that has it is among the `ops` of the cc_torch_library.
 *
 * Plain C99, no dependency but C's library.
 */
#ifndef RULES_TORCH_OP_H_
#define RULES_TORCH_OP_H_

#include <stdint.h>
#include <stdio.h>

#include "rules_torch/abi.h"
#include "rules_torch/host_tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What an argument is. */
typedef int32_t RTorchValueKind;
enum {
  RTORCH_VALUE_NONE = 0, /* an optional argument that is not given */
  RTORCH_VALUE_TENSOR = 1,
  RTORCH_VALUE_INT = 2,
  RTORCH_VALUE_FLOAT = 3,
  RTORCH_VALUE_BOOL = 4, /* an integer, 0 or 1 */
  RTORCH_VALUE_STRING = 5,
  RTORCH_VALUE_LIST = 6
};

/* An argument, of the type that the operator's schema says. */
typedef struct RTorchValue {
  RTorchValueKind kind;
  int32_t size; /* of a list: how many values it has */
  union {
    /* With any strides, in host memory. Its elements may be changed where the schema
     * says so, Tensor(a!). */
    const RTorchTensor* tensor;
    int64_t integer;
    double number;
    const char* string; /* UTF-8, ends with a zero */
    const struct RTorchValue* list;
  } as;
} RTorchValue;

/* An operator. `arguments` are those of the schema, in order, defaults included, and
 * are valid during the call. `results` are its tensors; the operator makes each by
 * rtorch_new_result, in the thread that calls it, of the dtype and the sizes that its
 * fake implementation says. On failure it fills `error`; what it says is the run's
 * error. May be called from many threads at once; must not throw. */
typedef RTorchCode (*RTorchOp)(const RTorchValue* arguments, int32_t num_arguments,
                               RTorchTensor* results, int32_t num_results,
                               const RTorchAllocator* allocator, RTorchError* error);

/* Fails with a message: `return rtorch_op_error(error, RTORCH_INVALID_ARGUMENT,
 * "...");`
 */
static inline RTorchCode rtorch_op_error(RTorchError* error, RTorchCode code,
                                         const char* message) {
  error->code = code;
  snprintf(error->message, sizeof error->message, "%s", message);
  return code;
}

/* Makes a result: row-major contiguous elements in host memory, not initialised,
 * aligned to 64 bytes. `sizes` has `rank` numbers. */
static inline RTorchCode rtorch_new_result(const RTorchAllocator* allocator,
                                           RTorchDType dtype, int32_t rank,
                                           const int64_t* sizes, RTorchTensor* result,
                                           RTorchError* error) {
  *result = rtorch_host_tensor(NULL, dtype, rank, sizes);
  if (allocator->allocate(allocator->context, 0, 64, result) != RTORCH_OK) {
    return rtorch_op_error(error, RTORCH_RESOURCE_EXHAUSTED,
                           "no memory for an operator's result");
  }
  return RTORCH_OK;
}

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* RULES_TORCH_OP_H_ */
