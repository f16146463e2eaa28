#include "tests/runtime/layouts.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <numeric>

#include "rules_torch/dtype.h"

namespace rules_torch::testing {
namespace {

std::int64_t Draw(std::mt19937* random, std::int64_t low, std::int64_t high) {
  return std::uniform_int_distribution<std::int64_t>(low, high)(*random);
}

std::int64_t Count(const RTorchTensor& tensor) {
  return std::accumulate(tensor.sizes, tensor.sizes + tensor.rank, std::int64_t{1},
                         [](std::int64_t a, std::int64_t b) { return a * b; });
}

}  // namespace

std::vector<std::int64_t> ByteOffsets(const RTorchTensor& tensor) {
  std::vector<std::int64_t> offsets;
  for (std::int64_t number = 0; number < Count(tensor); ++number) {
    std::int64_t rest = number;
    std::int64_t offset = 0;
    for (std::int32_t i = tensor.rank; i-- > 0;) {
      offset += rest % tensor.sizes[i] * tensor.strides[i];
      rest /= tensor.sizes[i];
    }
    offsets.push_back(offset * DTypeSize(tensor.dtype));
  }
  return offsets;
}

std::vector<std::uint8_t> Gather(const RTorchTensor& tensor) {
  const auto width = DTypeSize(tensor.dtype);
  std::vector<std::uint8_t> bytes;
  for (const std::int64_t offset : ByteOffsets(tensor)) {
    const auto* element = static_cast<const std::uint8_t*>(tensor.data) + offset;
    bytes.insert(bytes.end(), element, element + width);
  }
  return bytes;
}

Placed PlaceAtRandom(std::mt19937* random, std::int32_t dtype,
                     const std::vector<std::int64_t>& sizes, bool repeats) {
  Placed placed{};
  RTorchTensor& tensor = placed.tensor;
  tensor.dtype = dtype;
  tensor.device = {RTORCH_CPU, 0};
  tensor.rank = static_cast<std::int32_t>(sizes.size());
  std::copy(sizes.begin(), sizes.end(), tensor.sizes);

  std::vector<std::size_t> order(sizes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (Draw(random, 0, 3) > 0) std::shuffle(order.begin(), order.end(), *random);
  std::int64_t extent = 1;  // elements from the lowest to the highest address
  std::int64_t first = 0;   // where the first element lies among them
  for (auto i = order.rbegin(); i != order.rend(); ++i) {
    const std::int64_t size = sizes[*i];
    std::int64_t stride = extent;
    if (Draw(random, 0, 3) == 0) stride += Draw(random, 1, 3);
    if (size <= 1) stride = Draw(random, -1000, 1000);
    if (repeats && Draw(random, 0, 4) == 0) stride = 0;
    if (size > 1 && stride != 0) {
      const std::int64_t reach = (size - 1) * stride;
      extent += reach;
      if (Draw(random, 0, 2) == 0) {
        stride = -stride;
        first += reach;
      }
    }
    tensor.strides[*i] = stride;
  }
  const std::int64_t width = DTypeSize(dtype);
  placed.memory.resize(static_cast<std::size_t>(extent * width));
  for (std::uint8_t& byte : placed.memory) {
    byte = static_cast<std::uint8_t>(Draw(random, 0, 255));
  }
  tensor.data = placed.memory.data() + first * width;
  return placed;
}

std::vector<std::int64_t> RandomSizes(std::mt19937* random, int max_rank) {
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(Draw(random, 0, max_rank)));
  for (std::int64_t& size : sizes) {
    size = Draw(random, 2, sizes.size() > 4 ? 3 : 5);
    if (Draw(random, 0, 7) == 0) size = 1;
    if (Draw(random, 0, 39) == 0) size = 0;
  }
  return sizes;
}

std::string Describe(const RTorchTensor& tensor) {
  const auto list = [&](const std::int64_t* values) {
    std::string text;
    for (std::int32_t i = 0; i < tensor.rank; ++i) {
      text += (i > 0 ? ", " : "") + std::to_string(values[i]);
    }
    return "[" + text + "]";
  };
  return "sizes " + list(tensor.sizes) + ", strides " + list(tensor.strides);
}

}  // namespace rules_torch::testing
