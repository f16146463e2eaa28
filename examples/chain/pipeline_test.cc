// Whichever way results go from model to model, they are the same; sanitizers see no
// memory used too late, and no race.
#include "examples/chain/pipeline.h"

#include <cstddef>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace {

using Floats = std::vector<float>;

// MKL sums in an order that the memory's alignment may decide.
void ExpectNear(const Floats& got, const Floats& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-6);
}

class PipelineTest : public ::testing::Test {
 protected:
  static Models Make() {
    auto models = Models::Create();
    if (!models.ok()) ADD_FAILURE() << models.status();
    return *std::move(models);
  }

  static std::vector<std::uint8_t> Image(std::int64_t batch) {
    std::vector<std::uint8_t> image(static_cast<std::size_t>(batch) * 32 * 32 * 3);
    for (std::size_t i = 0; i < image.size(); ++i) {
      image[i] = static_cast<std::uint8_t>(i * i % 251);
    }
    return image;
  }

  static Floats Run(Pipeline* pipeline, const std::vector<std::uint8_t>& image,
                    std::int64_t batch) {
    Floats probabilities(static_cast<std::size_t>(batch) * 10);
    const auto status = pipeline->Run({image.data(), {batch, 32, 32, 3}},
                                      {probabilities.data(), {batch, 10}});
    EXPECT_TRUE(status.ok()) << status;
    return probabilities;
  }

  const Models models_ = Make();
};

TEST_F(PipelineTest, GivesWhatModelsGiveThatOwnTheirResults) {
  Pipeline pipeline(models_);
  for (const std::int64_t batch : {3, 16, 1, 7}) {
    const std::vector<std::uint8_t> image = Image(batch);
    const auto owned = Classify(models_, {image.data(), {batch, 32, 32, 3}});
    ASSERT_TRUE(owned.ok()) << owned.status();
    const Floats expected(owned->begin(), owned->end());
    ExpectNear(Run(&pipeline, image, batch), expected);
    for (std::int64_t row = 0; row < batch; ++row) {
      float sum = 0;
      for (int i = 0; i < 10; ++i) sum += (*owned)(row, i);
      EXPECT_NEAR(sum, 1, 1e-5);
    }
  }
}

TEST_F(PipelineTest, ResultsOutliveTheModels) {
  const std::vector<std::uint8_t> image = Image(2);
  rules_torch::Tensor<float, 2> probabilities;
  Floats expected;
  {
    const Models models = Make();
    Pipeline pipeline(models);
    expected = Run(&pipeline, image, 2);
    auto owned = Classify(models, {image.data(), {2, 32, 32, 3}});
    ASSERT_TRUE(owned.ok());
    probabilities = *std::move(owned);
  }
  ExpectNear(Floats(probabilities.begin(), probabilities.end()), expected);
}

TEST_F(PipelineTest, ThreadsShareTheModels) {
  const std::vector<std::uint8_t> image = Image(4);
  Pipeline pipeline(models_);
  const Floats expected = Run(&pipeline, image, 4);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      Pipeline own(models_);
      for (int i = 0; i < 5; ++i) ExpectNear(Run(&own, image, 4), expected);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(PipelineTest, RefusesWhatItHasNoMemoryFor) {
  Pipeline pipeline(models_);
  const std::int64_t batch = Pipeline::kMaxBatch + 1;
  const std::vector<std::uint8_t> image = Image(batch);
  Floats probabilities(static_cast<std::size_t>(batch) * 10);
  EXPECT_EQ(
      pipeline
          .Run({image.data(), {batch, 32, 32, 3}}, {probabilities.data(), {batch, 10}})
          .code(),
      RTORCH_INVALID_ARGUMENT);
}

}  // namespace
