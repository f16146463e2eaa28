// What a launch costs the host, and what the first one costs a program: see kHelp.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "benchmarks/gpu/bare_launch.h"
#include "kernels/add.h"
#include "kernels/matmul.h"
#include "kernels/softmax.h"
#include "rules_torch/gpu.h"

extern char** environ;

namespace {

using rules_torch::bfloat16;
using rules_torch::float16;
using rules_torch::Gpu;
using rules_torch::GpuStream;
using rules_torch::Status;
using rules_torch::StatusOr;

constexpr char kHelp[] =
    R"(usage: launch [--rounds=N]

Prints what a call costs the host until it returns, in nanoseconds: of the function that
cc_triton_library generated, and of the bare driver call with the same loaded kernel, grid
and arguments (with scratch memory: cuMemAllocAsync, cuLaunchKernel, cuMemFreeAsync). They
alternate in batches of 200 calls; the numbers are medians over the rounds (500 if not
given). "noise" is the ratio of the bare calls to themselves, of other batches.

Then starts itself some times, and prints how long after the start of the process the
kernel's first launch was done.

exit status: 0 success, 1 an error, 2 usage, 77 no GPU
)";

constexpr int kBatch = 200;  // fewer than a stream holds before it blocks

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

// Nanoseconds of a clock that all processes share.
std::int64_t Now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Nanoseconds a call of `launch`, which returns whether it went well.
template <typename Launch>
StatusOr<double> TimeBatch(const GpuStream& stream, Launch launch) {
  bool ok = true;
  const std::int64_t start = Now();
  for (int i = 0; i < kBatch; ++i) ok &= launch();
  const double each = static_cast<double>(Now() - start) / kBatch;
  const Status status = stream.Synchronize();
  if (!status.ok()) return status;
  if (!ok) return Status(RTORCH_INTERNAL, "a launch failed");
  return each;
}

// Compares `enqueue`, which calls a generated function on a stream, with the bare call.
template <typename Enqueue>
Status Compare(const char* name, const BareDriver& driver, const GpuStream& stream,
               int rounds, std::size_t arguments, Enqueue enqueue) {
  Status status = enqueue(stream.get());  // loads the kernel
  if (status.ok()) status = stream.Synchronize();
  if (!status.ok()) return status;
  StatusOr<BareLaunch> bare =
      BareLaunch::Capture(driver, stream.get(), arguments, enqueue);
  if (!bare.ok()) return bare.status();

  const auto run_bare = [&] { return bare->Run(stream.get()) == 0; };
  const auto run_library = [&] { return enqueue(stream.get()).ok(); };
  std::vector<double> times[3];
  for (int round = -10; round < rounds; ++round) {  // the first ten warm up
    const StatusOr<double> batch[] = {TimeBatch(stream, run_bare),
                                      TimeBatch(stream, run_library),
                                      TimeBatch(stream, run_bare)};
    for (int i = 0; i < 3; ++i) {
      if (!batch[i].ok()) return batch[i].status();
      if (round >= 0) times[i].push_back(*batch[i]);
    }
  }
  const double before = Median(times[0]);
  const double library = Median(times[1]);
  const double after = Median(times[2]);
  const double both = (before + after) / 2;
  std::printf("| %s | %s | %.0f | %.0f | %.3f | %.3f |\n", name,
              bare->has_scratch() ? "yes" : "no", library, both, library / both,
              after / before);
  return Status();
}

Status Launches(const Gpu& gpu, int rounds) {
  const StatusOr<BareDriver> driver = BareDriver::Find();
  if (!driver.ok()) return driver.status();
  const StatusOr<GpuStream> stream = gpu.CreateStream();
  if (!stream.ok()) return stream.status();
  constexpr std::int32_t kSize = 64;
  const auto floats = gpu.Upload(std::vector<float>(kSize * kSize));
  if (!floats.ok()) return floats.status();
  const auto halves = gpu.Upload(std::vector<float16>(kSize * kSize));
  if (!halves.ok()) return halves.status();
  const auto bfloats = gpu.Upload(std::vector<bfloat16>(kSize * kSize));
  if (!bfloats.ok()) return bfloats.status();

  std::printf(
      "\n| kernel | scratch memory | library, ns | bare, ns | ratio | noise |\n");
  std::printf("|---|---|---|---|---|---|\n");
  float* const x = floats->data();
  Status status = Compare("add, 1 element", *driver, *stream, rounds, 4,
                          [&](void* s) { return kernels::add(s, x, x, x, 1); });
  if (!status.ok()) return status;
  // No multiple of 16: the hinted instantiation is tried first.
  bfloat16* const b = bfloats->data();
  status = Compare(
      "fused_softmax, 1 × 63, second instantiation", *driver, *stream, rounds, 6,
      [&](void* s) { return kernels::fused_softmax(s, b, b, 63, 63, 1, 63); });
  if (!status.ok()) return status;
  float16* const h = halves->data();
  status = Compare("matmul, 16 × 16 × 16", *driver, *stream, rounds, 9, [&](void* s) {
    return kernels::matmul(s, h, h, h, 16, 16, 16, 16, 16, 16);
  });
  if (!status.ok()) return status;
  return Compare(
      "matmul_descriptor, 16 × 16 × 16", *driver, *stream, rounds, 9, [&](void* s) {
        return kernels::matmul_descriptor(s, h, h, h, 16, 16, 16, 16, 16, 16);
      });
}

// When each step of a program's start was done, in milliseconds after its process's.
struct StartUp {
  double main;
  double gpu;
  double load;
  double launch;
};

// What the started process does: prints a StartUp.
Status Start(std::int64_t start) {
  const auto since = [start] { return static_cast<double>(Now() - start) * 1e-6; };
  StartUp times;
  times.main = since();
  const StatusOr<std::unique_ptr<Gpu>> gpu = Gpu::Open();
  if (!gpu.ok()) return gpu.status();
  const auto x = (*gpu)->Upload(std::vector<float>{1, 2, 3, 4});
  if (!x.ok()) return x.status();
  times.gpu = since();
  Status status = kernels::LoadAdd();
  times.load = since();
  if (status.ok()) status = kernels::add(nullptr, x->data(), x->data(), x->data(), 4);
  if (status.ok()) status = (*gpu)->Synchronize();
  times.launch = since();
  std::printf("%.3f %.3f %.3f %.3f\n", times.main, times.gpu, times.load, times.launch);
  return status;
}

// Starts this program once more, and reads what it prints.
StatusOr<StartUp> StartProcess() {
  const Status failed(RTORCH_INTERNAL, "cannot start this program once more");
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return failed;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  std::string program = "launch";
  std::string start = "--start=" + std::to_string(Now());
  char* arguments[] = {program.data(), start.data(), nullptr};
  pid_t process = 0;
  const int code =
      posix_spawn(&process, "/proc/self/exe", &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  FILE* const output = fdopen(ends[0], "r");
  StartUp times = {};
  const bool read =
      code == 0 && std::fscanf(output, "%lf %lf %lf %lf", &times.main, &times.gpu,
                               &times.load, &times.launch) == 4;
  std::fclose(output);
  int status = 1;
  if (code == 0) waitpid(process, &status, 0);
  if (!read || status != 0) return failed;
  return times;
}

Status StartUps() {
  constexpr int kTimes = 11;
  std::vector<double> main;
  std::vector<double> gpu;
  std::vector<double> load;
  std::vector<double> launch;
  std::vector<double> total;
  for (int i = 0; i < kTimes; ++i) {
    const StatusOr<StartUp> times = StartProcess();
    if (!times.ok()) return times.status();
    main.push_back(times->main);
    gpu.push_back(times->gpu - times->main);
    load.push_back(times->load - times->gpu);
    launch.push_back(times->launch - times->load);
    total.push_back(times->launch);
  }
  std::printf("\n| start-up, ms (medians of %d processes) | |\n|---|---|\n", kTimes);
  std::printf("| process start to main | %.3f |\n", Median(main));
  std::printf("| driver, context, first allocation | %.3f |\n", Median(gpu));
  std::printf("| LoadAdd: three kernels | %.3f |\n", Median(load));
  std::printf("| first launch and synchronisation | %.3f |\n", Median(launch));
  std::printf("| in all | %.3f |\n", Median(total));
  return Status();
}

int Fail(const Status& status) {
  std::fprintf(stderr, "launch: %s\n", status.message().c_str());
  return status.code() == RTORCH_UNAVAILABLE ? 77 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view argument = argc > 1 ? argv[1] : "";
  if (argument == "--help" || argument == "-h") {
    std::fputs(kHelp, stdout);
    return 0;
  }
  constexpr std::string_view kStart = "--start=";  // for StartProcess alone
  if (argument.substr(0, kStart.size()) == kStart) {
    const Status status = Start(std::atoll(argv[1] + kStart.size()));
    return status.ok() ? 0 : Fail(status);
  }
  int rounds = 500;
  constexpr std::string_view kRounds = "--rounds=";
  const bool given = argument.substr(0, kRounds.size()) == kRounds;
  if (given) rounds = std::atoi(argv[1] + kRounds.size());
  if (argc > 2 || (argc == 2 && !given) || rounds < 1) {
    std::fputs("usage: launch [--rounds=N]; see launch --help\n", stderr);
    return 2;
  }

  const StatusOr<std::unique_ptr<Gpu>> gpu = Gpu::Open();
  if (!gpu.ok()) return Fail(gpu.status());
  std::printf("%s, %s, driver for CUDA %d.%d\n", (*gpu)->name().c_str(),
              (*gpu)->architecture().c_str(), (*gpu)->driver_version() / 1000,
              (*gpu)->driver_version() % 1000 / 10);
  Status status = Launches(**gpu, rounds);
  if (status.ok()) status = StartUps();
  return status.ok() ? 0 : Fail(status);
}
