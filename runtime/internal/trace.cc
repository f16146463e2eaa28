#include "rules_torch/trace.h"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <system_error>
#include <vector>

#include "rules_torch/abi.h"
#include "rules_torch/status.h"

namespace rules_torch {
namespace {

using Clock = std::chrono::steady_clock;

// A number of the calling thread's, small for people.
int ThreadNumber() {
  static std::atomic<int> last{0};
  thread_local const int number = ++last;
  return number;
}

// A text in JSON's quotes.
std::string Quoted(const char* text) {
  std::string quoted = "\"";
  for (const char* c = text; *c != '\0'; ++c) {
    if (*c == '"' || *c == '\\') {
      quoted += '\\';
      quoted += *c;
    } else if (static_cast<unsigned char>(*c) < ' ') {
      char escape[7];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(*c));
      quoted += escape;
    } else {
      quoted += *c;
    }
  }
  return quoted + '"';
}

}  // namespace

class Trace::Recorder {
 public:
  const RTorchTracer* tracer() const { return &tracer_; }

  // False where memory ran out.
  bool is_complete() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return is_complete_;
  }

  // False where the file takes no more.
  bool Write(std::FILE* file) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::fputs("{\"traceEvents\": [", file);
    const char* separator = "\n";
    for (const Event& event : events_) {
      const std::chrono::duration<double, std::micro> time = event.time - start_;
      std::fprintf(file,
                   R"(%s{"ph": "%c", "ts": %.3f, "pid": 1, "tid": %d, "name": %s)",
                   separator, event.phase, time.count(), event.thread,
                   Quoted(event.step->name).c_str());
      if (event.phase == 'B') {
        std::fprintf(file, R"(, "args": {"operators": %s, "source": %s})",
                     Quoted(event.step->operators).c_str(),
                     Quoted(event.step->source).c_str());
      }
      std::fputs("}", file);
      separator = ",\n";
    }
    std::fputs("\n]}\n", file);
    return std::fflush(file) == 0 && std::ferror(file) == 0;
  }

 private:
  struct Event {
    const RTorchStep* step;
    Clock::time_point time;
    int thread;
    char phase;  // 'B' or 'E'
  };

  void Record(const RTorchStep* step, char phase) {
    // The lock is no part of the step.
    const Clock::time_point ended = Clock::now();
    const std::lock_guard<std::mutex> lock(mutex_);
    try {
      events_.push_back(
          {step, phase == 'B' ? Clock::now() : ended, ThreadNumber(), phase});
    } catch (const std::bad_alloc&) {
      is_complete_ = false;  // no exception may leave a tracer
    }
  }

  const Clock::time_point start_ = Clock::now();
  const RTorchTracer tracer_ = {sizeof(RTorchTracer), 0, this,
                                [](void* context, const RTorchStep* step) {
                                  static_cast<Recorder*>(context)->Record(step, 'B');
                                },
                                [](void* context, const RTorchStep* step) {
                                  static_cast<Recorder*>(context)->Record(step, 'E');
                                }};
  mutable std::mutex mutex_;
  std::vector<Event> events_;  // guarded by mutex_
  bool is_complete_ = true;    // likewise
};

Trace::Trace() : recorder_(std::make_unique<Recorder>()) {}
Trace::~Trace() = default;

const RTorchTracer* Trace::tracer() const { return recorder_->tracer(); }

Status Trace::Write(const std::string& path) const {
  const auto fail = [&] {
    return Status(RTORCH_INVALID_ARGUMENT,
                  "cannot write '" + path + "': " + std::strerror(errno));
  };
  if (!recorder_->is_complete()) {
    return Status(RTORCH_RESOURCE_EXHAUSTED, "there was no memory for all of a trace");
  }
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return fail();
  const bool written = recorder_->Write(file);
  const Status status = written ? Status() : fail();
  std::fclose(file);
  std::error_code ignored;
  if (!written && std::filesystem::is_regular_file(path, ignored)) {
    std::filesystem::remove(path, ignored);
  }
  return status;
}

}  // namespace rules_torch
