// From photographs to what EfficientNet-Lite0 was trained on.
#ifndef EXAMPLES_CLASSIFY_PREPROCESS_H_
#define EXAMPLES_CLASSIFY_PREPROCESS_H_

#include <vector>

#include "examples/classify/image.h"

// Height and width of the model's input.
constexpr int kInputSize = 224;

// The centre of `image` as the model's input: float32[3, 224, 224]. The recipe is
// that of models/efficientnet_lite0.py.
std::vector<float> Preprocess(const Image& image);

#endif  // EXAMPLES_CLASSIFY_PREPROCESS_H_
