#include "runtime/tuning/measure.h"

#include <algorithm>
#include <utility>

#include "runtime/tuning/example.h"

namespace rules_torch::tuning {
namespace {

constexpr double kBatchMilliseconds = 2;
constexpr int kMaxLaunches = 1024;  // of a batch

class Runner {
 public:
  Runner(const Gpu& gpu, const internal::KernelDevice& device, const GpuStream& stream,
         Example& example, const Candidate& candidate)
      : gpu_(gpu),
        device_(device),
        stream_(stream),
        example_(example),
        candidate_(candidate),
        grid_(candidate.grid(device.multiprocessors)) {}

  const Candidate& candidate() const { return candidate_; }
  const Status& status() const { return status_; }

  // Loads the kernel, and finds out how many launches make a batch.
  void WarmUp() {
    status_ = Launch(1);
    if (status_.ok()) status_ = stream_.Synchronize();
    double milliseconds = 0;
    for (launches_ = 1; status_.ok(); launches_ *= 2) {
      milliseconds = Time();
      if (milliseconds >= kBatchMilliseconds / 2 || launches_ >= kMaxLaunches) break;
    }
    launches_ = static_cast<int>(std::clamp(
        launches_ * kBatchMilliseconds / milliseconds, 1.0, double{kMaxLaunches}));
  }

  void Round() { rounds_.push_back(Time() * 1000 / launches_); }

  double Median() {
    std::sort(rounds_.begin(), rounds_.end());
    const std::size_t middle = rounds_.size() / 2;
    return rounds_.size() % 2 != 0 ? rounds_[middle]
                                   : (rounds_[middle - 1] + rounds_[middle]) / 2;
  }

 private:
  Status Launch(int times) {
    Status status;
    for (int i = 0; i < times && status.ok(); ++i) {
      status = internal::LaunchKernel(*candidate_.kernel, device_, stream_.get(), grid_,
                                      example_.pointers(), example_.size());
    }
    return status;
  }

  // Milliseconds of a batch.
  double Time() {
    StatusOr<float> time = gpu_.Time(stream_, [this] { return Launch(launches_); });
    if (time.ok()) return *time;
    status_ = time.status();
    return 0;
  }

  const Gpu& gpu_;
  const internal::KernelDevice& device_;
  const GpuStream& stream_;
  Example& example_;
  const Candidate& candidate_;
  Grid grid_;
  int launches_ = 1;
  std::vector<double> rounds_;
  Status status_;
};

}  // namespace

StatusOr<std::vector<Measurement>> Measure(const Gpu& gpu,
                                           const internal::KernelDevice& device,
                                           const Case& one, int rounds) {
  StatusOr<Example> example = Example::Create(gpu, one);
  if (!example.ok()) return example.status();
  StatusOr<GpuStream> stream = gpu.CreateStream();
  if (!stream.ok()) return stream.status();

  std::vector<Runner> runners;
  std::vector<Measurement> failed;
  for (int i = 0; i < one.num_candidates; ++i) {
    const Candidate& candidate = one.candidates[i];
    if (candidate.kernel->images[device.target].size != 0) {
      runners.emplace_back(gpu, device, *stream, *example, candidate);
    } else {
      failed.push_back({&candidate, 0, "does not fit " + gpu.architecture()});
    }
  }

  for (int round = -1; round < rounds; ++round) {
    std::vector<Runner> left;
    for (Runner& runner : runners) {
      if (round < 0) {
        runner.WarmUp();
      } else {
        runner.Round();
      }
      if (runner.status().ok()) {
        left.push_back(std::move(runner));
        continue;
      }
      // A kernel that broke the context leaves nothing to measure the others with.
      Status status = gpu.Synchronize();
      if (!status.ok()) {
        return Status(status.code(), std::string(runner.candidate().choice) + ": " +
                                         runner.status().message());
      }
      failed.push_back({&runner.candidate(), 0, runner.status().message()});
    }
    runners = std::move(left);
  }

  std::vector<Measurement> measurements;
  for (Runner& runner : runners) {
    measurements.push_back({&runner.candidate(), runner.Median(), ""});
  }
  std::stable_sort(measurements.begin(), measurements.end(),
                   [](const Measurement& a, const Measurement& b) {
                     return a.microseconds < b.microseconds;
                   });
  measurements.insert(measurements.end(), failed.begin(), failed.end());
  return measurements;
}

}  // namespace rules_torch::tuning
