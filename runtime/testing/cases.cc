#include "runtime/testing/cases.h"

#include <cstring>
#include <fstream>
#include <utility>

#include "rules_torch/dtype.h"

namespace rules_torch::testing {
namespace {

// Takes values from the front of a file; stays at an error once it met one.
class Reader {
 public:
  explicit Reader(std::vector<char> bytes) : bytes_(std::move(bytes)) {}

  bool Take(void* target, std::size_t size) {
    if (bytes_.size() - at_ < size) return ok_ = false;
    if (size == 0) return true;  // both addresses may be null
    std::memcpy(target, bytes_.data() + at_, size);
    at_ += size;
    return true;
  }

  template <typename T>
  T Take() {
    T value{};
    Take(&value, sizeof value);
    return value;
  }

  HostTensor TakeTensor() {
    HostTensor tensor;
    tensor.abi.dtype = Take<std::int32_t>();
    tensor.abi.rank = Take<std::int32_t>();
    if (tensor.abi.rank < 0 || tensor.abi.rank > RTORCH_MAX_RANK) {
      ok_ = false;
      return tensor;
    }
    for (std::int32_t i = 0; i < tensor.abi.rank; ++i) {
      tensor.abi.sizes[i] = Take<std::int64_t>();
      if (tensor.abi.sizes[i] < 0) ok_ = false;
    }
    std::int64_t stride = 1;
    for (std::int32_t i = tensor.abi.rank; i-- > 0;) {
      tensor.abi.strides[i] = stride;
      if (__builtin_mul_overflow(stride, tensor.abi.sizes[i], &stride)) ok_ = false;
    }
    std::int64_t size = 0;
    if (__builtin_mul_overflow(stride, DTypeSize(tensor.abi.dtype), &size) || !ok_ ||
        static_cast<std::size_t>(size) > bytes_.size() - at_) {
      ok_ = false;
      return tensor;
    }
    tensor.bytes.resize(static_cast<std::size_t>(size));
    Take(tensor.bytes.data(), tensor.bytes.size());
    return tensor;
  }

  std::vector<HostTensor> TakeTensors() {
    std::vector<HostTensor> tensors;
    for (auto count = Take<std::int32_t>(); ok_ && count > 0; --count) {
      tensors.push_back(TakeTensor());
    }
    return tensors;
  }

  bool ok() const { return ok_; }
  bool at_end() const { return at_ == bytes_.size(); }

 private:
  std::vector<char> bytes_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace

StatusOr<std::vector<Case>> ReadCases(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Status(RTORCH_INVALID_ARGUMENT, path + ": cannot be opened");
  std::vector<char> bytes;
  char block[4096];
  do {
    file.read(block, sizeof block);
    bytes.insert(bytes.end(), block, block + file.gcount());
  } while (file);
  // A directory can be opened, but not read.
  if (file.bad()) return Status(RTORCH_INVALID_ARGUMENT, path + ": cannot be read");
  Reader reader(std::move(bytes));
  char magic[8] = {};
  reader.Take(magic, sizeof magic);
  std::vector<Case> cases;
  if (std::memcmp(magic, "RTCASES1", sizeof magic) == 0) {
    for (auto count = reader.Take<std::int32_t>(); reader.ok() && count > 0; --count) {
      Case one;
      one.inputs = reader.TakeTensors();
      one.expected = reader.TakeTensors();
      cases.push_back(std::move(one));
    }
    if (reader.ok() && reader.at_end() && !cases.empty()) return cases;
  }
  return Status(RTORCH_INVALID_ARGUMENT, path + ": not a whole file of test cases");
}

}  // namespace rules_torch::testing
