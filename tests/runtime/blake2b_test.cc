// BLAKE2b against the vector of RFC 7693 and against another implementation.
#include "runtime/internal/blake2b.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace rules_torch::internal {
namespace {

std::string Hex(const std::vector<std::uint8_t>& bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

std::vector<std::uint8_t> Digest(const std::string& text, std::size_t digest_size) {
  std::vector<std::uint8_t> digest(digest_size);
  Blake2b(text.data(), text.size(), digest.data(), digest.size());
  return digest;
}

TEST(Blake2bTest, GivesTheVectorOfTheRfc) {
  EXPECT_EQ(Hex(Digest("abc", 64)),
            "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
            "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923");
}

TEST(Blake2bTest, HashesNothing) {
  EXPECT_EQ(Blake2b256Hex(nullptr, 0),
            "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
}

// Of every length to beyond several blocks, and of every size of digest:
//
//   import hashlib
//   random, every = 1, hashlib.blake2b(digest_size=32)
//   for length in range(700):
//       data = bytearray()
//       for _ in range(length):
//           random = (random * 6364136223846793005 + 1442695040888963407) % 2**64
//           data.append(random >> 56)
//       every.update(hashlib.blake2b(data, digest_size=length % 64 + 1).digest())
//   print(every.hexdigest())
TEST(Blake2bTest, AgreesWithPython) {
  std::uint64_t random = 1;
  std::string every;
  for (std::size_t length = 0; length < 700; ++length) {
    std::string data;
    for (std::size_t i = 0; i < length; ++i) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      data += static_cast<char>(random >> 56);
    }
    const auto digest = Digest(data, length % 64 + 1);
    every.append(digest.begin(), digest.end());
  }
  EXPECT_EQ(Blake2b256Hex(every.data(), every.size()),
            "037825b98ae1d23c8bb53d5b462992b40ea6c28e8870b020d2e91d4395a4ab07");
}

}  // namespace
}  // namespace rules_torch::internal
