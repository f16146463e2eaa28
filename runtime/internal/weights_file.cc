#include "runtime/internal/weights_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <numeric>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "rules_torch/abi.h"
#include "runtime/internal/blake2b.h"
#include "runtime/internal/blob.h"
#include "runtime/internal/layout.h"
#include "runtime/internal/safetensors.h"
#include "runtime/internal/weight_packing.h"

namespace rules_torch::internal {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "tensors are used as they lie in the file");

constexpr std::align_val_t kAlignment{64};  // of copies
constexpr std::size_t kShown = 5;  // weights of each kind; a wrong file misses hundreds
constexpr std::string_view kOurs = "rules_torch.";  // how the keys of builds start
constexpr std::string_view kFormat = "1";
constexpr std::string_view kByteOrder = "little";

using Sizes = std::vector<std::int64_t>;

Layout LayoutOf(const RTorchWeightSpec& spec) {
  return {spec.sizes, spec.strides, spec.rank};
}

std::uint64_t ElementBytes(const RTorchWeightSpec& spec) {
  return FindElementType(spec.dtype)->bytes;
}

std::string Join(const std::int64_t* numbers, std::size_t count, const char* between) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    text += (i > 0 ? between : "") + std::to_string(numbers[i]);
  }
  return text;
}

// "F32[2, 3]"
std::string TypeText(const std::string& type, const Sizes& sizes) {
  return type + '[' + Join(sizes.data(), sizes.size(), ", ") + ']';
}

// "2 weights are missing: a.weight, a.bias"
std::string Listed(const char* what, const std::vector<std::string>& names) {
  std::string text = std::to_string(names.size()) +
                     (names.size() == 1 ? " weight is " : " weights are ") + what +
                     ": ";
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) {
    text += (i > 0 ? ", " : "") + names[i];
  }
  if (names.size() > kShown) {
    text += ", and " + std::to_string(names.size() - kShown) + " more";
  }
  return text;
}

// The shape that a build stores a weight with.
Sizes StoredShape(const RTorchWeightSpec& spec) {
  const Sizes sizes(spec.sizes, spec.sizes + spec.rank);
  const Sizes memory = {static_cast<std::int64_t>(spec.bytes / ElementBytes(spec))};
  if (PackingOf(spec) != Packing::kNone) return memory;
  if (IsRowMajor(LayoutOf(spec))) return sizes;
  std::vector<std::size_t> order(sizes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return spec.strides[a] > spec.strides[b];
  });
  Sizes shape;
  Sizes strides;
  for (const std::size_t i : order) {
    shape.push_back(sizes[i]);
    strides.push_back(spec.strides[i]);
  }
  if (IsRowMajor({shape.data(), strides.data(), spec.rank})) return shape;
  return memory;
}

// What rules_torch.strides says of a weight; "" of a row-major one, of which it says
// nothing.
std::string StridesText(const RTorchWeightSpec& spec) {
  if (IsRowMajor(LayoutOf(spec))) return "";
  return Join(spec.strides, static_cast<std::size_t>(spec.rank), ",");
}

// Closes a file that is open.
struct Descriptor {
  const int number;
  ~Descriptor() { close(number); }
};

bool IsAligned(const std::uint8_t* pointer, std::uint64_t bytes) {
  return reinterpret_cast<std::uintptr_t>(pointer) % bytes == 0;
}

}  // namespace

// One call of FindWeights. Methods return RTORCH_OK, or a code and the reason.
class WeightsFinder {
 public:
  WeightsFinder(const RTorchModelApi& api, const RTorchWeights& source)
      : api_(api), source_(source), weights_(new Weights) {}

  RTorchCode Find(std::shared_ptr<const Weights>* found) {
    const RTorchCode code = Try();
    if (code != RTORCH_OK) return code;
    std::shared_ptr<Weights> shared = std::move(weights_);
    // From here on nothing fails.
    shared->owner_ = Owner(source_);
    *found = std::move(shared);
    return RTORCH_OK;
  }

  std::string TakeReason() { return std::move(reason_); }

 private:
  RTorchCode Fail(RTorchCode code, const std::string& what) {
    reason_ = (source_.path != nullptr ? "'" + std::string(source_.path) + "' "
                                       : "the weights file in memory ") +
              what;
    return code;
  }

  RTorchCode Try() {
    const std::uint8_t* file = static_cast<const std::uint8_t*>(source_.data);
    std::uint64_t size = source_.size;
    if (source_.path != nullptr) {
      if (const RTorchCode code = Map(); code != RTORCH_OK) return code;
      file = static_cast<const std::uint8_t*>(weights_->mapping_);
      size = weights_->mapping_size_;
    }
    std::string what;
    const RTorchCode read = ReadSafetensors(file, size, &file_, &what);
    if (read != RTORCH_OK) return Fail(read, what);

    // One key that was changed does not make another's file of a build's.
    const auto key = file_.metadata.lower_bound(kOurs);
    ours_ = key != file_.metadata.end() &&
            std::string_view(key->first).substr(0, kOurs.size()) == kOurs;
    if (ours_) {
      if (const RTorchCode code = CheckFormat(); code != RTORCH_OK) return code;
    }
    if (const RTorchCode code = Match(); code != RTORCH_OK) return code;
    for (std::int32_t i = 0; i < api_.num_weights; ++i) {
      const RTorchCode code = Check(i);
      if (code != RTORCH_OK) return code;
    }
    for (std::int32_t i = 0; i < api_.num_weights; ++i) {
      const RTorchCode code = Place(i);
      if (code != RTORCH_OK) return code;
    }
    return RTORCH_OK;
  }

  RTorchCode FailToMap(int error) {
    const RTorchCode code =
        error == ENOENT || error == ENOTDIR ? RTORCH_NOT_FOUND
        : error == ENOMEM || error == EMFILE || error == ENFILE || error == EAGAIN
            ? RTORCH_RESOURCE_EXHAUSTED
            : RTORCH_INVALID_ARGUMENT;
    return Fail(code, "cannot be read: " + std::generic_category().message(error));
  }

  RTorchCode Map() {
    // Without waiting: opening a pipe would, until there is a writer.
    const int opened = open(source_.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (opened < 0) return FailToMap(errno);
    const Descriptor descriptor{opened};
    struct stat status;
    if (fstat(opened, &status) != 0) return FailToMap(errno);
    if (S_ISDIR(status.st_mode)) return FailToMap(EISDIR);
    if (!S_ISREG(status.st_mode)) {
      return Fail(RTORCH_INVALID_ARGUMENT, "is not a regular file");
    }
    // An empty file cannot be mapped; ReadSafetensors refuses it.
    if (status.st_size == 0) return RTORCH_OK;
    const auto size = static_cast<std::size_t>(status.st_size);
    void* mapping = mmap(nullptr, size, PROT_READ, MAP_SHARED, opened, 0);
    if (mapping == MAP_FAILED) return FailToMap(errno);
    weights_->mapping_ = mapping;
    weights_->mapping_size_ = size;
    return RTORCH_OK;
  }

  // What the metadata says; "" if nothing.
  std::string Metadata(const std::string& key) const {
    const auto found = file_.metadata.find(key);
    return found == file_.metadata.end() ? "" : found->second;
  }

  RTorchCode CheckFormat() {
    const auto check = [&](const char* name, std::string_view expected) -> RTorchCode {
      const std::string text = Metadata(std::string(kOurs) + name);
      if (text == expected) return RTORCH_OK;
      return Fail(RTORCH_INVALID_ARGUMENT,
                  "was made by another version of rules_torch, or changed: its " +
                      std::string(name) + " is " + Quoted(text) + ", not " +
                      Quoted(expected));
    };
    const RTorchCode code = check("format", kFormat);
    return code != RTORCH_OK ? code : check("byte_order", kByteOrder);
  }

  // Sets tensors_: the model's names are there, with its types and shapes.
  RTorchCode Match() {
    std::vector<std::string> missing;
    std::vector<std::string> mistyped;
    std::vector<std::string> misplaced;
    for (std::int32_t i = 0; i < api_.num_weights; ++i) {
      const RTorchWeightSpec& spec = api_.weights[i];
      const auto found = file_.tensors.find(std::string_view(spec.name));
      if (found == file_.tensors.end()) {
        missing.push_back(spec.name);
        continue;
      }
      const StoredTensor& tensor = found->second;
      const std::string type = FindElementType(spec.dtype)->name;
      const Sizes shape =
          ours_ ? StoredShape(spec) : Sizes(spec.sizes, spec.sizes + spec.rank);
      if (tensor.type != type || tensor.shape != shape) {
        mistyped.push_back(std::string(spec.name) + " (" +
                           TypeText(tensor.type, tensor.shape) + " in the file, " +
                           TypeText(type, shape) + " in the model)");
      } else if (ours_ && !LiesAsWanted(spec)) {
        misplaced.push_back(spec.name);
      }
      tensors_.push_back(&tensor);
    }
    std::vector<std::string> unknown;
    if (ours_ && file_.tensors.size() > tensors_.size()) {
      std::vector<std::string_view> known;
      for (std::int32_t i = 0; i < api_.num_weights; ++i) {
        known.push_back(api_.weights[i].name);
      }
      std::sort(known.begin(), known.end());
      for (const auto& [name, tensor] : file_.tensors) {
        if (!std::binary_search(known.begin(), known.end(), name)) {
          unknown.push_back(Quoted(name));
        }
      }
    }
    std::string problems;
    for (const auto& [what, names] :
         {std::pair{"missing", &missing},
          {"of another type or shape", &mistyped},
          {"laid out for the kernels of another build", &misplaced},
          {"not the model's", &unknown}}) {
      if (!names->empty()) problems += "; " + Listed(what, *names);
    }
    if (problems.empty()) return RTORCH_OK;
    return Fail(RTORCH_INVALID_ARGUMENT,
                "does not fit " + std::string(api_.name) + problems);
  }

  // Whether a build's file says that a weight lies as the model's kernels want it.
  bool LiesAsWanted(const RTorchWeightSpec& spec) const {
    const std::string name = spec.name;
    return Metadata("rules_torch.strides." + name) == StridesText(spec) &&
           Metadata("rules_torch.packing." + name) == PackingText(spec);
  }

  const std::uint8_t* BytesOf(std::int32_t i) const {
    return file_.data + tensors_[static_cast<std::size_t>(i)]->begin;
  }
  std::uint64_t NumBytesOf(std::int32_t i) const {
    const StoredTensor& tensor = *tensors_[static_cast<std::size_t>(i)];
    return tensor.end - tensor.begin;
  }

  // Looks at a weight's bytes.
  RTorchCode Check(std::int32_t i) {
    const RTorchWeightSpec& spec = api_.weights[i];
    const std::uint8_t* bytes = BytesOf(i);
    const std::uint64_t size = NumBytesOf(i);
    if (ours_) {
      const std::string expected =
          Metadata("rules_torch.digest." + std::string(spec.name));
      const std::string digest = Blake2b256Hex(bytes, size);
      if (digest != expected) {
        return Fail(RTORCH_DATA_LOSS, "was changed: the weight " + Quoted(spec.name) +
                                          " has the BLAKE2b digest " + digest +
                                          ", and the file says " + Quoted(expected));
      }
    }
    // Code that is compiled for bools may do anything with others.
    if (spec.dtype == RTORCH_BOOL &&
        std::any_of(bytes, bytes + size, [](std::uint8_t byte) { return byte > 1; })) {
      return Fail(RTORCH_INVALID_ARGUMENT, "has bytes in the bool weight " +
                                               Quoted(spec.name) +
                                               " that are neither 0 nor 1");
    }
    return RTORCH_OK;
  }

  // Appends a weight's place to the pointers: in the file, or a copy.
  RTorchCode Place(std::int32_t i) {
    const RTorchWeightSpec& spec = api_.weights[i];
    const std::uint8_t* bytes = BytesOf(i);
    const Layout wanted = LayoutOf(spec);
    const bool is_packed = PackingOf(spec) != Packing::kNone;
    const bool as_wanted = ours_ || (IsRowMajor(wanted) && !is_packed);
    const std::uint64_t width = ElementBytes(spec);
    if (as_wanted && (IsAligned(bytes, width) || NumBytesOf(i) == 0)) {
      weights_->pointers_.push_back(bytes);
      return RTORCH_OK;
    }
    const auto size = static_cast<std::size_t>(spec.bytes);
    std::uint8_t* copy = NewCopy(size);
    weights_->pointers_.push_back(copy);
    if (as_wanted) {
      std::memcpy(copy, bytes, size);
      return RTORCH_OK;
    }
    if (is_packed) {
      // Of float32, and adjacent; the file's bytes may lie anywhere.
      std::vector<float> row_major(static_cast<std::size_t>(NumBytesOf(i) / width));
      std::memcpy(row_major.data(), bytes, static_cast<std::size_t>(NumBytesOf(i)));
      PackWeight(spec, row_major.data(), reinterpret_cast<float*>(copy));
      return RTORCH_OK;
    }
    std::memset(copy, 0, size);  // gaps, too
    Sizes strides(static_cast<std::size_t>(spec.rank));
    SetRowMajor(spec.sizes, spec.rank, strides.data());
    const Layout stored = {spec.sizes, strides.data(), spec.rank};
    CopyElements(bytes, stored, copy, spec.strides, width);
    // Where several elements are one in the model's memory, the last one is there.
    if (!EqualElements(bytes, stored, copy, spec.strides, width)) {
      return Fail(RTORCH_INVALID_ARGUMENT, "has different elements in the weight " +
                                               Quoted(spec.name) +
                                               " that are one element in " + api_.name +
                                               ", where it is an expanded tensor");
    }
    return RTORCH_OK;
  }

  std::uint8_t* NewCopy(std::size_t size) {
    std::unique_ptr<std::uint8_t, Weights::Free> memory(
        static_cast<std::uint8_t*>(::operator new(size, kAlignment)));
    weights_->copies_.push_back(std::move(memory));
    return weights_->copies_.back().get();
  }

  const RTorchModelApi& api_;
  const RTorchWeights& source_;
  std::unique_ptr<Weights> weights_;
  std::string reason_;
  Safetensors file_;
  bool ours_ = false;                         // whether a build made the file
  std::vector<const StoredTensor*> tensors_;  // one for each weight
};

void Weights::Free::operator()(std::uint8_t* memory) const {
  ::operator delete(memory, kAlignment);
}

Weights::~Weights() {
  if (mapping_ != nullptr) munmap(mapping_, mapping_size_);
}

RTorchCode CheckSource(const RTorchWeights& source, std::string* reason) {
  // Growing structs may be as long as an older header said: nothing else is read first.
  if (source.struct_size < sizeof(RTorchWeights)) {
    *reason = "RTorchWeights.struct_size is " + std::to_string(source.struct_size) +
              ", and must be at least " + std::to_string(sizeof(RTorchWeights));
    return RTORCH_INVALID_ARGUMENT;
  }
  if (source.flags != 0) {
    *reason = "RTorchWeights.flags has bits without a meaning here: " +
              std::to_string(source.flags);
    return RTORCH_INVALID_ARGUMENT;
  }
  if (source.path == nullptr && source.data == nullptr) {
    *reason = "RTorchWeights has neither a path nor data";
    return RTORCH_INVALID_ARGUMENT;
  }
  return RTORCH_OK;
}

RTorchCode FindWeights(const RTorchModelApi& api, const RTorchWeights& source,
                       std::shared_ptr<const Weights>* found, std::string* reason) {
  if (const RTorchCode code = CheckSource(source, reason); code != RTORCH_OK) {
    return code;
  }
  WeightsFinder finder(api, source);
  const RTorchCode code = finder.Find(found);
  if (code != RTORCH_OK) *reason = finder.TakeReason();
  return code;
}

std::shared_ptr<const Weights> EmbeddedWeights(const RTorchModelApi& api,
                                               const Blob& file) {
  std::shared_ptr<Weights> weights(new Weights);
  const std::uint8_t* data = file.begin + DataOffset(file.begin);
  for (std::int32_t i = 0; i < api.num_weights; ++i) {
    weights->pointers_.push_back(data + api.weights[i].offset);
  }
  return weights;
}

}  // namespace rules_torch::internal
