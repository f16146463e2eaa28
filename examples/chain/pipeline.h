// Three models in a row: an image, its pixels, its embedding, probabilities.
#ifndef EXAMPLES_CHAIN_PIPELINE_H_
#define EXAMPLES_CHAIN_PIPELINE_H_

#include <cstdint>
#include <vector>

#include "examples/chain/embed.h"
#include "examples/chain/normalise.h"
#include "examples/chain/score.h"

// The models, which all threads share: none has state.
struct Models {
  static rules_torch::StatusOr<Models> Create();

  chain::Normalise normalise;
  chain::Embed embed;
  chain::Score score;
};

// What one thread needs beside the models: the memory between them. Each model writes
// where the next one reads, so that nothing is copied or allocated between them.
class Pipeline {
 public:
  static constexpr std::int64_t kMaxBatch = chain::Normalise::kMaxSizes.image[0];

  // `models` must outlive this.
  explicit Pipeline(const Models& models);

  // image: uint8[batch, 32, 32, 3], 1 <= batch <= kMaxBatch, with any strides
  // probabilities: float32[batch, 10]
  rules_torch::Status Run(rules_torch::TensorView<const std::uint8_t, 4> image,
                          rules_torch::TensorView<float, 2> probabilities);

 private:
  const Models& models_;
  std::vector<float> pixels_;
  std::vector<float> embedding_;
};

// The same without memory of its own: each result belongs to whoever holds it, and is
// freed when the next one is there.
rules_torch::StatusOr<rules_torch::Tensor<float, 2>> Classify(
    const Models& models, rules_torch::TensorView<const std::uint8_t, 4> image);

#endif  // EXAMPLES_CHAIN_PIPELINE_H_
