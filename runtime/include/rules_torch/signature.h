// What a model takes and gives, looked up while the program runs: for programs that do
// not know the model when they are compiled. The generated classes have the same as
// constants.
//
// Nothing here allocates. An `api` is what RTorchModelApi says; names and sizes are
// its.
#ifndef RULES_TORCH_SIGNATURE_H_
#define RULES_TORCH_SIGNATURE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "rules_torch/abi.h"

namespace rules_torch {

namespace internal {

template <typename Named>
int Find(const Named* specs, std::int32_t count, std::string_view name) {
  for (std::int32_t i = 0; i < count; ++i) {
    if (name == specs[i].name) return i;
  }
  return -1;
}

// The same for the names that the generated classes have.
template <std::size_t kCount>
constexpr int Find(const std::array<std::string_view, kCount>& names,
                   std::string_view name) {
  for (std::size_t i = 0; i < kCount; ++i) {
    if (name == names[i]) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace internal

// The index of an input, an output or a dynamic size; -1 where there is none of the
// name. A search from the first to the last: look once, before the first run.
inline int FindInput(const RTorchModelApi& api, std::string_view name) {
  return internal::Find(api.inputs, api.num_inputs, name);
}
inline int FindOutput(const RTorchModelApi& api, std::string_view name) {
  return internal::Find(api.outputs, api.num_outputs, name);
}
inline int FindSymbol(const RTorchModelApi& api, std::string_view name) {
  return internal::Find(api.symbols, api.num_symbols, name);
}

// The size of a dimension where the dynamic sizes have these values, one for each of
// api.symbols; -1 where only the run can tell. The ranges are not checked.
constexpr std::int64_t SizeOf(const RTorchDim& dim, const std::int64_t* symbols) {
  if (dim.symbol == -1) return dim.min;
  if (dim.symbol < 0) return -1;
  // Unsigned: wraps around where a value that is out of range would overflow.
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(dim.scale) *
                                       static_cast<std::uint64_t>(symbols[dim.symbol]) +
                                   static_cast<std::uint64_t>(dim.offset));
}

// Writes the spec's sizes, `spec.rank` of them, into `sizes`: its least, its greatest
// (INT64_MAX: unbounded), and those where the dynamic sizes have the values given.
constexpr void MinSizes(const RTorchTensorSpec& spec, std::int64_t* sizes) {
  for (std::int32_t i = 0; i < spec.rank; ++i) sizes[i] = spec.dims[i].min;
}
constexpr void MaxSizes(const RTorchTensorSpec& spec, std::int64_t* sizes) {
  for (std::int32_t i = 0; i < spec.rank; ++i) sizes[i] = spec.dims[i].max;
}
constexpr void SizesOf(const RTorchTensorSpec& spec, const std::int64_t* symbols,
                       std::int64_t* sizes) {
  for (std::int32_t i = 0; i < spec.rank; ++i) sizes[i] = SizeOf(spec.dims[i], symbols);
}

}  // namespace rules_torch

#endif  // RULES_TORCH_SIGNATURE_H_
