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

// Checks everything about a tensor; `fits` says of a dimension whether it can have a
// size.
template <typename Fits>
bool TensorFits(const RTorchTensorSpec& spec, const RTorchTensor& tensor,
                RTorchDevice device, Place* place, const Fits& fits) {
  if (tensor.rank != spec.rank || tensor.dtype != spec.dtype || !IsOn(tensor, device)) {
    return false;
  }
  std::int64_t count = 1;  // as if no dimension were empty: strides must fit too
  bool empty = false;
  place->canonical = true;
  for (std::int32_t i = spec.rank; i-- > 0;) {
    const std::int64_t size = tensor.sizes[i];
    place->canonical &= tensor.strides[i] == count;
    if (size <= 0) {
      if (size < 0) return false;
      empty = true;
    } else if (__builtin_mul_overflow(count, size, &count)) {
      return false;
    }
    if (!fits(spec.dims[i], size)) return false;
  }
  const std::int64_t width = DTypeSize(spec.dtype);
  const auto address = reinterpret_cast<std::uintptr_t>(tensor.data);
  if (__builtin_mul_overflow(count, width, &count) ||
      (address & (static_cast<std::size_t>(width) - 1)) != 0) {
    return false;
  }
  place->extent = {};
  if (empty) return true;
  if (address == 0) return false;
  if (!place->canonical) {
    return FindExtent(tensor.data, LayoutOf(tensor), static_cast<std::size_t>(width),
                      &place->extent);
  }
  place->extent.begin = static_cast<const std::uint8_t*>(tensor.data);
  place->extent.end = place->extent.begin + count;
  return true;
}

// What a symbol is if a dimension has this size. False if it can have no such size.
bool Solve(const RTorchDim& dim, std::int64_t size, std::int64_t* value) {
  if (__builtin_sub_overflow(size, dim.offset, value)) return false;
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

// What TensorFits refuses of any size, or an empty string.
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
  Place place;
  if (TensorFits(spec, tensor, device, &place, [](auto&, auto) { return true; })) {
    return "";
  }
  const auto width = static_cast<std::size_t>(DTypeSize(spec.dtype));
  if (reinterpret_cast<std::uintptr_t>(tensor.data) % width != 0) {
    return "the data pointer is not aligned to " + std::to_string(width) + " bytes";
  }
  if (std::int64_t bytes = 0; !BytesOf(tensor, &bytes)) {
    return "it has too many elements";
  }
  return tensor.data == nullptr ? "the data pointer is null"
                                : "its strides lead beyond the address space";
}

// A dimension along which elements of a buffer are one, or -1.
std::int32_t Expanded(const RTorchTensor& output) {
  if (NumElements(output) == 0) return -1;
  for (std::int32_t i = 0; i < output.rank; ++i) {
    if (output.sizes[i] > 1 && output.strides[i] == 0) return i;
  }
  return -1;
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

// Sets the size of an output's dimension: kUnbound where only the run tells it. False
// if no tensor can have it.
bool SizeOf(const RTorchDim& dim, const std::int64_t* symbols, std::int64_t* size) {
  if (dim.symbol < 0) {
    *size = dim.symbol == -1 ? dim.min : kUnbound;
    return true;
  }
  *size = symbols[dim.symbol];
  return *size == kUnbound || (!__builtin_mul_overflow(dim.scale, *size, size) &&
                               !__builtin_add_overflow(dim.offset, *size, size));
}

std::string WrongOutput(const RTorchModelApi& api, const RTorchTensorSpec& spec,
                        const RTorchTensor& output, RTorchDevice device,
                        const std::int64_t* symbols) {
  std::string wrong = WrongLayout(spec, output, device);
  for (std::int32_t i = 0; wrong.empty() && i < spec.rank; ++i) {
    const std::string where = "dimension " + std::to_string(i);
    std::int64_t size = 0;
    if (!SizeOf(spec.dims[i], symbols, &size)) {
      wrong = where + " of the result would be too large";
    } else if (size != kUnbound && output.sizes[i] != size) {
      wrong = where + " of the buffer is " + std::to_string(output.sizes[i]) +
              ", but the result's is " + std::to_string(size);
    }
  }
  if (wrong.empty() && Expanded(output) >= 0) {
    wrong = "the buffer's elements along dimension " +
            std::to_string(Expanded(output)) + " are one: its stride is 0";
  }
  return wrong.empty() ? "" : Mismatch(api, "output", spec, output, wrong);
}

}  // namespace

bool InputFits(const RTorchTensorSpec& spec, const RTorchTensor& input,
               RTorchDevice device, std::int64_t* symbols, Place* place) {
  const auto fits = [symbols](const RTorchDim& dim, std::int64_t size) {
    if (size < dim.min || size > dim.max) return false;
    if (dim.symbol < 0) return true;
    std::int64_t now = 0;
    if (!Solve(dim, size, &now)) return false;
    std::int64_t& value = symbols[dim.symbol];
    if (value == kUnbound) value = now;
    return value == now;
  };
  return TensorFits(spec, input, device, place, fits);
}

bool OutputFits(const RTorchTensorSpec& spec, const RTorchTensor& output,
                RTorchDevice device, const std::int64_t* symbols, Place* place) {
  const auto fits = [symbols](const RTorchDim& dim, std::int64_t size) {
    std::int64_t result = 0;
    return SizeOf(dim, symbols, &result) && (result == kUnbound || result == size);
  };
  return TensorFits(spec, output, device, place, fits) &&
         (place->canonical || Expanded(output) < 0);
}

bool SizesOf(const RTorchTensorSpec& spec, const std::int64_t* symbols,
             std::int64_t* sizes) {
  for (std::int32_t i = 0; i < spec.rank; ++i) {
    if (!SizeOf(spec.dims[i], symbols, &sizes[i]) || sizes[i] == kUnbound) return false;
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
