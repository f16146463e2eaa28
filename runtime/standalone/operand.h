// What passes between a model's wrapper, which runs the graph, and its operators, which
// are compiled for one instruction set.
//
// Both are sources of their own: the wrapper has to run on any CPU, up to the place
// where it calls an operator.
#ifndef RULES_TORCH_STANDALONE_OPERAND_H_
#define RULES_TORCH_STANDALONE_OPERAND_H_

#include <cstddef>
#include <cstdint>

namespace rules_torch::standalone {

inline constexpr int kMaxRank = 16;

// Dtypes that no input or output has; the values are those of c10::ScalarType.
inline constexpr std::int32_t kComplex64 = 9;
inline constexpr std::int32_t kComplex128 = 10;

inline constexpr bool IsComplex(std::int32_t dtype) {
  return dtype == kComplex64 || dtype == kComplex128;
}

// A tensor that an operator reads or writes.
struct Operand {
  void* data;
  std::int32_t dtype;
  std::int32_t rank;
  const std::int64_t* sizes;
  const std::int64_t* strides;  // in elements
};

// Tells what is made of a weight from what is made of others, or of it in another way.
struct PackedKey {
  const void* data;          // the weight's first element
  std::int64_t numbers[14];  // whatever else decides: sizes, strides, a kind

  bool operator==(const PackedKey& other) const {
    bool equal = data == other.data;
    for (int i = 0; i < 14; ++i) equal = equal && numbers[i] == other.numbers[i];
    return equal;
  }
};

// Where operators find memory.
struct Workspace {
  // Returns `bytes` bytes, aligned to 64, or throws std::bad_alloc. They are the
  // operator's until it returns.
  void* (*take)(Workspace* workspace, std::size_t bytes);

  // Returns what `fill(context, memory)` makes of a weight that no run changes: made in
  // the first call, and there as long as the weights are. Null for other tensors.
  const void* (*keep)(Workspace* workspace, const PackedKey& key, std::size_t bytes,
                      void (*fill)(const void* context, void* memory),
                      const void* context);
};

namespace {

// take() for floats; null for none.
inline float* TakeFloats(Workspace* workspace, std::int64_t count) {
  if (count == 0) return nullptr;
  return static_cast<float*>(
      workspace->take(workspace, static_cast<std::size_t>(count) * sizeof(float)));
}

// keep() for floats and any function `fill(memory)`.
template <typename Fill>
const float* KeptFloats(Workspace* workspace, const PackedKey& key, std::int64_t count,
                        const Fill& fill) {
  return static_cast<const float*>(workspace->keep(
      workspace, key, static_cast<std::size_t>(count) * sizeof(float),
      [](const void* context, void* memory) {
        (*static_cast<const Fill*>(context))(static_cast<float*>(memory));
      },
      &fill));
}

// The same; for tensors that are no weights, in memory of the call's.
template <typename Fill>
const float* PackedFloats(Workspace* workspace, const PackedKey& key,
                          std::int64_t count, const Fill& fill) {
  if (const float* kept = KeptFloats(workspace, key, count, fill)) return kept;
  float* memory = TakeFloats(workspace, count);
  fill(memory);
  return memory;
}

// A vector's floats, adjacent; null for none.
inline const float* AdjacentFloats(const Operand* vector, Workspace* workspace) {
  if (vector == nullptr) return nullptr;
  const auto* data = static_cast<const float*>(vector->data);
  if (vector->strides[0] == 1 || vector->sizes[0] == 1) return data;
  float* copy = TakeFloats(workspace, vector->sizes[0]);
  for (std::int64_t i = 0; i < vector->sizes[0]; ++i) {
    copy[i] = data[i * vector->strides[0]];
  }
  return copy;
}

}  // namespace
}  // namespace rules_torch::standalone

#endif  // RULES_TORCH_STANDALONE_OPERAND_H_
