// What every compiled model shares: checking of arguments, copies where the
// layout demands one, and ownership of results. Knows no libtorch.
#include "rules_torch/model.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include "rules_torch/abi.h"
#include "rules_torch/dtype.h"
#include "runtime/internal/backend.h"
#include "runtime/internal/isa.h"

struct RTorchModel {
  const RTorchModelApi* api;
  const rules_torch::internal::Variant* variant;
  void* instance;
  mutable std::mutex mutex;  // held while a stateful model runs
};

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

std::int64_t DTypeSize(std::int32_t dtype) {
  switch (dtype) {
    case RTORCH_UINT8:
    case RTORCH_INT8:
    case RTORCH_BOOL:
      return 1;
    case RTORCH_INT16:
    case RTORCH_FLOAT16:
    case RTORCH_BFLOAT16:
      return 2;
    case RTORCH_INT32:
    case RTORCH_FLOAT32:
      return 4;
    case RTORCH_INT64:
    case RTORCH_FLOAT64:
      return 8;
    default:
      return 0;
  }
}

namespace internal {
namespace {

// Values of a model's symbolic sizes in one run; -1 while unknown.
constexpr std::int64_t kUnbound = -1;

// Needs no memory, so that it can also say that there is none.
RTorchCode Fail(RTorchError* error, RTorchCode code, const char* message) {
  if (error != nullptr) {
    error->code = code;
    std::snprintf(error->message, sizeof error->message, "%s", message);
  }
  return code;
}

RTorchCode Fail(RTorchError* error, RTorchCode code, const std::string& message) {
  return Fail(error, code, message.c_str());
}

// The error for the exception that is being handled; none may cross the C ABI.
RTorchCode FailWithException(RTorchError* error) {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return Fail(error, RTORCH_RESOURCE_EXHAUSTED, "out of memory");
  } catch (const std::exception& e) {
    return Fail(error, RTORCH_INTERNAL, e.what());
  } catch (...) {
    return Fail(error, RTORCH_INTERNAL, "an exception of an unknown type");
  }
}

const Definition& DefinitionOf(const RTorchModelApi* api) {
  return *static_cast<const Definition*>(api->definition);
}

std::int64_t NumElements(const RTorchTensor& tensor) {
  std::int64_t count = 1;
  for (std::int32_t i = 0; i < tensor.rank; ++i) count *= tensor.sizes[i];
  return count;
}

void SetContiguous(RTorchTensor* tensor) {
  std::int64_t stride = 1;
  for (std::int32_t i = tensor->rank; i-- > 0;) {
    tensor->strides[i] = stride;
    stride *= std::max<std::int64_t>(tensor->sizes[i], 1);
  }
}

bool IsContiguous(const RTorchTensor& tensor) {
  std::int64_t stride = 1;
  for (std::int32_t i = tensor.rank; i-- > 0;) {
    if (tensor.sizes[i] == 0) return true;
    if (tensor.sizes[i] != 1 && tensor.strides[i] != stride) return false;
    stride *= tensor.sizes[i];
  }
  return true;
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

// Copies elements between two tensors of equal sizes and dtype.
void CopyElements(const RTorchTensor& from, const RTorchTensor& to) {
  const std::int64_t count = NumElements(from);
  if (count == 0) return;
  const auto width = static_cast<std::size_t>(DTypeSize(from.dtype));
  const auto* source = static_cast<const std::uint8_t*>(from.data);
  auto* target = static_cast<std::uint8_t*>(to.data);
  if (IsContiguous(from) && IsContiguous(to)) {
    std::memcpy(target, source, static_cast<std::size_t>(count) * width);
    return;
  }
  // An odometer over all dimensions but the last, and a loop over the last.
  const std::int32_t last = from.rank - 1;
  const std::int64_t run = from.sizes[last];
  const std::int64_t source_step =
      from.strides[last] * static_cast<std::int64_t>(width);
  const std::int64_t target_step = to.strides[last] * static_cast<std::int64_t>(width);
  std::int64_t index[RTORCH_MAX_RANK] = {};
  for (;;) {
    std::int64_t source_offset = 0;
    std::int64_t target_offset = 0;
    for (std::int32_t i = 0; i < last; ++i) {
      source_offset += index[i] * from.strides[i];
      target_offset += index[i] * to.strides[i];
    }
    const std::uint8_t* s = source + source_offset * static_cast<std::int64_t>(width);
    std::uint8_t* t = target + target_offset * static_cast<std::int64_t>(width);
    if (source_step == static_cast<std::int64_t>(width) && source_step == target_step) {
      std::memcpy(t, s, static_cast<std::size_t>(run) * width);
    } else {
      for (std::int64_t i = 0; i < run; ++i, s += source_step, t += target_step) {
        std::memcpy(t, s, width);
      }
    }
    std::int32_t i = last - 1;
    while (i >= 0 && ++index[i] == from.sizes[i]) index[i--] = 0;
    if (i < 0) return;
  }
}

// Makes a contiguous copy that its owner frees; data is null if out of memory.
RTorchTensor ContiguousCopy(const RTorchTensor& from) {
  RTorchTensor copy = from;
  SetContiguous(&copy);
  const auto bytes =
      static_cast<std::size_t>(NumElements(from) * DTypeSize(from.dtype));
  copy.data = std::aligned_alloc(64, (std::max<std::size_t>(bytes, 1) + 63) / 64 * 64);
  copy.owner = copy.data;
  copy.deleter = &std::free;
  if (copy.data != nullptr) CopyElements(from, copy);
  return copy;
}

// "input 'image': expected float32[batch, 3] with 1 <= batch <= 64, got
// float32[0, 3]: dimension 0 is 0"
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
    const std::string name = api.symbols[dim.symbol];
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

// " + 3", " - 3" or nothing.
std::string Term(std::int64_t offset) {
  if (offset == 0) return "";
  const std::string digits = std::to_string(offset);
  return offset < 0 ? " - " + digits.substr(1) : " + " + digits;
}

// Checks everything about a tensor but where a size is bound to a symbol.
// Returns an empty string, or what is wrong.
std::string CheckLayout(const RTorchTensorSpec& spec, const RTorchTensor& tensor) {
  if (tensor.rank != spec.rank) {
    return "the rank is " + std::to_string(tensor.rank) + ", not " +
           std::to_string(spec.rank);
  }
  if (tensor.dtype != spec.dtype) {
    return std::string("the dtype is ") + DTypeName(tensor.dtype) + ", not " +
           DTypeName(spec.dtype);
  }
  const std::int64_t width = DTypeSize(spec.dtype);
  std::int64_t bytes = width;  // as if no dimension were empty: strides must fit too
  for (std::int32_t i = 0; i < spec.rank; ++i) {
    const std::int64_t size = tensor.sizes[i];
    if (size < 0) return "dimension " + std::to_string(i) + " is negative";
    if (__builtin_mul_overflow(bytes, std::max<std::int64_t>(size, 1), &bytes)) {
      return "it has too many elements";
    }
  }
  if (tensor.data == nullptr && NumElements(tensor) > 0) {
    return "the data pointer is null";
  }
  if (reinterpret_cast<std::uintptr_t>(tensor.data) % static_cast<std::size_t>(width) !=
      0) {
    return "the data pointer is not aligned to " + std::to_string(width) + " bytes";
  }
  return "";
}

// Checks an input against its declaration, binding symbols on the way.
std::string CheckInput(const RTorchModelApi& api, const RTorchTensorSpec& spec,
                       const RTorchTensor& input, std::int64_t* symbols) {
  std::string wrong = CheckLayout(spec, input);
  for (std::int32_t i = 0; wrong.empty() && i < spec.rank; ++i) {
    const RTorchDim& dim = spec.dims[i];
    const std::int64_t size = input.sizes[i];
    const std::string where = "dimension " + std::to_string(i);
    if (size < dim.min || size > dim.max) {
      wrong = where + " is " + std::to_string(size);
      if (dim.symbol < 0) wrong += ", not " + std::to_string(dim.min);
    } else if (dim.symbol >= 0) {
      std::int64_t& value = symbols[dim.symbol];
      if ((size - dim.offset) % dim.scale != 0) {
        wrong = where + " is " + std::to_string(size) + ", which is not " +
                std::to_string(dim.scale) + " * " + api.symbols[dim.symbol] +
                Term(dim.offset);
      } else if (const std::int64_t now = (size - dim.offset) / dim.scale;
                 value == kUnbound) {
        value = now;
      } else if (value != now) {
        wrong = std::string(api.symbols[dim.symbol]) + " is " + std::to_string(now) +
                " here, but " + std::to_string(value) + " before";
      }
    }
  }
  if (wrong.empty()) return "";
  return Mismatch(api, "input", spec, input, wrong);
}

// Checks a buffer that the caller gave for an output against its declaration,
// as far as the inputs decide it.
std::string CheckOutput(const RTorchModelApi& api, const RTorchTensorSpec& spec,
                        const RTorchTensor& output, const std::int64_t* symbols) {
  std::string wrong = CheckLayout(spec, output);
  for (std::int32_t i = 0; wrong.empty() && i < spec.rank; ++i) {
    const RTorchDim& dim = spec.dims[i];
    std::int64_t size = dim.min;
    if (dim.symbol == -2) continue;
    if (dim.symbol >= 0) {
      if (symbols[dim.symbol] == kUnbound) continue;
      size = dim.scale * symbols[dim.symbol] + dim.offset;
    }
    if (output.sizes[i] != size) {
      wrong = "dimension " + std::to_string(i) + " of the buffer is " +
              std::to_string(output.sizes[i]) + ", but the result's is " +
              std::to_string(size);
    }
  }
  if (wrong.empty()) return "";
  return Mismatch(api, "output", spec, output, wrong);
}

using Tensors = std::pmr::vector<RTorchTensor>;

// Releases tensors, whichever way a run ends.
class Cleanup {
 public:
  explicit Cleanup(Tensors* tensors) : tensors_(tensors) {}
  ~Cleanup() {
    for (RTorchTensor& tensor : *tensors_) ReleaseTensor(&tensor);
  }
  Cleanup(const Cleanup&) = delete;
  Cleanup& operator=(const Cleanup&) = delete;

 private:
  Tensors* tensors_;
};

// Bookkeeping of one run up to this size lives on the stack: some twenty tensors.
constexpr std::size_t kStackBytes = 8192;

RTorchCode RunChecked(const RTorchModel& model, const RTorchTensor* inputs,
                      RTorchTensor* outputs, RTorchError* error) {
  const RTorchModelApi& api = *model.api;
  alignas(std::max_align_t) std::byte stack[kStackBytes];
  std::pmr::monotonic_buffer_resource memory(stack, sizeof stack);
  std::pmr::vector<std::int64_t> symbols(static_cast<std::size_t>(api.num_symbols),
                                         kUnbound, &memory);
  for (std::int32_t i = 0; i < api.num_inputs; ++i) {
    const std::string wrong = CheckInput(api, api.inputs[i], inputs[i], symbols.data());
    if (!wrong.empty()) return Fail(error, RTORCH_INVALID_ARGUMENT, wrong);
  }
  for (std::int32_t i = 0; i < api.num_outputs; ++i) {
    if (outputs[i].data == nullptr) continue;
    const std::string wrong =
        CheckOutput(api, api.outputs[i], outputs[i], symbols.data());
    if (!wrong.empty()) return Fail(error, RTORCH_INVALID_ARGUMENT, wrong);
  }

  Tensors copies(&memory);
  const Cleanup free_copies(&copies);
  Tensors arguments(inputs, inputs + api.num_inputs, &memory);
  for (RTorchTensor& argument : arguments) {
    if (IsContiguous(argument)) {
      // Strides of dimensions of size 1 mean nothing to us, but something to
      // the generated code.
      SetContiguous(&argument);
      continue;
    }
    copies.emplace_back();  // first, for it may throw: then nothing is lost
    copies.back() = ContiguousCopy(argument);
    argument = copies.back();
    if (argument.data == nullptr) {
      return Fail(error, RTORCH_RESOURCE_EXHAUSTED, "out of memory for an input");
    }
  }

  const auto num_outputs = static_cast<std::size_t>(api.num_outputs);
  Tensors results(num_outputs, RTorchTensor{}, &memory);
  const Cleanup free_results(&results);
  bool* owned = static_cast<bool*>(memory.allocate(num_outputs, alignof(bool)));
  std::string reason;
  {
    std::unique_lock<std::mutex> lock(model.mutex, std::defer_lock);
    if (api.stateful != 0) lock.lock();
    const RTorchCode code = model.variant->backend->run(
        model.instance, arguments.data(), results.data(), owned, &reason);
    if (code != RTORCH_OK) return Fail(error, code, api.name + (": " + reason));
    for (std::size_t i = 0; i < num_outputs; ++i) {
      RTorchTensor& result = results[i];
      if (outputs[i].data != nullptr) continue;
      if (owned[i] && IsContiguous(result)) {
        SetContiguous(&result);
        continue;
      }
      copies.emplace_back();
      const RTorchTensor copy = ContiguousCopy(result);
      if (copy.data == nullptr) {
        return Fail(error, RTORCH_RESOURCE_EXHAUSTED, "out of memory for an output");
      }
      // Another output may still share the original: keep it until the end.
      copies.back() = result;
      result = copy;
    }
    for (std::size_t i = 0; i < num_outputs; ++i) {
      if (outputs[i].data == nullptr) continue;
      const RTorchTensorSpec& spec = api.outputs[i];
      if (!std::equal(results[i].sizes, results[i].sizes + results[i].rank,
                      outputs[i].sizes)) {
        return Fail(error, RTORCH_INVALID_ARGUMENT,
                    Mismatch(api, "output", spec, outputs[i],
                             "the result is " + TypeOf(results[i])));
      }
      CopyElements(results[i], outputs[i]);
    }
  }
  for (std::size_t i = 0; i < num_outputs; ++i) {
    if (outputs[i].data != nullptr) continue;
    outputs[i] = results[i];
    results[i] = RTorchTensor{};
  }
  return RTORCH_OK;
}

}  // namespace

RTorchCode CreateModel(const RTorchModelApi* api, RTorchModel** model,
                       RTorchError* error) {
  if (model == nullptr) {
    return Fail(error, RTORCH_INVALID_ARGUMENT, "there is no place for the model");
  }
  *model = nullptr;
  if (api == nullptr) return Fail(error, RTORCH_INVALID_ARGUMENT, "the table is null");
  try {
    const Definition& definition = DefinitionOf(api);
    auto made = std::make_unique<RTorchModel>();
    std::string reason;
    made->api = api;
    made->variant =
        PickVariant(definition, std::getenv(kIsaVariable), &CpuRuns, &reason);
    if (made->variant == nullptr) {
      return Fail(error, RTORCH_UNIMPLEMENTED, api->name + (": " + reason));
    }
    const RTorchCode code =
        made->variant->backend->create(*definition.weights, &made->instance, &reason);
    if (code != RTORCH_OK) return Fail(error, code, api->name + (": " + reason));
    *model = made.release();
    return RTORCH_OK;
  } catch (...) {
    return FailWithException(error);
  }
}

void DestroyModel(RTorchModel* model) {
  if (model == nullptr) return;
  model->variant->backend->destroy(model->instance);
  delete model;
}

RTorchCode RunModel(const RTorchModel* model, const RTorchTensor* inputs,
                    std::int32_t num_inputs, RTorchTensor* outputs,
                    std::int32_t num_outputs, RTorchError* error) {
  try {
    if (model == nullptr) {
      return Fail(error, RTORCH_INVALID_ARGUMENT, "the model is null");
    }
    const RTorchModelApi& api = *model->api;
    if (num_inputs != api.num_inputs || num_outputs != api.num_outputs ||
        (num_inputs > 0 && inputs == nullptr) ||
        (num_outputs > 0 && outputs == nullptr)) {
      return Fail(error, RTORCH_INVALID_ARGUMENT,
                  std::string(api.name) + " takes " + std::to_string(api.num_inputs) +
                      " inputs and gives " + std::to_string(api.num_outputs) +
                      " outputs, not " + std::to_string(num_inputs) + " and " +
                      std::to_string(num_outputs) + ", nor null arrays");
    }
    return RunChecked(*model, inputs, outputs, error);
  } catch (...) {
    return FailWithException(error);
  }
}

void ReleaseTensor(RTorchTensor* output) {
  if (output == nullptr) return;
  if (output->deleter != nullptr) output->deleter(output->owner);
  *output = RTorchTensor{};
}

const char* IsaOfModel(const RTorchModel* model) {
  return model == nullptr ? "" : model->variant->isa;
}

}  // namespace internal
}  // namespace rules_torch
