// Says what a photograph shows, with EfficientNet-Lite0: see kHelp.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "examples/classify/image.h"
#include "examples/classify/imagenet_classes.h"
#include "examples/classify/preprocess.h"
#include "models/efficientnet_lite0.h"
#include "rules_torch/trace.h"
#include "tools/cpp/runfiles/runfiles.h"

namespace {

using bazel::tools::cpp::runfiles::Runfiles;
using rules_torch::Status;
using rules_torch::StatusOr;

constexpr char kHelp[] =
    R"(usage: classify [--trace=FILE] [PICTURE]

Prints the five ImageNet classes that a PNG, JPEG or PNM picture most probably shows,
each after its probability. The default picture is a cat's.

--trace=FILE writes where the time went, for https://ui.perfetto.dev.

exit status: 0 success, 1 failure (such as a picture that cannot be read), 2 usage
)";

// Finds the default picture, which Bazel puts into a folder beside the program.
std::string DefaultPicture(const std::string& program) {
  std::error_code ignored;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe", ignored);
  // The program's path leads there too if it was started through a link or PATH.
  for (const std::string& path : {program, self}) {
    const std::unique_ptr<Runfiles> runfiles(
        Runfiles::Create(path, BAZEL_CURRENT_REPOSITORY));
    if (runfiles != nullptr) return runfiles->Rlocation(DEFAULT_PICTURE);
  }
  return DEFAULT_PICTURE;
}

// Paths are relative to the folder that `bazel run` was called in, not to the one
// that it starts programs in.
std::string FromWorkingDirectory(const std::string& path) {
  const char* directory = std::getenv("BUILD_WORKING_DIRECTORY");
  return std::filesystem::path(directory == nullptr ? "" : directory) / path;
}

// `trace` may be null.
Status Classify(const Image& image, const RTorchTracer* tracer) {
  const StatusOr<models::EfficientnetLite0> model = models::EfficientnetLite0::Create();
  if (!model.ok()) return model.status();
  const std::vector<float> pixels = Preprocess(image);
  const auto outputs =
      model->Run({.image = {pixels.data(), {1, 3, kInputSize, kInputSize}}},
                 rules_torch::RunOptions{.tracer = tracer});
  if (!outputs.ok()) return outputs.status();

  const float* probabilities = outputs->probabilities.data();
  std::array<int, std::size(kImagenetClasses)> classes;
  std::iota(classes.begin(), classes.end(), 0);
  std::partial_sort(classes.begin(), classes.begin() + 5, classes.end(),
                    [&](int a, int b) { return probabilities[a] > probabilities[b]; });
  for (int i = 0; i < 5; ++i) {
    std::printf("%.4f  %s\n", probabilities[classes[i]], kImagenetClasses[classes[i]]);
  }
  return Status();
}

int Fail(const std::string& message) {
  std::fprintf(stderr, "classify: %s\n", message.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  if (arguments.size() == 1 && (arguments[0] == "--help" || arguments[0] == "-h")) {
    std::fputs(kHelp, stdout);
    return 0;
  }
  constexpr std::string_view kTrace = "--trace=";
  std::string trace_file;
  if (!arguments.empty() && arguments[0].compare(0, kTrace.size(), kTrace) == 0) {
    trace_file = FromWorkingDirectory(arguments[0].substr(kTrace.size()));
    arguments.erase(arguments.begin());
  }
  if (arguments.size() > 1 || (arguments.size() == 1 && arguments[0][0] == '-')) {
    std::fputs("usage: classify [--trace=FILE] [PICTURE]; see classify --help\n",
               stderr);
    return 2;
  }

  const std::string picture =
      arguments.empty() ? DefaultPicture(argv[0]) : FromWorkingDirectory(arguments[0]);
  const StatusOr<Image> image = ReadImage(picture);
  if (!image.ok()) {
    return Fail("cannot read '" + picture + "': " + image.status().message());
  }
  rules_torch::Trace trace;
  Status status = Classify(*image, trace_file.empty() ? nullptr : trace.tracer());
  if (status.ok() && !trace_file.empty()) status = trace.Write(trace_file);
  if (!status.ok()) return Fail(status.message());
  if (std::fflush(stdout) != 0) return Fail("cannot write the result");
  return 0;
}
