// One model with two runtimes in one program: neither uses what is the other's.
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "models/encoder.h"
#include "models/mlp.h"
#include "tests/libtorch/encoder.h"
#include "tests/libtorch/mlp.h"

namespace {

template <typename Mlp>
std::vector<float> RunMlp() {
  std::array<float, 24> x;
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i) / 8;
  const auto model = Mlp::Create();
  if (!model.ok()) return {};
  const auto outputs = model->Run({{x.data(), {3, 8}}});
  if (!outputs.ok()) return {};
  return {outputs->y.data(), outputs->y.data() + 12};
}

TEST(TwoRuntimes, AnswerAlike) {
  const std::vector<float> expected = RunMlp<models::Mlp>();
  const std::vector<float> found = RunMlp<tests::libtorch::Mlp>();
  ASSERT_EQ(expected.size(), 12);
  ASSERT_EQ(found.size(), 12);
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_NEAR(found[i], expected[i], 1e-6) << i;
  }
}

template <typename Model>
void ExpectCreates() {
  const auto model = Model::Create();
  EXPECT_TRUE(model.ok()) << Model::Api().name << ": " << model.status().message();
}

TEST(TwoRuntimes, ShareAProgram) {
  ExpectCreates<models::Encoder>();
  ExpectCreates<tests::libtorch::Encoder>();
}

}  // namespace
