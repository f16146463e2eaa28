#include "examples/classify/image.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>

#define STBI_FAILURE_USERMSG
#define STBI_NO_STDIO
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_PNM
#include "stb_image.h"

namespace {

using rules_torch::Status;
using rules_torch::StatusOr;

Status Error(std::string message) {
  return Status(RTORCH_INVALID_ARGUMENT, std::move(message));
}

StatusOr<std::string> ReadFile(const std::string& path) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                       &std::fclose);
  if (file == nullptr) return Error(std::strerror(errno));
  std::string bytes;
  char buffer[1 << 16];
  while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, file.get())) {
    bytes.append(buffer, n);
    if (bytes.size() > kMaxFileBytes) {
      return Error("the file is larger than " + std::to_string(kMaxFileBytes >> 20) +
                   " MiB");
    }
  }
  if (std::ferror(file.get())) return Error(std::strerror(errno));
  return bytes;
}

// Whether the end-of-image marker follows the last segment. Searching for its two
// bytes would not do: a thumbnail inside a segment has one too.
bool IsCompleteJpeg(std::string_view bytes) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  std::size_t i = 0;
  while (i + 1 < bytes.size()) {
    const unsigned marker = byte(i + 1);
    if (byte(i) != 0xff || marker == 0xff) {
      i += 1;  // compressed data, or a byte that fills
    } else if (marker == 0xd9) {
      return true;
    } else if (marker <= 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      i += 2;  // 0xff in compressed data, or a marker without a segment
    } else if (i + 3 < bytes.size()) {
      i += 2 + (byte(i + 2) << 8 | byte(i + 3));
    } else {
      break;
    }
  }
  return false;
}

// Whether a PNG or JPEG file goes on to its end.
bool IsComplete(std::string_view bytes) {
  constexpr std::string_view kPng = "\x89PNG";
  constexpr std::string_view kPngEnd = "IEND\xae\x42\x60\x82";
  constexpr std::string_view kJpeg = "\xff\xd8";
  if (bytes.substr(0, kPng.size()) == kPng) {
    return bytes.find(kPngEnd) != bytes.npos;
  }
  return bytes.substr(0, kJpeg.size()) != kJpeg || IsCompleteJpeg(bytes);
}

}  // namespace

void Image::Free::operator()(std::uint8_t* pixels) const { stbi_image_free(pixels); }

StatusOr<Image> ReadImage(const std::string& path) {
  const StatusOr<std::string> file = ReadFile(path);
  if (!file.ok()) return file.status();
  if (file->empty()) return Error("the file is empty");
  if (!IsComplete(*file)) return Error("the file is truncated");

  const auto* bytes = reinterpret_cast<const stbi_uc*>(file->data());
  const int size = static_cast<int>(file->size());
  Image image;
  // What the header says, before any memory is taken for it. Where there is none,
  // decoding fails too, and gives the reason.
  if (stbi_info_from_memory(bytes, size, &image.width, &image.height, nullptr) &&
      std::int64_t{image.width} * image.height > kMaxPixels) {
    return Error("the picture has " + std::to_string(image.width) + " x " +
                 std::to_string(image.height) + " pixels; the limit is " +
                 std::to_string(kMaxPixels / 1'000'000) + " megapixels");
  }
  image.rgb.reset(
      stbi_load_from_memory(bytes, size, &image.width, &image.height, nullptr, 3));
  if (image.rgb == nullptr) return Error(stbi_failure_reason());
  return image;
}
