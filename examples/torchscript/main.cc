// Listens to a recording that it makes up: silence, a voice, one that is too loud,
// silence.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "examples/torchscript/speech_gate.h"

namespace {

// 100 ms, 16,000 samples a second.
std::vector<float> Piece(double loudness) {
  std::vector<float> samples(1600);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const double t = static_cast<double>(i) / 16000;
    samples[i] = static_cast<float>(loudness * std::sin(1400 * t) *
                                    (1 + 0.5 * std::sin(9000 * t)));
  }
  return samples;
}

}  // namespace

int main() {
  auto gate = audio::SpeechGate::Create();
  if (!gate.ok()) {
    std::fprintf(stderr, "%s\n", gate.status().message().c_str());
    return 1;
  }
  for (const double loudness : {0.001, 0.001, 0.3, 5.0, 0.3, 0.001}) {
    const std::vector<float> samples = Piece(loudness);
    const auto result =
        gate->Run({{samples.data(), {static_cast<std::int64_t>(samples.size())}}});
    if (!result.ok()) {
      std::fprintf(stderr, "%s\n", result.status().message().c_str());
      return 1;
    }
    std::printf("piece %d: speech %.2f, halved %d times\n",
                static_cast<int>(result->pieces()), result->speech(0),
                static_cast<int>(result->halvings()));
  }
}
