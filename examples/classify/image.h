// Pictures in files.
#ifndef EXAMPLES_CLASSIFY_IMAGE_H_
#define EXAMPLES_CLASSIFY_IMAGE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "rules_torch/status.h"

// Limits of ReadImage, which keep a wrong or hostile file from taking the memory.
constexpr std::size_t kMaxFileBytes = std::size_t{256} << 20;
constexpr std::int64_t kMaxPixels = 100'000'000;

// An 8-bit RGB picture.
struct Image {
  struct Free {
    void operator()(std::uint8_t* pixels) const;
  };

  int width = 0;
  int height = 0;
  // Row after row from the top, each pixel as red, green, blue.
  std::unique_ptr<std::uint8_t[], Free> rgb;

  std::uint8_t at(int row, int column, int channel) const {
    return rgb[(static_cast<std::size_t>(row) * width + column) * 3 + channel];
  }
};

// Reads a PNG, JPEG or binary PNM file; grey pictures become RGB ones, 16-bit
// channels 8-bit ones, and transparency is left out. JPEG's note of how the camera
// was held is not heeded.
//
// An incomplete file is an error, although decoders can show the part that is there.
rules_torch::StatusOr<Image> ReadImage(const std::string& path);

#endif  // EXAMPLES_CLASSIFY_IMAGE_H_
