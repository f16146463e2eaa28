// Weights in files and in memory: what is found, where, and what is refused.
#include "runtime/internal/weights_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <numeric>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/internal/blob.h"
#include "tests/runtime/weights_files.h"

namespace rules_torch::internal {
namespace {

using rules_torch::testing::BytesOf;
using rules_torch::testing::FileOf;
using rules_torch::testing::InMemory;
using rules_torch::testing::Metadata;
using rules_torch::testing::MetadataOf;
using rules_torch::testing::Stored;
using rules_torch::testing::WeightsApi;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const std::vector<float> kMatrix = {1, 2, 3, 4, 5, 6};
const std::vector<std::int64_t> kSteps = {7};

// A matrix and a scalar, both row-major.
std::vector<rules_torch::testing::Weight> Plain() {
  return {{"layer.weight", RTORCH_FLOAT32, {2, 3}, {}},
          {"steps", RTORCH_INT64, {}, {}}};
}
std::vector<Stored> PlainTensors() {
  return {{"steps", "I64", {}, BytesOf(kSteps)},
          {"layer.weight", "F32", {2, 3}, BytesOf(kMatrix)}};
}
std::string OursOf(const std::vector<Stored>& tensors) {
  return FileOf(tensors, MetadataOf(tensors));
}

// What was found, or why nothing was.
struct Outcome {
  RTorchCode code;
  std::string reason;
  std::shared_ptr<const Weights> weights;

  // A weight's first elements.
  template <typename T>
  std::vector<T> Elements(std::size_t weight, std::size_t count) const {
    const T* first = static_cast<const T*>(weights->pointers()[weight]);
    return {first, first + count};
  }
};

Outcome Find(const WeightsApi& model, const RTorchWeights& source) {
  Outcome outcome{};
  outcome.code = FindWeights(model.api(), source, &outcome.weights, &outcome.reason);
  EXPECT_EQ(outcome.weights != nullptr, outcome.code == RTORCH_OK);
  EXPECT_EQ(outcome.reason.empty(), outcome.code == RTORCH_OK) << outcome.reason;
  return outcome;
}

// The reason why these are not found in a file.
std::string Refusal(RTorchCode code, const WeightsApi& model, const std::string& file) {
  const InMemory memory(file);
  const Outcome outcome = Find(model, memory.source());
  EXPECT_EQ(outcome.code, code) << outcome.reason;
  constexpr char kStart[] = "the weights file in memory ";
  EXPECT_THAT(outcome.reason, StartsWith(kStart));
  return outcome.reason.substr(sizeof kStart - 1);
}

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  if (at == std::string::npos) {
    ADD_FAILURE() << "no " << from;
    return text;
  }
  return text.replace(at, from.size(), to);
}

// ---- Files of other tools.

TEST(WeightsFileTest, FindsTensorsByNameAndUsesThemWhereTheyLie) {
  const WeightsApi model(Plain());
  const InMemory memory(FileOf(PlainTensors()));
  const Outcome outcome = Find(model, memory.source());
  ASSERT_EQ(outcome.code, RTORCH_OK) << outcome.reason;
  EXPECT_EQ(outcome.Elements<float>(0, 6), kMatrix);
  EXPECT_EQ(outcome.Elements<std::int64_t>(1, 1), kSteps);
  EXPECT_EQ(outcome.weights->pointers()[0], memory.end() - 6 * sizeof(float));
}

// The file has a hole there, so that it is not large on the disk.
TEST(WeightsFileTest, FindsTensorsBehindFourGigabytes) {
  const WeightsApi model(Plain());
  constexpr std::uint64_t kHole = std::uint64_t{5} << 30;
  const std::string data = BytesOf(kMatrix) + BytesOf(kSteps);
  std::ostringstream header;
  header << R"({"hole":{"dtype":"U8","shape":[)" << kHole << R"(],"data_offsets":[0,)"
         << kHole << R"(]},"layer.weight":{"dtype":"F32","shape":[2,3],)"
         << R"("data_offsets":[)" << kHole << ',' << kHole + 24
         << R"(]},"steps":{"dtype":"I64","shape":[],"data_offsets":[)" << kHole + 24
         << ',' << kHole + 32 << "]}}";
  const std::string beginning = FileOf(header.str(), "");
  const std::string path = ::testing::TempDir() + "/large.safetensors";
  std::ofstream file(path, std::ios::binary);
  file << beginning;
  file.seekp(static_cast<std::streamoff>(beginning.size() + kHole));
  file << data;
  file.close();
  ASSERT_TRUE(file) << "is there a limit on the size of files?";

  RTorchWeights source{};
  source.struct_size = sizeof source;
  source.path = path.c_str();
  const Outcome outcome = Find(model, source);
  ASSERT_EQ(outcome.code, RTORCH_OK) << outcome.reason;
  EXPECT_EQ(outcome.Elements<float>(0, 6), kMatrix);
  EXPECT_EQ(outcome.Elements<std::int64_t>(1, 1), kSteps);
  std::remove(path.c_str());
}

TEST(WeightsFileTest, IgnoresNamesThatTheModelDoesNotHave) {
  auto tensors = PlainTensors();
  tensors.push_back({"other", "F4", {3}, "?"});
  const InMemory memory(FileOf(tensors, {{"format", "pt"}}));
  EXPECT_EQ(Find(WeightsApi(Plain()), memory.source()).code, RTORCH_OK);
}

TEST(WeightsFileTest, CopiesWhatTheKernelsWantInAnotherOrder) {
  const WeightsApi model({{"layer.weight", RTORCH_FLOAT32, {2, 3}, {1, 2}},
                          {"steps", RTORCH_INT64, {}, {}}});
  const InMemory memory(FileOf(PlainTensors()));
  const Outcome outcome = Find(model, memory.source());
  ASSERT_EQ(outcome.code, RTORCH_OK) << outcome.reason;
  EXPECT_EQ(outcome.Elements<float>(0, 6), (std::vector<float>{1, 4, 2, 5, 3, 6}));
  const void* copy = outcome.weights->pointers()[0];
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(copy) % 64, 0u);
}

TEST(WeightsFileTest, CopiesIntoGaps) {
  const WeightsApi model({{"x", RTORCH_FLOAT32, {2, 3}, {4, 1}}});
  const InMemory memory(FileOf({{"x", "F32", {2, 3}, BytesOf(kMatrix)}}));
  const Outcome outcome = Find(model, memory.source());
  ASSERT_EQ(outcome.code, RTORCH_OK) << outcome.reason;
  EXPECT_EQ(outcome.Elements<float>(0, 7), (std::vector<float>{1, 2, 3, 0, 4, 5, 6}));
}

TEST(WeightsFileTest, AnExpandedWeightMustRepeatItsElements) {
  const WeightsApi model({{"x", RTORCH_INT16, {2, 3}, {0, 1}}});
  const std::vector<std::int16_t> same = {1, 2, 3, 1, 2, 3};
  const InMemory memory(FileOf({{"x", "I16", {2, 3}, BytesOf(same)}}));
  const Outcome outcome = Find(model, memory.source());
  ASSERT_EQ(outcome.code, RTORCH_OK) << outcome.reason;
  EXPECT_EQ(outcome.Elements<std::int16_t>(0, 3), (std::vector<std::int16_t>{1, 2, 3}));

  const std::vector<std::int16_t> different = {1, 2, 3, 1, 2, 4};
  EXPECT_THAT(Refusal(RTORCH_INVALID_ARGUMENT, model,
                      FileOf({{"x", "I16", {2, 3}, BytesOf(different)}})),
              HasSubstr("different elements in the weight \"x\" that are one element"));
}

TEST(WeightsFileTest, CopiesWhatIsNotAlignedForItsElements) {
  const WeightsApi model(Plain());
  for (const bool ours : {false, true}) {
    for (const std::size_t misalignment : {1, 2, 4, 8}) {
      const InMemory memory(ours ? OursOf(PlainTensors()) : FileOf(PlainTensors()),
                            misalignment);
      const Outcome outcome = Find(model, memory.source());
      ASSERT_EQ(outcome.code, RTORCH_OK) << outcome.reason;
      EXPECT_EQ(outcome.Elements<float>(0, 6), kMatrix);
      EXPECT_EQ(outcome.Elements<std::int64_t>(1, 1), kSteps);
      const auto* matrix =
          static_cast<const std::uint8_t*>(outcome.weights->pointers()[0]);
      EXPECT_EQ(matrix >= memory.begin() && matrix < memory.end(), misalignment >= 4);
    }
  }
}

TEST(WeightsFileTest, TellsWhatDoesNotFit) {
  EXPECT_EQ(Refusal(RTORCH_INVALID_ARGUMENT, WeightsApi(Plain()),
                    FileOf({{"layer.weight", "F32", {3, 2}, BytesOf(kMatrix)}})),
            "does not fit //fake:model; 1 weight is missing: steps; 1 weight is of "
            "another type or shape: layer.weight (F32[3, 2] in the file, F32[2, 3] in "
            "the model)");
  EXPECT_EQ(
      Refusal(RTORCH_INVALID_ARGUMENT, WeightsApi({{"steps", RTORCH_INT64, {}, {}}}),
              FileOf({{"steps", "F64", {}, BytesOf(kSteps)}})),
      "does not fit //fake:model; 1 weight is of another type or shape: steps "
      "(F64[] in the file, I64[] in the model)");
  EXPECT_THAT(
      Refusal(RTORCH_INVALID_ARGUMENT, WeightsApi({{"x", RTORCH_UINT8, {1}, {}}}),
              FileOf({{"x", "F8_E8M0", {1}, "?"}})),
      HasSubstr("x (F8_E8M0[1] in the file, U8[1] in the model)"));
}

TEST(WeightsFileTest, ListsTheFirstFewOfMany) {
  std::vector<rules_torch::testing::Weight> many;
  for (char c = 'a'; c <= 'h'; ++c) {
    many.push_back({std::string(1, c), RTORCH_FLOAT32, {1}, {}});
  }
  EXPECT_EQ(Refusal(RTORCH_INVALID_ARGUMENT, WeightsApi(many),
                    FileOf({{"x", "F32", {1}, "1234"}})),
            "does not fit //fake:model; 8 weights are missing: a, b, c, d, e, and 3 "
            "more");
}

TEST(WeightsFileTest, BoolsAreZeroOrOne) {
  const WeightsApi model({{"mask", RTORCH_BOOL, {3}, {}}});
  for (const bool ours : {false, true}) {
    const auto file = [&](const std::string& bytes) {
      const std::vector<Stored> tensors = {{"mask", "BOOL", {3}, bytes}};
      return ours ? OursOf(tensors) : FileOf(tensors);
    };
    const InMemory memory(file(std::string("\0\1\1", 3)));
    EXPECT_EQ(Find(model, memory.source()).code, RTORCH_OK);
    EXPECT_EQ(Refusal(RTORCH_INVALID_ARGUMENT, model, file(std::string("\0\1\2", 3))),
              "has bytes in the bool weight \"mask\" that are neither 0 nor 1");
  }
}

TEST(WeightsFileTest, KnowsEachElementType) {
  const std::pair<const char*, RTorchDType> types[] = {
      {"BOOL", RTORCH_BOOL},   {"U8", RTORCH_UINT8},      {"I8", RTORCH_INT8},
      {"I16", RTORCH_INT16},   {"I32", RTORCH_INT32},     {"I64", RTORCH_INT64},
      {"F16", RTORCH_FLOAT16}, {"BF16", RTORCH_BFLOAT16}, {"F32", RTORCH_FLOAT32},
      {"F64", RTORCH_FLOAT64},
  };
  for (const auto& [name, dtype] : types) {
    const WeightsApi model({{"x", dtype, {2}, {}}});
    const std::string bytes(static_cast<std::size_t>(model.api().weights_size), '\1');
    const InMemory memory(FileOf({{"x", name, {2}, bytes}}));
    const Outcome outcome = Find(model, memory.source());
    EXPECT_EQ(outcome.code, RTORCH_OK) << outcome.reason;
  }
}

TEST(WeightsFileTest, WeightsMayBeEmptyAndModelsMayHaveNone) {
  const WeightsApi empty({{"x", RTORCH_FLOAT32, {0, 3}, {}}});
  const InMemory of_none(FileOf({{"x", "F32", {0, 3}, ""}}));
  const Outcome outcome = Find(empty, of_none.source());
  ASSERT_EQ(outcome.code, RTORCH_OK) << outcome.reason;
  EXPECT_NE(outcome.weights->pointers()[0], nullptr);

  const InMemory nothing(FileOf(std::vector<Stored>{}));
  EXPECT_EQ(Find(WeightsApi({}), nothing.source()).code, RTORCH_OK);
}

// ---- Files of a build.

TEST(WeightsFileTest, ABuildsFileIsUsedWhereItLies) {
  // Each as the kernels want it: transposed, channels last but one, expanded, with
  // gaps.
  const WeightsApi model({{"transposed", RTORCH_FLOAT32, {2, 3}, {1, 2}},
                          {"permuted", RTORCH_INT16, {2, 1, 3}, {1, 9, 2}},
                          {"expanded", RTORCH_FLOAT32, {4, 2}, {0, 1}},
                          {"gaps", RTORCH_FLOAT32, {2, 2}, {3, 1}}});
  const std::vector<std::int16_t> shorts = {1, 2, 3, 4, 5, 6};
  const std::vector<float> five = {1, 2, 0, 3, 4};
  const std::vector<Stored> tensors = {
      {"transposed", "F32", {3, 2}, BytesOf(kMatrix)},
      {"expanded", "F32", {2}, BytesOf(std::vector<float>{8, 9})},
      {"gaps", "F32", {5}, BytesOf(five)},
      {"permuted", "I16", {1, 3, 2}, BytesOf(shorts)}};
  Metadata metadata = MetadataOf(tensors);
  metadata.insert(metadata.end(), {{"rules_torch.strides.transposed", "1,2"},
                                   {"rules_torch.strides.permuted", "1,9,2"},
                                   {"rules_torch.strides.expanded", "0,1"},
                                   {"rules_torch.strides.gaps", "3,1"}});
  const InMemory memory(FileOf(tensors, metadata));
  const Outcome outcome = Find(model, memory.source());
  ASSERT_EQ(outcome.code, RTORCH_OK) << outcome.reason;
  EXPECT_EQ(outcome.Elements<float>(0, 6), kMatrix);
  EXPECT_EQ(outcome.Elements<std::int16_t>(1, 6), shorts);
  EXPECT_EQ(outcome.Elements<float>(2, 2), (std::vector<float>{8, 9}));
  EXPECT_EQ(outcome.Elements<float>(3, 5), five);
  for (int i = 0; i < 4; ++i) {
    const auto* found =
        static_cast<const std::uint8_t*>(outcome.weights->pointers()[i]);
    EXPECT_TRUE(found >= memory.begin() && found < memory.end()) << i;
  }
}

// tests/tools/weights_file_test.py says what the file has, and that it is what the tool
// writes.
TEST(WeightsFileTest, FindsWhatTheToolWrites) {
  const WeightsApi model(
      {{"mask", RTORCH_BOOL, {3}, {}},
       {"layer.weight", RTORCH_FLOAT32, {4, 4}, {}},
       {"layer.bias", RTORCH_BFLOAT16, {3}, {}},
       {"transposed", RTORCH_FLOAT32, {3, 2}, {1, 3}},
       {"channels_last", RTORCH_FLOAT32, {1, 3, 2, 2}, {12, 1, 6, 3}},
       {"expanded", RTORCH_INT16, {4, 2}, {0, 1}},
       {"gaps", RTORCH_FLOAT64, {2, 2}, {4, 1}},
       {"steps", RTORCH_INT64, {}, {}},
       {"empty", RTORCH_FLOAT32, {0, 2}, {}},
       {"ein \"Name\" \xc3\xbc", RTORCH_UINT8, {2}, {}}});
  RTorchWeights source{};
  source.struct_size = sizeof source;
  source.path = WRITTEN;
  const Outcome outcome = Find(model, source);
  ASSERT_EQ(outcome.code, RTORCH_OK) << outcome.reason;

  std::vector<float> indices(16);
  std::iota(indices.begin(), indices.end(), 0.0f);
  EXPECT_EQ(outcome.Elements<std::uint8_t>(0, 3), (std::vector<std::uint8_t>{1, 0, 1}));
  EXPECT_EQ(outcome.Elements<float>(1, 16), indices);
  EXPECT_EQ(outcome.Elements<std::uint16_t>(2, 3),
            (std::vector<std::uint16_t>{0, 0x3f80, 0x4000}));
  EXPECT_EQ(outcome.Elements<float>(3, 6),
            std::vector<float>(indices.begin(), indices.begin() + 6));
  EXPECT_EQ(outcome.Elements<float>(4, 12),
            std::vector<float>(indices.begin(), indices.begin() + 12));
  EXPECT_EQ(outcome.Elements<std::int16_t>(5, 2), (std::vector<std::int16_t>{0, 1}));
  EXPECT_EQ(outcome.Elements<double>(6, 6), (std::vector<double>{5, 6, 0, 0, 9, 10}));
  EXPECT_EQ(outcome.Elements<std::int64_t>(7, 1), kSteps);
  EXPECT_EQ(outcome.Elements<std::uint8_t>(9, 2), (std::vector<std::uint8_t>{0, 1}));
}

TEST(WeightsFileTest, AChangedByteIsLostData) {
  const WeightsApi model(Plain());
  const std::string file = OursOf(PlainTensors());
  for (std::size_t i = 1; i <= 6 * sizeof(float) + sizeof(std::int64_t); ++i) {
    std::string changed = file;
    changed[changed.size() - i] = static_cast<char>(changed[changed.size() - i] ^ 1);
    const char* weight = i <= 6 * sizeof(float) ? "layer.weight" : "steps";
    EXPECT_THAT(Refusal(RTORCH_DATA_LOSS, model, changed),
                StartsWith(std::string("was changed: the weight \"") + weight +
                           "\" has the BLAKE2b digest "));
  }
}

TEST(WeightsFileTest, AFileThatIsCutShortIsLostData) {
  const WeightsApi model(Plain());
  const std::string file = OursOf(PlainTensors());
  for (std::size_t size = 9; size < file.size(); ++size) {
    EXPECT_THAT(Refusal(RTORCH_DATA_LOSS, model, file.substr(0, size)),
                StartsWith("is cut short: "));
  }
  for (const std::size_t size : {0, 1, 8}) {
    Refusal(RTORCH_INVALID_ARGUMENT, model, file.substr(0, size));
  }
}

TEST(WeightsFileTest, ADigestMustBeThere) {
  auto metadata = MetadataOf(PlainTensors());
  metadata.pop_back();
  EXPECT_THAT(
      Refusal(RTORCH_DATA_LOSS, WeightsApi(Plain()), FileOf(PlainTensors(), metadata)),
      HasSubstr("the file says \"\""));
}

TEST(WeightsFileTest, AnotherVersionOfTheFormatIsRefused) {
  const std::string file = OursOf(PlainTensors());
  const auto refusal = [&](const std::string& from, const std::string& to) {
    return Refusal(RTORCH_INVALID_ARGUMENT, WeightsApi(Plain()),
                   Replaced(file, from, to));
  };
  EXPECT_EQ(refusal("format\":\"1", "format\":\"2"),
            "was made by another version of rules_torch, or changed: its format is "
            "\"2\", not \"1\"");
  EXPECT_THAT(refusal("torch.format", "torch.formed"), HasSubstr("its format is \"\""));
  EXPECT_THAT(refusal("order\":\"little", "order\":\"middle"),
              HasSubstr("its byte_order is \"middle\", not \"little\""));
}

TEST(WeightsFileTest, ABuildsFileHasTheModelsNamesAlone) {
  auto tensors = PlainTensors();
  tensors.push_back({"other", "U8", {1}, "?"});
  EXPECT_EQ(Refusal(RTORCH_INVALID_ARGUMENT, WeightsApi(Plain()), OursOf(tensors)),
            "does not fit //fake:model; 1 weight is not the model's: \"other\"");
}

TEST(WeightsFileTest, ABuildsFileForOtherKernelsIsRefused) {
  // Square, so that its shape does not tell.
  const std::vector<Stored> tensors = {
      {"x", "F32", {2, 2}, BytesOf(std::vector<float>{1, 2, 3, 4})}};
  const WeightsApi transposed({{"x", RTORCH_FLOAT32, {2, 2}, {1, 2}}});
  const WeightsApi plain({{"x", RTORCH_FLOAT32, {2, 2}, {}}});
  auto metadata = MetadataOf(tensors);
  const std::string of_plain = FileOf(tensors, metadata);
  metadata.emplace_back("rules_torch.strides.x", "1,2");
  const std::string of_transposed = FileOf(tensors, metadata);

  const char* problem =
      "does not fit //fake:model; 1 weight is laid out for the kernels of another "
      "build: x";
  EXPECT_EQ(Refusal(RTORCH_INVALID_ARGUMENT, transposed, of_plain), problem);
  EXPECT_EQ(Refusal(RTORCH_INVALID_ARGUMENT, plain, of_transposed), problem);
  const InMemory memory(of_transposed);
  EXPECT_EQ(Find(transposed, memory.source()).code, RTORCH_OK);
}

TEST(WeightsFileTest, TheLibrarysOwnAreFoundByTheirOffsets) {
  const WeightsApi model(Plain());
  const InMemory memory(FileOf({{"layer.weight", "F32", {2, 3}, BytesOf(kMatrix)},
                                {"steps", "I64", {}, BytesOf(kSteps)}}));
  const Blob blob = {memory.begin(),
                     static_cast<std::uint64_t>(memory.end() - memory.begin())};
  const auto weights = EmbeddedWeights(model.api(), blob);
  const std::uint8_t* data = memory.end() - 6 * sizeof(float) - sizeof(std::int64_t);
  EXPECT_EQ(weights->pointers()[0], data);
  EXPECT_EQ(weights->pointers()[1], data + 6 * sizeof(float));
}

// ---- Headers.

std::string HeaderRefusal(const std::string& header, const std::string& data = "") {
  return Refusal(RTORCH_INVALID_ARGUMENT, WeightsApi({}), FileOf(header, data));
}

TEST(WeightsFileTest, WhatIsNoSafetensorsFile) {
  const WeightsApi model({});
  const char* no_file =
      "is not a safetensors file: it does not start with the length of a header and "
      "the "
      "header";
  EXPECT_EQ(Refusal(RTORCH_INVALID_ARGUMENT, model, ""), "is empty");
  EXPECT_EQ(Refusal(RTORCH_INVALID_ARGUMENT, model, "x"),
            "is not a safetensors file: it has only 1 bytes");
  EXPECT_EQ(Refusal(RTORCH_INVALID_ARGUMENT, model, "PK\3\4 an archive of torch.save"),
            no_file);
  EXPECT_EQ(HeaderRefusal("[]"), no_file);
  EXPECT_EQ(Refusal(RTORCH_INVALID_ARGUMENT, model, std::string(8, '\xff') + "{}"),
            no_file);
  EXPECT_THAT(Refusal(RTORCH_INVALID_ARGUMENT, model, std::string(8, '\0') + "{}"),
              HasSubstr("expected '{', at byte 8"));
}

TEST(WeightsFileTest, BrokenHeaders) {
  const auto tensor = [](const std::string& dtype, const std::string& shape,
                         const std::string& offsets) {
    return "{\"x\":{\"dtype\":" + dtype + ",\"shape\":" + shape +
           ",\"data_offsets\":" + offsets + "}}";
  };
  const std::pair<std::string, const char*> cases[] = {
      {"{", "expected '\"'"},
      {"{\"x", "a string does not end"},
      {"{\"x\"}", "expected ':'"},
      {"{\"x\":1}", "expected '{'"},
      {"{\"x\":{}}", "the tensor \"x\" has no dtype"},
      {"{\"x\":{\"dtype\":\"F32\"}}", "has no shape"},
      {"{\"x\":{\"dtype\":\"F32\",\"shape\":[]}}", "has no data_offsets"},
      {"{\"x\":{\"more\":1}}", "a tensor has the key \"more\""},
      {"{}{", "expected nothing but spaces after the last '}'"},
      {"{}\"", "expected nothing but spaces"},
      {"{},", "expected nothing but spaces"},
      {"{\"__metadata__\":{\"a\":1}}", "expected '\"'"},
      {"{\"__metadata__\":{\"a\":\"1\" \"b\"}}", "expected ',' or '}'"},
      {"{\"__metadata__\":{\"a\":\"1\",\"a\":\"1\"}}", "the key \"a\" is there twice"},
      {"{\"__metadata__\":{},\"__metadata__\":{}}", "is there twice"},
      {"{\"\\u005f_metadata__\":{},\"__metadata__\":{}}", "is there twice"},
      {"{\"a\tb\":1}", "a control character in a string"},
      {"{\"\\x\":1}", "an unknown escape"},
      {"{\"\\u12\":1}", "expected a hexadecimal digit"},
      {"{\"\\ud800\":1}", "half a surrogate pair"},
      {"{\"\\ud800\\u0041\":1}", "half a surrogate pair"},
      {"{\"\\udc00\":1}", "half a surrogate pair"},
      {tensor("32", "[]", "[0,0]"), "expected '\"'"},
      {tensor("\"F32\"", "{}", "[0,0]"), "expected '['"},
      {tensor("\"F32\"", "[-1]", "[0,0]"), "expected a whole number"},
      {tensor("\"F32\"", "[1.5]", "[0,0]"), "expected ',' or ']'"},
      {tensor("\"F32\"", "[1e1]", "[0,0]"), "expected ',' or ']'"},
      {tensor("\"F32\"", "[01]", "[0,0]"), "a number starts with 0"},
      {tensor("\"F32\"", "[1,]", "[0,0]"), "expected a whole number"},
      {tensor("\"F32\"", "[[1]]", "[0,0]"), "expected a whole number"},
      {tensor("\"F32\"", "[18446744073709551616]", "[0,0]"), "too large a number"},
      {tensor("\"F32\"", "[9223372036854775808]", "[0,0]"), "too large a size"},
      {tensor("\"F32\"", "[1]", "[4]"), "data_offsets are not two numbers"},
      {tensor("\"F32\"", "[1]", "[0,4,8]"), "data_offsets are not two numbers"},
  };
  for (const auto& [header, problem] : cases) {
    EXPECT_THAT(HeaderRefusal(header),
                AllOf(StartsWith("its header is not one of a safetensors file: "),
                      HasSubstr(problem)))
        << header;
  }
  for (const auto& [shape, offsets] : {std::pair{"[1]", "[4,0]"},
                                       {"[1]", "[0,3]"},
                                       {"[2]", "[0,4]"},
                                       {"[4611686018427387905]", "[0,4]"},
                                       {"[4611686018427387904,4]", "[0,0]"}}) {
    EXPECT_THAT(HeaderRefusal(tensor("\"F32\"", shape, offsets), "1234"),
                AllOf(StartsWith("its header is wrong: \"x\" lies at bytes "),
                      HasSubstr("not what its shape and dtype demand")))
        << shape << offsets;
  }
  EXPECT_THAT(HeaderRefusal(tensor("\"F4\"", "[1]", "[4,0]"), "1234"),
              HasSubstr("lies at bytes 4 to 0"));
  EXPECT_EQ(Refusal(RTORCH_DATA_LOSS, WeightsApi({}),
                    FileOf(tensor("\"F32\"", "[1]", "[4,8]"), "1234")),
            "is cut short: \"x\" ends at byte 8 of the data, which has 4");
}

TEST(WeightsFileTest, NothingBehindAHeaderIsRead) {
  const std::string header =
      R"({"\u00e9\ud83d\ude00":{"dtype":"F32","shape":[1],"data_offsets":[10,14]}})";
  for (std::size_t size = 1; size < header.size(); ++size) {
    std::string file(8, '\0');
    file[0] = static_cast<char>(size);
    EXPECT_THAT(
        Refusal(RTORCH_INVALID_ARGUMENT, WeightsApi({}), file + header.substr(0, size)),
        HasSubstr("its header is not one of a safetensors file"));
  }
}

TEST(WeightsFileTest, NestingIsNotFollowed) {
  const std::string deep(1'000'000, '[');
  EXPECT_THAT(HeaderRefusal("{\"x\":{\"shape\":" + deep), HasSubstr("a whole number"));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"x\":";
  EXPECT_THAT(HeaderRefusal(objects), HasSubstr("a tensor has the key \"x\""));
}

TEST(WeightsFileTest, NamesMayBeEscaped) {
  const WeightsApi model(
      {{"a\"\\/\n\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", RTORCH_UINT8, {1}, {}}});
  const InMemory memory(FileOf(
      R"({ "a\"\\\/\n\u00e9\u20AC\ud83d\ude00" :
          { "data_offsets" : [ 0 , 1 ] , "shape" : [ 1 ] , "dtype" : "\u00558" } } )",
      "7"));
  const Outcome outcome = Find(model, memory.source());
  ASSERT_EQ(outcome.code, RTORCH_OK) << outcome.reason;
  EXPECT_EQ(outcome.Elements<std::uint8_t>(0, 1), std::vector<std::uint8_t>{'7'});
}

TEST(WeightsFileTest, MessagesAreShortAndPrintable) {
  const std::string reason =
      HeaderRefusal("{\"\\u0007" + std::string(5000, 'x') + "\":{}}");
  EXPECT_THAT(reason, HasSubstr("\"?xxx"));
  EXPECT_THAT(reason, HasSubstr("xxx...\""));
  EXPECT_LT(reason.size(), 300u);
}

// ---- Sources.

TEST(WeightsFileTest, SourcesThatAreNone) {
  const WeightsApi model(Plain());
  const InMemory memory(FileOf(PlainTensors()));
  RTorchWeights source = memory.source();
  source.struct_size = sizeof source - 1;
  EXPECT_EQ(Find(model, source).code, RTORCH_INVALID_ARGUMENT);
  // Nothing behind an early end is read: here, what no memory is.
  const auto early = std::make_unique<std::uint32_t>(4);
  std::shared_ptr<const Weights> weights;
  std::string reason;
  EXPECT_EQ(FindWeights(model.api(), *reinterpret_cast<RTorchWeights*>(early.get()),
                        &weights, &reason),
            RTORCH_INVALID_ARGUMENT);
  EXPECT_THAT(reason,
              StartsWith("RTorchWeights.struct_size is 4, and must be at least"));

  source = memory.source();
  source.struct_size = sizeof source + 8;
  EXPECT_EQ(Find(model, source).code, RTORCH_OK);

  source = memory.source();
  source.flags = 1;
  EXPECT_EQ(Find(model, source).reason,
            "RTorchWeights.flags has bits without a meaning here: 1");

  source = memory.source();
  source.data = nullptr;
  EXPECT_EQ(Find(model, source).reason, "RTorchWeights has neither a path nor data");
}

TEST(WeightsFileTest, TheDeleterIsCalledOnceWhenNothingUsesTheData) {
  const WeightsApi model(Plain());
  int deletions = 0;
  for (const bool right : {false, true}) {
    const InMemory memory(right ? OursOf(PlainTensors()) : "{}");
    const RTorchWeights source = memory.source(&deletions);
    {
      const Outcome outcome = Find(model, source);
      ASSERT_EQ(outcome.code == RTORCH_OK, right);
      const std::shared_ptr<const Weights> another = outcome.weights;
      EXPECT_EQ(deletions, 0);
    }
    EXPECT_EQ(deletions, right ? 1 : 0);
  }
}

class PathTest : public ::testing::Test {
 protected:
  PathTest() {
    std::string folder = ::testing::TempDir() + "weights_XXXXXX";
    EXPECT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    path_ = folder + "/weights.safetensors";
  }
  ~PathTest() override {
    std::remove(path_.c_str());
    std::remove((path_ + ".new").c_str());
    std::remove(folder_.c_str());
  }

  static void Write(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
  }
  Outcome FindAt(const std::string& path) {
    RTorchWeights source{};
    source.struct_size = sizeof source;
    source.path = path.c_str();
    const Outcome outcome = Find(model_, source);
    if (outcome.code != RTORCH_OK) {
      EXPECT_THAT(outcome.reason, StartsWith("'" + path + "' "));
    }
    return outcome;
  }

  const WeightsApi model_{Plain()};
  std::string folder_;
  std::string path_;
};

TEST_F(PathTest, AFileIsMappedAndMayBeReplacedByAnother) {
  for (const bool ours : {false, true}) {
    Write(path_, ours ? OursOf(PlainTensors()) : FileOf(PlainTensors()));
    const Outcome outcome = FindAt(path_);
    ASSERT_EQ(outcome.code, RTORCH_OK) << outcome.reason;
    EXPECT_EQ(outcome.Elements<float>(0, 6), kMatrix);
    EXPECT_EQ(outcome.Elements<std::int64_t>(1, 1), kSteps);

    Write(path_ + ".new", "{}");
    ASSERT_EQ(std::rename((path_ + ".new").c_str(), path_.c_str()), 0);
    EXPECT_EQ(outcome.Elements<float>(0, 6), kMatrix);
  }
}

TEST_F(PathTest, APathIsPreferredToData) {
  Write(path_, FileOf(PlainTensors()));
  RTorchWeights source{};
  source.struct_size = sizeof source;
  source.path = path_.c_str();
  source.data = "?";
  source.size = 1;
  EXPECT_EQ(Find(model_, source).code, RTORCH_OK);
}

TEST_F(PathTest, PathsThatAreNoFile) {
  Outcome outcome = FindAt(path_);
  EXPECT_EQ(outcome.code, RTORCH_NOT_FOUND);
  EXPECT_THAT(outcome.reason, HasSubstr("cannot be read: No such file or directory"));

  outcome = FindAt(folder_);
  EXPECT_EQ(outcome.code, RTORCH_INVALID_ARGUMENT);
  EXPECT_THAT(outcome.reason, HasSubstr("cannot be read: Is a directory"));

  outcome = FindAt("");
  EXPECT_EQ(outcome.code, RTORCH_NOT_FOUND);

  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  outcome = FindAt(path_);
  EXPECT_EQ(outcome.code, RTORCH_INVALID_ARGUMENT);
  EXPECT_THAT(outcome.reason, HasSubstr("is not a regular file"));
  std::remove(path_.c_str());

  Write(path_, "");
  outcome = FindAt(path_);
  EXPECT_EQ(outcome.code, RTORCH_INVALID_ARGUMENT);
  EXPECT_THAT(outcome.reason, HasSubstr("is empty"));

  outcome = FindAt(path_ + "/below");
  EXPECT_EQ(outcome.code, RTORCH_NOT_FOUND);
}

TEST_F(PathTest, AFileThatMayNotBeRead) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read everything";
  Write(path_, FileOf(PlainTensors()));
  ASSERT_EQ(chmod(path_.c_str(), 0), 0);
  const Outcome outcome = FindAt(path_);
  EXPECT_EQ(outcome.code, RTORCH_INVALID_ARGUMENT);
  EXPECT_THAT(outcome.reason, HasSubstr("cannot be read: Permission denied"));
}

TEST_F(PathTest, NoFileStaysOpen) {
  const int before = dup(0);
  close(before);
  Write(path_, FileOf(PlainTensors()));
  const Outcome found = FindAt(path_);
  FindAt(folder_);
  const int after = dup(0);
  close(after);
  EXPECT_EQ(before, after);
}

}  // namespace
}  // namespace rules_torch::internal
