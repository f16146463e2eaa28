#include "rules_torch/dtype.h"

#include <cstdint>

#include "rules_torch/abi.h"

namespace rules_torch {

const char* DTypeName(std::int32_t dtype) {
  switch (dtype) {
    case RTORCH_UINT8:
      return "uint8";
    case RTORCH_INT8:
      return "int8";
    case RTORCH_INT16:
      return "int16";
    case RTORCH_INT32:
      return "int32";
    case RTORCH_INT64:
      return "int64";
    case RTORCH_FLOAT16:
      return "float16";
    case RTORCH_FLOAT32:
      return "float32";
    case RTORCH_FLOAT64:
      return "float64";
    case RTORCH_BOOL:
      return "bool";
    case RTORCH_BFLOAT16:
      return "bfloat16";
    default:
      return "unknown dtype";
  }
}

}  // namespace rules_torch
