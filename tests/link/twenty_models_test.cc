// Links twenty models into one binary and uses each of them.
#include <array>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "models/counter.h"
#include "models/efficientnet_lite0.h"
#include "models/encoder.h"
#include "models/gated.h"
#include "models/lstm.h"
#include "models/mlp.h"
#include "models/multi.h"
#include "models/resnet.h"
#include "models/resnet50.h"
#include "tests/link/copy0.h"
#include "tests/link/copy1.h"
#include "tests/link/copy10.h"
#include "tests/link/copy2.h"
#include "tests/link/copy3.h"
#include "tests/link/copy4.h"
#include "tests/link/copy5.h"
#include "tests/link/copy6.h"
#include "tests/link/copy7.h"
#include "tests/link/copy8.h"
#include "tests/link/copy9.h"

namespace {

template <typename Model>
void ExpectCreates() {
  const auto model = Model::Create();
  EXPECT_TRUE(model.ok()) << Model::Api().name << ": " << model.status().message();
}

template <typename Model>
std::array<float, 2> Result() {
  const std::array<float, 4> x = {1, 2, 3, 4};
  auto model = Model::Create();
  if (!model.ok()) return {};
  auto outputs = model->Run({{x.data(), {4}}});
  if (!outputs.ok()) return {};
  return {outputs->y(0), outputs->y(1)};
}

TEST(TwentyModels, AllCanBeCreated) {
  ExpectCreates<models::Counter>();
  ExpectCreates<models::EfficientnetLite0>();
  ExpectCreates<models::Encoder>();
  ExpectCreates<models::Gated>();
  ExpectCreates<models::Lstm>();
  ExpectCreates<models::Mlp>();
  ExpectCreates<models::Multi>();
  ExpectCreates<models::Resnet>();
  ExpectCreates<models::Resnet50>();
}

// Copies with an even number have one seed's weights, the others another's.
TEST(TwentyModels, EachUsesItsOwnWeights) {
  const std::vector<std::array<float, 2>> results = {
      Result<copy0::Linear>(), Result<copy1::Linear>(), Result<copy2::Linear>(),
      Result<copy3::Linear>(), Result<copy4::Linear>(), Result<copy5::Linear>(),
      Result<copy6::Linear>(), Result<copy7::Linear>(), Result<copy8::Linear>(),
      Result<copy9::Linear>(), Result<copy10::Linear>()};
  EXPECT_NE(results[0], results[1]);
  for (std::size_t i = 2; i < results.size(); ++i) {
    EXPECT_EQ(results[i], results[i % 2]) << "copy" << i;
  }
}

}  // namespace
