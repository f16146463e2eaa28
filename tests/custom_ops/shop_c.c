/* The operators of shop.cc once more, for models without libtorch. All are of float32.
 */
#include <string.h>

#include "rules_torch/op.h"

/* The elements of a tensor in row-major order, one after another. */
typedef struct Elements {
  const RTorchTensor* tensor;
  int64_t index[RTORCH_MAX_RANK];
} Elements;

static Elements elements_of(const RTorchTensor* tensor) {
  Elements elements;
  memset(&elements, 0, sizeof elements);
  elements.tensor = tensor;
  return elements;
}

static float* next(Elements* elements) {
  const RTorchTensor* tensor = elements->tensor;
  int64_t offset = 0;
  for (int32_t i = 0; i < tensor->rank; ++i) {
    offset += elements->index[i] * tensor->strides[i];
  }
  for (int32_t i = tensor->rank; i-- > 0;) {
    if (++elements->index[i] < tensor->sizes[i]) break;
    elements->index[i] = 0;
  }
  return (float*)tensor->data + offset;
}

static int64_t count_of(const RTorchTensor* tensor) {
  int64_t count = 1;
  for (int32_t i = 0; i < tensor->rank; ++i) count *= tensor->sizes[i];
  return count;
}

RTorchCode rtorch_op_shop__scale(const RTorchValue* arguments, int32_t num_arguments,
                                 RTorchTensor* results, int32_t num_results,
                                 const RTorchAllocator* allocator, RTorchError* error) {
  const RTorchTensor* x = arguments[0].as.tensor;
  const double factor = arguments[1].as.number;
  const int64_t shift =
      arguments[2].kind == RTORCH_VALUE_NONE ? 0 : arguments[2].as.integer;
  (void)num_arguments, (void)num_results;
  if (!(factor > 0)) {
    return rtorch_op_error(error, RTORCH_INVALID_ARGUMENT,
                           "shop::scale: factor must be positive");
  }
  const RTorchCode code =
      rtorch_new_result(allocator, x->dtype, x->rank, x->sizes, &results[0], error);
  if (code != RTORCH_OK) return code;
  float* y = results[0].data;
  Elements elements = elements_of(x);
  for (int64_t i = 0; i < count_of(x); ++i) {
    y[i] = *next(&elements) * (float)factor + (float)shift;
  }
  return RTORCH_OK;
}

RTorchCode rtorch_op_shop__pick(const RTorchValue* arguments, int32_t num_arguments,
                                RTorchTensor* results, int32_t num_results,
                                const RTorchAllocator* allocator, RTorchError* error) {
  const RTorchValue* tensors = &arguments[0];
  const RTorchValue* rows = &arguments[1];
  const RTorchTensor* first = tensors->as.list[0].as.tensor;
  const int64_t columns = first->sizes[1];
  (void)num_arguments, (void)num_results;
  const RTorchCode code =
      rtorch_new_result(allocator, RTORCH_FLOAT32, 1, &columns, &results[0], error);
  if (code != RTORCH_OK) return code;
  float* sum = results[0].data;
  memset(sum, 0, (size_t)columns * sizeof *sum);
  for (int32_t i = 0; i < tensors->size; ++i) {
    const RTorchTensor* tensor = tensors->as.list[i].as.tensor;
    const float* row =
        (const float*)tensor->data + rows->as.list[i].as.integer * tensor->strides[0];
    for (int64_t j = 0; j < columns; ++j) sum[j] += row[j * tensor->strides[1]];
  }
  if (arguments[2].kind == RTORCH_VALUE_TENSOR) {
    Elements weight = elements_of(arguments[2].as.tensor);
    for (int64_t j = 0; j < columns; ++j) sum[j] *= *next(&weight);
  }
  if (strcmp(arguments[3].as.string, "negative") == 0) {
    for (int64_t j = 0; j < columns; ++j) sum[j] = -sum[j];
  }
  return RTORCH_OK;
}

RTorchCode rtorch_op_shop__range(const RTorchValue* arguments, int32_t num_arguments,
                                 RTorchTensor* results, int32_t num_results,
                                 const RTorchAllocator* allocator, RTorchError* error) {
  const RTorchTensor* x = arguments[0].as.tensor;
  const int64_t columns = x->sizes[1];
  (void)num_arguments;
  for (int32_t i = 0; i < num_results; ++i) {
    const RTorchCode code =
        rtorch_new_result(allocator, RTORCH_FLOAT32, 1, &columns, &results[i], error);
    if (code != RTORCH_OK) return code;
  }
  float* low = results[0].data;
  float* high = results[1].data;
  Elements elements = elements_of(x);
  for (int64_t i = 0; i < count_of(x); ++i) {
    const float value = *next(&elements);
    const int64_t j = i % columns;
    if (i < columns || value < low[j]) low[j] = value;
    if (i < columns || value > high[j]) high[j] = value;
  }
  return RTORCH_OK;
}

RTorchCode rtorch_op_shop__head(const RTorchValue* arguments, int32_t num_arguments,
                                RTorchTensor* results, int32_t num_results,
                                const RTorchAllocator* allocator, RTorchError* error) {
  RTorchTensor head = *arguments[0].as.tensor;
  (void)num_arguments, (void)num_results;
  head.sizes[0] = arguments[1].as.integer;
  const RTorchCode code = rtorch_new_result(allocator, head.dtype, head.rank,
                                            head.sizes, &results[0], error);
  if (code != RTORCH_OK) return code;
  float* y = results[0].data;
  Elements elements = elements_of(&head);
  for (int64_t i = 0; i < count_of(&head); ++i) y[i] = *next(&elements);
  return RTORCH_OK;
}

RTorchCode rtorch_op_shop__accumulate(const RTorchValue* arguments,
                                      int32_t num_arguments, RTorchTensor* results,
                                      int32_t num_results,
                                      const RTorchAllocator* allocator,
                                      RTorchError* error) {
  float* total = arguments[0].as.tensor->data;
  const RTorchTensor* x = arguments[1].as.tensor;
  double sum = 0;
  (void)num_arguments, (void)results, (void)num_results, (void)allocator, (void)error;
  Elements elements = elements_of(x);
  for (int64_t i = 0; i < count_of(x); ++i) sum += *next(&elements);
  *total += (float)sum;
  return RTORCH_OK;
}

RTorchCode rtorch_op_shop__misfit(const RTorchValue* arguments, int32_t num_arguments,
                                  RTorchTensor* results, int32_t num_results,
                                  const RTorchAllocator* allocator,
                                  RTorchError* error) {
  const int64_t size = 3; /* one element less than Meta says */
  (void)arguments, (void)num_arguments, (void)num_results;
  return rtorch_new_result(allocator, RTORCH_FLOAT32, 1, &size, &results[0], error);
}

RTorchCode rtorch_op_shop__checked(const RTorchValue* arguments, int32_t num_arguments,
                                   RTorchTensor* results, int32_t num_results,
                                   const RTorchAllocator* allocator,
                                   RTorchError* error) {
  const RTorchTensor* x = arguments[0].as.tensor;
  (void)num_arguments, (void)num_results;
  const RTorchCode code =
      rtorch_new_result(allocator, x->dtype, x->rank, x->sizes, &results[0], error);
  if (code != RTORCH_OK) return code;
  float* y = results[0].data;
  Elements elements = elements_of(x);
  for (int64_t i = 0; i < count_of(x); ++i) {
    y[i] = *next(&elements);
    if (!(y[i] >= 0)) {
      return rtorch_op_error(error, RTORCH_INVALID_ARGUMENT,
                             "shop::checked: no negative prices");
    }
  }
  return RTORCH_OK;
}
