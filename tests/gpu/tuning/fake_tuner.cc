// A tuner as triton_tuner generates it, written by hand, for the fake CUDA driver.
// The environment says how the device behaves:
//   FAKE_ARCHITECTURE=sm_86   what the device is; sm_90
//   FAKE_FAILS="add_64:701"   kernels whose launches fail
//   FAKE_FUNCTION_FAILS=cuMemAlloc_v2:2  a function of the driver that fails
//   FAKE_BREAKS=add_64        the kernel's launch leaves the context unusable
//   FAKE_OUTLIER=add_64       the kernel's 60th launch takes very long
//   FAKE_REPORT=PATH          where to write what was launched
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "runtime/tuning/tune.h"
#include "tests/gpu/fake_gpu.h"

namespace {

using rules_torch::Grid;
using rules_torch::internal::Blob;
using rules_torch::internal::Kernel;
using rules_torch::internal::KernelFormat;
using rules_torch::internal::KernelImage;
using rules_torch::internal::KernelLibrary;
using rules_torch::internal::KernelTarget;
using rules_torch::tuning::Argument;
using rules_torch::tuning::Candidate;
using rules_torch::tuning::Case;
using rules_torch::tuning::Kind;
using rules_torch::tuning::Row;
using rules_torch::tuning::Tuner;

// An image for each target, 64 bytes each.
alignas(64) constexpr char kCode[2][64] = {
    "sm_80 add_64 add_128 add_256 scale_1 scale_2",
    "sm_90 add_64 add_128 add_256 scale_1 scale_2"};
const Blob kBlob = {reinterpret_cast<const std::uint8_t*>(kCode), sizeof kCode};
const KernelTarget kTargets[] = {{"sm_80", KernelFormat::kCubin, 80},
                                 {"sm_90", KernelFormat::kCubin, 90}};
KernelLibrary library = {"//kernels:test", &kBlob, kTargets, 2, {}};

#define IMAGES(symbol, size_on_sm_90)                     \
  {                                                       \
    {0, 64, symbol, 128, 1, 0, 1, 0, nullptr}, {          \
      64, size_on_sm_90, symbol, 128, 1, 0, 1, 0, nullptr \
    }                                                     \
  }
const KernelImage kImages[][2] = {
    IMAGES("add_64", 64), IMAGES("add_128", 64), IMAGES("add_256", 64),
    IMAGES("add_512", 0), IMAGES("scale_1", 64), IMAGES("scale_2", 64),
};
Kernel kernels[] = {
    {"kernels::add", &library, kImages[0], {}},
    {"kernels::add", &library, kImages[1], {}},
    {"kernels::add", &library, kImages[2], {}},
    {"kernels::add", &library, kImages[3], {}},
    {"kernels::scale", &library, kImages[4], {}},
    {"kernels::scale", &library, kImages[5], {}},
};

const std::map<std::string, double> kMilliseconds = {
    {"add_64", 0.3},    {"add_128", 0.1}, {"add_256", 0.2},
    {"scale_1", 0.004}, {"scale_2", 2.5},
};

const Argument kAddArguments[] = {
    {"out", "fp32", Kind::kPointer, 16, 0},   {"x", "fp16", Kind::kPointer, 1000, 0},
    {"y", "bf16", Kind::kPointer, 1000, 0},   {"z", "fp64", Kind::kPointer, 16, 0},
    {"index", "i32", Kind::kPointer, 16, 0},  {"nothing", "fp32", Kind::kPointer, 0, 0},
    {"a", "fp8e4nv", Kind::kPointer, 500, 0}, {"b", "fp8e5", Kind::kPointer, 500, 0},
};
const Argument kScaleArguments[] = {
    {"x", "fp32", Kind::kPointer, 1100000, 0},
    {"flag", "i1", Kind::kInteger, 1, 0},
    {"i8", "i8", Kind::kInteger, -2, 0},
    {"u16", "u16", Kind::kInteger, 65535, 0},
    {"i32", "i32", Kind::kInteger, -3, 0},
    {"i64", "i64", Kind::kInteger, 1LL << 40, 0},
    {"fp16", "fp16", Kind::kReal, 0, 1.5},
    {"bf16", "bf16", Kind::kReal, 0, -2},
    {"fp32", "fp32", Kind::kReal, 0, 0.25},
    {"fp64", "fp64", Kind::kReal, 0, 1e300},
    {"one", "fp32", Kind::kInteger, 1, 0},
};

Grid SmallGrid(std::int64_t) { return {16, 2, 1}; }
Grid WholeDevice(std::int64_t multiprocessors) { return {multiprocessors, 1, 1}; }

const Candidate kAddCandidates[] = {
    {R"({"BLOCK": 512})", &kernels[3], SmallGrid},
    {R"({"BLOCK": 64})", &kernels[0], SmallGrid},
    {R"({"BLOCK": 128})", &kernels[1], SmallGrid},
    {R"({"BLOCK": 256})", &kernels[2], SmallGrid},
};
const Candidate kScaleCandidates[] = {
    {R"({"num_warps": 1})", &kernels[4], WholeDevice},
    {R"({"num_warps": 2})", &kernels[5], WholeDevice},
};
const Case kCases[] = {
    {"scale", "T=fp32, mode=\"a\\b\"", kScaleArguments, 11, kScaleCandidates, 2},
    {"add", "", kAddArguments, 8, kAddCandidates, 4},
};
const Row kRows[] = {
    {"scale", "gone", "sm_90", R"({"num_warps": 4})"},
    {"add", "", "sm_90", R"({"BLOCK": 256})"},
    {"add", "", "sm_80", R"({"BLOCK": 64})"},
};
const Tuner kTuner = {
    "//kernels:tune_test", "kernels/test.tuning.json", &library, kCases, 2, kRows, 3};

std::string Environment(const char* name, const char* otherwise = "") {
  const char* value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

constexpr int kAlways = 1 << 30;

fake::State* state = nullptr;

// The sizes of arguments, and what is looked at of the memory that they point to.
struct Shape {
  struct Bytes {
    std::size_t offset, size;
  };
  std::vector<std::size_t> sizes;
  std::vector<Bytes> memory;
};
const Shape kAddShape = {
    {8, 8, 8, 8, 8, 8, 8, 8},
    {{0, 64}, {0, 2000}, {0, 2000}, {0, 128}, {0, 64}, {0, 0}, {0, 500}, {0, 500}}};
const Shape kScaleShape = {{8, 1, 1, 2, 4, 8, 2, 2, 4, 8, 4}, {{4400000 - 400, 400}}};

std::map<std::string, int> launches;
std::string order;
std::string arguments;

int OnLaunch(const fake::Launch& launch) {
  const std::string failing = Environment("FAKE_FAILS");
  if (const auto at = failing.find(launch.kernel + ":"); at != std::string::npos) {
    return std::atoi(failing.c_str() + at + launch.kernel.size() + 1);
  }
  if (launch.kernel == Environment("FAKE_BREAKS")) {
    for (const char* function :
         {"cuStreamSynchronize", "cuCtxSynchronize", "cuLaunchKernel"}) {
      state->failures[function] = {700, 0, kAlways};
    }
  }
  const int number = ++launches[launch.kernel];
  const bool outlier = launch.kernel == Environment("FAKE_OUTLIER") && number == 60;
  state->clock += outlier ? 1e4 : kMilliseconds.at(launch.kernel);

  if (order.size() < launch.kernel.size() ||
      order.compare(order.size() - launch.kernel.size(), std::string::npos,
                    launch.kernel) != 0) {
    order += ' ' + launch.kernel;
  }
  if (number == 1) {
    const Shape& shape = launch.kernel[0] == 'a' ? kAddShape : kScaleShape;
    arguments += launch.kernel + " " + std::to_string(launch.grid[0]) + "," +
                 std::to_string(launch.grid[1]) + "," + std::to_string(launch.grid[2]);
    for (std::size_t i = 0; i < launch.arguments.size(); ++i) {
      const unsigned char* bytes = launch.arguments[i].data();
      std::size_t size = launch.arguments[i].size();
      if (i < shape.memory.size()) {
        std::memcpy(&bytes, bytes, sizeof bytes);
        bytes += shape.memory[i].offset;
        size = shape.memory[i].size;
      }
      arguments += ' ';
      for (std::size_t j = 0; j < size; ++j) {
        char hex[3];
        std::snprintf(hex, sizeof hex, "%02x", bytes[j]);
        arguments += hex;
      }
    }
    arguments += '\n';
  }
  return 0;
}

void WriteReport() {
  std::ofstream file(Environment("FAKE_REPORT", "/dev/null"));
  file << order << '\n'
       << state->live_memory << ' ' << state->live_streams << ' ' << state->live_events
       << '\n'
       << arguments;
}

void SetUpDevice() {
  void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (driver == nullptr) return;  // a machine with no GPU
  const auto get_state = reinterpret_cast<fake::GetState>(dlsym(driver, "fake_state"));
  if (get_state == nullptr) std::abort();  // the machine's own driver
  state = get_state();
  state->devices = {
      {"Fake GPU", Environment("FAKE_ARCHITECTURE", "sm_90"), 132, 232448}};
  state->record_time = 0;
  state->on_launch = OnLaunch;
  for (const char* kernel : {"add_64", "add_128", "add_256"}) {
    state->argument_sizes[kernel] = kAddShape.sizes;
  }
  for (const char* kernel : {"scale_1", "scale_2"}) {
    state->argument_sizes[kernel] = kScaleShape.sizes;
  }
  const std::string failing = Environment("FAKE_FUNCTION_FAILS");
  if (const auto colon = failing.find(':'); colon != std::string::npos) {
    state->failures[failing.substr(0, colon)] = {std::atoi(failing.c_str() + colon + 1),
                                                 0, kAlways};
  }
  std::atexit(WriteReport);
}

}  // namespace

const Tuner& rules_torch::tuning::GetTuner() {
  SetUpDevice();
  return kTuner;
}
