#include "runtime/internal/checks.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "rules_torch/abi.h"
#include "rules_torch/dtype.h"
#include "runtime/internal/backend.h"
#include "runtime/internal/layout.h"

namespace rules_torch::internal {
namespace {

bool IsOn(const RTorchTensor& tensor, RTorchDevice device) {
  return (IsHost(tensor.device) && IsHost(device)) ||
         (tensor.device.type == device.type && tensor.device.index == device.index);
}

// Everything about a tensor but where a size is bound to a symbol.
bool LayoutFits(const RTorchTensorSpec& spec, const RTorchTensor& tensor,
                RTorchDevice device) {
  if (tensor.rank != spec.rank || tensor.dtype != spec.dtype || !IsOn(tensor, device)) {
    return false;
  }
  const std::int64_t width = DTypeSize(spec.dtype);
  std::int64_t bytes = width;  // as if no dimension were empty: strides must fit too
  bool empty = false;
  for (std::int32_t i = 0; i < spec.rank; ++i) {
    const std::int64_t size = tensor.sizes[i];
    if (size <= 0) {
      if (size < 0) return false;
      empty = true;
    } else if (__builtin_mul_overflow(bytes, size, &bytes)) {
      return false;
    }
  }
  const auto address = reinterpret_cast<std::uintptr_t>(tensor.data);
  return (address != 0 || empty) &&
         (address & (static_cast<std::size_t>(width) - 1)) == 0;
}

// What a symbol is if a dimension has this size.
bool Solve(const RTorchDim& dim, std::int64_t size, std::int64_t* value) {
  *value = size - dim.offset;
  if (dim.scale == 1) return true;
  if (*value % dim.scale != 0) return false;
  *value /= dim.scale;
  return true;
}

// " + 3", " - 3" or nothing.
std::string Term(std::int64_t offset) {
  if (offset == 0) return "";
  const std::string digits = std::to_string(offset);
  return offset < 0 ? " - " + digits.substr(1) : " + " + digits;
}

// "float32[2, 3, 224, 224]"
std::string TypeOf(const RTorchTensor& tensor) {
  std::string text = DTypeName(tensor.dtype);
  text += '[';
  for (std::int32_t i = 0; i < std::min(tensor.rank, RTORCH_MAX_RANK); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(tensor.sizes[i]);
  }
  return text + ']';
}

// "cpu:0"
std::string NameOf(RTorchDevice device) {
  std::string name;
  switch (device.type) {
    case RTORCH_CPU:
      name = "cpu";
      break;
    case RTORCH_CUDA:
      name = "cuda";
      break;
    case RTORCH_CUDA_HOST:
      name = "cuda_host";
      break;
    case RTORCH_ROCM:
      name = "rocm";
      break;
    default:
      return "no known device (type " + std::to_string(device.type) + ")";
  }
  return name + ":" + std::to_string(device.index);
}

std::string Mismatch(const RTorchModelApi& api, const char* kind,
                     const RTorchTensorSpec& spec, const RTorchTensor& got,
                     const std::string& detail) {
  std::string ranges;
  for (std::int32_t i = 0; i < spec.rank; ++i) {
    const RTorchDim& dim = spec.dims[i];
    const bool told = std::any_of(
        spec.dims, spec.dims + i,
        [&](const RTorchDim& before) { return before.symbol == dim.symbol; });
    if (dim.symbol < 0 || told) continue;
    const std::string name = api.symbols[dim.symbol].name;
    const std::int64_t low = (dim.min - dim.offset) / dim.scale;
    std::string range = std::to_string(low) + " <= " + name;
    if (dim.max != INT64_MAX) {
      range += " <= " + std::to_string((dim.max - dim.offset) / dim.scale);
    }
    ranges += (ranges.empty() ? " with " : ", ") + range;
  }
  return std::string(kind) + " '" + spec.name + "': expected " + spec.type + ranges +
         ", got " + TypeOf(got) + ": " + detail;
}

// What LayoutFits refuses, or an empty string.
std::string WrongLayout(const RTorchTensorSpec& spec, const RTorchTensor& tensor,
                        RTorchDevice device) {
  if (tensor.rank != spec.rank) {
    return "the rank is " + std::to_string(tensor.rank) + ", not " +
           std::to_string(spec.rank);
  }
  if (tensor.dtype != spec.dtype) {
    return std::string("the dtype is ") + DTypeName(tensor.dtype) + ", not " +
           DTypeName(spec.dtype);
  }
  if (!IsOn(tensor, device)) {
    return "the memory is on " + NameOf(tensor.device) + ", not on " + NameOf(device);
  }
  for (std::int32_t i = 0; i < spec.rank; ++i) {
    if (tensor.sizes[i] < 0) return "dimension " + std::to_string(i) + " is negative";
  }
  if (LayoutFits(spec, tensor, device)) return "";
  const auto width = static_cast<std::size_t>(DTypeSize(spec.dtype));
  if (reinterpret_cast<std::uintptr_t>(tensor.data) % width != 0) {
    return "the data pointer is not aligned to " + std::to_string(width) + " bytes";
  }
  return tensor.data == nullptr ? "the data pointer is null"
                                : "it has too many elements";
}

// What is wrong with an input, or an empty string; binds symbols as InputFits does.
std::string WrongInput(const RTorchModelApi& api, const RTorchTensorSpec& spec,
                       const RTorchTensor& input, RTorchDevice device,
                       std::int64_t* symbols) {
  std::string wrong = WrongLayout(spec, input, device);
  for (std::int32_t i = 0; wrong.empty() && i < spec.rank; ++i) {
    const RTorchDim& dim = spec.dims[i];
    const std::int64_t size = input.sizes[i];
    const std::string where = "dimension " + std::to_string(i);
    std::int64_t now = 0;
    if (size < dim.min || size > dim.max) {
      wrong = where + " is " + std::to_string(size);
      if (dim.symbol < 0) wrong += ", not " + std::to_string(dim.min);
    } else if (dim.symbol < 0) {
      continue;
    } else if (!Solve(dim, size, &now)) {
      wrong = where + " is " + std::to_string(size) + ", which is not " +
              std::to_string(dim.scale) + " * " + api.symbols[dim.symbol].name +
              Term(dim.offset);
    } else if (std::int64_t& value = symbols[dim.symbol]; value == kUnbound) {
      value = now;
    } else if (value != now) {
      wrong = std::string(api.symbols[dim.symbol].name) + " is " + std::to_string(now) +
              " here, but " + std::to_string(value) + " before";
    }
  }
  return wrong.empty() ? "" : Mismatch(api, "input", spec, input, wrong);
}

// The size of an output's dimension, or kUnbound where only the run tells it.
std::int64_t SizeOf(const RTorchDim& dim, const std::int64_t* symbols) {
  if (dim.symbol == -1) return dim.min;
  if (dim.symbol < 0 || symbols[dim.symbol] == kUnbound) return kUnbound;
  return dim.scale * symbols[dim.symbol] + dim.offset;
}

std::string WrongOutput(const RTorchModelApi& api, const RTorchTensorSpec& spec,
                        const RTorchTensor& output, RTorchDevice device,
                        const std::int64_t* symbols) {
  std::string wrong = WrongLayout(spec, output, device);
  for (std::int32_t i = 0; wrong.empty() && i < spec.rank; ++i) {
    const std::int64_t size = SizeOf(spec.dims[i], symbols);
    if (size == kUnbound || output.sizes[i] == size) continue;
    wrong = "dimension " + std::to_string(i) + " of the buffer is " +
            std::to_string(output.sizes[i]) + ", but the result's is " +
            std::to_string(size);
  }
  return wrong.empty() ? "" : Mismatch(api, "output", spec, output, wrong);
}

}  // namespace

bool InputFits(const RTorchTensorSpec& spec, const RTorchTensor& input,
               RTorchDevice device, std::int64_t* symbols, bool* contiguous) {
  if (!LayoutFits(spec, input, device)) return false;
  std::int64_t stride = 1;
  bool canonical = true;
  for (std::int32_t i = spec.rank; i-- > 0;) {
    canonical &= input.strides[i] == stride;
    stride *= std::max<std::int64_t>(input.sizes[i], 1);
  }
  *contiguous = canonical;
  for (std::int32_t i = 0; i < spec.rank; ++i) {
    const RTorchDim& dim = spec.dims[i];
    const std::int64_t size = input.sizes[i];
    if (size < dim.min || size > dim.max) return false;
    if (dim.symbol < 0) continue;
    std::int64_t now = 0;
    if (!Solve(dim, size, &now)) return false;
    std::int64_t& value = symbols[dim.symbol];
    if (value == kUnbound) value = now;
    if (value != now) return false;
  }
  return true;
}

bool OutputFits(const RTorchTensorSpec& spec, const RTorchTensor& output,
                RTorchDevice device, const std::int64_t* symbols) {
  if (!LayoutFits(spec, output, device)) return false;
  for (std::int32_t i = 0; i < spec.rank; ++i) {
    const std::int64_t size = SizeOf(spec.dims[i], symbols);
    if (size != kUnbound && output.sizes[i] != size) return false;
  }
  return true;
}

bool SizesOf(const RTorchTensorSpec& spec, const std::int64_t* symbols,
             std::int64_t* sizes) {
  for (std::int32_t i = 0; i < spec.rank; ++i) {
    sizes[i] = SizeOf(spec.dims[i], symbols);
    if (sizes[i] == kUnbound) return false;
  }
  return true;
}

std::string WrongInput(const RTorchModelApi& api, const RTorchTensor* inputs,
                       RTorchDevice device) {
  std::vector<std::int64_t> symbols(static_cast<std::size_t>(api.num_symbols),
                                    kUnbound);
  std::string wrong;
  for (std::int32_t i = 0; wrong.empty() && i < api.num_inputs; ++i) {
    wrong = WrongInput(api, api.inputs[i], inputs[i], device, symbols.data());
  }
  return wrong;
}

std::string WrongOutput(const RTorchModelApi& api, const RTorchTensor* outputs,
                        RTorchDevice device, const std::int64_t* symbols) {
  std::string wrong;
  for (std::int32_t i = 0; wrong.empty() && i < api.num_outputs; ++i) {
    if (outputs[i].data == nullptr) continue;
    wrong = WrongOutput(api, api.outputs[i], outputs[i], device, symbols);
  }
  return wrong;
}

std::string WrongSize(const RTorchModelApi& api, const RTorchTensorSpec& spec,
                      const RTorchTensor& output, const RTorchTensor& result) {
  return Mismatch(api, "output", spec, output, "the result is " + TypeOf(result));
}

}  // namespace rules_torch::internal
