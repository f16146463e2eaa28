// Reads the header of a .safetensors file: eight bytes with the length of a JSON
// object, little-endian; the object; the tensors' bytes.
#ifndef RULES_TORCH_INTERNAL_SAFETENSORS_H_
#define RULES_TORCH_INTERNAL_SAFETENSORS_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "rules_torch/abi.h"

namespace rules_torch::internal {

// An element type that such files and models have.
struct ElementType {
  const char* name;   // in a file: "F32"
  RTorchDType dtype;  // or another of c10::ScalarType's, which weights may have, too
  std::uint64_t bytes;
};

// nullptr if unknown.
const ElementType* FindElementType(std::string_view name);
const ElementType* FindElementType(RTorchDType dtype);

// A tensor in a file, row-major contiguous.
struct StoredTensor {
  std::string type;  // an ElementType's name, or one that is not known here
  std::vector<std::int64_t> shape;
  std::uint64_t begin;  // of its bytes, in the file's data
  std::uint64_t end;
};

struct Safetensors {
  std::map<std::string, StoredTensor, std::less<>> tensors;
  std::map<std::string, std::string, std::less<>> metadata;
  const std::uint8_t* data;  // what follows the header
};

// Bytes before the data of a file that is known to be right.
std::uint64_t DataOffset(const std::uint8_t* file);

// Reads the header of the file of `size` bytes at `file`, whatever these are, and looks
// at nothing behind it. On RTORCH_OK each tensor's bytes are within the file, and as
// many as its shape and type demand where the type is known. Otherwise `reason` says
// what is wrong: INVALID_ARGUMENT for what is no such file, DATA_LOSS for one that
// seems to be cut short. Throws nothing but std::bad_alloc.
RTorchCode ReadSafetensors(const std::uint8_t* file, std::uint64_t size,
                           Safetensors* found, std::string* reason);

// A text of a file, for a message: cut if long, without control characters.
std::string Quoted(std::string_view text);

}  // namespace rules_torch::internal

#endif  // RULES_TORCH_INTERNAL_SAFETENSORS_H_
