// Convolutions of random shapes against float64.
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "tests/runtime/fuzz.h"
#include "tests/runtime/standalone/kernels.h"
#include "tests/runtime/standalone/variants.h"

namespace rules_torch::testing {
namespace {

using ConvolutionTest = KernelsTest;

constexpr float kUntouched = 12345;

std::int64_t UpTo(Random* random, std::size_t most) {
  return static_cast<std::int64_t>(random->Below(most + 1));
}

std::vector<float> Numbers(Random* random, std::int64_t count) {
  std::vector<float> numbers(static_cast<std::size_t>(count));
  for (float& x : numbers) {
    x = static_cast<float>(random->Below(2001)) / 1000.0f - 1.0f;
  }
  return numbers;
}

struct Case {
  ConvolutionCall call = {};
  std::vector<float> x, weights, packed, factors, bias, residual, y, scratch_memory;
};

std::int64_t PixelsOf(const ConvolutionCall& call) {
  return call.out_depth * call.out_height * call.out_width;
}

const float* PixelOf(const ConvolutionCall& call, std::int64_t image,
                     std::int64_t pixel) {
  const float* y = call.y + image * call.y_batch;
  if (call.y_row == 0) return y + pixel * call.y_pixel;
  const std::int64_t line = pixel / call.out_width;
  return y + line / call.out_height * call.y_depth +
         line % call.out_height * call.y_row + pixel % call.out_width * call.y_pixel;
}

// Sizes alone.
void DrawShape(Random* random, ConvolutionCall* call) {
  call->batch = random->Once(8) ? 0 : 1 + UpTo(random, 1);
  call->height = UpTo(random, 9);
  call->width = UpTo(random, 12);
  call->kernel_height = 1 + UpTo(random, 3);
  call->kernel_width = 1 + UpTo(random, 3);
  call->stride_height = 1 + UpTo(random, 2);
  call->stride_width = 1 + UpTo(random, 2);
  call->padding_height = UpTo(random, 3);
  call->padding_width = UpTo(random, 3);
  call->dilation_height = random->Once(4) ? 2 : 1;
  call->dilation_width = random->Once(4) ? 3 : 1;
  call->groups = 1;
  switch (random->Below(8)) {
    case 0:  // depthwise
      call->groups = 2 + UpTo(random, 60);
      call->channels = call->groups;
      call->out_channels = call->groups;
      break;
    case 1:  // groups
      call->groups = 2 + UpTo(random, 3);
      call->channels = call->groups * UpTo(random, 20);
      call->out_channels = call->groups * UpTo(random, 20);
      break;
    case 2:  // pointwise
      call->kernel_height = 1;
      call->kernel_width = 1;
      call->padding_height = 0;
      call->padding_width = 0;
      if (random->Once(2)) {
        call->stride_height = 1;
        call->stride_width = 1;
      }
      call->channels = UpTo(random, 60);
      call->out_channels = UpTo(random, 60);
      break;
    case 3:  // a row with many taps
      call->height = 1;
      call->width = 50 + UpTo(random, 100);
      call->kernel_height = 1;
      call->kernel_width = 33 + UpTo(random, 100);
      call->padding_height = 0;
      call->padding_width = UpTo(random, 70);
      call->dilation_width = random->Once(4) ? 2 : 1;
      call->channels = 1 + UpTo(random, 3);
      call->out_channels = 1 + UpTo(random, 20);
      break;
    case 4:  // more channels than a block along k
      call->channels = 250 + UpTo(random, 600);
      call->out_channels = 1 + UpTo(random, 20);
      call->height = 1 + UpTo(random, 3);
      call->width = 1 + UpTo(random, 4);
      break;
    case 5:  // an image's
      call->channels = 3;
      call->out_channels = UpTo(random, 40);
      break;
    default:
      call->channels = UpTo(random, 70);
      call->out_channels = UpTo(random, 70);
  }
  const auto out = [](std::int64_t size, std::int64_t padding, std::int64_t kernel,
                      std::int64_t stride, std::int64_t dilation) {
    const std::int64_t room = size + 2 * padding - (kernel - 1) * dilation - 1;
    return room < 0 ? 0 : room / stride + 1;
  };
  if (random->Once(4)) {
    call->depth = UpTo(random, 5);
    call->kernel_depth = UpTo(random, 3);
    call->stride_depth = 1 + UpTo(random, 1);
    call->padding_depth = UpTo(random, 2);
    call->dilation_depth = random->Once(4) ? 2 : 1;
    call->out_depth = out(call->depth, call->padding_depth, call->kernel_depth,
                          call->stride_depth, call->dilation_depth);
  }
  call->out_height = out(call->height, call->padding_height, call->kernel_height,
                         call->stride_height, call->dilation_height);
  call->out_width = out(call->width, call->padding_width, call->kernel_width,
                        call->stride_width, call->dilation_width);
}

// Memory for the sizes, and for the scratch what is asked for and no more.
void Fill(const Kernels& kernels, Random* random, bool padded, Case* drawn,
          bool uneven = false) {
  ConvolutionCall& call = drawn->call;
  const auto pad = [&] { return padded ? UpTo(random, 3) : 0; };
  call.x_column = call.channels + pad();
  call.x_row = call.width * call.x_column + pad();
  call.x_depth = call.height * call.x_row + pad();
  call.x_batch = call.depth * call.x_depth + pad();
  drawn->x = Numbers(random, call.batch * call.x_batch);
  call.x = drawn->x.data();
  drawn->weights =
      Numbers(random, call.out_channels * (call.channels / call.groups) *
                          call.kernel_depth * call.kernel_height * call.kernel_width);
  call.filters = drawn->weights.data();
  drawn->packed.assign(static_cast<std::size_t>(kernels.filters_size(call)),
                       std::numeric_limits<float>::quiet_NaN());
  kernels.pack_filters(call, drawn->packed.data());
  call.filters = drawn->packed.data();
  call.y_pixel = call.out_channels + pad();
  call.y_batch = PixelsOf(call) * call.y_pixel + pad();
  if (uneven) {
    // Every second row of an image of twice the height.
    call.y_row = 2 * call.out_width * call.y_pixel + pad();
    call.y_depth = call.out_height * call.y_row + pad();
    call.y_batch = call.out_depth * call.y_depth + pad();
  }
  drawn->y.assign(static_cast<std::size_t>(call.batch * call.y_batch), kUntouched);
  call.y = drawn->y.data();
  // 16 floats are 64 bytes.
  const std::int64_t scratch = kernels.convolution_scratch(call);
  drawn->scratch_memory.assign(static_cast<std::size_t>(scratch) + 17,
                               std::numeric_limits<float>::quiet_NaN());
  void* at = drawn->scratch_memory.data();
  std::size_t space = drawn->scratch_memory.size() * sizeof(float);
  call.scratch = static_cast<float*>(
      std::align(64, static_cast<std::size_t>(scratch) * sizeof(float), at, space));
}

void DrawEpilogue(Random* random, Case* drawn) {
  const ConvolutionCall& call = drawn->call;
  EpilogueCall& epilogue = drawn->call.epilogue;
  epilogue.activation = kActivations[random->Below(std::size(kActivations))];
  epilogue.lowest = -0.5f;
  epilogue.highest = 2;
  if (random->Once(2)) {
    drawn->factors = Numbers(random, call.out_channels);
    epilogue.factors = drawn->factors.data();
  }
  if (random->Once(2)) {
    drawn->bias = Numbers(random, call.out_channels);
    epilogue.bias = drawn->bias.data();
  }
  // Where y is uneven, an epilogue knows its channel alone.
  if (call.y_row == 0 && random->Once(2)) {
    epilogue.residual_row = call.out_channels + 1;
    epilogue.residual_batch = PixelsOf(call) * epilogue.residual_row;
    drawn->residual = Numbers(random, call.batch * epilogue.residual_batch);
    epilogue.residual = drawn->residual.data();
  }
}

Case Draw(const Kernels& kernels, Random* random) {
  Case drawn;
  ConvolutionCall& call = drawn.call;
  DrawShape(random, &call);
  call.threads = 1 + static_cast<int>(random->Below(3));
  const bool uneven = random->Once(3) && PixelsOf(call) > 0;
  Fill(kernels, random, /*padded=*/random->Once(2), &drawn, uneven);
  if (random->Once(4) && !drawn.x.empty()) {
    drawn.x[random->Below(drawn.x.size())] =
        random->OneOf({std::numeric_limits<float>::quiet_NaN(),
                       std::numeric_limits<float>::infinity()});
  }
  DrawEpilogue(random, &drawn);
  return drawn;
}

void CheckPixel(const Case& drawn, std::int64_t image, std::int64_t pixel) {
  const ConvolutionCall& call = drawn.call;
  const EpilogueCall& epilogue = call.epilogue;
  const std::int64_t in = call.channels / call.groups;
  const std::int64_t out = call.out_channels / call.groups;
  for (std::int64_t channel = 0; channel < call.out_channels; ++channel) {
    double sum = 0;
    double sizes = 0;
    for (std::int64_t i = 0; i < in; ++i) {
      for (std::int64_t line = 0; line < call.kernel_depth * call.kernel_height;
           ++line) {
        for (std::int64_t s = 0; s < call.kernel_width; ++s) {
          const std::int64_t z =
              pixel / call.out_width / call.out_height * call.stride_depth -
              call.padding_depth + line / call.kernel_height * call.dilation_depth;
          const std::int64_t y =
              pixel / call.out_width % call.out_height * call.stride_height -
              call.padding_height + line % call.kernel_height * call.dilation_height;
          const std::int64_t x = pixel % call.out_width * call.stride_width -
                                 call.padding_width + s * call.dilation_width;
          if (z < 0 || z >= call.depth) continue;
          if (y < 0 || y >= call.height || x < 0 || x >= call.width) continue;
          const double product =
              double{call.x[image * call.x_batch + z * call.x_depth + y * call.x_row +
                            x * call.x_column + channel / out * in + i]} *
              double{drawn.weights[static_cast<std::size_t>(
                  ((channel * in + i) * call.kernel_depth * call.kernel_height + line) *
                      call.kernel_width +
                  s)]};
          sum += product;
          sizes += std::fabs(product);
        }
      }
    }
    if (epilogue.factors != nullptr) {
      sum *= double{epilogue.factors[channel]};
      sizes *= std::fabs(double{epilogue.factors[channel]});
    }
    if (epilogue.bias != nullptr) {
      sum += double{epilogue.bias[channel]};
      sizes += std::fabs(double{epilogue.bias[channel]});
    }
    if (epilogue.residual != nullptr) {
      const double residual =
          epilogue.residual[image * epilogue.residual_batch +
                            pixel * epilogue.residual_row + channel];
      sum += residual;
      sizes += std::fabs(residual);
    }
    const double want = ActivateExactly(
        epilogue.activation, sum, double{epilogue.lowest}, double{epilogue.highest});
    const auto count = static_cast<double>(in * call.kernel_depth * call.kernel_height *
                                           call.kernel_width);
    // No activation here is steeper than 1.5.
    double bound = 1.5 * SumBound(count, sizes) + 1e-6 * std::fabs(sum) +
                   4 * FLT_EPSILON * std::fabs(want);
    if (call.winograd != 0) {
      // Each element of a tile has a part in all of its errors; here none is above 1.
      double weights = 0;
      for (std::int64_t i = 0; i < in * 9; ++i) {
        weights += std::fabs(
            double{drawn.weights[static_cast<std::size_t>(channel * in * 9 + i)]});
      }
      bound = 1.5 * std::ldexp(weights, call.winograd == 2 ? -23 : -20) +
              1e-6 * (sizes + 1);
    }
    const float got = PixelOf(call, image, pixel)[channel];
    ASSERT_TRUE(IsNear(got, want, bound))
        << got << " instead of " << want << " at image " << image << ", pixel " << pixel
        << ", channel " << channel << "; x " << call.depth << " x " << call.height
        << " x " << call.width << " x " << call.channels << ", out " << call.out_height
        << " x " << call.out_width << " x " << call.out_channels << ", kernel "
        << call.kernel_height << " x " << call.kernel_width << ", groups "
        << call.groups << ", Winograd's " << call.winograd;
  }
  for (std::int64_t channel = call.out_channels; channel < call.y_pixel; ++channel) {
    ASSERT_EQ(PixelOf(call, image, pixel)[channel], kUntouched);
  }
}

TEST_P(ConvolutionTest, RandomConvolutionsAreNearFloat64) {
  ForEachSeed(300, [&](std::uint64_t seed) {
    Random random(seed);
    const Case drawn = Draw(kernels(), &random);
    kernels().convolve(drawn.call);
    for (std::int64_t image = 0; image < drawn.call.batch; ++image) {
      for (std::int64_t pixel = 0; pixel < PixelsOf(drawn.call); ++pixel) {
        CheckPixel(drawn, image, pixel);
        if (HasFatalFailure()) return;
      }
    }
  });
}

TEST_P(ConvolutionTest, WinogradsAreNearFloat64) {
  ForEachSeed(120, [&](std::uint64_t seed) {
    Random random(seed);
    Case drawn;
    ConvolutionCall& call = drawn.call;
    do {
      call = {};
      DrawShape(&random, &call);
    } while (call.groups > 1 || call.kernel_depth != 1 || call.depth != 1 ||
             call.out_depth != 1 || call.padding_depth != 0);
    call.kernel_height = call.kernel_width = 3;
    call.stride_height = call.stride_width = 1;
    call.dilation_height = call.dilation_width = 1;
    call.padding_height = UpTo(&random, 3);
    call.padding_width = UpTo(&random, 3);
    call.out_height = std::max<std::int64_t>(
        0, call.height + 2 * call.padding_height - 2 - UpTo(&random, 1));
    call.out_width = std::max<std::int64_t>(0, call.width + 2 * call.padding_width - 2);
    call.winograd = random.OneOf({2, 4});
    call.threads = 1 + static_cast<int>(random.Below(3));
    Fill(kernels(), &random, /*padded=*/true, &drawn);
    DrawEpilogue(&random, &drawn);
    kernels().convolve(call);
    for (std::int64_t image = 0; image < call.batch; ++image) {
      for (std::int64_t pixel = 0; pixel < call.out_height * call.out_width; ++pixel) {
        CheckPixel(drawn, image, pixel);
        if (HasFatalFailure()) return;
      }
    }
  });
}

// Large enough for several threads.
TEST_P(ConvolutionTest, BitsDoNotDependOnThreads) {
  struct Shape {
    std::int64_t batch, size, channels, out_channels, kernel, groups;
    int winograd = 0;
  };
  for (const Shape& shape : {
           Shape{1, 30, 3, 40, 7, 1},
           Shape{2, 14, 32, 50, 3, 1},
           Shape{1, 7, 130, 200, 3, 1},
           Shape{1, 20, 64, 64, 3, 2},
           Shape{1, 40, 72, 72, 5, 72},
           Shape{1, 20, 100, 100, 1, 1},
           Shape{2, 30, 70, 50, 3, 1, 2},
           Shape{1, 7, 130, 200, 3, 1, 4},
       }) {
    std::vector<float> first;
    for (int threads : {1, 2, 3, 7}) {
      Case drawn;
      Random random(3);
      ConvolutionCall& call = drawn.call;
      call.batch = shape.batch;
      call.height = call.width = call.out_height = call.out_width = shape.size;
      call.channels = shape.channels;
      call.out_channels = shape.out_channels;
      call.kernel_height = call.kernel_width = shape.kernel;
      call.stride_height = call.stride_width = 1;
      call.padding_height = call.padding_width = shape.kernel / 2;
      call.dilation_height = call.dilation_width = 1;
      call.groups = shape.groups;
      call.winograd = shape.winograd;
      call.threads = threads;
      call.epilogue.scale = 1;
      Fill(kernels(), &random, /*padded=*/false, &drawn);
      kernels().convolve(call);
      if (first.empty()) first = drawn.y;
      ASSERT_EQ(std::memcmp(first.data(), drawn.y.data(), first.size() * sizeof(float)),
                0)
          << threads << " threads, " << shape.channels << " channels";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, ConvolutionTest, ::testing::ValuesIn(AllKernels()),
                         NameOf);

}  // namespace
}  // namespace rules_torch::testing
