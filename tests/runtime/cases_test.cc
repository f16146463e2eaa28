// The driver of torch_model_test: what it reads, and above all that it fails when
// a model is wrong.
#include "runtime/testing/cases.h"

#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "rules_torch/dtype.h"
#include "runtime/testing/model_test.h"
#include "tests/runtime/fake_model.h"

namespace rules_torch::testing {
namespace {

// Writes the format that tools/torch_aot/reference.py defines.
class Writer {
 public:
  Writer& Int32(std::int32_t value) { return Raw(&value, sizeof value); }
  Writer& Text(const std::string& text) { return Raw(text.data(), text.size()); }

  template <typename T>
  Writer& Tensor(const std::vector<std::int64_t>& sizes,
                 const std::vector<T>& elements) {
    Int32(DTypeOf<T>::value).Int32(static_cast<std::int32_t>(sizes.size()));
    Raw(sizes.data(), sizes.size() * sizeof(std::int64_t));
    return Raw(elements.data(), elements.size() * sizeof(T));
  }

  // The end of a case without float64.
  Writer& NoFloat64(const std::string& why) {
    return Int32(0).Int32(static_cast<std::int32_t>(why.size())).Text(why);
  }

  const std::string& bytes() const { return bytes_; }

 private:
  Writer& Raw(const void* data, std::size_t size) {
    if (size > 0) bytes_.append(static_cast<const char*>(data), size);
    return *this;
  }

  std::string bytes_;
};

// Writes a file that only the running test uses; returns its path.
std::string Write(const std::string& bytes) {
  const ::testing::TestInfo& test =
      *::testing::UnitTest::GetInstance()->current_test_info();
  const std::string path =
      ::testing::TempDir() + test.test_suite_name() + "." + test.name() + ".cases";
  std::ofstream file(path, std::ios::binary);
  file << bytes;
  EXPECT_TRUE(file.good()) << path;
  return path;
}

// The message for a file of these bytes, without its path; "" if it is read.
std::string MessageFor(const std::string& bytes) {
  const std::string path = Write(bytes);
  const StatusOr<std::vector<Case>> cases = ReadCases(path);
  if (cases.ok()) return "";
  EXPECT_EQ(cases.status().code(), RTORCH_INVALID_ARGUMENT);
  EXPECT_EQ(cases.status().message().substr(0, path.size()), path);
  return cases.status().message().substr(path.size());
}

constexpr char kBroken[] = ": not a whole file of test cases";

// Two cases: (int16[2, 3], bool[]) -> (float64[2], int8[1]), and of nothing much.
Writer Example() {
  Writer writer;
  writer.Text("RTCASES2").Int32(2);
  writer.Int32(2).Tensor<std::int16_t>({2, 3}, {1, 2, 3, -4, -5, -6});
  writer.Int32(RTORCH_BOOL).Int32(0).Text("\1");
  writer.Int32(2).Tensor<double>({2}, {0.5, 1.5}).Tensor<std::int8_t>({1}, {7});
  writer.Int32(1).Tensor<double>({2}, {0.25, 1.25}).Int32(0);
  writer.Int32(0);
  writer.Int32(1).Tensor<float>({0, 7}, {});
  return writer.NoFloat64("because");
}

TEST(ReadCasesTest, ReadsEverything) {
  const StatusOr<std::vector<Case>> cases = ReadCases(Write(Example().bytes()));
  ASSERT_TRUE(cases.ok()) << cases.status().message();
  ASSERT_EQ(cases->size(), 2u);
  const Case& first = (*cases)[0];
  ASSERT_EQ(first.inputs.size(), 2u);
  const HostTensor& matrix = first.inputs[0];
  EXPECT_EQ(matrix.abi.dtype, RTORCH_INT16);
  EXPECT_EQ(matrix.abi.rank, 2);
  EXPECT_EQ(matrix.abi.sizes[0], 2);
  EXPECT_EQ(matrix.abi.sizes[1], 3);
  EXPECT_EQ(matrix.abi.strides[0], 3);
  EXPECT_EQ(matrix.abi.strides[1], 1);
  ASSERT_EQ(matrix.bytes.size(), 12u);
  std::int16_t last;
  std::memcpy(&last, &matrix.bytes[10], sizeof last);
  EXPECT_EQ(last, -6);
  EXPECT_EQ(first.inputs[1].abi.rank, 0);
  EXPECT_EQ(first.inputs[1].bytes, std::vector<std::uint8_t>{1});
  ASSERT_EQ(first.expected.size(), 2u);
  EXPECT_EQ(first.expected[0].abi.dtype, RTORCH_FLOAT64);
  ASSERT_EQ(first.float64.size(), 2u);
  EXPECT_EQ(first.float64[0], (std::vector<double>{0.25, 1.25}));
  EXPECT_TRUE(first.float64[1].empty());
  EXPECT_EQ(first.why_no_float64, "");
  EXPECT_TRUE((*cases)[1].inputs.empty());
  ASSERT_EQ((*cases)[1].expected.size(), 1u);
  EXPECT_EQ((*cases)[1].expected[0].abi.sizes[1], 7);
  EXPECT_TRUE((*cases)[1].expected[0].bytes.empty());
  EXPECT_EQ((*cases)[1].float64.size(), 1u);
  EXPECT_EQ((*cases)[1].why_no_float64, "because");
}

TEST(ReadCasesTest, EveryTruncationIsFound) {
  const std::string whole = Example().bytes();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    ASSERT_EQ(MessageFor(whole.substr(0, size)), kBroken) << size << " bytes";
  }
}

TEST(ReadCasesTest, BytesTooManyAreFound) {
  EXPECT_EQ(MessageFor(Example().bytes() + "x"), kBroken);
}

TEST(ReadCasesTest, MissingFile) {
  const std::string path = ::testing::TempDir() + "there is no such file";
  const StatusOr<std::vector<Case>> cases = ReadCases(path);
  ASSERT_FALSE(cases.ok());
  EXPECT_EQ(cases.status().message(), path + ": cannot be opened");
}

TEST(ReadCasesTest, Directory) {
  const std::string path = ::testing::TempDir();
  const StatusOr<std::vector<Case>> cases = ReadCases(path);
  ASSERT_FALSE(cases.ok());
  EXPECT_EQ(cases.status().code(), RTORCH_INVALID_ARGUMENT);
  EXPECT_EQ(cases.status().message(), path + ": cannot be read");
}

// Without cases a test would pass and have tested nothing.
TEST(ReadCasesTest, NoCasesAreAnError) {
  EXPECT_EQ(MessageFor(Writer().Text("RTCASES2").Int32(0).bytes()), kBroken);
  EXPECT_EQ(MessageFor(Writer().Text("RTCASES2").Int32(-1).bytes()), kBroken);
}

TEST(ReadCasesTest, Garbage) {
  EXPECT_EQ(MessageFor("RTCASES1" + Example().bytes().substr(8)), kBroken);
  EXPECT_EQ(MessageFor(std::string(1000, '\0')), kBroken);
  EXPECT_EQ(MessageFor(std::string(1000, '\xff')), kBroken);
  EXPECT_EQ(MessageFor("RTCASES2" + std::string(1000, '\xff')), kBroken);
  EXPECT_EQ(MessageFor("RTCASES2" + std::string(1000, '\x7f')), kBroken);
}

// One case without inputs, whose result has this head and one byte of data.
std::string Result(std::int32_t dtype, const std::vector<std::int64_t>& sizes) {
  Writer writer;
  writer.Text("RTCASES2").Int32(1).Int32(0).Int32(1);
  writer.Int32(dtype).Int32(static_cast<std::int32_t>(sizes.size()));
  for (const std::int64_t size : sizes) {
    writer.Text(std::string(reinterpret_cast<const char*>(&size), sizeof size));
  }
  return writer.Text("x").NoFloat64("an integer").bytes();
}

TEST(ReadCasesTest, ImpossibleTensors) {
  EXPECT_EQ(MessageFor(Result(RTORCH_INT8, {1, 1, 1, 1, 1, 1, 1, 1})), "");
  EXPECT_EQ(MessageFor(Result(RTORCH_INT8, {1, 1, 1, 1, 1, 1, 1, 1, 1})), kBroken);
  EXPECT_EQ(MessageFor(Result(RTORCH_INT8, {-1})), kBroken);
  EXPECT_EQ(MessageFor(Result(RTORCH_INT8, {INT64_MAX})), kBroken);
  EXPECT_EQ(MessageFor(Result(RTORCH_INT64, {INT64_MAX / 4})), kBroken);
  EXPECT_EQ(MessageFor(Result(99, {1})), kBroken);
}

TEST(ReadCasesTest, Float64IsOfEachFloatingPointOutput) {
  const auto message = [](const std::function<void(Writer*)>& float64) {
    Writer writer;
    writer.Text("RTCASES2").Int32(1).Int32(0).Int32(2);
    writer.Tensor<std::int8_t>({2}, {1, 2}).Tensor<float>({2}, {1, 2});
    float64(&writer);
    return MessageFor(writer.bytes());
  };
  const auto one = [](Writer* writer) { return &writer->Int32(1); };
  EXPECT_EQ(message([&](Writer* w) { one(w)->Tensor<double>({2}, {1, 2}).Int32(0); }),
            "");
  EXPECT_EQ(message([&](Writer* w) { w->NoFloat64("why"); }), "");
  EXPECT_EQ(message([&](Writer* w) { w->NoFloat64(""); }), kBroken);
  EXPECT_EQ(message([&](Writer* w) {
              one(w)->Tensor<double>({2}, {1, 2}).Int32(3).Text("why");
            }),
            kBroken);
  EXPECT_EQ(message([&](Writer* w) { one(w)->Tensor<double>({1}, {1}).Int32(0); }),
            kBroken);
  EXPECT_EQ(
      message([&](Writer* w) { one(w)->Tensor<double>({1, 2}, {1, 2}).Int32(0); }),
      kBroken);
  EXPECT_EQ(message([&](Writer* w) { one(w)->Tensor<float>({2}, {1, 2}).Int32(0); }),
            kBroken);
  EXPECT_EQ(message([&](Writer* w) {
              w->Int32(2).Tensor<double>({2}, {1, 2}).Tensor<double>({2}, {1, 2});
              w->Int32(0);
            }),
            kBroken);
}

TEST(ReadCasesTest, SizesAreCheckedOneByOne) {
  // The product alone would be 1; in the second case it is 3 * 2^64 + 1.
  EXPECT_EQ(MessageFor(Result(RTORCH_INT8, {-1, -1})), kBroken);
  EXPECT_EQ(MessageFor(Result(RTORCH_INT8, {7, 0x6db6db6db6db6db7})), kBroken);
}

// Runs the driver; gives its exit status, and in `printed` what it said.
int RunDriver(const RTorchModelApi& api, const std::string& path, double atol = -1,
              double rtol = -1, std::string* printed = nullptr) {
  ::testing::internal::CaptureStdout();
  const int status = TestModel(api, path.c_str(), atol, rtol);
  const std::string text = ::testing::internal::GetCapturedStdout();
  if (printed != nullptr) *printed = text;
  return status;
}

// Runs the driver on a model that gives `actual` where eager PyTorch gave
// `expected`: (x: int8[batch]) -> (y), with one case. Without `float64` eager alone is
// the judge.
template <typename T>
int Drive(const std::vector<T>& expected, const std::vector<T>& actual,
          double atol = -1, double rtol = -1, std::string* printed = nullptr,
          const std::vector<double>& float64 = {}) {
  Writer writer;
  writer.Text("RTCASES2").Int32(1);
  writer.Int32(1).Tensor<std::int8_t>({2}, {3, 4});
  const auto size = static_cast<std::int64_t>(expected.size());
  writer.Int32(1).Tensor<T>({size}, expected);
  if (float64.empty()) {
    writer.NoFloat64("unknown");
  } else {
    writer.Int32(1).Tensor<double>({size}, float64).Int32(0);
  }
  FakeModel* self = nullptr;
  FakeModel fake({{{"x", "int8[2]", RTORCH_INT8, {Fixed(2)}}},
                  {{"y", "?[?]", DTypeOf<T>::value, {DataDependent()}}},
                  {}},
                 [&](const RTorchTensor* inputs, RTorchTensor* outputs,
                     internal::Result* results, auto*) {
                   const auto* x = static_cast<const std::int8_t*>(inputs[0].data);
                   EXPECT_EQ(x[0], 3);
                   EXPECT_EQ(x[1], 4);
                   outputs[0] = self->NewResult(
                       actual, {static_cast<std::int64_t>(actual.size())});
                   results[0] = internal::Result::kOwned;
                   return true;
                 });
  self = &fake;
  return RunDriver(fake.api(), Write(writer.bytes()), atol, rtol, printed);
}

const float kNan = std::nanf("");

TEST(TestModelTest, EqualResultsPass) {
  EXPECT_EQ(Drive<float>({1, -0.5f, 0}, {1, -0.5f, 0}), 0);
  EXPECT_EQ(Drive<std::int64_t>({1, INT64_MIN}, {1, INT64_MIN}), 0);
  EXPECT_EQ(Drive<std::uint8_t>({}, {}), 0);
}

TEST(TestModelTest, OtherResultsFail) {
  EXPECT_EQ(Drive<float>({1, 2}, {1, 2.5f}), 1);
  EXPECT_EQ(Drive<double>({1, 2}, {1, 2.5}), 1);
  EXPECT_EQ(Drive<float16>({float16(1)}, {float16(1.5f)}), 1);
  EXPECT_EQ(Drive<bfloat16>({bfloat16(1)}, {bfloat16(1.5f)}), 1);
  EXPECT_EQ(Drive<std::uint8_t>({1}, {2}), 1);
  EXPECT_EQ(Drive<std::int16_t>({1, 2, 3}, {1, 2, 4}), 1);
}

TEST(TestModelTest, OtherSizesFail) {
  EXPECT_EQ(Drive<float>({1, 2}, {1}), 1);
  EXPECT_EQ(Drive<float>({1, 2}, {1, 2, 3}), 1);
  EXPECT_EQ(Drive<float>({}, {1}), 1);
}

TEST(TestModelTest, TheDefaultToleranceIsTheDTypes) {
  EXPECT_EQ(Drive<float>({1000}, {1000.001f}), 0);
  EXPECT_EQ(Drive<float>({1000}, {1000.002f}), 1);
  EXPECT_EQ(Drive<float>({0}, {9e-6f}), 0);
  EXPECT_EQ(Drive<float>({0}, {1.1e-5f}), 1);
  EXPECT_EQ(Drive<double>({1000}, {1000.00005}), 0);
  EXPECT_EQ(Drive<double>({1000}, {1000.0002}), 1);
  EXPECT_EQ(Drive<float16>({float16(1)}, {float16(1.0009765625f)}), 0);
  EXPECT_EQ(Drive<float16>({float16(1)}, {float16(1.001953125f)}), 1);
  EXPECT_EQ(Drive<bfloat16>({bfloat16(1)}, {bfloat16(1.015625f)}), 0);
  EXPECT_EQ(Drive<bfloat16>({bfloat16(1)}, {bfloat16(1.0234375f)}), 1);
}

TEST(TestModelTest, AGivenToleranceReplacesIt) {
  EXPECT_EQ(Drive<float>({2}, {2.25f}, 0.25, 0), 0);
  EXPECT_EQ(Drive<float>({2}, {2.25f}, 0.125, 0), 1);
  EXPECT_EQ(Drive<float>({2}, {2.25f}, 0, 0.125), 0);
  EXPECT_EQ(Drive<float>({2}, {2.25f}, 0, 0.0625), 1);
  // Of what PyTorch computed, not of what the model did.
  EXPECT_EQ(Drive<float>({2}, {3}, 0, 0.4), 1);
  EXPECT_EQ(Drive<float>({1000}, {1000.001f}, 0, 0), 1);
  // One of the two: the other one keeps its default.
  EXPECT_EQ(Drive<float>({1000}, {1000.001f}, 0, -1), 0);
  EXPECT_EQ(Drive<float>({0}, {9e-6f}, -1, 0), 0);
}

TEST(TestModelTest, IntegersHaveNoTolerance) {
  EXPECT_EQ(Drive<std::int32_t>({1000}, {1001}, 10, 10), 1);
  EXPECT_EQ(Drive<std::uint8_t>({0}, {1}, 10, 10), 1);
}

TEST(TestModelTest, NanEqualsNanOnly) {
  EXPECT_EQ(Drive<float>({kNan}, {-kNan}), 0);
  EXPECT_EQ(Drive<float>({kNan}, {1}, 10, 10), 1);
  EXPECT_EQ(Drive<float>({1}, {kNan}, 10, 10), 1);
  EXPECT_EQ(Drive<float>({HUGE_VALF}, {kNan}, 10, 10), 1);
}

TEST(TestModelTest, ZeroHasNoSign) {
  EXPECT_EQ(Drive<float>({0.0f}, {-0.0f}, 0, 0), 0);
}

TEST(TestModelTest, SaysWhatIsWrong) {
  std::string printed;
  EXPECT_EQ(Drive<float>({1, 2, 3}, {1, 2.5f, 4}, -1, -1, &printed), 1);
  EXPECT_NE(printed.find("//fake:model"), std::string::npos) << printed;
  EXPECT_NE(printed.find("FAILED plain, case 0, output y: 2 elements are wrong, the "
                         "worst at [2]: 4 instead of 3\n"),
            std::string::npos)
      << printed;
  EXPECT_EQ(Drive<float>({1, 2}, {1, 2.5f}, -1, -1, &printed, {1, 2.0078125}), 1);
  EXPECT_NE(printed.find("1 elements are wrong, the worst at [1]: 2.5 instead of 2 "
                         "(2.0078125 in float64)\n"),
            std::string::npos)
      << printed;
  EXPECT_EQ(Drive<std::int8_t>({1}, {2}, -1, -1, &printed), 1);
  EXPECT_NE(printed.find("output y: 1 elements are wrong"), std::string::npos)
      << printed;
}

TEST(TestModelTest, SaysHowNearItCame) {
  std::string printed;
  EXPECT_EQ(Drive<double>({4, 2}, {4, 2.5}, 0.5, 0, &printed), 0);
  EXPECT_NE(printed.find("y ?[?]: largest error from eager 0.5 absolute, 0.25 "
                         "relative\n"),
            std::string::npos)
      << printed;
  EXPECT_NE(printed.find("judged by eager PyTorch alone: case 0: unknown\n"),
            std::string::npos)
      << printed;
  EXPECT_NE(printed.find(" comparisons, 0 failed\n"), std::string::npos) << printed;
  EXPECT_EQ(Drive<float>({4}, {4.5f}, 0.5, 0, &printed, {4.25}), 0);
  EXPECT_NE(printed.find("y ?[?]: largest error from float64 0.25 absolute, 0.0588 "
                         "relative; eager's 0.25 absolute, 0.0588 relative, 10 times "
                         "that allowed\n"),
            std::string::npos)
      << printed;
  EXPECT_EQ(printed.find("alone"), std::string::npos) << printed;
}

TEST(TestModelTest, Float64IsTheJudgeInEveryWayOfRunning) {
  // Eager is off by 1, the compiled model by 2, on the other side of the truth.
  EXPECT_EQ(Drive<float>({1001}, {998}, -1, -1, nullptr, {1000}), 0);
  EXPECT_EQ(Drive<float>({1001}, {989}, -1, -1, nullptr, {1000}), 1);
  EXPECT_EQ(Drive<float>({1001}, {998}), 1);
}

// The tolerance of an infinite value would be infinite.
TEST(TestModelTest, InfinityEqualsItselfOnly) {
  EXPECT_EQ(Drive<float>({HUGE_VALF, -HUGE_VALF}, {HUGE_VALF, -HUGE_VALF}), 0);
  EXPECT_EQ(Drive<float>({1}, {HUGE_VALF}), 1);
  EXPECT_EQ(Drive<float>({HUGE_VALF}, {1}), 1);
  EXPECT_EQ(Drive<float>({HUGE_VALF}, {-HUGE_VALF}), 1);
  EXPECT_EQ(Drive<double>({-HUGE_VAL}, {0}), 1);
  EXPECT_EQ(Drive<float16>({float16(HUGE_VALF)}, {float16(65504)}), 1);
}

TEST(TestModelTest, OtherNumbersOfTensorsFail) {
  const FakeModel fake({{}, {{"y", "", RTORCH_INT8, {Fixed(1)}}}, {}}, nullptr);
  const std::string path = Write(Example().bytes());
  EXPECT_EQ(RunDriver(fake.api(), path), 1);
  EXPECT_EQ(fake.runs(), 0);
}

TEST(TestModelTest, AnotherDTypeFails) {
  FakeModel* self = nullptr;
  FakeModel fake({{}, {{"y", "", RTORCH_UINT8, {Fixed(1)}}}, {}},
                 [&](auto*, RTorchTensor* outputs, internal::Result* results, auto*) {
                   outputs[0] = self->NewResult<std::uint8_t>({'x'}, {1});
                   results[0] = internal::Result::kOwned;
                   return true;
                 });
  self = &fake;
  EXPECT_EQ(RunDriver(fake.api(), Write(Result(RTORCH_UINT8, {1}))), 0);
  EXPECT_EQ(RunDriver(fake.api(), Write(Result(RTORCH_INT8, {1}))), 1);
}

TEST(TestModelTest, ABrokenFileFails) {
  const FakeModel fake({}, nullptr);
  EXPECT_EQ(RunDriver(fake.api(), Write("RTCASES2")), 1);
  EXPECT_EQ(RunDriver(fake.api(), "there is no such file"), 1);
}

// (-> y: uint8[1]), one case: y is 'x'. The model's n-th run gives `value(n)`.
class Sequence {
 public:
  Sequence(bool stateful, std::function<char(int run)> value)
      : value_(std::move(value)),
        fake_({{}, {{"y", "", RTORCH_UINT8, {Fixed(1)}}}, {}, stateful},
              [this](auto*, RTorchTensor* outputs, internal::Result* results, auto*) {
                // Its own number: runs overlap.
                const char given = value_(++runs_);
                outputs[0] = fake_.NewResult<std::uint8_t>(
                    {static_cast<std::uint8_t>(given)}, {1});
                results[0] = internal::Result::kOwned;
                return given != 'f';  // fails
              }) {}

  int Drive() { return RunDriver(fake_.api(), Write(Result(RTORCH_UINT8, {1}))); }
  int runs() const { return runs_; }

 private:
  const std::function<char(int run)> value_;
  std::atomic<int> runs_{0};
  FakeModel fake_;
};

TEST(TestModelTest, EveryRunIsCompared) {
  Sequence right(/*stateful=*/false, [](int) { return 'x'; });
  EXPECT_EQ(right.Drive(), 0);
  ASSERT_GT(right.runs(), 3);  // plain, strided, buffers, threads
  for (int wrong = 1; wrong <= right.runs(); ++wrong) {
    Sequence sequence(/*stateful=*/false,
                      [&](int run) { return run == wrong ? 'y' : 'x'; });
    EXPECT_EQ(sequence.Drive(), 1) << "run " << wrong;
  }
}

TEST(TestModelTest, AModelWithStateIsCalledInOrderOnly) {
  Sequence right(/*stateful=*/true, [](int) { return 'x'; });
  EXPECT_EQ(right.Drive(), 0);
  EXPECT_EQ(right.runs(), 3);
}

TEST(TestModelTest, ARunThatFailsFails) {
  Sequence sequence(/*stateful=*/true, [](int run) { return run == 2 ? 'f' : 'x'; });
  EXPECT_EQ(sequence.Drive(), 1);
}

TEST(TestModelTest, AModelThatCannotBeMadeFails) {
  const FakeModel fake({{}, {{"y", "", RTORCH_UINT8, {Fixed(1)}}}, {}}, nullptr,
                       [] { return "no"; });
  EXPECT_EQ(RunDriver(fake.api(), Write(Result(RTORCH_UINT8, {1}))), 1);
}

}  // namespace
}  // namespace rules_torch::testing
