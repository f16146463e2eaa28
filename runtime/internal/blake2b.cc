#include "runtime/internal/blake2b.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

namespace rules_torch::internal {
namespace {

constexpr std::size_t kBlock = 128;  // bytes

constexpr std::array<std::uint64_t, 8> kStart = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};

// Which words of the block a round mixes; rounds 11 and 12 are as 1 and 2.
constexpr std::uint8_t kOrder[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

using State = std::array<std::uint64_t, 8>;

// One expression, which compilers know for a load of eight bytes.
std::uint64_t Load(const std::uint8_t* b) {
  return std::uint64_t{b[0]} | std::uint64_t{b[1]} << 8 | std::uint64_t{b[2]} << 16 |
         std::uint64_t{b[3]} << 24 | std::uint64_t{b[4]} << 32 |
         std::uint64_t{b[5]} << 40 | std::uint64_t{b[6]} << 48 |
         std::uint64_t{b[7]} << 56;
}

constexpr std::uint64_t Rotate(std::uint64_t word, int bits) {
  return word >> bits | word << (64 - bits);
}

inline void Mix(std::uint64_t& a, std::uint64_t& b, std::uint64_t& c, std::uint64_t& d,
                std::uint64_t x, std::uint64_t y) {
  a += b + x;
  d = Rotate(d ^ a, 32);
  c += d;
  b = Rotate(b ^ c, 24);
  a += b + y;
  d = Rotate(d ^ a, 16);
  c += d;
  b = Rotate(b ^ c, 63);
}

// Rounds as template arguments: the words of a block are then at fixed places.
template <int kRound>
inline void Round(std::uint64_t (&v)[16], const std::uint64_t (&m)[16]) {
  constexpr const auto& order = kOrder[kRound % 10];
  Mix(v[0], v[4], v[8], v[12], m[order[0]], m[order[1]]);
  Mix(v[1], v[5], v[9], v[13], m[order[2]], m[order[3]]);
  Mix(v[2], v[6], v[10], v[14], m[order[4]], m[order[5]]);
  Mix(v[3], v[7], v[11], v[15], m[order[6]], m[order[7]]);
  Mix(v[0], v[5], v[10], v[15], m[order[8]], m[order[9]]);
  Mix(v[1], v[6], v[11], v[12], m[order[10]], m[order[11]]);
  Mix(v[2], v[7], v[8], v[13], m[order[12]], m[order[13]]);
  Mix(v[3], v[4], v[9], v[14], m[order[14]], m[order[15]]);
}

// Takes in one block. `count` is how many bytes there were with it. Longer inputs than
// 2^64 bytes are none in memory, so that the counter's upper word stays 0.
void Compress(State* state, const std::uint8_t* block, std::uint64_t count, bool last) {
  std::uint64_t m[16];
  for (int i = 0; i < 16; ++i) m[i] = Load(block + 8 * i);
  std::uint64_t v[16];
  for (std::size_t i = 0; i < 8; ++i) {
    v[i] = (*state)[i];
    v[i + 8] = kStart[i];
  }
  v[12] ^= count;
  if (last) v[14] = ~v[14];
  Round<0>(v, m);
  Round<1>(v, m);
  Round<2>(v, m);
  Round<3>(v, m);
  Round<4>(v, m);
  Round<5>(v, m);
  Round<6>(v, m);
  Round<7>(v, m);
  Round<8>(v, m);
  Round<9>(v, m);
  Round<10>(v, m);
  Round<11>(v, m);
  for (std::size_t i = 0; i < 8; ++i) (*state)[i] ^= v[i] ^ v[i + 8];
}

}  // namespace

void Blake2b(const void* data, std::uint64_t size, std::uint8_t* digest,
             std::size_t digest_size) {
  State state = kStart;
  state[0] ^= 0x01010000 ^ digest_size;
  const auto* bytes = static_cast<const std::uint8_t*>(data);
  std::uint64_t done = 0;
  // The last block, a full one too, is marked as such.
  for (; size - done > kBlock; done += kBlock) {
    Compress(&state, bytes + done, done + kBlock, false);
  }
  std::uint8_t last[kBlock] = {};
  if (size > done) {
    std::memcpy(last, bytes + done, static_cast<std::size_t>(size - done));
  }
  Compress(&state, last, size, true);
  for (std::size_t i = 0; i < digest_size; ++i) {
    digest[i] = static_cast<std::uint8_t>(state[i / 8] >> (8 * (i % 8)));
  }
}

std::string Blake2b256Hex(const void* data, std::uint64_t size) {
  std::uint8_t digest[32];
  Blake2b(data, size, digest, sizeof digest);
  std::string text;
  for (const std::uint8_t byte : digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

}  // namespace rules_torch::internal
