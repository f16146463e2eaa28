// Tensors to and from DLPack, over the structs of the dlpack.h that PyTorch ships.
#include "rules_torch/dlpack.h"

#include <ATen/dlpack.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace rules_torch {
namespace {

// The layouts and values that rules_torch and DLPack have in common.
static_assert(RTORCH_CPU == static_cast<int>(kDLCPU));
static_assert(RTORCH_CUDA == static_cast<int>(kDLCUDA));
static_assert(RTORCH_CUDA_HOST == static_cast<int>(kDLCUDAHost));
static_assert(RTORCH_ROCM == static_cast<int>(kDLROCM));
static_assert(internal::kDLPackMajor == DLPACK_MAJOR_VERSION);
static_assert(internal::kDLPackReadOnly == DLPACK_FLAG_BITMASK_READ_ONLY);
static_assert(internal::kIsVersioned<DLManagedTensorVersioned>);
static_assert(!internal::kIsVersioned<DLManagedTensor>);

template <typename T>
constexpr bool kIs(DLDataTypeCode code, int bits) {
  return internal::DLPackTypeOf<T>().code == code &&
         internal::DLPackTypeOf<T>().bits == bits &&
         internal::DLPackTypeOf<const T>().code == code;
}
static_assert(kIs<std::uint8_t>(kDLUInt, 8));
static_assert(kIs<std::int8_t>(kDLInt, 8));
static_assert(kIs<std::int16_t>(kDLInt, 16));
static_assert(kIs<std::int32_t>(kDLInt, 32));
static_assert(kIs<std::int64_t>(kDLInt, 64));
static_assert(kIs<float16>(kDLFloat, 16));
static_assert(kIs<bfloat16>(kDLBfloat, 16));
static_assert(kIs<float>(kDLFloat, 32));
static_assert(kIs<double>(kDLFloat, 64));
static_assert(kIs<bool>(kDLBool, 8));

// Memory such as a model's `run` allocates, which counts its deletions.
class Allocation {
 public:
  Tensor<float, 2> Give(std::int64_t rows, std::int64_t columns,
                        Device device = kHost) {
    RTorchTensor tensor = TensorView<float, 2>(elements_.data(), {rows, columns}).abi();
    tensor.device = device;
    tensor.owner = this;
    tensor.deleter = [](void* owner) { ++static_cast<Allocation*>(owner)->deletions_; };
    return Tensor<float, 2>(tensor);
  }

  const float* data() const { return elements_.data(); }
  int deletions() const { return deletions_; }

 private:
  std::array<float, 6> elements_ = {0, 1, 2, 3, 4, 5};
  int deletions_ = 0;
};

template <typename Managed>
class ToDLPackTest : public ::testing::Test {};
using Structs = ::testing::Types<DLManagedTensor, DLManagedTensorVersioned>;
TYPED_TEST_SUITE(ToDLPackTest, Structs);

TYPED_TEST(ToDLPackTest, DescribesTheTensor) {
  Allocation memory;
  Tensor<float, 2> tensor = memory.Give(2, 3);
  const DLPackPtr<TypeParam> made(ToDLPack<TypeParam>(std::move(tensor)));
  ASSERT_NE(made, nullptr);
  EXPECT_EQ(tensor.data(), nullptr);  // NOLINT: moved from, which is the point
  const DLTensor& dl = made->dl_tensor;
  EXPECT_EQ(dl.data, memory.data());
  EXPECT_EQ(dl.byte_offset, 0u);
  EXPECT_EQ(dl.device.device_type, kDLCPU);
  EXPECT_EQ(dl.device.device_id, 0);
  EXPECT_EQ(dl.dtype.code, kDLFloat);
  EXPECT_EQ(dl.dtype.bits, 32);
  EXPECT_EQ(dl.dtype.lanes, 1);
  ASSERT_EQ(dl.ndim, 2);
  EXPECT_EQ(dl.shape[0], 2);
  EXPECT_EQ(dl.shape[1], 3);
  // DLPack 1.2 and later allow no null.
  EXPECT_EQ(dl.strides[0], 3);
  EXPECT_EQ(dl.strides[1], 1);
  if constexpr (std::is_same_v<TypeParam, DLManagedTensorVersioned>) {
    EXPECT_EQ(made->version.major, 1u);
    EXPECT_EQ(made->flags, 0u);
  }
}

TYPED_TEST(ToDLPackTest, ItsDeleterFreesAll) {
  Allocation memory;
  TypeParam* made = ToDLPack<TypeParam>(memory.Give(2, 3));
  EXPECT_EQ(memory.deletions(), 0);
  made->deleter(made);  // the struct, too: the sanitizer's leak check looks
  EXPECT_EQ(memory.deletions(), 1);
}

TYPED_TEST(ToDLPackTest, KeepsTheDevice) {
  Allocation memory;
  const DLPackPtr<TypeParam> made(
      ToDLPack<TypeParam>(memory.Give(2, 3, {RTORCH_CUDA, 1})));
  EXPECT_EQ(made->dl_tensor.device.device_type, kDLCUDA);
  EXPECT_EQ(made->dl_tensor.device.device_id, 1);
}

TYPED_TEST(ToDLPackTest, NothingIsNull) {
  Allocation memory;
  {
    const DLPackPtr<TypeParam> made(ToDLPack<TypeParam>(memory.Give(0, 3)));
    EXPECT_EQ(made->dl_tensor.data, nullptr);
    EXPECT_EQ(made->dl_tensor.shape[1], 3);
  }
  EXPECT_EQ(memory.deletions(), 1);
  // Nor has a tensor without memory something to free.
  const DLPackPtr<TypeParam> none(ToDLPack<TypeParam>(Tensor<bool, 0>()));
  EXPECT_EQ(none->dl_tensor.ndim, 0);
  EXPECT_EQ(none->dl_tensor.dtype.code, kDLBool);
}

TYPED_TEST(ToDLPackTest, ComesBackAsAView) {
  Allocation memory;
  const DLPackPtr<TypeParam> made(ToDLPack<TypeParam>(memory.Give(2, 3)));
  const auto view = ViewOf<const float, 2>(*made);
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->data(), memory.data());
  EXPECT_EQ((*view)(1, 2), 5.0f);
  EXPECT_EQ(view->device(), kHost);
}

// int16[2, 3] as another library describes it.
class ViewOfTest : public ::testing::Test {
 protected:
  std::string Error() const {
    const auto view = ViewOf<const std::int16_t, 2>(tensor_);
    EXPECT_EQ(view.status().code(), RTORCH_INVALID_ARGUMENT);
    return view.status().message();
  }

  std::array<std::int16_t, 8> elements_ = {0, 1, 2, 3, 4, 5, 6, 7};
  std::array<std::int64_t, 2> shape_ = {2, 3};
  std::array<std::int64_t, 2> strides_ = {1, 2};
  DLTensor tensor_ = {elements_.data(), {kDLCPU, 0},     2, {kDLInt, 16, 1},
                      shape_.data(),    strides_.data(), 0};
};

TEST_F(ViewOfTest, FollowsStridesAndOffset) {
  tensor_.byte_offset = 2 * sizeof(std::int16_t);
  const auto view = ViewOf<const std::int16_t, 2>(tensor_);
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->data(), elements_.data() + 2);
  EXPECT_EQ(view->sizes(), shape_);
  EXPECT_EQ(view->strides(), strides_);
  EXPECT_EQ((*view)(1, 2), 7);
}

TEST_F(ViewOfTest, WithoutStridesIsContiguous) {
  tensor_.strides = nullptr;
  const auto view = ViewOf<const std::int16_t, 2>(tensor_);
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->strides(), (std::array<std::int64_t, 2>{3, 1}));
}

TEST_F(ViewOfTest, OfMutableElementsWrites) {
  const auto view = ViewOf<std::int16_t, 2>(tensor_);
  ASSERT_TRUE(view.ok()) << view.status();
  (*view)(1, 0) = 70;
  EXPECT_EQ(elements_[1], 70);
}

TEST_F(ViewOfTest, OfRankZeroNeedsNoArrays) {
  tensor_.ndim = 0;
  tensor_.shape = tensor_.strides = nullptr;
  const auto view = ViewOf<const std::int16_t, 0>(tensor_);
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ((*view)(), 0);
}

TEST_F(ViewOfTest, MayBeEmpty) {
  shape_[0] = 0;
  tensor_.data = nullptr;
  tensor_.byte_offset = 64;
  const auto view = ViewOf<const std::int16_t, 2>(tensor_);
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->data(), nullptr);
  EXPECT_EQ(view->num_elements(), 0);
}

TEST_F(ViewOfTest, HasTheDevice) {
  tensor_.device = {kDLCUDA, 2};
  EXPECT_EQ((ViewOf<const std::int16_t, 2>(tensor_)->device()),
            (Device{RTORCH_CUDA, 2}));
  // Some producers number the host.
  tensor_.device = {kDLCPU, -1};
  EXPECT_EQ((ViewOf<const std::int16_t, 2>(tensor_)->device()), kHost);
}

TEST_F(ViewOfTest, OfAnotherDTypeIsAnError) {
  tensor_.dtype = {kDLUInt, 16, 1};
  EXPECT_EQ(Error(), "the DLPack tensor has elements of uint16, not int16");
  tensor_.dtype = {kDLInt, 32, 1};
  EXPECT_EQ(Error(), "the DLPack tensor has elements of int32, not int16");
  tensor_.dtype = {kDLBool, 8, 1};
  EXPECT_EQ(Error(), "the DLPack tensor has elements of bool, not int16");
  tensor_.dtype = {kDLComplex, 64, 1};
  EXPECT_EQ(Error(), "the DLPack tensor has elements of complex64, not int16");
  tensor_.dtype = {kDLInt, 16, 2};
  EXPECT_EQ(Error(),
            "the DLPack tensor has elements of type code 0 of 16 bits x 2 lanes, not "
            "int16");
  tensor_.dtype = {kDLFloat8_e5m2, 8, 1};
  EXPECT_EQ(Error(),
            "the DLPack tensor has elements of type code 12 of 8 bits x 1 lanes, not "
            "int16");
}

// float16 and bfloat16 have as many bits.
TEST_F(ViewOfTest, TellsHalfFloatsApart) {
  tensor_.dtype = {kDLBfloat, 16, 1};
  EXPECT_TRUE((ViewOf<const bfloat16, 2>(tensor_).ok()));
  EXPECT_EQ((ViewOf<const float16, 2>(tensor_).status().message()),
            "the DLPack tensor has elements of bfloat16, not float16");
}

TEST_F(ViewOfTest, OfAnotherRankIsAnError) {
  tensor_.ndim = 3;
  EXPECT_EQ(Error(), "the DLPack tensor has rank 3, not 2");
}

TEST_F(ViewOfTest, OfUnknownMemoryIsAnError) {
  tensor_.device.device_type = kDLVulkan;
  EXPECT_EQ(Error(),
            "the DLPack tensor is in memory of the device type 7, which no model uses");
}

TEST_F(ViewOfTest, OfABrokenShapeIsAnError) {
  shape_[1] = -3;
  EXPECT_EQ(Error(), "the DLPack tensor has the size -3 in dimension 1");
  tensor_.shape = nullptr;
  EXPECT_EQ(Error(), "the DLPack tensor has no shape");
}

TEST_F(ViewOfTest, LooksAtVersionAndFlags) {
  DLManagedTensorVersioned versioned{};
  versioned.version = {1, 7};  // a later minor version changes no layout
  versioned.dl_tensor = tensor_;
  EXPECT_TRUE((ViewOf<std::int16_t, 2>(versioned).ok()));

  versioned.flags = DLPACK_FLAG_BITMASK_READ_ONLY;
  EXPECT_TRUE((ViewOf<const std::int16_t, 2>(versioned).ok()));
  EXPECT_EQ((ViewOf<std::int16_t, 2>(versioned).status()),
            Status(RTORCH_INVALID_ARGUMENT, "the DLPack tensor is read-only"));

  versioned.version = {2, 0};
  EXPECT_EQ(
      (ViewOf<const std::int16_t, 2>(versioned).status()),
      Status(RTORCH_INVALID_ARGUMENT, "the DLPack tensor is of version 2.0, not 1"));
}

TEST(DLPackPtrTest, FreesWhatItOwns) {
  static int deletions;
  deletions = 0;
  DLManagedTensor tensor{};
  {
    const DLPackPtr<DLManagedTensor> none(&tensor);
  }  // without a deleter
  tensor.deleter = [](DLManagedTensor*) { ++deletions; };
  {
    const DLPackPtr<DLManagedTensor> owner(&tensor);
  }
  EXPECT_EQ(deletions, 1);
}

}  // namespace
}  // namespace rules_torch
