// A model that goes on serving while it gets new weights.
//
//   swap_weights OLD.safetensors NEW.safetensors
#include <array>
#include <atomic>
#include <cstdio>
#include <thread>

#include "examples/swap_weights/scorer.h"

namespace {

using examples::swap_weights::Scorer;
using rules_torch::Status;
using rules_torch::StatusOr;
using rules_torch::Weights;

// The first score of one request.
StatusOr<float> Score(const Scorer& model) {
  std::array<float, 8> x;
  x.fill(1);
  const auto outputs = model.Run({.x = {x.data(), {1, 8}}});
  if (!outputs.ok()) return outputs.status();
  return outputs->y(0, 0);
}

Status Serve(const char* old_weights, const char* new_weights) {
  StatusOr<Scorer> model = Scorer::Create({.weights = Weights::File(old_weights)});
  if (!model.ok()) return model.status();
  const StatusOr<float> before = Score(*model);

  // Requests come all the time. Each is answered with the old weights or the new ones.
  std::atomic<bool> done = false;
  std::atomic<int> answered = 0;
  std::atomic<int> failed = 0;
  std::thread requests([&] {
    while (!done) ++(Score(*model).ok() ? answered : failed);
  });
  while (answered + failed == 0) std::this_thread::yield();
  // Weights that do not fit are refused, and the model stays as it is.
  const Status swapped = model->Swap(Weights::File(new_weights));
  const StatusOr<float> after = Score(*model);
  done = true;
  requests.join();

  if (!swapped.ok()) return swapped;
  if (!before.ok()) return before.status();
  if (!after.ok()) return after.status();
  std::printf("before: %.6f\nafter: %.6f\nfailed: %d\n", *before, *after,
              failed.load());
  return Status();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: swap_weights OLD.safetensors NEW.safetensors\n", stderr);
    return 2;
  }
  const Status status = Serve(argv[1], argv[2]);
  if (status.ok()) return 0;
  std::fprintf(stderr, "swap_weights: %s\n", status.message().c_str());
  return 1;
}
