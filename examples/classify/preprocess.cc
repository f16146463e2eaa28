#include "examples/classify/preprocess.h"

#include <algorithm>
#include <cstdint>

namespace {

// Where output index `i` falls among the `side` pixels of the crop: between `low` and
// `high`, `fraction` of the way.
struct Sample {
  Sample(int i, int side) {
    const float position =
        std::clamp((i + 0.5f) * side / kInputSize - 0.5f, 0.0f, side - 1.0f);
    low = static_cast<int>(position);
    high = std::min(low + 1, side - 1);
    fraction = position - low;
  }

  int low;
  int high;
  float fraction;
};

float Interpolate(float a, float b, float fraction) { return a + (b - a) * fraction; }

}  // namespace

std::vector<float> Preprocess(const Image& image) {
  // The centre square. The recipe gives pictures of a single row or column none: they
  // keep one pixel.
  const std::int64_t shorter = std::min(image.width, image.height);
  const int side = std::max(static_cast<int>(shorter * kInputSize / 256), 1);
  const int top = (image.height - side + 1) / 2;
  const int left = (image.width - side + 1) / 2;

  std::vector<float> planes;
  planes.reserve(3 * kInputSize * kInputSize);
  for (int channel = 0; channel < 3; ++channel) {
    const auto pixel = [&](int row, int column) {
      return image.at(top + row, left + column, channel);
    };
    for (int i = 0; i < kInputSize; ++i) {
      const Sample y(i, side);
      for (int j = 0; j < kInputSize; ++j) {
        const Sample x(j, side);
        const float upper =
            Interpolate(pixel(y.low, x.low), pixel(y.low, x.high), x.fraction);
        const float lower =
            Interpolate(pixel(y.high, x.low), pixel(y.high, x.high), x.fraction);
        planes.push_back((Interpolate(upper, lower, y.fraction) - 127.0f) / 128.0f);
      }
    }
  }
  return planes;
}
