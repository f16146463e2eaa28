// Compiled models with their weights in files: read, swapped, shared and refused. See
// filled.py.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/runtime/added.h"
#include "tests/runtime/counted_ones.h"
#include "tests/runtime/counted_twos.h"
#include "tests/runtime/ones.h"
#include "tests/runtime/twos.h"

namespace rules_torch {
namespace {

using filled::Added;
using filled::CountedOnes;
using filled::CountedTwos;
using filled::Ones;
using filled::Twos;

constexpr char kFolder[] = "tests/runtime/";
constexpr std::int64_t kSize = 512;

std::string FileOf(const std::string& model) {
  return kFolder + model + ".weights.safetensors";
}

CreateOptions From(const std::string& path) {
  CreateOptions options;
  options.weights = Weights::File(path);
  return options;
}

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A file of the test's own.
std::string Write(const std::string& name, const std::string& bytes) {
  const std::string path = ::testing::TempDir() + "/" + name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

template <typename Made>
Made Checked(StatusOr<Made> made) {
  if (!made.ok()) ADD_FAILURE() << made.status();
  return *std::move(made);
}

// The number that the weights of a model are; -1 if they are not all one.
template <typename Model>
float ValueOf(const Model& model) {
  const std::vector<float> x(kSize, 1);
  const auto outputs = model.Run({{x.data(), {1, kSize}}});
  if (!outputs.ok()) {
    ADD_FAILURE() << outputs.status();
    return -1;
  }
  const float value = outputs->first(0, 0);
  const auto differs = [&](float element) { return element != value; };
  if (std::any_of(outputs->first.begin(), outputs->first.end(), differs) ||
      std::any_of(outputs->second.begin(), outputs->second.end(), differs)) {
    return -1;
  }
  return value / kSize;
}

// What /proc says of this process's mappings of a file.
struct Mapping {
  int regions = 0;
  long size = 0;  // in kilobytes
  long shared_clean = 0;
  long dirty = 0;
};

Mapping MappingOf(const std::string& path, const std::string& process = "self") {
  const std::string name = " " + std::filesystem::canonical(path).string();
  std::ifstream smaps("/proc/" + process + "/smaps");
  Mapping mapping;
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    std::istringstream words(line);
    std::string key;
    long kilobytes = 0;
    words >> key;
    if (key.find(':') == std::string::npos) {
      // "7f00-7f80 r--p 00000000 fe:00 1234 /path": a region's first line.
      inside = line.size() > name.size() &&
               line.compare(line.size() - name.size(), name.size(), name) == 0;
      mapping.regions += inside ? 1 : 0;
    } else if (inside && words >> kilobytes) {
      if (key == "Size:") mapping.size += kilobytes;
      if (key == "Shared_Clean:") mapping.shared_clean += kilobytes;
      if (key == "Shared_Dirty:" || key == "Private_Dirty:") mapping.dirty += kilobytes;
    }
  }
  return mapping;
}

TEST(CompiledWeightsTest, ALibraryWithoutThemAsksForThem) {
  const auto model = Ones::Create();
  EXPECT_EQ(model.status().code(), RTORCH_INVALID_ARGUMENT);
  EXPECT_NE(model.status().message().find("//tests/runtime:ones"), std::string::npos)
      << model.status();
}

TEST(CompiledWeightsTest, AreThoseOfTheFile) {
  EXPECT_EQ(ValueOf(Checked(Ones::Create(From(FileOf("ones"))))), 1);
  EXPECT_EQ(ValueOf(Checked(Twos::Create(From(FileOf("twos"))))), 2);
  // Nothing but the numbers differs between these two.
  EXPECT_EQ(ValueOf(Checked(Ones::Create(From(FileOf("twos"))))), 2);
}

TEST(CompiledWeightsTest, AreThoseOfTheMemory) {
  const std::string file = Read(FileOf("twos"));
  CreateOptions options;
  options.weights = Weights::Memory(file.data(), file.size());
  EXPECT_EQ(ValueOf(Checked(Ones::Create(options))), 2);
}

TEST(CompiledWeightsTest, EachRunSeesOneSetWhileTheyAreSwapped) {
  Ones model = Checked(Ones::Create(From(FileOf("ones"))));
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0};
  std::atomic<int> seen[3] = {};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (!done) {
        const float value = ValueOf(model);
        value == 1 || value == 2 ? ++seen[static_cast<int>(value)] : ++wrong;
      }
    });
  }
  for (int swap = 0; swap < 40 || seen[1] == 0 || seen[2] == 0; ++swap) {
    const Status status =
        model.Swap(Weights::File(FileOf(swap % 2 == 0 ? "twos" : "ones")));
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(ValueOf(model), swap % 2 == 0 ? 2 : 1);
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(CompiledWeightsTest, OldOnesAreLetGo) {
  Ones model = Checked(Ones::Create(From(FileOf("ones"))));
  EXPECT_GT(MappingOf(FileOf("ones")).regions, 0);
  ASSERT_TRUE(model.Swap(Weights::File(FileOf("twos"))).ok());
  EXPECT_EQ(MappingOf(FileOf("ones")).regions, 0);
  EXPECT_GT(MappingOf(FileOf("twos")).regions, 0);
}

TEST(CompiledWeightsTest, SwapsLeaveTheStateAsItIs) {
  CountedOnes model = Checked(CountedOnes::Create(From(FileOf("counted_ones"))));
  const std::vector<float> x(kSize, 1);
  for (int call = 1; call <= 4; ++call) {
    const auto outputs = model.Run({{x.data(), {1, kSize}}});
    ASSERT_TRUE(outputs.ok()) << outputs.status();
    EXPECT_EQ(outputs->calls(0), call);
    EXPECT_EQ(outputs->sums(0, 0), (call <= 2 ? 1 : 2) * (kSize + 1));
    if (call != 2) continue;
    const Status status = model.Swap(Weights::File(FileOf("counted_twos")));
    ASSERT_TRUE(status.ok()) << status;
  }
}

TEST(CompiledWeightsTest, OthersAreRefusedAndTheModelGoesOn) {
  Ones model = Checked(Ones::Create(From(FileOf("ones"))));
  const std::string good = Read(FileOf("twos"));
  std::string tampered = good;
  tampered[good.size() - 1000] ^= 1;
  std::string half = good;
  // Both matrices' elements become of another kind of the same width.
  for (std::size_t at; (at = half.find("\"F32\"")) != std::string::npos;) {
    half.replace(at, 5, "\"I32\"");
  }
  const struct {
    const char* name;
    std::string bytes;
    RTorchCode code;
    const char* says;
  } kBad[] = {
      {"cut", good.substr(0, good.size() - 1), RTORCH_DATA_LOSS, "is cut short"},
      {"tampered", tampered, RTORCH_DATA_LOSS, "second"},
      {"integers", half, RTORCH_INVALID_ARGUMENT, "I32"},
      {"empty", "", RTORCH_INVALID_ARGUMENT, ""},
      {"text", std::string(5000, 'x'), RTORCH_INVALID_ARGUMENT, ""},
      {"others", Read(FileOf("counted_ones")), RTORCH_INVALID_ARGUMENT, "calls"},
  };
  for (const auto& bad : kBad) {
    const std::string path = Write(bad.name, bad.bytes);
    for (const Status& status :
         {model.Swap(Weights::File(path)), Ones::Create(From(path)).status()}) {
      EXPECT_EQ(status.code(), bad.code) << bad.name << ": " << status;
      EXPECT_NE(status.message().find(path), std::string::npos) << status;
      EXPECT_NE(status.message().find(bad.says), std::string::npos) << status;
    }
    EXPECT_EQ(ValueOf(model), 1) << bad.name;
    EXPECT_EQ(MappingOf(path).regions, 0) << bad.name;
    std::remove(path.c_str());
  }
  EXPECT_EQ(model.Swap(Weights::File(::testing::TempDir() + "/none")).code(),
            RTORCH_NOT_FOUND);
  EXPECT_EQ(ValueOf(model), 1);
}

// No page of it is copied.
TEST(CompiledWeightsTest, TwoModelsUseOneFile) {
  const Ones first = Checked(Ones::Create(From(FileOf("ones"))));
  const Added second = Checked(Added::Create(From(FileOf("ones"))));
  EXPECT_EQ(ValueOf(first), 1);
  const std::vector<float> x(2 * kSize, 1);
  const auto outputs = second.Run({{x.data(), {2, kSize}}, {x.data(), {2, kSize}}});
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  EXPECT_EQ(*outputs->output.begin(), 2 * kSize);
  const Mapping mapping = MappingOf(FileOf("ones"));
  EXPECT_GT(mapping.size, 2 * kSize * kSize * 4 / 1024);
  EXPECT_EQ(mapping.dirty, 0);
}

// A process that holds a model until it is told to end.
class Holder {
 public:
  Holder() {
    int ready[2];
    int end[2];
    if (pipe(ready) != 0 || pipe(end) != 0) std::abort();
    child_ = fork();
    if (child_ == 0) {
      close(end[1]);
      const Ones model = Checked(Ones::Create(From(FileOf("ones"))));
      char byte = ValueOf(model) == 1 ? 1 : 0;
      if (write(ready[1], &byte, 1) != 1) _exit(1);
      _exit(static_cast<int>(read(end[0], &byte, 1)));  // 0: the other end was closed
    }
    close(ready[1]);
    close(end[0]);
    char byte = 0;
    is_right_ = read(ready[0], &byte, 1) == 1 && byte == 1;
    close(ready[0]);
    end_ = end[1];
  }
  ~Holder() {
    close(end_);
    int status = -1;
    waitpid(child_, &status, 0);
    EXPECT_EQ(status, 0);
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;

  bool is_right() const { return is_right_; }
  std::string process() const { return std::to_string(child_); }

 private:
  pid_t child_;
  int end_;
  bool is_right_;
};

TEST(CompiledWeightsTest, ProcessesShareOneCopy) {
  const Holder one;
  const Holder other;
  ASSERT_TRUE(one.is_right() && other.is_right());
  for (const std::string& process : {one.process(), other.process()}) {
    const Mapping mapping = MappingOf(FileOf("ones"), process);
    EXPECT_EQ(mapping.dirty, 0);
    EXPECT_GE(mapping.shared_clean, 2 * kSize * kSize * 4 / 1024);
  }
}

}  // namespace
}  // namespace rules_torch
