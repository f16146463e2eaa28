#include "rules_torch/tensor.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <type_traits>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace rules_torch {
namespace {

template <typename From, typename To>
constexpr bool kConverts = std::is_convertible_v<From, To>;

// A wrong rank or element type is found by the compiler.
static_assert(kConverts<TensorView<float, 2>, TensorView<const float, 2>>);
static_assert(!kConverts<TensorView<const float, 2>, TensorView<float, 2>>);
static_assert(!kConverts<TensorView<float, 2>, TensorView<float, 3>>);
static_assert(!kConverts<TensorView<float, 2>, TensorView<const float, 3>>);
static_assert(!kConverts<TensorView<double, 2>, TensorView<const float, 2>>);
static_assert(!kConverts<TensorView<float16, 2>, TensorView<bfloat16, 2>>);
template <typename T, std::size_t kRank, typename... Arguments>
constexpr bool kMakes = std::is_constructible_v<TensorView<T, kRank>, Arguments...>;
static_assert(kMakes<float, 2, float*, std::array<std::int64_t, 2>>);
static_assert(!kMakes<float, 2, double*, std::array<std::int64_t, 2>>);
static_assert(!kMakes<float, 2, const float*, std::array<std::int64_t, 2>>);
static_assert(!kMakes<float, 2, float*, std::array<std::int64_t, 3>>);
// Only a scalar can do without sizes.
static_assert(kMakes<float, 0, float*>);
static_assert(!kMakes<float, 1, float*>);
static_assert(!kConverts<float*, TensorView<float, 0>>);
static_assert(std::is_trivially_copyable_v<TensorView<float, RTORCH_MAX_RANK>>);
// Two integers in braces are strides; a device says that it is one.
static_assert(kMakes<float, 2, float*, std::array<std::int64_t, 2>, Device>);
// A range is a view of rank 1, of its own elements. A temporary one is read only.
using Floats = std::vector<float>;
static_assert(kConverts<Floats&, TensorView<float, 1>>);
static_assert(kConverts<Floats&, TensorView<const float, 1>>);
static_assert(kConverts<const Floats&, TensorView<const float, 1>>);
static_assert(kConverts<Floats, TensorView<const float, 1>>);
static_assert(kConverts<float (&)[3], TensorView<float, 1>>);
static_assert(kConverts<std::array<float, 3>&, TensorView<float, 1>>);
static_assert(!kConverts<Floats, TensorView<float, 1>>);
static_assert(!kConverts<const Floats&, TensorView<float, 1>>);
static_assert(!kConverts<Floats&, TensorView<float, 2>>);
static_assert(!kConverts<Floats&, TensorView<double, 1>>);
static_assert(!kConverts<Floats&, TensorView<const double, 1>>);
static_assert(!kConverts<std::vector<bool>&, TensorView<const bool, 1>>);
static_assert(!kConverts<TensorView<float, 2>&, TensorView<float, 1>>);
#if defined(__cpp_lib_span)
static_assert(kConverts<std::span<float>, TensorView<float, 1>>);
static_assert(kConverts<const std::span<float>, TensorView<const float, 1>>);
static_assert(!kConverts<std::span<const float>, TensorView<float, 1>>);
#endif

static_assert(!std::is_copy_constructible_v<Tensor<float, 2>>);
static_assert(!std::is_copy_assignable_v<Tensor<float, 2>>);
static_assert(std::is_nothrow_move_constructible_v<Tensor<float, 2>>);
static_assert(std::is_nothrow_move_assignable_v<Tensor<float, 2>>);
static_assert(!kConverts<RTorchTensor, Tensor<float, 2>>);
// A const tensor is read only.
static_assert(std::is_same_v<decltype(std::declval<const Tensor<int, 1>&>().view()),
                             TensorView<const int, 1>>);
static_assert(
    std::is_same_v<decltype(std::declval<const Tensor<int, 1>&>()(0)), const int&>);
static_assert(std::is_same_v<decltype(std::declval<Tensor<int, 1>&>()(0)), int&>);

using Sizes3 = std::array<std::int64_t, 3>;

TEST(TensorViewTest, IsContiguousUnlessToldOtherwise) {
  std::vector<float> data(24);
  std::iota(data.begin(), data.end(), 0.0f);
  const TensorView<float, 3> view(data.data(), {2, 3, 4});
  EXPECT_EQ(view.data(), data.data());
  EXPECT_EQ(view.sizes(), (Sizes3{2, 3, 4}));
  EXPECT_EQ(view.strides(), (Sizes3{12, 4, 1}));
  EXPECT_EQ(view.size(1), 3);
  EXPECT_EQ(view.num_elements(), 24);
  EXPECT_EQ(view(0, 0, 0), 0.0f);
  EXPECT_EQ(view(1, 2, 3), 23.0f);
  EXPECT_EQ(view(1, 0, 2), 14.0f);
}

TEST(TensorViewTest, TakesIndicesOfAnyIntegerType) {
  std::array<int, 6> data = {0, 1, 2, 3, 4, 5};
  const TensorView<int, 2> view(data.data(), {2, 3});
  EXPECT_EQ(view(std::size_t{1}, std::uint8_t{2}), 5);
  EXPECT_EQ(view(1, std::int64_t{1}), 4);
}

TEST(TensorViewTest, FollowsItsStrides) {
  std::array<int, 6> data = {0, 1, 2, 3, 4, 5};
  const TensorView<int, 2> transposed(data.data(), {3, 2}, {1, 3});
  EXPECT_EQ(transposed(2, 1), 5);
  EXPECT_EQ(transposed(0, 1), 3);
  const TensorView<int, 2> reversed(data.data() + 5, {2, 3}, {-3, -1});
  EXPECT_EQ(reversed(0, 0), 5);
  EXPECT_EQ(reversed(1, 2), 0);
  const TensorView<int, 2> repeated(data.data(), {4, 3}, {0, 1});
  EXPECT_EQ(repeated(3, 2), 2);
}

TEST(TensorViewTest, Writes) {
  std::array<int, 4> data = {};
  const TensorView<int, 2> view(data.data(), {2, 2}, {1, 2});
  view(0, 1) = 7;
  EXPECT_EQ(data, (std::array<int, 4>{0, 0, 7, 0}));
}

TEST(TensorViewTest, OfRankZeroHasOneElement) {
  double value = 2.5;
  const TensorView<double, 0> view(&value);
  EXPECT_EQ(view.num_elements(), 1);
  EXPECT_EQ(view(), 2.5);
  view() = 3.5;
  EXPECT_EQ(value, 3.5);
  const TensorView<const double, 0> same(&value, {});
  EXPECT_EQ(same(), 3.5);
  EXPECT_EQ(same.abi().rank, 0);
}

TEST(TensorViewTest, MayBeEmpty) {
  const TensorView<float, 2> none;
  EXPECT_EQ(none.data(), nullptr);
  EXPECT_EQ(none.num_elements(), 0);
  const TensorView<float, 2> empty(nullptr, {0, 5});
  EXPECT_EQ(empty.num_elements(), 0);
  EXPECT_EQ(empty.abi().data, nullptr);
}

// More elements than there can be are an error of Run's, not undefined behaviour
// before it: in a constant, an overflow would not compile.
TEST(TensorViewTest, MayBeOfAnySize) {
  constexpr std::int64_t kMany = std::int64_t{1} << 40;
  constexpr Sizes3 kSizes = {3, kMany, kMany};
  constexpr Sizes3 kStrides = internal::ContiguousStrides(kSizes);
  EXPECT_EQ(kStrides[1], kMany);
  EXPECT_EQ(kStrides[2], 1);
  constexpr std::int64_t kElements = internal::NumElements(kSizes);
  float one = 1;
  const TensorView<float, 3> view(&one, kSizes);
  EXPECT_EQ(view.strides(), kStrides);
  EXPECT_EQ(view.num_elements(), kElements);
}

TEST(TensorViewTest, BecomesAViewOfConstElements) {
  std::array<int, 6> data = {0, 1, 2, 3, 4, 5};
  const TensorView<int, 2> view(data.data(), {3, 2}, {1, 3});
  const TensorView<const int, 2> read_only = view;
  EXPECT_EQ(read_only.data(), view.data());
  EXPECT_EQ(read_only.sizes(), view.sizes());
  EXPECT_EQ(read_only.strides(), view.strides());
  EXPECT_EQ(read_only(2, 1), 5);
}

TEST(TensorViewTest, SpeaksTheAbi) {
  const std::array<std::int16_t, 6> data = {};
  const TensorView<const std::int16_t, 2> view(data.data() + 5, {2, 3}, {-3, -1});
  const RTorchTensor abi = view.abi();
  EXPECT_EQ(abi.data, data.data() + 5);
  EXPECT_EQ(abi.dtype, RTORCH_INT16);
  EXPECT_EQ(abi.rank, 2);
  EXPECT_EQ(abi.sizes[0], 2);
  EXPECT_EQ(abi.sizes[1], 3);
  EXPECT_EQ(abi.strides[0], -3);
  EXPECT_EQ(abi.strides[1], -1);
  EXPECT_EQ(abi.owner, nullptr);
  EXPECT_EQ(abi.deleter, nullptr);
}

TEST(TensorViewTest, IsOfHostMemoryUnlessToldOtherwise) {
  float value = 0;
  const TensorView<float, 2> host(&value, {1, 1}, {1, 1});
  EXPECT_EQ(host.device(), kHost);
  EXPECT_EQ(host.abi().device, (Device{RTORCH_CPU, 0}));
  EXPECT_EQ((TensorView<float, 2>().device()), kHost);

  constexpr Device kGpu = {RTORCH_CUDA, 3};
  const TensorView<float, 2> gpu(&value, {2, 3}, kGpu);
  EXPECT_EQ(gpu.strides(), (std::array<std::int64_t, 2>{3, 1}));
  EXPECT_EQ(gpu.device(), kGpu);
  EXPECT_EQ(gpu.abi().device, kGpu);
  const TensorView<const float, 2> strided(&value, {2, 3}, {1, 2}, kGpu);
  EXPECT_EQ(strided.device(), kGpu);
  // The device stays when elements become constant.
  EXPECT_EQ((TensorView<const float, 2>(gpu).device()), kGpu);
}

TEST(DeviceTest, Compares) {
  constexpr Device kGpu = {RTORCH_CUDA, 1};
  static_assert(kGpu == Device{RTORCH_CUDA, 1});
  static_assert(kGpu != Device{RTORCH_CUDA, 0});
  static_assert(kGpu != Device{RTORCH_ROCM, 1});
  static_assert(kHost == Device{RTORCH_CPU, 0});
}

TEST(TensorViewTest, IsMadeOfARange) {
  std::vector<std::int64_t> ids = {7, 8, 9};
  const TensorView<std::int64_t, 1> view = ids;
  EXPECT_EQ(view.data(), ids.data());
  EXPECT_EQ(view.size(0), 3);
  EXPECT_EQ(view.strides()[0], 1);
  view(2) = 10;
  EXPECT_EQ(ids[2], 10);
  const std::array<float, 2> pair = {1, 2};
  const TensorView<const float, 1> read_only = pair;
  EXPECT_EQ(read_only(1), 2.0f);
  EXPECT_EQ((TensorView<const float, 1>(std::vector<float>{}).num_elements()), 0);
}

TEST(TensorViewTest, KnowsWhetherItIsContiguous) {
  std::array<int, 24> data{};
  const auto contiguous = [&](const Sizes3& sizes, const Sizes3& strides) {
    return TensorView<int, 3>(data.data(), sizes, strides).is_contiguous();
  };
  EXPECT_TRUE(contiguous({2, 3, 4}, {12, 4, 1}));
  EXPECT_FALSE(contiguous({2, 3, 4}, {12, 1, 3}));
  EXPECT_FALSE(contiguous({2, 3, 4}, {0, 4, 1}));
  EXPECT_FALSE(contiguous({2, 3, 4}, {24, 8, 2}));
  EXPECT_FALSE(contiguous({2, 3, 4}, {-12, -4, -1}));
  // The stride of one element or none says nothing.
  EXPECT_TRUE(contiguous({2, 1, 4}, {4, 77, 1}));
  EXPECT_TRUE(contiguous({2, 0, 4}, {1, 1, 7}));
  EXPECT_TRUE(contiguous({4, 4, 0}, {1, 1, 7}));
  int value = 0;
  EXPECT_TRUE((TensorView<int, 0>(&value).is_contiguous()));
}

#if defined(__cpp_lib_span)
TEST(TensorViewTest, GivesASpan) {
  std::array<int, 6> data = {0, 1, 2, 3, 4, 5};
  const std::span<int> span = TensorView<int, 2>(data.data(), {2, 3}).span();
  EXPECT_EQ(span.data(), data.data());
  EXPECT_EQ(span.size(), 6u);
  EXPECT_EQ((TensorView<int, 2>().span().size()), 0u);
}
#endif

TEST(TensorViewTest, ReachesTheHighestRank) {
  std::vector<int> data(256);
  std::iota(data.begin(), data.end(), 0);
  const TensorView<int, 8> view(data.data(), {2, 2, 2, 2, 2, 2, 2, 2});
  EXPECT_EQ(view.strides()[0], 128);
  EXPECT_EQ(view(1, 0, 0, 0, 0, 0, 1, 1), 131);
  EXPECT_EQ(view.abi().sizes[7], 2);
}

// Memory such as a model's `run` allocates, which counts its deletions.
class Allocation {
 public:
  explicit Allocation(std::vector<int> elements) : elements_(std::move(elements)) {}

  RTorchTensor Abi(std::int64_t rows) {
    RTorchTensor tensor{};
    tensor.data = elements_.data();
    tensor.dtype = RTORCH_INT32;
    tensor.rank = 2;
    tensor.device = kHost;
    tensor.sizes[0] = rows;
    tensor.sizes[1] = static_cast<std::int64_t>(elements_.size()) / rows;
    tensor.strides[0] = tensor.sizes[1];
    tensor.strides[1] = 1;
    tensor.owner = this;
    tensor.deleter = [](void* owner) { ++static_cast<Allocation*>(owner)->deletions_; };
    return tensor;
  }

  const int* data() const { return elements_.data(); }
  int deletions() const { return deletions_; }

 private:
  std::vector<int> elements_;
  int deletions_ = 0;
};

using Sizes2 = std::array<std::int64_t, 2>;

TEST(TensorTest, IsEmptyByDefault) {
  const Tensor<int, 2> tensor;
  EXPECT_EQ(tensor.data(), nullptr);
  EXPECT_EQ(tensor.num_elements(), 0);
  EXPECT_EQ(tensor.begin(), tensor.end());
}

TEST(TensorTest, GivesItsElements) {
  Allocation memory({0, 1, 2, 3, 4, 5});
  Tensor<int, 2> tensor(memory.Abi(2));
  const Tensor<int, 2>& read_only = tensor;
  EXPECT_EQ(tensor.data(), memory.data());
  EXPECT_EQ(tensor.sizes(), (Sizes2{2, 3}));
  EXPECT_EQ(tensor.size(1), 3);
  EXPECT_EQ(tensor.num_elements(), 6);
  EXPECT_EQ(read_only(1, 2), 5);
  EXPECT_EQ(std::accumulate(read_only.begin(), read_only.end(), 0), 15);
  EXPECT_EQ(read_only.view().sizes(), (Sizes2{2, 3}));
  EXPECT_EQ(read_only.view()(1, 0), 3);
}

TEST(TensorTest, ItsElementsCanBeChanged) {
  Allocation memory({0, 1, 2, 3, 4, 5});
  Tensor<int, 2> tensor(memory.Abi(3));
  tensor(2, 1) = 50;
  tensor.view()(0, 0) = 10;
  for (int& element : tensor) ++element;
  EXPECT_EQ(std::vector<int>(tensor.begin(), tensor.end()),
            (std::vector<int>{11, 2, 3, 4, 5, 51}));
}

TEST(TensorTest, FreesItsMemoryOnce) {
  Allocation memory({1, 2});
  {
    const Tensor<int, 2> tensor(memory.Abi(1));
    EXPECT_EQ(memory.deletions(), 0);
  }
  EXPECT_EQ(memory.deletions(), 1);
}

TEST(TensorTest, MovingHandsTheMemoryOver) {
  Allocation memory({1, 2});
  {
    Tensor<int, 2> first(memory.Abi(1));
    const Tensor<int, 2> second = std::move(first);
    EXPECT_EQ(first.data(), nullptr);  // NOLINT: moved from, which is the point
    EXPECT_EQ(first.num_elements(), 0);
    EXPECT_EQ(second.data(), memory.data());
    EXPECT_EQ(second.sizes(), (Sizes2{1, 2}));
    EXPECT_EQ(memory.deletions(), 0);
  }
  EXPECT_EQ(memory.deletions(), 1);
}

TEST(TensorTest, MoveAssignmentFreesBothOnce) {
  Allocation a({1, 2});
  Allocation b({3, 4, 5});
  {
    Tensor<int, 2> target(a.Abi(1));
    {
      Tensor<int, 2> source(b.Abi(1));
      target = std::move(source);
      EXPECT_EQ(target.data(), b.data());
      EXPECT_EQ(target.num_elements(), 3);
    }
    // What the target held is gone with the source at the latest.
    EXPECT_EQ(a.deletions(), 1);
    EXPECT_EQ(b.deletions(), 0);
  }
  EXPECT_EQ(a.deletions(), 1);
  EXPECT_EQ(b.deletions(), 1);
}

TEST(TensorTest, SelfMoveKeepsTheMemory) {
  Allocation memory({1, 2});
  {
    Tensor<int, 2> tensor(memory.Abi(1));
    Tensor<int, 2>& same = tensor;
    tensor = std::move(same);
    EXPECT_EQ(tensor.data(), memory.data());
    EXPECT_EQ(memory.deletions(), 0);
  }
  EXPECT_EQ(memory.deletions(), 1);
}

TEST(TensorTest, GivesItsMemoryUp) {
  Allocation memory({1, 2});
  {
    Tensor<int, 2> tensor(memory.Abi(1));
    const RTorchTensor released = tensor.Release();
    EXPECT_EQ(tensor.data(), nullptr);
    EXPECT_EQ(tensor.num_elements(), 0);
    EXPECT_EQ(released.data, memory.data());
    EXPECT_EQ(released.sizes[1], 2);
    EXPECT_EQ(released.owner, &memory);
    EXPECT_EQ(tensor.Release().deleter, nullptr);
    // What was given up can be taken over again.
    tensor = Tensor<int, 2>(released);
    EXPECT_EQ(tensor(0, 1), 2);
    EXPECT_EQ(memory.deletions(), 0);
  }
  EXPECT_EQ(memory.deletions(), 1);
}

TEST(TensorTest, IsWhereItsMemoryIs) {
  Allocation memory({1, 2});
  RTorchTensor abi = memory.Abi(1);
  abi.device = {RTORCH_CUDA, 1};
  Tensor<int, 2> tensor(abi);
  EXPECT_EQ(tensor.device(), (Device{RTORCH_CUDA, 1}));
  EXPECT_EQ(tensor.view().device(), (Device{RTORCH_CUDA, 1}));
  (void)tensor.Release();
  EXPECT_EQ(tensor.device(), kHost);
}

// As a model that takes it as an input will see it.
TEST(TensorTest, WithoutMemoryIsStillOfItsType) {
  const RTorchTensor abi = Tensor<int, 2>().view().abi();
  EXPECT_EQ(abi.dtype, RTORCH_INT32);
  EXPECT_EQ(abi.rank, 2);
  EXPECT_EQ(abi.device, kHost);
}

#if defined(__cpp_lib_span)
TEST(TensorTest, GivesASpan) {
  Allocation memory({0, 1, 2, 3, 4, 5});
  Tensor<int, 2> tensor(memory.Abi(2));
  tensor.span()[5] = 50;
  const std::span<const int> span = std::as_const(tensor).span();
  EXPECT_EQ(span.data(), memory.data());
  EXPECT_EQ(span.size(), 6u);
  EXPECT_EQ(tensor(1, 2), 50);
  EXPECT_TRUE((Tensor<float, 0>().span().empty()));
}
#endif

TEST(TensorTest, MovesInContainers) {
  std::vector<Allocation> memory;
  for (int i = 0; i < 10; ++i) memory.emplace_back(std::vector<int>{i});
  {
    std::vector<Tensor<int, 2>> tensors;
    for (Allocation& one : memory) tensors.emplace_back(one.Abi(1));
    tensors.erase(tensors.begin() + 3);
    EXPECT_EQ(tensors[3](0, 0), 4);
  }
  for (const Allocation& one : memory) EXPECT_EQ(one.deletions(), 1);
}

TEST(TensorTest, OfRankZeroHasOneElement) {
  float value = 1.5f;
  RTorchTensor abi{};
  abi.data = &value;
  abi.dtype = RTORCH_FLOAT32;
  Tensor<float, 0> tensor(abi);
  EXPECT_EQ(tensor(), 1.5f);
  EXPECT_EQ(tensor.num_elements(), 1);
  EXPECT_EQ(tensor.end() - tensor.begin(), 1);
  EXPECT_EQ(tensor.view()(), 1.5f);
}

TEST(TensorTest, OfRankZeroIsEmptyByDefault) {
  // A loop over it must not touch memory that is not there.
  const Tensor<float, 0> tensor;
  EXPECT_EQ(tensor.data(), nullptr);
  EXPECT_EQ(tensor.begin(), tensor.end());
}

}  // namespace
}  // namespace rules_torch
