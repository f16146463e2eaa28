#include "runtime/internal/safetensors.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rules_torch::internal {
namespace {

constexpr std::uint64_t kPrefix = 8;               // bytes of the header's length
constexpr std::uint64_t kMaxHeader = 100'000'000;  // bytes, as of the official reader
constexpr char kMetadata[] = "__metadata__";

// Values of dtype without a name in abi.h are c10::ScalarType's.
constexpr ElementType kElementTypes[] = {
    {"BOOL", RTORCH_BOOL, 1},
    {"U8", RTORCH_UINT8, 1},
    {"I8", RTORCH_INT8, 1},
    {"F8_E5M2", 23, 1},
    {"F8_E4M3", 24, 1},
    {"I16", RTORCH_INT16, 2},
    {"U16", 27, 2},
    {"F16", RTORCH_FLOAT16, 2},
    {"BF16", RTORCH_BFLOAT16, 2},
    {"I32", RTORCH_INT32, 4},
    {"U32", 28, 4},
    {"F32", RTORCH_FLOAT32, 4},
    {"I64", RTORCH_INT64, 8},
    {"U64", 29, 8},
    {"F64", RTORCH_FLOAT64, 8},
    {"C64", 9, 8},
};

bool Multiply(std::uint64_t a, std::uint64_t b, std::uint64_t* product) {
  if (b != 0 && a > std::numeric_limits<std::uint64_t>::max() / b) return false;
  *product = a * b;
  return true;
}

void AppendUtf8(std::uint32_t point, std::string* text) {
  const auto append = [&](std::uint32_t byte) {
    *text += static_cast<char>(static_cast<unsigned char>(byte));
  };
  if (point < 0x80) {
    append(point);
  } else if (point < 0x800) {
    append(0xc0 | point >> 6);
    append(0x80 | (point & 0x3f));
  } else if (point < 0x10000) {
    append(0xe0 | point >> 12);
    append(0x80 | (point >> 6 & 0x3f));
    append(0x80 | (point & 0x3f));
  } else {
    append(0xf0 | point >> 18);
    append(0x80 | (point >> 12 & 0x3f));
    append(0x80 | (point >> 6 & 0x3f));
    append(0x80 | (point & 0x3f));
  }
}

// Reads the JSON that headers have, and no other: what may nest is known, so that the
// depth of calls does not depend on the text. After a failure nothing is read.
class HeaderReader {
 public:
  HeaderReader(std::string_view text, Safetensors* found)
      : text_(text), found_(found) {}

  // False, and why in `error`, if the text is no header.
  bool Read() {
    const bool read = Object([&](const std::string& name) {
      if (name == kMetadata) return Metadata();
      StoredTensor tensor;
      if (!Tensor(name, &tensor)) return false;
      found_->tensors.emplace(name, std::move(tensor));
      return true;
    });
    if (!read) return false;
    SkipSpaces();
    return at_ == text_.size() || Expected("nothing but spaces after the last '}'");
  }

  const std::string& error() const { return error_; }

 private:
  bool Fail(const std::string& what) {
    error_ = what + ", at byte " + std::to_string(at_ + kPrefix);
    return false;
  }
  bool Expected(const std::string& what) { return Fail("expected " + what); }

  void SkipSpaces() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' ||
                                  text_[at_] == '\n' || text_[at_] == '\r')) {
      ++at_;
    }
  }

  // Takes this character, after spaces, if it is next.
  bool Take(char wanted) {
    SkipSpaces();
    if (at_ == text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  bool Demand(char wanted) {
    return Take(wanted) || Expected(std::string("'") + wanted + "'");
  }

  // {"key": value, ...}; `value` reads one, and is told its key. No key comes twice.
  template <typename Value>
  bool Object(Value value) {
    std::set<std::string> names;
    if (!Demand('{')) return false;
    if (Take('}')) return true;
    do {
      std::string name;
      if (!String(&name)) return false;
      if (!names.insert(name).second) {
        return Fail("the key " + Quoted(name) + " is there twice");
      }
      if (!Demand(':') || !value(std::as_const(name))) return false;
    } while (Take(','));
    return Take('}') || Expected("',' or '}'");
  }

  // [1, 2, ...]
  bool Numbers(std::vector<std::uint64_t>* numbers) {
    if (!Demand('[')) return false;
    if (Take(']')) return true;
    do {
      std::uint64_t number = 0;
      if (!Number(&number)) return false;
      numbers->push_back(number);
    } while (Take(','));
    return Take(']') || Expected("',' or ']'");
  }

  bool Number(std::uint64_t* number) {
    SkipSpaces();
    const std::size_t start = at_;
    std::uint64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      const auto digit = static_cast<std::uint64_t>(text_[at_] - '0');
      if (!Multiply(value, 10, &value) ||
          value > std::numeric_limits<std::uint64_t>::max() - digit) {
        return Fail("too large a number");
      }
      value += digit;
    }
    if (at_ == start) return Expected("a whole number");
    if (text_[start] == '0' && at_ - start > 1) return Fail("a number starts with 0");
    *number = value;
    return true;
  }

  bool String(std::string* string) {
    if (!Demand('"')) return false;
    for (;;) {
      if (at_ == text_.size()) return Fail("a string does not end");
      const char c = text_[at_];
      if (static_cast<unsigned char>(c) < 0x20) {
        return Fail("a control character in a string");
      }
      ++at_;
      if (c == '"') return true;
      if (c != '\\') {
        *string += c;
      } else if (!Escape(string)) {
        return false;
      }
    }
  }

  bool Escape(std::string* string) {
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
    if (at_ == text_.size()) return Fail("a string does not end");
    const char letter = text_[at_];
    if (const std::size_t i = kLetters.find(letter); i != std::string_view::npos) {
      ++at_;
      *string += kMeant[i];
      return true;
    }
    if (letter != 'u') return Fail("an unknown escape in a string");
    std::uint32_t point = 0;
    if (!Unit(&point)) return false;
    if (point >= 0xdc00 && point < 0xe000) return Fail("half a surrogate pair");
    if (point >= 0xd800 && point < 0xdc00) {
      std::uint32_t low = 0;
      if (at_ == text_.size() || text_[at_] != '\\') {
        return Fail("half a surrogate pair");
      }
      ++at_;
      if (!Unit(&low)) return false;
      if (low < 0xdc00 || low >= 0xe000) return Fail("half a surrogate pair");
      point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    }
    AppendUtf8(point, string);
    return true;
  }

  // The "u12ab" of an escape.
  bool Unit(std::uint32_t* unit) {
    if (text_.size() - at_ < 5 || text_[at_] != 'u') {
      return Expected("'u' and four hexadecimal digits");
    }
    ++at_;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = text_[at_];
      int digit = 0;
      if (c >= '0' && c <= '9') {
        digit = c - '0';
      } else if (c >= 'a' && c <= 'f') {
        digit = c - 'a' + 10;
      } else if (c >= 'A' && c <= 'F') {
        digit = c - 'A' + 10;
      } else {
        return Expected("a hexadecimal digit");
      }
      *unit = *unit << 4 | static_cast<std::uint32_t>(digit);
    }
    return true;
  }

  bool Metadata() {
    return Object([&](const std::string& name) {
      std::string value;
      if (!String(&value)) return false;
      found_->metadata.emplace(name, std::move(value));
      return true;
    });
  }

  bool Tensor(const std::string& tensor_name, StoredTensor* tensor) {
    bool has_type = false;
    bool has_shape = false;
    bool has_offsets = false;
    const bool read = Object([&](const std::string& name) {
      std::vector<std::uint64_t> numbers;
      if (name == "dtype") {
        has_type = true;
        return String(&tensor->type);
      }
      if (name == "shape") {
        has_shape = true;
        if (!Numbers(&numbers)) return false;
        for (const std::uint64_t size : numbers) {
          if (size > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
            return Fail("too large a size");
          }
          tensor->shape.push_back(static_cast<std::int64_t>(size));
        }
        return true;
      }
      if (name == "data_offsets") {
        has_offsets = true;
        if (!Numbers(&numbers)) return false;
        if (numbers.size() != 2) return Fail("data_offsets are not two numbers");
        tensor->begin = numbers[0];
        tensor->end = numbers[1];
        return true;
      }
      return Fail("a tensor has the key " + Quoted(name));
    });
    if (!read) return false;
    return (has_type && has_shape && has_offsets) ||
           Fail("the tensor " + Quoted(tensor_name) + " has no " +
                (!has_type    ? "dtype"
                 : !has_shape ? "shape"
                              : "data_offsets"));
  }

  const std::string_view text_;
  std::size_t at_ = 0;
  Safetensors* const found_;
  std::string error_;
};

// Whether a tensor has as many bytes as its shape and type demand.
bool RightSize(const StoredTensor& tensor) {
  const ElementType* type = FindElementType(tensor.type);
  if (type == nullptr) return true;
  std::uint64_t bytes = type->bytes;
  for (const std::int64_t size : tensor.shape) {
    if (!Multiply(bytes, static_cast<std::uint64_t>(size), &bytes)) return false;
  }
  return tensor.end - tensor.begin == bytes;
}

}  // namespace

const ElementType* FindElementType(std::string_view name) {
  for (const ElementType& type : kElementTypes) {
    if (name == type.name) return &type;
  }
  return nullptr;
}

const ElementType* FindElementType(RTorchDType dtype) {
  for (const ElementType& type : kElementTypes) {
    if (dtype == type.dtype) return &type;
  }
  return nullptr;
}

std::uint64_t DataOffset(const std::uint8_t* file) {
  std::uint64_t length = 0;
  for (std::uint64_t i = 0; i < kPrefix; ++i) {
    length |= std::uint64_t{file[i]} << (8 * i);
  }
  return kPrefix + length;
}

RTorchCode ReadSafetensors(const std::uint8_t* file, std::uint64_t size,
                           Safetensors* found, std::string* reason) {
  const auto fail = [&](RTorchCode code, const std::string& what) {
    *reason = what;
    return code;
  };
  *found = {};
  if (size == 0) return fail(RTORCH_INVALID_ARGUMENT, "is empty");
  if (size <= kPrefix) {
    return fail(RTORCH_INVALID_ARGUMENT, "is not a safetensors file: it has only " +
                                             std::to_string(size) + " bytes");
  }
  // Unsigned arithmetic: what is added wraps around, and is subtracted again.
  const std::uint64_t length = DataOffset(file) - kPrefix;
  if (length > kMaxHeader || file[kPrefix] != '{') {
    return fail(RTORCH_INVALID_ARGUMENT,
                "is not a safetensors file: it does not start with the length of a "
                "header and the header");
  }
  if (length > size - kPrefix) {
    return fail(RTORCH_DATA_LOSS, "is cut short: its header has " +
                                      std::to_string(length) + " bytes, and the file " +
                                      std::to_string(size));
  }
  const char* header = reinterpret_cast<const char*>(file + kPrefix);
  HeaderReader reader({header, static_cast<std::size_t>(length)}, found);
  if (!reader.Read()) {
    return fail(RTORCH_INVALID_ARGUMENT,
                "its header is not one of a safetensors file: " + reader.error());
  }
  found->data = file + kPrefix + length;
  const std::uint64_t data_size = size - kPrefix - length;
  for (const auto& [name, tensor] : found->tensors) {
    if (tensor.begin > tensor.end || !RightSize(tensor)) {
      return fail(RTORCH_INVALID_ARGUMENT,
                  "its header is wrong: " + Quoted(name) + " lies at bytes " +
                      std::to_string(tensor.begin) + " to " +
                      std::to_string(tensor.end) +
                      ", which is not what its shape and dtype demand");
    }
    if (tensor.end > data_size) {
      return fail(RTORCH_DATA_LOSS, "is cut short: " + Quoted(name) + " ends at byte " +
                                        std::to_string(tensor.end) +
                                        " of the data, which has " +
                                        std::to_string(data_size));
    }
  }
  return RTORCH_OK;
}

std::string Quoted(std::string_view text) {
  constexpr std::size_t kShown = 100;
  std::string quoted = "\"";
  for (const char c : text.substr(0, kShown)) {
    const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    quoted += control ? '?' : c;
  }
  return quoted + (text.size() > kShown ? "..." : "") + "\"";
}

}  // namespace rules_torch::internal
