// The program that a triton_tuner is: measures candidates, and writes the table.
#include "runtime/tuning/tune.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rules_torch/gpu.h"
#include "rules_torch/status.h"
#include "runtime/tuning/example.h"
#include "runtime/tuning/measure.h"
#include "runtime/tuning/table.h"

namespace rules_torch::tuning {
namespace {

enum ExitStatus { kWritten = 0, kError = 1, kBadUsage = 2, kNoGpu = 3 };

constexpr char kUsage[] =
    "usage: %s [--table=PATH] [--rounds=N] [--filter=TEXT] [--device=N]\n"
    "\n"
    "Measures the candidates of @triton.autotune on this machine's GPU, and writes\n"
    "the fastest into the table.\n"
    "\n"
    "  --table=PATH   writes there; otherwise, in the workspace under `bazel run`, or\n"
    "                 below the working directory, to\n"
    "                 %s\n"
    "  --rounds=N     measures each candidate N times; 20\n"
    "  --filter=TEXT  measures only if TEXT is in \"function instantiation\"\n"
    "  --device=N     uses that GPU; 0\n"
    "\n"
    "Exit status: 0 written, 1 error, 2 bad usage, 3 no GPU.\n";

struct Options {
  std::string table;
  std::string filter;
  int rounds = 20;
  int device = 0;
  bool help = false;
};

// A whole number from `least` on.
bool ParseNumber(const char* text, int least, int* number) {
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (end == text || *end != '\0' || value < least ||
      value > std::numeric_limits<int>::max()) {
    return false;
  }
  *number = static_cast<int>(value);
  return true;
}

// False if `argument` is no good.
bool ParseOption(const char* argument, Options* options) {
  const auto value_of = [argument](const char* name) -> const char* {
    const std::size_t length = std::strlen(name);
    return std::strncmp(argument, name, length) == 0 ? argument + length : nullptr;
  };
  if (std::strcmp(argument, "--help") == 0) return options->help = true;
  if (const char* value = value_of("--table=")) {
    options->table = value;
    return *value != '\0';
  }
  if (const char* value = value_of("--filter=")) {
    options->filter = value;
    return true;
  }
  if (const char* value = value_of("--rounds=")) {
    return ParseNumber(value, 1, &options->rounds);
  }
  if (const char* value = value_of("--device=")) {
    return ParseNumber(value, 0, &options->device);
  }
  return false;
}

ExitStatus Fail(const Tuner& tuner, const std::string& message,
                ExitStatus status = kError) {
  std::fflush(stdout);
  std::fprintf(stderr, "%s: error: %s\n", tuner.label, message.c_str());
  return status;
}

ExitStatus Fail(const Tuner& tuner, const Status& status) {
  return Fail(tuner, status.message(),
              status.code() == RTORCH_UNAVAILABLE ? kNoGpu : kError);
}

// "matmul T=fp16, m <= 64".
std::string NameOf(const Case& one) {
  const std::string name = one.function;
  return one.instantiation[0] != '\0' ? name + ' ' + one.instantiation : name;
}

std::string TablePath(const Tuner& tuner, const Options& options) {
  if (!options.table.empty()) return options.table;
  // Set by `bazel run`.
  const char* workspace = std::getenv("BUILD_WORKSPACE_DIRECTORY");
  return workspace != nullptr ? std::string(workspace) + '/' + tuner.table
                              : tuner.table;
}

// `before` is the table's choice, or empty.
void PrintMeasurements(const Case& one, const std::vector<Measurement>& measurements,
                       const std::string& before) {
  std::printf("\n%s\n  on %s\n%12s %8s\n", NameOf(one).c_str(), Describe(one).c_str(),
              "us", "ratio");
  for (const Measurement& measurement : measurements) {
    const char* choice = measurement.candidate->choice;
    if (measurement.failure.empty()) {
      std::printf("%12.2f %8.3f  %s", measurement.microseconds,
                  measurement.microseconds / measurements[0].microseconds, choice);
    } else {
      std::printf("%12s %8s  %s", "-", "-", choice);
    }
    if (measurement.failure.empty() && &measurement == &measurements[0]) {
      std::printf("  <- fastest");
    }
    if (choice == before) std::printf("  <- in the table");
    if (!measurement.failure.empty()) {
      std::printf("  (%s)", measurement.failure.c_str());
    }
    std::printf("\n");
  }
  std::fflush(stdout);
}

ExitStatus Tune(const Tuner& tuner, const Options& options) {
  std::vector<const Case*> cases;
  for (int i = 0; i < tuner.num_cases; ++i) {
    if (NameOf(tuner.cases[i]).find(options.filter) != std::string::npos) {
      cases.push_back(&tuner.cases[i]);
    }
  }
  if (cases.empty()) {
    std::string names;
    for (int i = 0; i < tuner.num_cases; ++i) {
      names += "\n  " + NameOf(tuner.cases[i]);
    }
    return Fail(tuner, "--filter=" + options.filter + " is in none of" + names,
                kBadUsage);
  }

  StatusOr<std::unique_ptr<Gpu>> opened = Gpu::Open(options.device);
  if (!opened.ok()) return Fail(tuner, opened.status());
  const Gpu& gpu = **opened;
  internal::KernelDevice device;
  Status status;
  if (!internal::FindDevice(*tuner.library, tuner.label, &device, &status)) {
    return Fail(tuner, status);
  }
  // What is fast as code for another GPU says little.
  const std::string& architecture = gpu.architecture();
  const char* target = tuner.library->targets[device.target].name;
  if (architecture != target) {
    return Fail(tuner, "this GPU, " + gpu.name() + ", is " + architecture +
                           " and would run code for " + target + ": build with " +
                           architecture + " among the library's architectures");
  }
  // Before minutes of measuring.
  const std::string path = TablePath(tuner, options);
  status = CheckWritable(path);
  if (!status.ok()) {
    return Fail(tuner, status.message() + ": give the table's path by --table=PATH");
  }

  std::printf("%s on %s (%s), %d rounds\n", tuner.label, gpu.name().c_str(),
              architecture.c_str(), options.rounds);
  Table table = BuiltTable(tuner);
  int changed = 0;
  for (const Case* one : cases) {
    StatusOr<std::vector<Measurement>> measurements =
        Measure(gpu, device, *one, options.rounds);
    if (!measurements.ok()) {
      return Fail(tuner, NameOf(*one) + ": " + measurements.status().message());
    }
    std::string& choice =
        table[one->function][InstantiationKey(one->instantiation)][architecture];
    PrintMeasurements(*one, *measurements, choice);
    if (measurements->empty() || !measurements->front().failure.empty()) {
      return Fail(tuner, NameOf(*one) + ": no candidate runs");
    }
    const char* fastest = measurements->front().candidate->choice;
    if (choice != fastest) ++changed;
    choice = fastest;
  }

  const std::string json = ToJson(table);
  status = ReplaceFile(path, json);
  if (!status.ok()) {
    std::printf("\n%s", json.c_str());
    return Fail(tuner, status.message() + "; the table is above");
  }
  std::printf("\nwrote %s: %zu measured for %s, %d of them changed\n", path.c_str(),
              cases.size(), architecture.c_str(), changed);
  return kWritten;
}

int Main(int argc, char** argv) {
  const Tuner& tuner = GetTuner();
  Options options;
  for (int i = 1; i < argc; ++i) {
    if (ParseOption(argv[i], &options)) continue;
    std::fprintf(stderr, "%s: error: bad argument: %s\n", tuner.label, argv[i]);
    std::fprintf(stderr, kUsage, argv[0], tuner.table);
    return kBadUsage;
  }
  if (options.help) {
    std::printf(kUsage, argv[0], tuner.table);
    return kWritten;
  }
  try {
    return Tune(tuner, options);
  } catch (const std::exception& error) {
    return Fail(tuner, std::string("the host: ") + error.what());
  }
}

}  // namespace
}  // namespace rules_torch::tuning

int main(int argc, char** argv) { return rules_torch::tuning::Main(argc, argv); }
