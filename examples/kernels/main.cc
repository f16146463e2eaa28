// Runs the kernels of //kernels on a GPU and compares them with float64: see kHelp.
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>

#include "examples/kernels/problems.h"
#include "examples/kernels/stress.h"
#include "rules_torch/gpu.h"

namespace {

using rules_torch::Gpu;
using rules_torch::GpuStream;
using rules_torch::Status;
using rules_torch::StatusOr;

constexpr int kWrong = 1;
constexpr int kUsage = 2;
constexpr int kNoGpu = 77;  // what a test says that was skipped

constexpr char kHelp[] =
    R"(usage: kernels [--seed=N] [--threads=N [--launches=M]]

Runs every kernel of //kernels on the first GPU, in every dtype, on sizes that suit it
and sizes that do not, and compares the results with a float64 reference on the CPU. The
inputs are random, others in each run. Prints for each call, x being the result and y the
reference:

  shape    [rows, columns]/stride is a matrix with padded rows, [rows, columns]+1 one
           whose address is off by one element
  error    ||x - y|| / ||y||, in the 2-norm over all elements
  element  the largest |x_i - y_i| / (|y_i| + root mean square of y)
  bound    of the error; an element may deviate by eight times as much

Memory around a result must keep what it held.

  --seed=N      repeats the run that printed this seed
  --threads=N   instead: launches small problems from N threads, each with a stream of
                its own, and checks every result
  --launches=M  launches of each thread; 1000 if not given

exit status: 0 all results are right, 1 a wrong result or an error, 2 usage, 77 there is
no GPU that can be used; the reason is printed
)";

struct Arguments {
  std::optional<std::uint64_t> seed;
  std::optional<std::uint64_t> threads;
  std::optional<std::uint64_t> launches;
};

// The number of `--name=123`; empty if `text` is something else.
std::optional<std::uint64_t> NumberOf(std::string_view text, std::string_view option) {
  if (text.substr(0, option.size()) != option) return std::nullopt;
  const std::string digits(text.substr(option.size()));
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos) {
    return std::nullopt;
  }
  errno = 0;
  const std::uint64_t number = std::strtoull(digits.c_str(), nullptr, 10);
  if (errno != 0) return std::nullopt;
  return number;
}

bool Parse(int argc, char** argv, Arguments* arguments) {
  constexpr std::uint64_t kMost = 1'000'000;
  for (int i = 1; i < argc; ++i) {
    if (const auto number = NumberOf(argv[i], "--seed=")) {
      arguments->seed = number;
    } else if (const auto number = NumberOf(argv[i], "--threads=");
               number && *number >= 1 && *number <= 1000) {
      arguments->threads = number;
    } else if (const auto number = NumberOf(argv[i], "--launches=");
               number && *number >= 1 && *number <= kMost) {
      arguments->launches = number;
    } else {
      return false;
    }
  }
  return arguments->threads || !arguments->launches;
}

StatusOr<Deviation> DeviationOn(const Problem& problem, const Gpu& gpu,
                                const GpuStream& stream, std::mt19937_64& random) {
  const StatusOr<std::unique_ptr<PreparedProblem>> prepared =
      problem.prepare(gpu, random);
  if (!prepared.ok()) return prepared.status();
  Status status = (*prepared)->Reset(1);
  if (status.ok()) status = (*prepared)->Launch(stream);
  if (status.ok()) status = stream.Synchronize();
  if (!status.ok()) return status;
  return (*prepared)->Check();
}

std::string Scientific(double number) {
  char text[16];
  std::snprintf(text, sizeof text, "%.1e", number);
  return text;
}

// Prints the table; returns whether everything in it is right.
bool RunAll(const Gpu& gpu, const GpuStream& stream, std::uint64_t seed) {
  constexpr char kRow[] = "%-22s  %-5s  %-32s  %7s  %7s  %7s  %s\n";
  std::mt19937_64 random(seed);
  int calls = 0;
  int wrong = 0;
  std::printf(kRow, "kernel", "dtype", "shape", "error", "element", "bound", "");
  for (const Problem& problem : AllProblems()) {
    const StatusOr<Deviation> deviation = DeviationOn(problem, gpu, stream, random);
    const bool ok = deviation.ok() && deviation->Within(problem.bound);
    const std::string error = deviation.ok() ? Scientific(deviation->norm) : "-";
    const std::string element = deviation.ok() ? Scientific(deviation->element) : "-";
    std::printf(kRow, problem.kernel.c_str(), problem.dtype.c_str(),
                problem.shape.c_str(), error.c_str(), element.c_str(),
                Scientific(problem.bound).c_str(), ok ? "ok" : "WRONG");
    if (!deviation.ok()) std::printf("  %s\n", deviation.status().message().c_str());
    ++calls;
    if (!ok) ++wrong;
  }
  std::printf("%d calls, %d wrong\n", calls, wrong);
  return wrong == 0;
}

int Fail(const Status& status) {
  std::fprintf(stderr, "kernels: %s\n", status.message().c_str());
  return kWrong;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 &&
      (argv[1] == std::string_view("--help") || argv[1] == std::string_view("-h"))) {
    std::fputs(kHelp, stdout);
    return 0;
  }
  Arguments arguments;
  if (!Parse(argc, argv, &arguments)) {
    std::fputs(
        "usage: kernels [--seed=N] [--threads=N [--launches=M]]; see kernels --help\n",
        stderr);
    return kUsage;
  }

  const StatusOr<std::unique_ptr<Gpu>> gpu = Gpu::Open();
  if (!gpu.ok() && gpu.status().code() == RTORCH_UNAVAILABLE) {
    std::fprintf(stderr, "kernels: nothing was run: %s\n",
                 gpu.status().message().c_str());
    return kNoGpu;
  }
  if (!gpu.ok()) return Fail(gpu.status());
  const StatusOr<GpuStream> stream = (*gpu)->CreateStream();
  if (!stream.ok()) return Fail(stream.status());

  std::random_device device;
  const std::uint64_t fresh = std::uint64_t{device()} << 32 | device();
  const std::uint64_t seed = arguments.seed.value_or(fresh);
  std::printf("%s, %s, seed %llu\n", (*gpu)->name().c_str(),
              (*gpu)->architecture().c_str(), static_cast<unsigned long long>(seed));
  const bool right =
      arguments.threads
          ? Stress(**gpu, static_cast<int>(*arguments.threads),
                   static_cast<int>(arguments.launches.value_or(1000)), seed)
          : RunAll(**gpu, *stream, seed);
  if (std::fflush(stdout) != 0) {
    std::fputs("kernels: cannot write the result\n", stderr);
    return kWrong;
  }
  return right ? 0 : kWrong;
}
