// A record of steps, and the file that it makes.
#include "rules_torch/trace.h"

#include <cstdio>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "rules_torch/abi.h"

namespace rules_torch {
namespace {

constexpr RTorchStep kFirst = {"relu_0", "aten.relu",
                               "m.py: x = {\"\\n\": f}[\"é\"](x)"};
constexpr RTorchStep kSecond = {"mm", "aten.mm, aten.t", ""};

void Record(const RTorchTracer& tracer, const RTorchStep& step) {
  tracer.begin(tracer.context, &step);
  tracer.end(tracer.context, &step);
}

std::string Written(const Trace& trace) {
  const std::string path = ::testing::TempDir() + "/trace.json";
  const Status status = trace.Write(path);
  EXPECT_TRUE(status.ok()) << status;
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Without what differs from run to run.
std::string WithoutTimes(const std::string& text) {
  return std::regex_replace(text, std::regex(R"("ts": \d+\.\d{3})"), R"("ts": 0)");
}

TEST(TraceTest, HasEachStep) {
  const Trace trace;
  Record(*trace.tracer(), kFirst);
  Record(*trace.tracer(), kSecond);
  const std::string text = WithoutTimes(Written(trace));
  const std::string thread =
      std::regex_replace(text.substr(text.find("\"tid\": ")), std::regex(",[^]*"), "");
  const auto event = [&](const char* phase, const char* rest) {
    return std::string("{\"ph\": \"") + phase + "\", \"ts\": 0, \"pid\": 1, " + thread +
           ", " + rest + "}";
  };
  EXPECT_EQ(
      text,
      "{\"traceEvents\": [\n" +
          event("B", R"j("name": "relu_0", "args": {"operators": "aten.relu", )j"
                     R"j("source": "m.py: x = {\"\\n\": f}[\"é\"](x)"})j") +
          ",\n" + event("E", R"j("name": "relu_0")j") + ",\n" +
          event("B", R"j("name": "mm", "args": {"operators": "aten.mm, aten.t", )j"
                     R"j("source": ""})j") +
          ",\n" + event("E", R"j("name": "mm")j") + "\n]}\n");
}

TEST(TraceTest, IsEmptyWithoutARun) {
  EXPECT_EQ(Written(Trace()), "{\"traceEvents\": [\n]}\n");
}

TEST(TraceTest, ThreadsShareOne) {
  const Trace trace;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) Record(*trace.tracer(), kFirst);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string text = Written(trace);
  const std::regex thread_of(R"("tid": (\d+))");
  std::multiset<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), thread_of), end; it != end;
       ++it) {
    found.insert((*it)[1]);
  }
  const std::set<std::string> different(found.begin(), found.end());
  EXPECT_EQ(different.size(), 4u);
  for (const std::string& thread : different) EXPECT_EQ(found.count(thread), 200u);
}

TEST(TraceTest, SaysWhyThereIsNoFile) {
  const Trace trace;
  const std::string path = ::testing::TempDir() + "/missing/trace.json";
  EXPECT_EQ(trace.Write(path),
            Status(RTORCH_INVALID_ARGUMENT,
                   "cannot write '" + path + "': No such file or directory"));
}

TEST(TraceTest, SaysThatTheDiskIsFull) {
  const Trace trace;
  Record(*trace.tracer(), kFirst);
  EXPECT_EQ(trace.Write("/dev/full").message(),
            "cannot write '/dev/full': No space left on device");
  // No regular file: it stays.
  std::FILE* file = std::fopen("/dev/full", "r");
  ASSERT_NE(file, nullptr);
  std::fclose(file);
}

}  // namespace
}  // namespace rules_torch
