// What a run does that has nothing to copy: it allocates nothing, and takes no lock.
//
// The linker puts the functions below in the place of those of the C library, wherever
// the runtime or the test calls them.
#include <pthread.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <vector>

#include "gtest/gtest.h"
#include "rules_torch/model.h"
#include "runtime/internal/layout.h"
#include "tests/runtime/fake_model.h"

namespace {

// Of this thread.
thread_local int allocations = 0;
thread_local int locks = 0;

}  // namespace

#define COUNTED(result, name, counter, parameters, arguments) \
  extern "C" result __real_##name parameters;                 \
  extern "C" result __wrap_##name parameters;                 \
  result __wrap_##name parameters {                           \
    ++counter;                                                \
    return __real_##name arguments;                           \
  }

COUNTED(void*, malloc, allocations, (std::size_t size), (size))
COUNTED(void*, calloc, allocations, (std::size_t n, std::size_t size), (n, size))
COUNTED(void*, realloc, allocations, (void* memory, std::size_t size), (memory, size))
COUNTED(void*, aligned_alloc, allocations, (std::size_t alignment, std::size_t size),
        (alignment, size))
COUNTED(int, pthread_mutex_lock, locks, (pthread_mutex_t * mutex), (mutex))
COUNTED(int, pthread_rwlock_rdlock, locks, (pthread_rwlock_t * lock), (lock))
COUNTED(int, pthread_rwlock_wrlock, locks, (pthread_rwlock_t * lock), (lock))

namespace rules_torch::testing {
namespace {

struct Cost {
  int allocations;
  int locks;

  bool operator==(const Cost& other) const {
    return allocations == other.allocations && locks == other.locks;
  }
};

void PrintTo(const Cost& cost, std::ostream* stream) {
  *stream << cost.allocations << " allocations, " << cost.locks << " locks";
}

constexpr Cost kNone{0, 0};

// A model of so many inputs and outputs, of ranks 0 to 8, that writes where it is told.
class HotPathTest : public ::testing::Test {
 protected:
  static FakeSignature Signature(std::size_t num_inputs, std::size_t num_outputs,
                                 bool stateful) {
    const auto specs = [](std::size_t count) {
      std::vector<FakeSpec> made;
      for (std::size_t rank = 0; rank < count; ++rank) {
        std::vector<RTorchDim> dims(rank % (RTORCH_MAX_RANK + 1), Fixed(2));
        if (dims.size() > 1) dims.back() = Fixed(1);
        if (!dims.empty()) dims[0] = Symbolic(0, 1, 8, 2, 1);
        made.push_back({"t", "", RTORCH_INT16, dims});
      }
      return made;
    };
    return {specs(num_inputs), specs(num_outputs), {"n"}, stateful};
  }

  // Tensors as they are declared, all in the same memory, which is large enough.
  std::vector<RTorchTensor> Tensors(const std::vector<FakeSpec>& specs,
                                    std::int16_t* memory) {
    std::vector<RTorchTensor> tensors(specs.size());
    for (std::size_t i = 0; i < specs.size(); ++i) {
      RTorchTensor& tensor = tensors[i];
      tensor.data = memory;
      tensor.dtype = RTORCH_INT16;
      tensor.rank = static_cast<std::int32_t>(specs[i].dims.size());
      tensor.device = kHost;
      for (std::int32_t dim = 0; dim < tensor.rank; ++dim) {
        tensor.sizes[dim] =
            dim == 0 ? 3 : specs[i].dims[static_cast<std::size_t>(dim)].min;
      }
      internal::SetRowMajor(&tensor);
    }
    return tensors;
  }

  // What the second run costs.
  Cost CostOf(std::size_t num_inputs, std::size_t num_outputs, bool stateful = false) {
    const FakeSignature signature = Signature(num_inputs, num_outputs, stateful);
    const FakeModel fake(signature,
                         [&](auto*, RTorchTensor* outputs, Result* results, auto*) {
                           for (std::size_t i = 0; i < num_outputs; ++i) {
                             static_cast<std::int16_t*>(outputs[i].data)[0] = 1;
                             results[i] = Result::kWritten;
                           }
                           return true;
                         });
    std::vector<RTorchTensor> inputs = Tensors(signature.inputs, in_.data());
    std::vector<RTorchTensor> outputs = Tensors(signature.outputs, out_.data());
    if (change_ != nullptr) change_(inputs.data(), outputs.data());
    const auto stopped = [] { return false; };
    RunOptions options;
    options.cancelled = stopped;
    const StatusOr<Model> model = Model::Create(&fake.api());
    Cost cost{};
    for (int i = 0; i < 2; ++i) {
      allocations = locks = 0;
      const Status status =
          model->Run(inputs.data(), static_cast<std::int32_t>(num_inputs),
                     outputs.data(), static_cast<std::int32_t>(num_outputs), options);
      cost = {allocations, locks};
      EXPECT_TRUE(status.ok()) << status;
    }
    EXPECT_EQ(fake.runs(), 2);
    return cost;
  }

  std::array<std::int16_t, 1 << 10> in_{};
  std::array<std::int16_t, 1 << 10> out_{};
  void (*change_)(RTorchTensor* inputs, RTorchTensor* outputs) = nullptr;
};

TEST_F(HotPathTest, NeitherAllocatesNorLocks) {
  EXPECT_EQ(CostOf(0, 0), kNone);
  EXPECT_EQ(CostOf(1, 1), kNone);
  EXPECT_EQ(CostOf(3, 1), kNone);
  EXPECT_EQ(CostOf(9, 9), kNone);
  EXPECT_EQ(CostOf(40, 40), kNone);
}

// Strides that no index is multiplied with are the caller's.
TEST_F(HotPathTest, AnyStrideOfASizeOfOneWillDo) {
  change_ = [](RTorchTensor* inputs, RTorchTensor* outputs) {
    inputs[3].strides[2] = 7;
    outputs[3].strides[2] = -7;
  };
  EXPECT_EQ(CostOf(9, 9), kNone);
}

// What has a cost is counted.
TEST_F(HotPathTest, AStatefulInstanceIsLocked) {
  EXPECT_EQ(CostOf(1, 1, /*stateful=*/true), (Cost{0, 1}));
}

TEST_F(HotPathTest, AnInputIsCopied) {
  change_ = [](RTorchTensor* inputs, RTorchTensor*) { inputs[1].strides[0] = 2; };
  EXPECT_EQ(CostOf(2, 1), (Cost{1, 0}));
}

TEST_F(HotPathTest, ManyTensorsNeedMemoryForTheirList) {
  EXPECT_GT(CostOf(100, 100).allocations, 0);
}

}  // namespace
}  // namespace rules_torch::testing
