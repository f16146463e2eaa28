#include "examples/kernels/stress.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "examples/kernels/problems.h"

namespace {

using rules_torch::Gpu;
using rules_torch::GpuStream;
using rules_torch::Status;
using rules_torch::StatusOr;

// Launches that wait in a stream together.
constexpr int kBurst = 50;

struct Prepared {
  Problem problem;
  std::unique_ptr<PreparedProblem> on_gpu;
};

Status Annotated(const Problem& problem, const Status& status) {
  return Status(status.code(), problem.kernel + " " + problem.dtype + " " +
                                   problem.shape + ": " + status.message());
}

// Enqueues launches round robin, starting with problem `first`, and checks them.
Status Burst(const std::vector<Prepared>& problems, int first, int launches,
             const GpuStream& stream) {
  const int count = static_cast<int>(problems.size());
  std::vector<int> times(count);
  for (int i = 0; i < launches; ++i) ++times[(first + i) % count];
  for (int i = 0; i < count; ++i) {
    const Status status = problems[i].on_gpu->Reset(times[i]);
    if (!status.ok()) return Annotated(problems[i].problem, status);
  }
  for (int i = 0; i < launches; ++i) {
    const Prepared& prepared = problems[(first + i) % count];
    const Status status = prepared.on_gpu->Launch(stream);
    if (!status.ok()) return Annotated(prepared.problem, status);
  }
  const Status status = stream.Synchronize();
  if (!status.ok()) return status;
  for (const auto& [problem, on_gpu] : problems) {
    const StatusOr<Deviation> deviation = on_gpu->Check();
    if (!deviation.ok()) return Annotated(problem, deviation.status());
    if (!deviation->Within(problem.bound)) {
      return Annotated(
          problem, Status(RTORCH_INTERNAL,
                          "the relative error is " + std::to_string(deviation->norm)));
    }
  }
  return Status();
}

Status RunThread(const Gpu& gpu, int thread, int launches, std::uint64_t seed) {
  Status status = gpu.MakeCurrent();
  if (!status.ok()) return status;
  const StatusOr<GpuStream> stream = gpu.CreateStream();
  if (!stream.ok()) return stream.status();

  std::seed_seq seeds{seed, seed >> 32, static_cast<std::uint64_t>(thread)};
  std::mt19937_64 random(seeds);
  std::vector<Prepared> problems;
  for (Problem& problem : SmallProblems()) {
    StatusOr<std::unique_ptr<PreparedProblem>> on_gpu = problem.prepare(gpu, random);
    if (!on_gpu.ok()) return Annotated(problem, on_gpu.status());
    problems.push_back({std::move(problem), *std::move(on_gpu)});
  }
  for (int done = 0; done < launches; done += kBurst) {
    status = Burst(problems, done, std::min(kBurst, launches - done), *stream);
    if (!status.ok()) return status;
  }
  return Status();
}

}  // namespace

bool Stress(const Gpu& gpu, int threads, int launches, std::uint64_t seed) {
  std::vector<Status> results(threads);
  std::vector<std::thread> running;
  for (int thread = 0; thread < threads; ++thread) {
    running.emplace_back([&gpu, thread, launches, seed, result = &results[thread]] {
      *result = RunThread(gpu, thread, launches, seed);
    });
  }
  for (std::thread& thread : running) thread.join();

  int failed = 0;
  for (int thread = 0; thread < threads; ++thread) {
    if (results[thread].ok()) continue;
    ++failed;
    std::fprintf(stderr, "thread %d: %s\n", thread, results[thread].message().c_str());
  }
  if (failed == 0) {
    std::printf(
        "%d threads, %d launches each on streams of their own: no wrong value\n",
        threads, launches);
  } else {
    std::printf("%d threads, %d launches each: %d threads failed\n", threads, launches,
                failed);
  }
  return failed == 0;
}
