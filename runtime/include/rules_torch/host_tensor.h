/* Tensors of the C ABI in host memory. Plain C99, no dependency but <stdint.h> and
 * <string.h>. */
#ifndef RULES_TORCH_HOST_TENSOR_H_
#define RULES_TORCH_HOST_TENSOR_H_

#include <stdint.h>
#include <string.h>

#include "rules_torch/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Row-major contiguous elements in host memory: `sizes` has `rank` numbers, at most
 * RTORCH_MAX_RANK. */
static inline RTorchTensor rtorch_host_tensor(void* data, RTorchDType dtype,
                                              int32_t rank, const int64_t* sizes) {
  RTorchTensor tensor;
  int64_t stride = 1;
  int32_t i;
  memset(&tensor, 0, sizeof tensor);
  tensor.data = data;
  tensor.dtype = dtype;
  tensor.rank = rank;
  tensor.device.type = RTORCH_CPU;
  for (i = rank; i-- > 0;) {
    tensor.sizes[i] = sizes[i];
    tensor.strides[i] = stride;
    stride *= sizes[i];
  }
  return tensor;
}

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* RULES_TORCH_HOST_TENSOR_H_ */
