// The compiled model computes what torch::jit computes, call by call: its state and its
// ways through the code as well.
#include "examples/torchscript/speech_gate.h"

#include <torch/script.h>

#include <cstdint>
#include <cstdlib>
#include <vector>

#include "gtest/gtest.h"

namespace {

at::Tensor Named(const c10::IValue& outputs, const char* name) {
  return outputs.toGenericDict().at(name).toTensor();
}

TEST(SpeechGateTest, ComputesWhatTorchScriptComputes) {
  const char* path = std::getenv("SPEECH_GATE");
  ASSERT_NE(path, nullptr);
  torch::jit::Module script = torch::jit::load(path);
  script.eval();
  auto compiled = audio::SpeechGate::Create();
  ASSERT_TRUE(compiled.ok()) << compiled.status();

  const c10::InferenceMode guard;
  torch::manual_seed(0);
  const std::vector<double> loudness = {0.001, 0.3, 9.0, 0.001, 70.0, 1e6, 0.001, 0.3};
  for (std::size_t i = 0; i < loudness.size(); ++i) {
    const auto size = static_cast<std::int64_t>(160 * (i + 1));
    const at::Tensor samples = torch::randn({size}) * loudness[i];
    const c10::IValue expected = script.forward({samples});
    const auto found = compiled->Run({{samples.const_data_ptr<float>(), {size}}});
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_NEAR(found->speech(0), Named(expected, "speech").item<float>(), 1e-5);
    EXPECT_EQ(found->halvings(), Named(expected, "halvings").item<std::int64_t>());
    EXPECT_EQ(found->pieces(), Named(expected, "pieces").item<std::int64_t>());
  }
}

}  // namespace
