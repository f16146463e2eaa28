#include "runtime/testing/cases.h"

#include <algorithm>
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
    tensor.abi.device = {RTORCH_CPU, 0};
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

  std::string TakeText() {
    const auto size = static_cast<std::size_t>(Take<std::int32_t>());
    if (!ok_ || size > bytes_.size() - at_) {
      ok_ = false;
      return "";
    }
    std::string text(size, '\0');
    Take(text.data(), size);
    return text;
  }

  bool ok() const { return ok_; }
  bool at_end() const { return at_ == bytes_.size(); }

 private:
  std::vector<char> bytes_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

// Gives each floating-point output its float64; false if they do not belong together.
bool TakeFloat64(const std::vector<HostTensor>& tensors, Case* one) {
  one->float64.resize(one->expected.size());
  if (!one->why_no_float64.empty()) return tensors.empty();
  auto next = tensors.begin();
  for (std::size_t i = 0; i < one->expected.size(); ++i) {
    const RTorchTensor& expected = one->expected[i].abi;
    if (!IsFloat(expected.dtype)) continue;
    if (next == tensors.end() || next->abi.dtype != RTORCH_FLOAT64 ||
        next->abi.rank != expected.rank ||
        !std::equal(expected.sizes, expected.sizes + expected.rank, next->abi.sizes)) {
      return false;
    }
    std::vector<double>& values = one->float64[i];
    values.resize(next->bytes.size() / sizeof(double));
    if (!values.empty()) {
      std::memcpy(values.data(), next->bytes.data(), next->bytes.size());
    }
    ++next;
  }
  return next == tensors.end();
}

}  // namespace

bool IsFloat(std::int32_t dtype) {
  return dtype == RTORCH_FLOAT16 || dtype == RTORCH_BFLOAT16 ||
         dtype == RTORCH_FLOAT32 || dtype == RTORCH_FLOAT64;
}

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
  if (std::memcmp(magic, "RTCASES2", sizeof magic) == 0) {
    bool fits = true;
    for (auto count = reader.Take<std::int32_t>(); reader.ok() && count > 0; --count) {
      Case one;
      one.inputs = reader.TakeTensors();
      one.expected = reader.TakeTensors();
      const std::vector<HostTensor> float64 = reader.TakeTensors();
      one.why_no_float64 = reader.TakeText();
      fits = fits && TakeFloat64(float64, &one);
      cases.push_back(std::move(one));
    }
    if (fits && reader.ok() && reader.at_end() && !cases.empty()) return cases;
  }
  return Status(RTORCH_INVALID_ARGUMENT, path + ": not a whole file of test cases");
}

}  // namespace rules_torch::testing
