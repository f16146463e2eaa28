// Compiled models in a program that is written against libtorch's C++ frontend.
//
// A classifier of three parts: a module in C++, the compiled //models:mlp, and a module
// in C++ again. Then a picture that is blended by one compiled function, where ATen
// would make six passes over memory. Prints what both give, and how far ATen is off.
#include <torch/torch.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "examples/libtorch/blend.h"
#include "models/mlp.h"
#include "rules_torch/aten.h"

namespace {

// What is in a StatusOr, or the end of the program with its message.
template <typename T>
T Take(rules_torch::StatusOr<T> result) {
  if (result.ok()) return *std::move(result);
  std::fprintf(stderr, "libtorch: %s\n", result.status().message().c_str());
  std::exit(1);
}

struct ClassifierImpl : torch::nn::Module {
  ClassifierImpl()
      : before(register_module("before", torch::nn::Linear(12, 8))),
        after(register_module("after", torch::nn::Linear(4, 2))),
        mlp(Take(models::Mlp::Create())) {}

  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor hidden = before(x);
    auto outputs = Take(mlp.Run({Take(rules_torch::ViewOf<const float, 2>(hidden))}));
    return torch::softmax(after(rules_torch::ToAten(std::move(outputs.y))), 1);
  }

  torch::nn::Linear before;
  torch::nn::Linear after;
  models::Mlp mlp;
};
TORCH_MODULE(Classifier);

torch::Tensor BlendByAten(const torch::Tensor& front, const torch::Tensor& back,
                          const torch::Tensor& mask) {
  const torch::Tensor weight = torch::sigmoid(mask * 4 - 2);
  return (front * weight + back * (1 - weight)).clamp(0, 1);
}

// Into memory that the caller has: `picture` is written in place.
void Blend(const examples::libtorch::Blend& blend, const torch::Tensor& front,
           const torch::Tensor& back, const torch::Tensor& mask,
           const torch::Tensor& picture) {
  const auto view = [](const torch::Tensor& tensor) {
    return Take(rules_torch::ViewOf<const float, 2>(tensor));
  };
  const examples::libtorch::Blend::Buffers buffers{
      Take(rules_torch::ViewOf<float, 2>(picture))};
  const rules_torch::Status status =
      blend.Run({view(front), view(back), view(mask)}, buffers);
  if (!status.ok()) {
    std::fprintf(stderr, "libtorch: %s\n", status.message().c_str());
    std::exit(1);
  }
}

}  // namespace

int main() {
  torch::manual_seed(0);
  const torch::InferenceMode guard;

  Classifier classifier;
  classifier->eval();
  const torch::Tensor scores = classifier(torch::ones({3, 12}));
  std::printf("scores of %d rows, each of which sums up to %.3f\n",
              static_cast<int>(scores.size(0)), scores[0].sum().item<float>());

  const auto blend = Take(examples::libtorch::Blend::Create());
  const torch::Tensor front = torch::rand({480, 640});
  const torch::Tensor back = torch::rand({480, 640});
  // A view with strides of its own: it is copied, the others are not.
  const torch::Tensor mask = torch::rand({640, 480}).t();
  torch::Tensor picture = torch::empty({480, 640});
  Blend(blend, front, back, mask, picture);
  const torch::Tensor difference = picture - BlendByAten(front, back, mask);
  const auto largest = difference.abs().max().item<float>();
  std::printf("a picture of %d by %d, the same as ATen's: %s\n",
              static_cast<int>(picture.size(0)), static_cast<int>(picture.size(1)),
              largest < 1e-6F ? "yes" : "no");
  return largest < 1e-6F ? 0 : 1;
}
