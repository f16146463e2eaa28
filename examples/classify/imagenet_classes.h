// Names of ImageNet's classes, in the order of the model's probabilities.
#ifndef EXAMPLES_CLASSIFY_IMAGENET_CLASSES_H_
#define EXAMPLES_CLASSIFY_IMAGENET_CLASSES_H_

#include <iterator>

constexpr const char* kImagenetClasses[] = {
#include "examples/classify/imagenet_classes.inc"
};
static_assert(std::size(kImagenetClasses) == 1000);

#endif  // EXAMPLES_CLASSIFY_IMAGENET_CLASSES_H_
