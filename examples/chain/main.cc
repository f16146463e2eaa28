// Serves requests in several threads, each of which has a way of its own through three
// models that all share.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "examples/chain/pipeline.h"

namespace {

constexpr int kThreads = 3;
constexpr int kRequests = 50;  // of each thread

// An image for each request, all grey.
std::vector<std::uint8_t> ImageOf(int request) {
  return std::vector<std::uint8_t>(32 * 32 * 3, static_cast<std::uint8_t>(5 * request));
}

std::string Serve(const Models& models) {
  Pipeline pipeline(models);
  std::array<float, 10> probabilities{};
  float highest = 0;
  for (int request = 0; request < kRequests; ++request) {
    const std::vector<std::uint8_t> image = ImageOf(request);
    const auto status =
        pipeline.Run({image.data(), {1, 32, 32, 3}}, {probabilities.data(), {1, 10}});
    if (!status.ok()) return status.message();
    for (const float p : probabilities) highest = p > highest ? p : highest;
  }
  char text[64];
  std::snprintf(text, sizeof text, "%d requests, highest probability %.2f", kRequests,
                static_cast<double>(highest));
  return text;
}

}  // namespace

int main() {
  const auto models = Models::Create();
  if (!models.ok()) {
    std::fprintf(stderr, "chain: %s\n", models.status().message().c_str());
    return 1;
  }
  std::array<std::string, kThreads> served;
  std::vector<std::thread> threads;
  for (std::string& text : served) {
    threads.emplace_back([&] { text = Serve(*models); });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < served.size(); ++i) {
    std::printf("thread %zu: %s\n", i, served[i].c_str());
  }
  return 0;
}
