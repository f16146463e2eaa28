#include "examples/chain/pipeline.h"

#include <cstddef>
#include <cstdint>
#include <utility>

using rules_torch::Status;
using rules_torch::StatusOr;
using rules_torch::Tensor;
using rules_torch::TensorView;

StatusOr<Models> Models::Create() {
  auto normalise = chain::Normalise::Create();
  if (!normalise.ok()) return normalise.status();
  auto embed = chain::Embed::Create();
  if (!embed.ok()) return embed.status();
  auto score = chain::Score::Create();
  if (!score.ok()) return score.status();
  return Models{*std::move(normalise), *std::move(embed), *std::move(score)};
}

Pipeline::Pipeline(const Models& models)
    : models_(models),
      pixels_(static_cast<std::size_t>(kMaxBatch) * 3 * 32 * 32),
      embedding_(static_cast<std::size_t>(kMaxBatch) * 64) {}

Status Pipeline::Run(TensorView<const std::uint8_t, 4> image,
                     TensorView<float, 2> probabilities) {
  const std::int64_t batch = image.size(0);
  if (batch > kMaxBatch) return {RTORCH_INVALID_ARGUMENT, "the batch is too large"};
  const TensorView<float, 4> pixels(pixels_.data(), {batch, 3, 32, 32});
  const TensorView<float, 2> embedding(embedding_.data(), {batch, 64});
  Status status = models_.normalise.Run({image}, {pixels});
  if (status.ok()) status = models_.embed.Run({pixels}, {embedding});
  if (status.ok()) status = models_.score.Run({embedding}, {probabilities});
  return status;
}

StatusOr<Tensor<float, 2>> Classify(const Models& models,
                                    TensorView<const std::uint8_t, 4> image) {
  auto normalised = models.normalise.Run({image});
  if (!normalised.ok()) return normalised.status();
  const auto embedded = models.embed.Run({normalised->pixels.view()});
  if (!embedded.ok()) return embedded.status();
  normalised->pixels = {};  // frees the pixels
  auto scored = models.score.Run({embedded->embedding.view()});
  if (!scored.ok()) return scored.status();
  return std::move(scored->probabilities);
}
