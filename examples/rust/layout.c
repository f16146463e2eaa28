/* Prints where members of the C ABI's structs lie, as `rust --layout` does. */
#include <stddef.h>
#include <stdio.h>

#include "rules_torch/abi.h"

#define AT(type, member) (unsigned)offsetof(type, member)

int main(void) {
  printf("RTorchError %u %u\n", (unsigned)sizeof(RTorchError),
         AT(RTorchError, message));
  printf("RTorchTensor %u %u %u %u %u %u %u %u\n", (unsigned)sizeof(RTorchTensor),
         AT(RTorchTensor, dtype), AT(RTorchTensor, rank), AT(RTorchTensor, device),
         AT(RTorchTensor, sizes), AT(RTorchTensor, strides), AT(RTorchTensor, owner),
         AT(RTorchTensor, deleter));
  printf("RTorchModelApi %u %u %u %u %u %u %u %u %u %u %u\n",
         AT(RTorchModelApi, struct_size), AT(RTorchModelApi, name),
         AT(RTorchModelApi, signature), AT(RTorchModelApi, num_inputs),
         AT(RTorchModelApi, num_outputs), AT(RTorchModelApi, device_type),
         AT(RTorchModelApi, weights_size), AT(RTorchModelApi, create),
         AT(RTorchModelApi, destroy), AT(RTorchModelApi, run),
         AT(RTorchModelApi, release));
  printf("%u %d %d\n", RTORCH_ABI_VERSION, RTORCH_MAX_RANK, RTORCH_MAX_MESSAGE);
  return 0;
}
