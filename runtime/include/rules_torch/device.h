// Where the memory of tensors is.
#ifndef RULES_TORCH_DEVICE_H_
#define RULES_TORCH_DEVICE_H_

#include "rules_torch/abi.h"

namespace rules_torch {

// A kind of memory and an index: Device{RTORCH_CUDA, 0}. DLPack's DLDevice.
using Device = RTorchDevice;

// The memory of the host: what a view is of unless it is told otherwise.
inline constexpr Device kHost = {RTORCH_CPU, 0};

}  // namespace rules_torch

// At global scope, where RTorchDevice is, so that they are found everywhere.
constexpr bool operator==(const RTorchDevice& a, const RTorchDevice& b) {
  return a.type == b.type && a.index == b.index;
}
constexpr bool operator!=(const RTorchDevice& a, const RTorchDevice& b) {
  return !(a == b);
}

#endif  // RULES_TORCH_DEVICE_H_
