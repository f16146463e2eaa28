// Weights files with random damage: whatever the bytes are, they are refused with a
// reason, or every weight can be read and, in a build's file, is the one that was
// written.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/internal/safetensors.h"
#include "runtime/internal/weights_file.h"
#include "tests/runtime/fuzz.h"
#include "tests/runtime/weights_files.h"

namespace rules_torch::internal {
namespace {

using rules_torch::testing::FileOf;
using rules_torch::testing::ForEachSeed;
using rules_torch::testing::InMemory;
using rules_torch::testing::MetadataOf;
using rules_torch::testing::Random;
using rules_torch::testing::Stored;
using rules_torch::testing::WeightsApi;

class Damage {
 public:
  Damage(Random* random, const std::string& file) : random_(*random) {
    std::uint64_t length = 0;
    std::memcpy(&length, file.data(), 8);
    header_ = file.substr(8, length);
    data_ = file.substr(8 + length);
  }

  std::string Do() {
    const std::size_t times = 1 + Below(3);
    for (std::size_t i = 0; i < times; ++i) InHeader();
    std::string file = FileOf(header_, data_);
    if (Below(4) == 0) InBytes(&file);
    return file;
  }

 private:
  std::size_t Below(std::size_t bound) { return random_.Below(bound); }
  char Byte() { return static_cast<char>(Below(256)); }

  // A place in the header that is not padding.
  std::size_t Place() { return Below(header_.find_last_not_of(' ') + 1); }
  std::size_t Length() { return 1 + Below(Below(4) == 0 ? 300 : 12); }

  // Where a number of the header starts, at or after a random place.
  std::size_t Number() {
    const std::size_t at = header_.find_first_of("0123456789", Place());
    return at == std::string::npos ? Place() : at;
  }

  // Changes what the header says; its length is right.
  void InHeader() {
    static const char* const kNumbers[] = {"0",
                                           "1",
                                           "4",
                                           "64",
                                           "2147483648",
                                           "4294967296",
                                           "9223372036854775807",
                                           "9223372036854775808",
                                           "18446744073709551615",
                                           "18446744073709551616",
                                           "99999999999999999999999",
                                           "-1",
                                           "1.0",
                                           "1e9",
                                           "00"};
    static const char* const kTokens[] = {"{",
                                          "}",
                                          "[",
                                          "]",
                                          ",",
                                          ":",
                                          "\"",
                                          "\\",
                                          "\\u",
                                          "\\ud83d\\ude00",
                                          "\\ud800",
                                          "\\u0000",
                                          "null",
                                          "true",
                                          "\"x\":{}",
                                          "\"dtype\":\"F32\",",
                                          "\"shape\":[],",
                                          "\"__metadata__\":{},",
                                          "rules_torch.",
                                          "\xff\xfe",
                                          "\n"};
    switch (Below(10)) {
      case 0:  // nothing: the data may be changed
        break;
      case 1:
        header_[Place()] = Byte();
        break;
      case 2: {
        char& c = header_[Place()];
        c = static_cast<char>(c ^ (1 << Below(8)));
        break;
      }
      case 3: {  // a number
        const std::size_t at = Number();
        const std::size_t end = header_.find_first_not_of("0123456789", at);
        header_.replace(at, end - at, kNumbers[Below(std::size(kNumbers))]);
        break;
      }
      case 4:
        header_.insert(Place(), kTokens[Below(std::size(kTokens))]);
        break;
      case 5:
        header_.erase(Place(), Length());
        break;
      case 6: {  // a piece twice
        const std::string piece = header_.substr(Place(), Length());
        header_.insert(Place(), piece);
        break;
      }
      case 7: {  // a key and its value twice
        const std::size_t at = header_.find(",\"", Place());
        if (at == std::string::npos) break;
        const std::size_t next = header_.find(",\"", at + 1);
        const std::string piece = header_.substr(at, next - at);
        header_.insert(at, piece);
        break;
      }
      case 8: {  // deep
        std::string nest;
        const char* level = Below(2) == 0 ? "[" : "{\"x\":";
        const std::size_t depth = Below(3000);
        for (std::size_t i = 0; i < depth; ++i) nest += level;
        header_.insert(Number(), nest);
        break;
      }
      default: {  // two pieces change places: names, digests, offsets
        const std::size_t length = Length();
        const std::size_t a = Place();
        const std::size_t b = Place();
        if (std::max(a, b) + length > header_.size()) break;
        std::swap_ranges(header_.begin() + static_cast<std::ptrdiff_t>(a),
                         header_.begin() + static_cast<std::ptrdiff_t>(
                                               std::min(a + length, std::max(a, b))),
                         header_.begin() + static_cast<std::ptrdiff_t>(b));
        break;
      }
    }
    if (header_.empty()) header_ = "{";
  }

  void InBytes(std::string* file) {
    switch (Below(5)) {
      case 0: {  // an end, of the header, too
        file->resize(Below(file->size() + 1));
        const std::uint64_t length = file->size() - 8;
        if (Below(2) == 0 && file->size() >= 8) std::memcpy(file->data(), &length, 8);
        break;
      }
      case 1:
        file->append(Length(), Byte());
        break;
      case 2: {  // the header's length
        const std::uint64_t length =
            Below(2) == 0 ? random_.Bits() >> Below(64) : file->size() - Below(20);
        std::memcpy(file->data(), &length, 8);
        break;
      }
      case 3: {
        if (file->empty()) break;
        char& c = (*file)[Below(file->size())];
        c = static_cast<char>(c ^ (1 << Below(8)));
        break;
      }
      default:
        if (!data_.empty()) (*file)[file->size() - 1 - Below(data_.size())] = Byte();
        break;
    }
  }

  Random& random_;
  std::string header_;
  std::string data_;
};

class WeightsFuzzTest : public ::testing::Test {
 protected:
  // A model and a file of its weights, a build's or another's.
  struct Case {
    std::string file;
    std::vector<std::string> bytes;  // of each weight, as the model has it
  };

  WeightsFuzzTest()
      : model_({{"conv.weight", RTORCH_FLOAT32, {4, 3, 2}, {}},
                {"linear.weight", RTORCH_BFLOAT16, {3, 5}, {1, 3}},
                {"mask", RTORCH_BOOL, {7}, {}},
                {"expanded", RTORCH_INT16, {3, 2}, {0, 1}},
                {"gaps", RTORCH_FLOAT64, {2, 2}, {3, 1}},
                {"steps", RTORCH_INT64, {}, {}},
                {"empty", RTORCH_FLOAT32, {0, 2}, {}}}) {
    std::vector<Stored> ours = {
        {"conv.weight", "F32", {4, 3, 2}, RandomBytes(96)},
        {"empty", "F32", {0, 2}, ""},
        {"gaps", "F64", {5}, RandomBytes(40)},
        {"steps", "I64", {}, RandomBytes(8)},
        {"linear.weight", "BF16", {5, 3}, RandomBytes(30)},
        {"expanded", "I16", {2}, RandomBytes(4)},
        {"mask", "BOOL", {7}, std::string("\1\0\1\1\0\0\1", 7)},
    };
    auto metadata = MetadataOf(ours);
    metadata.insert(metadata.end(), {{"rules_torch.strides.linear.weight", "1,3"},
                                     {"rules_torch.strides.expanded", "0,1"},
                                     {"rules_torch.strides.gaps", "3,1"}});
    ours_ = CaseOf(FileOf(ours, metadata));

    std::vector<Stored> foreign = ours;
    foreign[2] = {"gaps", "F64", {2, 2}, RandomBytes(32)};
    foreign[4].shape = {3, 5};
    foreign[5] = {"expanded", "I16", {3, 2}, "abcdabcdabcd"};
    foreign.push_back({"other", "F4", {9}, "?"});
    foreign_ = CaseOf(FileOf(foreign, {{"format", "pt"}}));
  }

  std::string RandomBytes(std::size_t size) {
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i) {
      bytes += static_cast<char>(random_.Below(256));
    }
    return bytes;
  }

  std::vector<std::string> BytesOf(const Weights& weights) const {
    std::vector<std::string> bytes;
    for (std::int32_t i = 0; i < model_.api().num_weights; ++i) {
      bytes.emplace_back(static_cast<const char*>(weights.pointers()[i]),
                         model_.api().weights[i].bytes);
    }
    return bytes;
  }

  Case CaseOf(const std::string& file) const {
    const InMemory memory(file);
    std::shared_ptr<const Weights> found;
    std::string reason;
    EXPECT_EQ(FindWeights(model_.api(), memory.source(), &found, &reason), RTORCH_OK)
        << reason;
    return {file, found == nullptr ? std::vector<std::string>{} : BytesOf(*found)};
  }

  static bool IsOurs(const InMemory& memory) {
    Safetensors file;
    std::string reason;
    EXPECT_EQ(ReadSafetensors(memory.begin(), memory.source().size, &file, &reason),
              RTORCH_OK)
        << reason;
    return std::any_of(
        file.metadata.begin(), file.metadata.end(),
        [](const auto& text) { return text.first.rfind("rules_torch.", 0) == 0; });
  }

  // Whether the damaged file still gave weights.
  bool Try(std::uint64_t seed) {
    Random random(seed);
    const std::string file =
        Damage(&random, (seed % 2 == 0 ? ours_ : foreign_).file).Do();
    const InMemory memory(file, random.Below(9));
    int deletions = 0;
    const RTorchWeights source = memory.source(&deletions);
    std::shared_ptr<const Weights> found;
    std::string reason;
    const RTorchCode code = FindWeights(model_.api(), source, &found, &reason);
    EXPECT_EQ(deletions, 0);
    if (code != RTORCH_OK) {
      EXPECT_TRUE(code == RTORCH_INVALID_ARGUMENT || code == RTORCH_DATA_LOSS) << code;
      EXPECT_EQ(found, nullptr);
      EXPECT_NE(reason, "");
      return false;
    }
    EXPECT_EQ(reason, "");
    for (std::int32_t i = 0; i < model_.api().num_weights; ++i) {
      const RTorchWeightSpec& spec = model_.api().weights[i];
      const auto address = reinterpret_cast<std::uintptr_t>(found->pointers()[i]);
      EXPECT_TRUE(spec.bytes == 0 || address % FindElementType(spec.dtype)->bytes == 0)
          << spec.name;
    }
    const std::vector<std::string> bytes = BytesOf(*found);
    if (IsOurs(memory)) {
      EXPECT_EQ(bytes, ours_.bytes);
    }
    found.reset();
    EXPECT_EQ(deletions, 1);
    return true;
  }

  Random random_{7};
  const WeightsApi model_;
  Case ours_;
  Case foreign_;
};

TEST_F(WeightsFuzzTest, DamageIsFoundOrDoesNoHarm) {
  std::uint64_t right = 0;
  const std::uint64_t files =
      ForEachSeed(100'000, [&](std::uint64_t seed) { right += Try(seed) ? 1 : 0; });
  RecordProperty("right", std::to_string(right));
  if (files >= 1000) {
    EXPECT_GT(right, files / 100) << "nothing but refusals tells little";
    EXPECT_LT(right, files / 2) << "so little damage tells little";
  }
}

}  // namespace
}  // namespace rules_torch::internal
