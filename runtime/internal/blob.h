// Read-only data in a binary's image: a model's weights, a library's kernels.
#ifndef RULES_TORCH_INTERNAL_BLOB_H_
#define RULES_TORCH_INTERNAL_BLOB_H_

#include <cstdint>

namespace rules_torch::internal {

// A file in the image; embed.S defines it.
struct Blob {
  const std::uint8_t* begin;  // aligned to 64 bytes
  std::uint64_t size;
};

}  // namespace rules_torch::internal

#endif  // RULES_TORCH_INTERNAL_BLOB_H_
