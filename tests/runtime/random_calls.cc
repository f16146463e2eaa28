#include "tests/runtime/random_calls.h"

#include <algorithm>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "rules_torch/abi.h"
#include "rules_torch/dtype.h"
#include "runtime/internal/backend.h"
#include "runtime/internal/layout.h"
#include "tests/runtime/layouts.h"

namespace rules_torch::testing {
namespace {

using internal::kUnbound;

__extension__ typedef __int128 Wide;

constexpr Wide kMostElements = 1 << 16;        // of tensors that have memory
constexpr Wide kNoMachineHas = Wide{1} << 56;  // so many bytes
constexpr Wide kFar = Wide{1} << 64;           // beyond all strides and addresses

constexpr std::int64_t kWeightSizes[] = {2};
constexpr std::int64_t kWeightStrides[] = {1};

std::int32_t RankOf(const RTorchTensor& tensor) {
  return std::clamp(tensor.rank, 0, RTORCH_MAX_RANK);
}

// Where the elements of a tensor lie, in elements from the first one.
struct Reach {
  Wide low = 0;
  Wide high = 0;
  Wide count = 1;
  bool row_major = true;
};

Reach ReachOf(const RTorchTensor& tensor) {
  Reach reach;
  for (std::int32_t i = RankOf(tensor); i-- > 0;) {
    const Wide size = std::max<std::int64_t>(tensor.sizes[i], 0);
    if (size > 1) {
      reach.row_major &= tensor.strides[i] == reach.count;
      const Wide steps = std::clamp<Wide>((size - 1) * tensor.strides[i], -kFar, kFar);
      (steps < 0 ? reach.low : reach.high) += steps;
    }
    reach.count = std::min(reach.count * size, kFar);
  }
  return reach;
}

// One of `values` that has the same dtype and sizes, or null.
const Value* FindLike(const Value& wanted, const std::vector<Value>& values) {
  const auto found =
      std::find_if(values.begin(), values.end(), [&](const Value& value) {
        return value.dtype == wanted.dtype && value.sizes == wanted.sizes;
      });
  return found == values.end() ? nullptr : &*found;
}

// Of a tensor that the backend is given: row-major contiguous.
std::size_t NumBytes(const RTorchTensor& tensor) {
  std::int64_t count = 1;
  bool empty = false;
  for (std::int32_t i = tensor.rank; i-- > 0;) {
    EXPECT_EQ(tensor.strides[i], count);
    count *= std::max<std::int64_t>(tensor.sizes[i], 1);
    empty |= tensor.sizes[i] == 0;
  }
  return empty ? 0 : static_cast<std::size_t>(count * DTypeSize(tensor.dtype));
}

// Reads an argument of the backend's to the last byte.
Value Read(const RTorchTensor& input) {
  const auto* data = static_cast<const std::uint8_t*>(input.data);
  return {input.dtype, SizesOf(input), Bytes(data, data + NumBytes(input))};
}

// Whether the inputs decide the size of a result's dimension.
bool IsKnown(const RTorchDim& dim, const std::int64_t* symbols) {
  return dim.symbol == -1 || (dim.symbol >= 0 && symbols[dim.symbol] != kUnbound);
}

// Memory for a result has its sizes, as far as the inputs decide them.
void ExpectSizes(const FakeSpec& spec, const Value& value, const RTorchTensor& output) {
  if (output.data == nullptr) return;
  for (std::size_t i = 0; i < spec.dims.size(); ++i) {
    if (IsKnown(spec.dims[i], FakeModel::symbols())) {
      EXPECT_EQ(output.sizes[i], value.sizes[i]);
    }
  }
}

// Gives a result that is a view of a tensor which something else owns.
Result GiveView(FakeModel* fake, const RTorchTensor& tensor, RTorchTensor* output) {
  const RTorchTensor handle = fake->NewResult(tensor.dtype, nullptr, 0, {});
  *output = tensor;
  output->owner = handle.owner;
  output->deleter = handle.deleter;
  return Result::kShared;
}

// Gives a result in the memory that the output has, or in memory of its own.
Result GiveValue(FakeModel* fake, const Value& value, How how, RTorchTensor* output) {
  if (output->data != nullptr) {
    EXPECT_EQ(output->owner, nullptr);
    EXPECT_EQ(output->deleter, nullptr);
    if (how == How::kWritten && SizesOf(*output) == value.sizes) {
      std::copy(value.bytes.begin(), value.bytes.end(),
                static_cast<std::uint8_t*>(output->data));
      return Result::kWritten;
    }
  }
  *output =
      fake->NewResult(value.dtype, value.bytes.data(), value.bytes.size(), value.sizes);
  if (how == How::kStrided) {
    std::int64_t stride = 1;
    for (std::int32_t i = 0; i < output->rank; ++i) {
      output->strides[i] = stride;
      stride *= output->sizes[i];
    }
    Scatter(value, *output, static_cast<std::uint8_t*>(output->data));
  }
  return how == How::kShared ? Result::kShared : Result::kOwned;
}

// Gives a tensor the memory that it needs. False, and no other memory, if that is too
// much.
bool Place(Random* random, Argument* argument) {
  RTorchTensor& tensor = argument->tensor;
  const Reach reach = ReachOf(tensor);
  const Wide extent = reach.count == 0 ? 0 : reach.high - reach.low + 1;
  if (extent > kMostElements) return false;
  const auto width =
      static_cast<std::size_t>(std::max<std::int64_t>(DTypeSize(tensor.dtype), 1));
  argument->size = static_cast<std::size_t>(extent) * width;
  // Exactly as much, for sanitizers.
  argument->memory.reset(static_cast<std::uint8_t*>(std::malloc(argument->size)),
                         &std::free);
  for (std::size_t i = 0; i < argument->size; i += 8) {
    const std::uint64_t bits = random->Bits();
    std::memcpy(argument->memory.get() + i, &bits,
                std::min<std::size_t>(8, argument->size - i));
  }
  const auto first = reach.count == 0 ? 0 : static_cast<std::size_t>(-reach.low);
  tensor.data = argument->memory.get() + first * width;
  return true;
}

Argument RightArgument(Random* random, const FakeSpec& spec, const Wide* sizes,
                       bool output) {
  Argument argument;
  RTorchTensor& tensor = argument.tensor;
  tensor.dtype = spec.dtype;
  tensor.rank = static_cast<std::int32_t>(spec.dims.size());
  tensor.device = random->OneOf<RTorchDevice>(
      {{RTORCH_CPU, 0}, {RTORCH_CPU, 0}, {RTORCH_CPU, 3}, {RTORCH_CUDA_HOST, 1}});
  for (std::int32_t i = 0; i < tensor.rank; ++i) {
    tensor.sizes[i] = static_cast<std::int64_t>(sizes[i]);
  }
  if (random->Once(2)) {
    const Placed placed =
        PlaceAtRandom(random->engine(), spec.dtype, SizesOf(tensor), !output);
    std::copy_n(placed.tensor.strides, tensor.rank, tensor.strides);
    if (Place(random, &argument)) return argument;
  }
  internal::SetRowMajor(&tensor);
  Place(random, &argument);
  return argument;
}

// The size of a result's dimension.
Wide SizeOf(const RTorchDim& dim, const std::int64_t* symbols, std::int64_t fresh) {
  if (dim.symbol == -1) return dim.min;
  if (dim.symbol < 0) return fresh;
  const std::int64_t bound = symbols[dim.symbol];
  return Wide{dim.scale} * (bound == kUnbound ? fresh + 1 : bound) + dim.offset;
}

// The sizes of a result; none if it would be too large.
std::optional<std::vector<Wide>> SizesOf(const FakeSpec& spec,
                                         const std::int64_t* symbols,
                                         std::int64_t fresh) {
  std::vector<Wide> sizes;
  Wide count = 1;
  for (const RTorchDim& dim : spec.dims) {
    sizes.push_back(SizeOf(dim, symbols, fresh));
    count *= std::max<Wide>(sizes.back(), 1);
    if (count > kMostElements) return std::nullopt;
  }
  return sizes;
}

// Whether a tensor is what its declaration says, but for sizes that are not declared.
bool IsRight(const FakeSpec& spec, const RTorchTensor& tensor) {
  if (tensor.rank != static_cast<std::int32_t>(spec.dims.size()) ||
      tensor.dtype != spec.dtype ||
      (tensor.device.type != RTORCH_CPU && tensor.device.type != RTORCH_CUDA_HOST)) {
    return false;
  }
  const std::int64_t width = DTypeSize(spec.dtype);
  Wide most = width;  // bytes, if no size were 0
  for (std::int32_t i = 0; i < tensor.rank; ++i) {
    if (tensor.sizes[i] < 0) return false;
    most *= std::max<std::int64_t>(tensor.sizes[i], 1);
    if (most > INT64_MAX) return false;
  }
  const auto address = reinterpret_cast<std::intptr_t>(tensor.data);
  const Reach reach = ReachOf(tensor);
  return address % width == 0 &&
         (reach.count == 0 ||
          (address != 0 &&
           (reach.row_major || (address + reach.low * width >= 0 &&
                                address + reach.high * width <= INT64_MAX))));
}

// Whether all elements of a tensor are in its memory.
bool HasMemory(const Argument& argument) {
  const Reach reach = ReachOf(argument.tensor);
  if (reach.count == 0) return true;
  const Wide width = DTypeSize(argument.tensor.dtype);
  const auto first =
      static_cast<std::uint8_t*>(argument.tensor.data) - argument.memory.get();
  return first + reach.low * width >= 0 &&
         first + (reach.high + 1) * width <= static_cast<Wide>(argument.size);
}

std::int64_t Narrow(Wide value) {
  return static_cast<std::int64_t>(std::clamp<Wide>(value, INT64_MIN, INT64_MAX));
}

std::int64_t OddSize(Random* random, std::int64_t size) {
  return random->OneOf<std::int64_t>({0, 1, 2, 3, -1, Narrow(Wide{size} - 1),
                                      Narrow(Wide{size} + 1), Narrow(Wide{size} * 2),
                                      std::int64_t{1} << 32, std::int64_t{1} << 58,
                                      std::int64_t{1} << 62, INT64_MAX, INT64_MIN});
}

std::int64_t OddStride(Random* random, std::int64_t stride) {
  return random->OneOf<std::int64_t>(
      {0, 1, -1, 2, 7, Narrow(-Wide{stride}), Narrow(Wide{stride} + 1),
       Narrow(Wide{stride} * 2), std::int64_t{1} << 32, std::int64_t{1} << 60,
       INT64_MAX, INT64_MIN, INT64_MIN + 1});
}

void SpoilTensor(Random* random, Argument* argument) {
  const bool given = argument->memory != nullptr;
  RTorchTensor& tensor = argument->tensor;
  // For outputs that are to be allocated, whatever is here does not matter.
  std::int64_t& size = tensor.sizes[random->Below(RTORCH_MAX_RANK)];
  const auto dim = random->Below(
      static_cast<std::size_t>(std::clamp(tensor.rank, 1, RTORCH_MAX_RANK)));
  switch (random->Below(9)) {
    case 0:
      tensor.rank =
          random->OneOf<std::int32_t>({-1, 0, 1, 2, 3, 7, 8, 9, INT_MAX, INT_MIN});
      break;
    case 1:
      tensor.dtype = random->OneOf<RTorchDType>(
          {-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 15, 16, 1000, INT_MAX, INT_MIN});
      break;
    case 2:
      tensor.device.type =
          random->OneOf<RTorchDeviceType>({-1, 0, 1, 2, 3, 10, INT_MAX, INT_MIN});
      tensor.device.index = random->OneOf({-1, 0, 1, INT_MAX});
      break;
    case 3:
      tensor.sizes[dim] = OddSize(random, tensor.sizes[dim]);
      break;
    case 4:
      tensor.strides[dim] = OddStride(random, tensor.strides[dim]);
      break;
    case 5:  // one of many elements that are one
      tensor.strides[dim] = 0;
      tensor.sizes[dim] = random->OneOf<std::int64_t>(
          {2, 3, std::int64_t{1} << 32, std::int64_t{1} << 60, INT64_MAX});
      break;
    case 6:
      size = OddSize(random, size);
      std::reverse(tensor.sizes, tensor.sizes + RankOf(tensor));
      break;
    default:
      break;
  }
  if (!given) return;
  Place(random, argument);
  if (random->Once(8)) {
    const bool null = random->Once(2) || tensor.data == nullptr;
    tensor.data = null ? nullptr : static_cast<char*>(tensor.data) + 1;
  }
}

void SpoilNumbers(Random* random, Call* call) {
  const auto odd = [&](const std::vector<Argument>& arguments) {
    const auto number = static_cast<std::int32_t>(arguments.size());
    return random->OneOf({number + 1, number - 1, -1, 0, INT_MAX, INT_MIN});
  };
  switch (random->Below(5)) {
    case 0:
      call->num_inputs = odd(call->inputs);
      break;
    case 1:
      call->num_outputs = odd(call->outputs);
      break;
    case 2:
      call->null_inputs = true;
      break;
    case 3:
      call->null_outputs = true;
      break;
    default:
      call->null_model = true;
      break;
  }
}

void Traced(void*, const RTorchStep*) {}

void SpoilOptions(Random* random, Call* call) {
  if (!call->options.has_value()) {
    call->options.emplace();
    call->options->struct_size = sizeof *call->options;
  }
  // Only the first is right.
  static constexpr RTorchTracer kTracers[] = {
      {sizeof(RTorchTracer), 0, nullptr, &Traced, &Traced},
      {sizeof(RTorchTracer), 0, nullptr, nullptr, &Traced},
      {sizeof(RTorchTracer), 0, nullptr, &Traced, nullptr},
      {sizeof(RTorchTracer) - 1, 0, nullptr, &Traced, &Traced}};
  switch (random->Below(4)) {
    case 0: {
      const std::uint32_t size = call->options->struct_size;
      call->options->struct_size =
          random->OneOf<std::uint32_t>({0, 4, size - 1, size + 8, UINT32_MAX});
      break;
    }
    case 1:
      call->options->flags = random->OneOf<std::uint32_t>({0, 1, 1U << 31});
      break;
    case 2:
      call->options->tracer = &kTracers[random->Below(std::size(kTracers))];
      break;
    default:
      call->options->cancelled = [](void*) { return 1; };
      break;
  }
}

void SpoilRun(Random* random, Call* call) {
  switch (random->Below(3)) {
    case 0:
      call->plan.failure =
          random->OneOf({Plan::kSaysNo, Plan::kThrows, Plan::kOutOfMemory});
      break;
    case 1:
      call->plan.no_allocation = true;
      break;
    default:
      call->allocations = static_cast<int>(random->Below(8));
      break;
  }
}

// Moves an output to where another tensor is.
void Overlap(Random* random, Call* call) {
  if (call->outputs.empty()) return;
  Argument& output = call->outputs[random->Below(call->outputs.size())];
  std::vector<Argument>& others =
      random->Once(3) || call->inputs.empty() ? call->outputs : call->inputs;
  const Argument other = others[random->Below(others.size())];
  if (output.memory == nullptr || output.tensor.data == nullptr ||
      output.size > other.size) {
    return;
  }
  const auto first =
      static_cast<std::uint8_t*>(output.tensor.data) - output.memory.get();
  output.memory = other.memory;
  output.size = other.size;
  output.tensor.data = other.memory.get() + first;
  call->outputs_overlap |= std::count_if(call->outputs.begin(), call->outputs.end(),
                                         [&](const Argument& one) {
                                           return one.memory == other.memory;
                                         }) > 1;
}

}  // namespace

bool Outcome::Allows(RTorchCode code) const {
  return errors.count(code) > 0 || (code == RTORCH_OK && errors.empty()) ||
         (code == RTORCH_RESOURCE_EXHAUSTED && scarce);
}

RandomModel::RandomModel(Random* random) {
  static constexpr const char* kNames[] = {"n", "m", "k"};
  const std::size_t num_symbols = random->Below(std::size(kNames) + 1);
  for (std::size_t i = 0; i < num_symbols; ++i) {
    const std::int64_t min = random->OneOf({0, 1});
    symbols_.push_back({min, random->OneOf<std::int64_t>({3, INT64_MAX})});
    signature_.symbols.push_back(kNames[i]);
  }
  // Now and then so many that the runtime's lists of them do not fit on its stack.
  const bool many = random->Once(20);
  const auto specs = [&](bool output) {
    std::vector<FakeSpec> made(many ? 30 + random->Below(40) : random->Below(4));
    for (FakeSpec& spec : made) {
      spec = {output ? "y" : "x", "a tensor",
              random->OneOf<RTorchDType>({RTORCH_UINT8, RTORCH_INT8, RTORCH_BFLOAT16,
                                          RTORCH_FLOAT32, RTORCH_INT64, RTORCH_BOOL}),
              Dims(random, many ? 1 : RTORCH_MAX_RANK, output)};
    }
    return made;
  };
  signature_.inputs = specs(false);
  signature_.outputs = specs(true);
  signature_.stateful = random->Once(4);
  signature_.weights = {
      {"w", RTORCH_FLOAT32, 1, kWeightSizes, kWeightStrides, 0, 8, 0, 0}};
}

std::vector<RTorchDim> RandomModel::Dims(Random* random, std::size_t max_rank,
                                         bool output) const {
  const std::size_t rank =
      random->Once(8) ? random->Below(max_rank + 1) : random->Below(4) % (max_rank + 1);
  std::vector<RTorchDim> dims;
  for (std::size_t i = 0; i < rank; ++i) {
    if (output && random->Once(8)) {
      dims.push_back(DataDependent());
    } else if (symbols_.empty() || i > 3 || random->Once(2)) {
      dims.push_back(Fixed(random->Once(12) ? 0 : random->OneOf({1, 2})));
    } else {
      const std::size_t symbol = random->Below(symbols_.size());
      const auto [min, max] = symbols_[symbol];
      const std::int64_t scale = random->OneOf({1, 1, 1, 2, 3});
      const std::int64_t offset = random->OneOf({0, 0, min == 0 ? 5 : -1});
      dims.push_back(Symbolic(static_cast<std::int32_t>(symbol), scale * min + offset,
                              max == INT64_MAX ? max : scale * max + offset, scale,
                              offset));
    }
  }
  return dims;
}

Call RandomModel::RightCall(Random* random) const {
  Call call;
  call.plan.fresh = random->OneOf({0, 1, 2, 3});
  std::vector<std::int64_t> symbols;
  for (const Symbol& symbol : symbols_) {
    symbols.push_back(symbol.min + static_cast<std::int64_t>(random->Below(3)));
  }
  std::vector<std::int64_t> bound(symbols.size(), kUnbound);
  for (const FakeSpec& spec : signature_.inputs) {
    std::vector<Wide> sizes;
    for (const RTorchDim& dim : spec.dims) {
      sizes.push_back(SizeOf(dim, symbols.data(), 0));
      if (dim.symbol < 0) continue;
      const auto symbol = static_cast<std::size_t>(dim.symbol);
      bound[symbol] = symbols[symbol];
    }
    call.inputs.push_back(RightArgument(random, spec, sizes.data(), false));
  }
  for (const FakeSpec& spec : signature_.outputs) {
    const auto sizes = SizesOf(spec, bound.data(), call.plan.fresh);
    call.outputs.push_back(random->Once(2) || !sizes.has_value()
                               ? Argument{}
                               : RightArgument(random, spec, sizes->data(), true));
    call.plan.how.push_back(
        random->OneOf({How::kWritten, How::kWritten, How::kOwned, How::kStrided,
                       How::kShared, How::kInput, How::kOutput}));
  }
  call.num_inputs = static_cast<std::int32_t>(call.inputs.size());
  call.num_outputs = static_cast<std::int32_t>(call.outputs.size());
  call.null_error = random->Once(8);
  if (random->Once(2)) {
    call.options.emplace();
    call.options->struct_size = sizeof *call.options;
    if (random->Once(2)) call.options->cancelled = [](void*) { return 0; };
  }
  return call;
}

std::optional<std::vector<Value>> RandomModel::Compute(const Plan& plan,
                                                       const std::vector<Value>& inputs,
                                                       const std::int64_t* symbols,
                                                       float weight) const {
  auto digest = static_cast<std::uint64_t>(weight);
  const auto mix = [&](std::uint64_t word) {
    digest = (digest ^ word) * 0x9e3779b97f4a7c15;
    digest ^= digest >> 29;
  };
  for (const Value& input : inputs) {
    for (const std::int64_t size : input.sizes) mix(static_cast<std::uint64_t>(size));
    for (const std::uint8_t byte : input.bytes) mix(byte);
  }
  std::vector<Value> results;
  for (std::size_t i = 0; i < signature_.outputs.size(); ++i) {
    const FakeSpec& spec = signature_.outputs[i];
    const auto sizes = SizesOf(spec, symbols, plan.fresh);
    if (!sizes.has_value()) return std::nullopt;
    Value result{spec.dtype, {}, {}};
    auto bytes = static_cast<std::size_t>(DTypeSize(spec.dtype));
    for (const Wide size : *sizes) {
      result.sizes.push_back(static_cast<std::int64_t>(size));
      bytes *= static_cast<std::size_t>(size);
    }
    const Value* same = plan.how[i] == How::kInput    ? FindLike(result, inputs)
                        : plan.how[i] == How::kOutput ? FindLike(result, results)
                                                      : nullptr;
    if (same != nullptr) {
      result.bytes = same->bytes;
    } else {
      result.bytes.resize(bytes);
      for (std::uint8_t& byte : result.bytes) {
        mix(i);
        byte = static_cast<std::uint8_t>(digest);
      }
    }
    results.push_back(std::move(result));
  }
  return results;
}

bool RandomModel::Run(const Plan& plan, FakeModel* fake, const RTorchTensor* inputs,
                      RTorchTensor* outputs, Result* results,
                      std::string* reason) const {
  // Nothing that it reads is where it writes.
  for (std::size_t i = 0; i < signature_.outputs.size(); ++i) {
    const bool written = outputs[i].data != nullptr && plan.how[i] == How::kWritten;
    if (written) std::memset(outputs[i].data, 0xdd, NumBytes(outputs[i]));
  }
  std::vector<Value> arguments;
  for (std::size_t i = 0; i < signature_.inputs.size(); ++i) {
    arguments.push_back(Read(inputs[i]));
  }
  switch (plan.failure) {
    case Plan::kNone:
      break;
    case Plan::kSaysNo:
      *reason = std::string(5000, 'x');
      return false;
    case Plan::kThrows:
      throw std::runtime_error("thrown");
    case Plan::kOutOfMemory:
      throw std::bad_alloc();
  }
  const auto* weight = static_cast<const float*>(FakeModel::weights()[0]);
  EXPECT_EQ(weight[0], weight[1]);
  const auto values = Compute(plan, arguments, FakeModel::symbols(), weight[0]);
  if (!values.has_value()) {
    *reason = "too large";
    return false;
  }
  for (std::size_t i = 0; i < values->size(); ++i) {
    const Value& value = (*values)[i];
    const RTorchTensor* like = nullptr;
    ExpectSizes(signature_.outputs[i], value, outputs[i]);
    if (plan.how[i] == How::kInput) {
      const Value* found = FindLike(value, arguments);
      if (found != nullptr) like = inputs + (found - arguments.data());
    } else if (plan.how[i] == How::kOutput) {
      like = outputs + (FindLike(value, *values) - values->data());
    }
    results[i] = like == nullptr || like == &outputs[i]
                     ? GiveValue(fake, value, plan.how[i], &outputs[i])
                     : GiveView(fake, *like, &outputs[i]);
  }
  return true;
}

void Spoil(Random* random, Call* call) {
  const std::size_t place = random->Below(12);
  if (place < 5) {
    if (call->inputs.empty()) return;
    SpoilTensor(random, &call->inputs[random->Below(call->inputs.size())]);
  } else if (place < 8) {
    if (call->outputs.empty()) return;
    SpoilTensor(random, &call->outputs[random->Below(call->outputs.size())]);
  } else if (place == 8) {
    SpoilNumbers(random, call);
  } else if (place == 9) {
    SpoilOptions(random, call);
  } else if (place == 10) {
    SpoilRun(random, call);
  } else {
    Overlap(random, call);
  }
}

Judgement::Judgement(const RandomModel& model, const Call& call, bool has_allocator)
    : symbols_(model.signature().symbols.size(), kUnbound) {
  const std::vector<FakeSpec>& inputs = model.signature().inputs;
  const std::vector<FakeSpec>& outputs = model.signature().outputs;
  if (call.allocations >= 0) outcome_.scarce = true;
  if (call.null_model || call.num_inputs != static_cast<std::int32_t>(inputs.size()) ||
      call.num_outputs != static_cast<std::int32_t>(outputs.size()) ||
      (call.null_inputs && !inputs.empty()) ||
      (call.null_outputs && !outputs.empty())) {
    outcome_.errors.insert(RTORCH_INVALID_ARGUMENT);
    return;
  }
  if (call.options.has_value()) Judge(*call.options);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    JudgeInput(inputs[i], call.inputs[i]);
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (call.outputs[i].tensor.data != nullptr) {
      JudgeOutput(outputs[i], call.outputs[i], call.plan);
    } else if (has_allocator && call.plan.no_allocation) {
      outcome_.errors.insert(RTORCH_RESOURCE_EXHAUSTED);
    }
    if (!SizesOf(outputs[i], symbols_.data(), call.plan.fresh).has_value()) {
      outcome_.errors.insert(RTORCH_INTERNAL);  // what the backend says
      if (has_allocator) outcome_.errors.insert(RTORCH_RESOURCE_EXHAUSTED);
    }
  }
  if (call.plan.failure == Plan::kOutOfMemory) {
    outcome_.errors.insert(RTORCH_RESOURCE_EXHAUSTED);
  } else if (call.plan.failure != Plan::kNone) {
    outcome_.errors.insert(RTORCH_INTERNAL);
  }
}

void Judgement::Judge(const RTorchRunOptions& options) {
  const RTorchTracer* tracer = options.tracer;
  if (options.struct_size < sizeof options || options.flags != 0 ||
      (tracer != nullptr && (tracer->struct_size < sizeof *tracer ||
                             tracer->begin == nullptr || tracer->end == nullptr))) {
    outcome_.errors.insert(RTORCH_INVALID_ARGUMENT);
  } else if (options.cancelled != nullptr &&
             options.cancelled(options.cancel_context) != 0) {
    outcome_.errors.insert(RTORCH_CANCELLED);
  }
}

// Whether a dimension of an input can have this size, and its symbol a value.
bool Judgement::Bind(const RTorchDim& dim, std::int64_t size) {
  if (size < dim.min || size > dim.max) return false;
  if (dim.symbol < 0) return true;
  const Wide scaled = Wide{size} - dim.offset;
  if (scaled > INT64_MAX || scaled % dim.scale != 0) return false;
  std::int64_t& value = symbols_[static_cast<std::size_t>(dim.symbol)];
  if (value == kUnbound) value = static_cast<std::int64_t>(scaled / dim.scale);
  return value == scaled / dim.scale;
}

void Judgement::JudgeInput(const FakeSpec& spec, const Argument& input) {
  const RTorchTensor& tensor = input.tensor;
  bool right = IsRight(spec, tensor);
  for (std::size_t i = 0; i < spec.dims.size(); ++i) {
    right &= Bind(spec.dims[i], tensor.sizes[i]);
  }
  if (!right) {
    outcome_.errors.insert(RTORCH_INVALID_ARGUMENT);
    return;
  }
  hopeless_ |= !HasMemory(input);
  const Reach reach = ReachOf(tensor);
  if (reach.row_major) return;
  // It is copied.
  const Wide bytes = reach.count * DTypeSize(spec.dtype);
  if (bytes >= kNoMachineHas) {
    outcome_.errors.insert(RTORCH_RESOURCE_EXHAUSTED);
  } else {
    hopeless_ |= bytes > kMostElements * 8;
  }
}

void Judgement::JudgeOutput(const FakeSpec& spec, const Argument& output,
                            const Plan& plan) {
  const RTorchTensor& tensor = output.tensor;
  const bool empty = ReachOf(tensor).count == 0;
  bool right = IsRight(spec, tensor);
  bool fits = true;  // what the run gives
  for (std::size_t i = 0; i < spec.dims.size(); ++i) {
    const bool same =
        tensor.sizes[i] == SizeOf(spec.dims[i], symbols_.data(), plan.fresh);
    fits &= same;
    right &= (same || !IsKnown(spec.dims[i], symbols_.data())) &&
             (tensor.sizes[i] <= 1 || tensor.strides[i] != 0 || empty);
  }
  if (right) hopeless_ |= !HasMemory(output);
  if (!right || !fits) outcome_.errors.insert(RTORCH_INVALID_ARGUMENT);
}

void Scatter(const Value& value, const RTorchTensor& tensor, std::uint8_t* data) {
  const auto width = static_cast<std::size_t>(DTypeSize(value.dtype));
  const std::uint8_t* from = value.bytes.data();
  for (const std::int64_t offset : ByteOffsets(tensor)) {
    std::memcpy(data + offset, from, width);
    from += width;
  }
}

bool ElementsAreApart(const RTorchTensor& tensor) {
  std::vector<std::int64_t> offsets = ByteOffsets(tensor);
  std::sort(offsets.begin(), offsets.end());
  return std::adjacent_find(offsets.begin(), offsets.end()) == offsets.end();
}

std::vector<std::int64_t> SizesOf(const RTorchTensor& tensor) {
  return {tensor.sizes, tensor.sizes + tensor.rank};
}

}  // namespace rules_torch::testing
