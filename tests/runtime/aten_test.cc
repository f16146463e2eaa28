#include "rules_torch/aten.h"

#include <ATen/ATen.h>

#include <cstdlib>
#include <utility>

#include "gtest/gtest.h"

namespace rules_torch {
namespace {

int freed = 0;

RTorchTensor Output() {
  RTorchTensor tensor = {};
  tensor.dtype = RTORCH_FLOAT32;
  tensor.rank = 2;
  tensor.device = {RTORCH_CPU, 0};
  tensor.sizes[0] = 2;
  tensor.sizes[1] = 3;
  tensor.strides[0] = 3;
  tensor.strides[1] = 1;
  tensor.data = tensor.owner = std::calloc(6, sizeof(float));
  tensor.deleter = [](void* owner) {
    ++freed;
    std::free(owner);
  };
  static_cast<float*>(tensor.data)[5] = 7;
  return tensor;
}

template <typename T, std::size_t kRank>
std::string ErrorOf(const at::Tensor& tensor) {
  const auto view = ViewOf<T, kRank>(tensor);
  if (view.ok()) return "";
  EXPECT_EQ(view.status().code(), RTORCH_INVALID_ARGUMENT);
  return std::string(view.status().message());
}

template <typename T>
void CheckType(at::ScalarType type) {
  const at::Tensor tensor = at::zeros({2, 3}, type);
  const auto view = ViewOf<const T, 2>(tensor);
  ASSERT_TRUE(view.ok()) << view.status().message();
  EXPECT_EQ(view->data(), tensor.const_data_ptr());
}

TEST(ViewOfTest, EveryType) {
  CheckType<std::uint8_t>(at::kByte);
  CheckType<std::int8_t>(at::kChar);
  CheckType<std::int16_t>(at::kShort);
  CheckType<std::int32_t>(at::kInt);
  CheckType<std::int64_t>(at::kLong);
  CheckType<float16>(at::kHalf);
  CheckType<float>(at::kFloat);
  CheckType<double>(at::kDouble);
  CheckType<bool>(at::kBool);
  CheckType<bfloat16>(at::kBFloat16);
}

TEST(ViewOfTest, LayoutsAreKept) {
  const at::Tensor whole = at::arange(24, at::kFloat).reshape({2, 3, 4});
  for (const at::Tensor& tensor :
       {whole, whole.permute({2, 0, 1}), whole.slice(2, 1, 3), whole.slice(1, 3),
        whole.select(0, 1).unsqueeze(1).expand({3, 5, 4})}) {
    const auto view = ViewOf<const float, 3>(tensor);
    ASSERT_TRUE(view.ok()) << view.status().message();
    for (std::int64_t i = 0; i < tensor.size(0); ++i) {
      for (std::int64_t j = 0; j < tensor.size(1); ++j) {
        for (std::int64_t k = 0; k < tensor.size(2); ++k) {
          EXPECT_EQ((*view)(i, j, k), tensor[i][j][k].item<float>());
        }
      }
    }
  }
}

TEST(ViewOfTest, ScalarsAndBuffers) {
  at::Tensor scalar = at::scalar_tensor(1.5, at::kFloat);
  const auto view = ViewOf<float, 0>(scalar);
  ASSERT_TRUE(view.ok());
  (*view)() = 2;
  EXPECT_EQ(scalar.item<float>(), 2.0F);
}

TEST(ViewOfTest, WhatNoModelTakes) {
  const at::Tensor good = at::ones({2, 3});
  EXPECT_EQ((ErrorOf<const float, 2>(at::Tensor())), "the at::Tensor is undefined");
  EXPECT_EQ((ErrorOf<const double, 2>(good)),
            "the at::Tensor has elements of Float, not Double");
  EXPECT_EQ((ErrorOf<const float, 1>(good)), "the at::Tensor has rank 2, not 1");
  EXPECT_EQ((ErrorOf<const float, 2>(good.to_sparse())),
            "the at::Tensor is not strided; pass tensor.to_dense()");
  EXPECT_EQ((ErrorOf<const float, 2>(at::empty({2, 3}, at::kMeta))),
            "the at::Tensor is on the device meta, which no model uses");
  const at::Tensor negated = at::imag(at::conj(at::ones({2, 3}, at::kComplexFloat)));
  ASSERT_TRUE(negated.is_neg());
  EXPECT_NE((ErrorOf<const float, 2>(negated)).find("pass tensor.resolve_neg()"),
            std::string::npos);
  EXPECT_TRUE((ViewOf<const float, 2>(negated.resolve_neg()).ok()));
  const at::Tensor learns = at::ones({2, 3}).requires_grad_();
  EXPECT_NE((ErrorOf<const float, 2>(learns)).find("pass tensor.detach()"),
            std::string::npos);
  EXPECT_TRUE((ViewOf<const float, 2>(learns.detach()).ok()));
  const at::NoGradGuard guard;
  EXPECT_TRUE((ViewOf<const float, 2>(learns).ok()));
}

TEST(ToAtenTest, TakesTheMemoryAndFreesItOnce) {
  freed = 0;
  {
    Tensor<float, 2> output(Output());
    const float* const data = output.data();
    at::Tensor tensor = ToAten(std::move(output));
    EXPECT_EQ(tensor.const_data_ptr(), data);
    EXPECT_EQ(tensor.sizes(), (at::IntArrayRef{2, 3}));
    EXPECT_EQ(tensor.scalar_type(), at::kFloat);
    EXPECT_EQ(output.data(), nullptr);
    const at::Tensor part = tensor[1];
    tensor.reset();
    EXPECT_EQ(part[2].item<float>(), 7.0F);
    EXPECT_EQ(freed, 0);
  }
  EXPECT_EQ(freed, 1);
}

TEST(ToAtenTest, NoElements) {
  RTorchTensor empty = {};
  empty.dtype = RTORCH_INT64;
  empty.rank = 1;
  empty.device = {RTORCH_CPU, 0};
  empty.strides[0] = 1;
  const at::Tensor tensor = ToAten(Tensor<std::int64_t, 1>(empty));
  EXPECT_EQ(tensor.sizes(), (at::IntArrayRef{0}));
  EXPECT_EQ(tensor.scalar_type(), at::kLong);
}

}  // namespace
}  // namespace rules_torch
