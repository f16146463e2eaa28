// BLAKE2b, the hash of RFC 7693, without a key: Python's hashlib.blake2b.
#ifndef RULES_TORCH_INTERNAL_BLAKE2B_H_
#define RULES_TORCH_INTERNAL_BLAKE2B_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace rules_torch::internal {

// Writes the digest of `size` bytes at `data`. `digest_size`, 1 to 64, is part of what
// is hashed: a short digest is not the start of a longer one.
void Blake2b(const void* data, std::uint64_t size, std::uint8_t* digest,
             std::size_t digest_size);

// The digest of 32 bytes, in lower-case hexadecimal.
std::string Blake2b256Hex(const void* data, std::uint64_t size);

}  // namespace rules_torch::internal

#endif  // RULES_TORCH_INTERNAL_BLAKE2B_H_
