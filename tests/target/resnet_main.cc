// Runs ResNet-18 on one image; prints the instruction set, then what it says.
//   resnet_main [v3|portable]
#include <cstddef>
#include <cstdio>
#include <string_view>
#include <vector>

#include "models/resnet.h"
#include "rules_torch/model.h"
#include "tests/target/resnet.h"

int main(int argc, char** argv) {
  const bool portable = argc > 1 && std::string_view(argv[1]) == "portable";
  const auto model = rules_torch::Model::Create(portable ? &tests::target::Resnet::Api()
                                                         : &models::Resnet::Api());
  if (!model.ok()) return std::puts(model.status().message().c_str()), 1;
  std::printf("%s\n", model->isa());

  std::vector<float> image(3 * 224 * 224);
  for (std::size_t i = 0; i < image.size(); ++i) {
    image[i] = static_cast<float>(i % 251) / 125.0F - 1.0F;
  }
  const rules_torch::TensorView<const float, 4> input(image.data(), {1, 3, 224, 224});
  const RTorchTensor in[] = {input.abi()};
  RTorchTensor out[1] = {};
  const rules_torch::Status status = model->Run(in, 1, out, 1);
  if (!status.ok()) return std::puts(status.message().c_str()), 1;
  for (std::ptrdiff_t i = 0; i < out[0].sizes[1]; ++i) {
    std::printf("%.9g\n", static_cast<double>(static_cast<float*>(out[0].data)[i]));
  }
  model->api().release(out);
  return 0;
}
