// Random calls of random models. One that succeeds has given the right results, in the
// caller's memory and nowhere else; one that fails has said why, and left everything as
// it was. A right call always succeeds, whatever was called before.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "rules_torch/abi.h"
#include "rules_torch/status.h"
#include "runtime/internal/layout.h"
#include "tests/runtime/allocations.h"
#include "tests/runtime/arena.h"
#include "tests/runtime/fake_model.h"
#include "tests/runtime/fuzz.h"
#include "tests/runtime/layouts.h"
#include "tests/runtime/random_calls.h"
#include "tests/runtime/weights_files.h"

namespace rules_torch::testing {
namespace {

thread_local const Plan* plan = nullptr;  // of the call that this thread makes
thread_local bool ran = false;            // whether it came to the backend

// The arena's allocator, which has memory where the model has none, and none where the
// plan says so.
RTorchAllocator AllocatorOf(Arena* arena) {
  RTorchAllocator allocator = arena->abi();
  allocator.allocate = [](void* context, std::uint64_t bytes, std::uint64_t alignment,
                          RTorchTensor* tensor) -> RTorchCode {
    const AnyAllocations any;
    if (!plan->no_allocation) {
      return static_cast<Arena*>(context)->abi().allocate(context, bytes, alignment,
                                                          tensor);
    }
    // Memory that is not there says so; so does any code, whatever is in the tensor.
    if (bytes == alignment) return RTORCH_OK;
    tensor->data = context;
    tensor->deleter = [](void*) { ADD_FAILURE() << "not the model's"; };
    return RTORCH_UNAVAILABLE;
  };
  return allocator;
}

std::string FileWith(const char* name, float value) {
  return FileOf({{name, "F32", {2}, BytesOf<float>({value, value})}});
}

// Weights of the caller's, who may have handed them over.
struct Given {
  RTorchWeights weights{};
  float value = 0;
  std::set<RTorchCode> errors;
  std::atomic<int> deletions{0};
  bool taken = false;

  ~Given() {
    EXPECT_EQ(deletions, taken && weights.deleter != nullptr ? 1 : 0) << "weights";
  }
};

// The arguments of RTorchModelApi.create.
struct Creation {
  RTorchCreateOptions options{};
  RTorchAllocator allocator{};
  Given* weights = nullptr;  // null: the library's
  bool null_api = false;
  bool null_model = false;
  bool null_options = false;
  bool null_error = false;
  bool backend_fails = false;
  int allocations = -1;  // how many succeed, as in OnlyAllocations
  Outcome outcome;
};

struct Instance {
  RTorchModel* model;
  bool has_allocator;
  std::optional<float> weight;  // none: one of them, for another thread swaps them
};

// Values of the weight "w".
constexpr float kEmbedded = 1;
constexpr float kInMemory = 2;
constexpr float kInFile = 3;

struct CallsFuzzTest : ::testing::Test {
  CallsFuzzTest() { std::ofstream(path, std::ios::binary) << FileWith("w", kInFile); }
  ~CallsFuzzTest() override { std::remove(path.c_str()); }

  const std::string path = ::testing::TempDir() + "calls_fuzz_test." +
                           std::to_string(getpid()) + ".safetensors";
  const InMemory right{FileWith("w", kInMemory)};
  const InMemory another{FileWith("v", 4)};            // model's
  std::array<std::atomic<std::uint64_t>, 16> tally{};  // for each code
  std::atomic<std::uint64_t> hopeless{0};
};

// One random model, its instances, and calls of all of its functions.
class Session {
 public:
  Session(CallsFuzzTest* test, std::uint64_t seed)
      : test_(*test), seed_(seed), random_(seed), model_(&random_) {}

  void Do();

 private:
  Given* DrawWeights();
  void DrawCreation(Creation* creation);
  void JudgeWeights(const Given* given, Outcome* outcome) const;

  void Create();
  void Swap(Instance* instance, bool alone);
  void RunInThreads();
  void RunThreeTimes(Random* random, const Instance& instance, bool alone);
  void Run(const Instance& instance, const Call& call);

  // Calls `act` with an error to fill, if so many allocations succeed, and checks what
  // it returns.
  template <typename Act>
  RTorchCode Expect(const Outcome& outcome, int allocations, bool null_error,
                    const Act& act);

  CallsFuzzTest& test_;
  const std::uint64_t seed_;
  Random random_;
  const RandomModel model_;
  Arena arena_;
  std::vector<std::unique_ptr<Creation>> creations_;
  std::vector<std::unique_ptr<Given>> given_;
  bool embedded_ = false;
  bool backend_fails_ = false;
  FakeModel* fake_ = nullptr;
  std::vector<Instance> instances_;
};

void Session::Do() {
  FakeSignature signature = model_.signature();
  signature.file.clear();
  embedded_ = !random_.Once(8);
  if (embedded_) {
    const std::string file = FileWith("w", kEmbedded);
    signature.file.assign(file.begin(), file.end());
  }
  FakeModel fake(
      signature,
      [this](auto... arguments) {
        const AnyAllocations any;
        ran = true;
        return model_.Run(*plan, fake_, arguments...);
      },
      [this] { return std::string(backend_fails_ ? "not created" : ""); });
  fake_ = &fake;
  for (int i = 0; i < 3; ++i) Create();
  if (random_.Once(10)) RunInThreads();
  for (const Instance& instance : instances_) fake.api().destroy(instance.model);
  EXPECT_EQ(fake.live_results(), 0);
  EXPECT_EQ(arena_.live(), 0);
}

template <typename Act>
RTorchCode Session::Expect(const Outcome& outcome, int allocations, bool null_error,
                           const Act& act) {
  RTorchError error;
  std::memset(&error, 'x', sizeof error);
  RTorchCode code = RTORCH_OK;
  {
    std::optional<OnlyAllocations> only;
    if (allocations >= 0) only.emplace(allocations);
    code = act(null_error ? nullptr : &error);
  }
  ++test_.tally.at(static_cast<std::size_t>(code));
  const std::string message(error.message,
                            strnlen(error.message, sizeof error.message));
  EXPECT_TRUE(outcome.Allows(code)) << CodeName(code) << ": " << message;
  if (code != RTORCH_OK && !null_error) {
    EXPECT_EQ(error.code, code);
    EXPECT_FALSE(message.empty());
    EXPECT_LT(message.size(), sizeof error.message) << "without its end";
  }
  return code;
}

// Weights that may be wrong, or null.
Given* Session::DrawWeights() {
  if (random_.Once(4)) return nullptr;
  Given& given = *given_.emplace_back(std::make_unique<Given>());
  RTorchWeights& weights = given.weights;
  weights = test_.right.source();
  given.value = kInMemory;
  if (random_.Once(3)) {
    weights.path = test_.path.c_str();
    weights.data = &given;  // a path comes first
    given.value = kInFile;
  }
  if (random_.Once(2)) {
    weights.owner = &given.deletions;
    weights.deleter = [](void* owner) { ++*static_cast<std::atomic<int>*>(owner); };
  }
  if (random_.Once(2)) return &given;
  given.errors = {RTORCH_INVALID_ARGUMENT};
  switch (random_.Below(8)) {
    case 0:
      weights.struct_size = sizeof weights + 8;
      given.errors.clear();
      break;
    case 1:
      weights.struct_size = random_.OneOf<std::uint32_t>({0, 8, sizeof weights - 1});
      break;
    case 2:
      weights.flags = random_.OneOf<std::uint32_t>({1, UINT32_MAX});
      break;
    case 3:
      weights.path = nullptr;
      weights.data = nullptr;
      break;
    case 4:
      weights.path = random_.OneOf({"", "/no/such/file"});
      given.errors = {RTORCH_NOT_FOUND};
      break;
    case 5:
      weights.path = "/";
      break;
    case 6:
      weights.path = nullptr;
      weights.data = test_.another.begin();
      weights.size = test_.another.source().size;
      break;
    default:
      weights.path = nullptr;
      weights.data = test_.right.begin();
      weights.size = random_.Below(test_.right.source().size);
      given.errors.insert(RTORCH_DATA_LOSS);
      break;
  }
  return &given;
}

void Session::JudgeWeights(const Given* given, Outcome* outcome) const {
  if (given != nullptr) {
    outcome->errors.insert(given->errors.begin(), given->errors.end());
  } else if (!embedded_) {
    outcome->errors.insert(RTORCH_INVALID_ARGUMENT);
  }
}

void Session::DrawCreation(Creation* creation) {
  RTorchCreateOptions& options = creation->options;
  RTorchAllocator& allocator = creation->allocator;
  std::set<RTorchCode>& errors = creation->outcome.errors;
  allocator = AllocatorOf(&arena_);
  options.struct_size = sizeof options;
  options.threads = random_.OneOf({0, 1, 2, INT_MAX});
  options.device = random_.OneOf<RTorchDevice>({{0, 0}, {RTORCH_CPU, 0}, {1, 7}});
  if (random_.Once(3)) options.allocator = &allocator;
  creation->weights = DrawWeights();
  if (creation->weights != nullptr) options.weights = &creation->weights->weights;
  creation->null_error = random_.Once(8);
  switch (random_.Below(20)) {
    case 0:
      creation->null_options = true;
      creation->weights = nullptr;
      options.allocator = nullptr;
      break;
    case 1:
      options.struct_size = random_.OneOf<std::uint32_t>({0, 4, sizeof options - 1});
      errors.insert(RTORCH_INVALID_ARGUMENT);
      break;
    case 2:
      options.struct_size = sizeof options + 8;
      break;
    case 3:
      options.threads = random_.OneOf({-1, INT_MIN});
      errors.insert(RTORCH_INVALID_ARGUMENT);
      break;
    case 4:
      options.device = random_.OneOf<RTorchDevice>({{RTORCH_CUDA, 0},
                                                    {RTORCH_CUDA_HOST, 0},
                                                    {RTORCH_CPU, -1},
                                                    {0, 1},
                                                    {INT_MIN, INT_MAX}});
      errors.insert(RTORCH_INVALID_ARGUMENT);
      break;
    case 5:
      options.allocator = &allocator;
      allocator.struct_size = random_.OneOf<std::uint32_t>({0, sizeof allocator - 1});
      errors.insert(RTORCH_INVALID_ARGUMENT);
      break;
    case 6:
      options.allocator = &allocator;
      allocator.allocate = nullptr;
      errors.insert(RTORCH_INVALID_ARGUMENT);
      break;
    case 7:
      creation->null_api = true;
      errors.insert(RTORCH_INVALID_ARGUMENT);
      break;
    case 8:
      creation->null_model = true;
      errors.insert(RTORCH_INVALID_ARGUMENT);
      break;
    case 9:
      creation->backend_fails = true;
      errors.insert(RTORCH_INTERNAL);
      break;
    case 10:
      creation->allocations = static_cast<int>(random_.Below(12));
      creation->outcome.scarce = true;
      break;
    default:
      break;
  }
  JudgeWeights(creation->weights, &creation->outcome);
}

// Makes an instance, if it can, and runs it.
void Session::Create() {
  Creation& creation = *creations_.emplace_back(std::make_unique<Creation>());
  DrawCreation(&creation);
  auto* model = reinterpret_cast<RTorchModel*>(this);  // anything but null
  backend_fails_ = creation.backend_fails;
  const RTorchCode code = Expect(
      creation.outcome, creation.allocations, creation.null_error,
      [&](RTorchError* error) {
        return fake_->api().create(creation.null_api ? nullptr : &fake_->api(),
                                   creation.null_options ? nullptr : &creation.options,
                                   creation.null_model ? nullptr : &model, error);
      });
  backend_fails_ = false;
  if (code != RTORCH_OK) {
    EXPECT_TRUE(creation.null_model || model == nullptr);
    return;
  }
  Given* given = creation.weights;
  if (given != nullptr) given->taken = true;
  Instance& instance =
      instances_.emplace_back(Instance{model, creation.options.allocator != nullptr,
                                       given == nullptr ? kEmbedded : given->value});
  for (int i = 0; i < 4; ++i) {
    RunThreeTimes(&random_, instance, /*alone=*/true);
    if (random_.Once(4)) Swap(&instance, /*alone=*/true);
  }
}

void Session::Swap(Instance* instance, bool alone) {
  Outcome outcome;
  Given* given = DrawWeights();
  JudgeWeights(given, &outcome);
  const bool null_model = random_.Once(10);
  if (null_model) outcome.errors.insert(RTORCH_INVALID_ARGUMENT);
  outcome.scarce = alone && random_.Once(6);
  const int allocations = outcome.scarce ? static_cast<int>(random_.Below(12)) : -1;
  const RTorchCode code =
      Expect(outcome, allocations, random_.Once(8), [&](RTorchError* error) {
        return fake_->api().swap(null_model ? nullptr : instance->model,
                                 given == nullptr ? nullptr : &given->weights, error);
      });
  if (code != RTORCH_OK) return;
  if (given != nullptr) given->taken = true;
  if (alone) instance->weight = given == nullptr ? kEmbedded : given->value;
}

void Session::RunInThreads() {
  if (instances_.empty()) return;
  Instance& instance = instances_[random_.Below(instances_.size())];
  instance.weight.reset();
  std::vector<std::thread> threads;
  for (std::uint64_t i = 1; i <= 3; ++i) {
    threads.emplace_back([&, i] {
      Random random(seed_ + (i << 24));
      for (int k = 0; k < 4; ++k) RunThreeTimes(&random, instance, /*alone=*/false);
    });
  }
  for (int i = 0; i < 4; ++i) Swap(&instance, /*alone=*/false);
  for (std::thread& thread : threads) thread.join();
}

// A right call, one that may be wrong, and the right one again.
void Session::RunThreeTimes(Random* random, const Instance& instance, bool alone) {
  const Call right = model_.RightCall(random);
  Run(instance, right);
  Call wrong = right;
  const std::size_t places = 1 + random->Below(2);
  for (std::size_t i = 0; i < places; ++i) Spoil(random, &wrong);
  if (!alone) wrong.allocations = -1;  // they are everybody's
  Run(instance, wrong);
  Run(instance, right);
}

// What a call's tensors and their memory are.
struct Snapshot {
  explicit Snapshot(const std::vector<Argument>& arguments) {
    for (const Argument& argument : arguments) {
      tensors.push_back(argument.tensor);
      const std::uint8_t* memory = argument.memory.get();
      bytes.emplace_back(memory, memory + argument.size);
      first.push_back(static_cast<const std::uint8_t*>(argument.tensor.data) - memory);
    }
  }

  std::vector<RTorchTensor> tensors;
  std::vector<Bytes> bytes;
  std::vector<std::ptrdiff_t> first;  // where the first element is among the bytes
};

// Whether an output that was allocated has this value, row-major contiguous.
bool IsAllocatedFor(const Value& value, const RTorchTensor& output) {
  RTorchTensor wanted = output;
  internal::SetRowMajor(&wanted);
  return output.dtype == value.dtype && SizesOf(output) == value.sizes &&
         std::equal(wanted.strides, wanted.strides + wanted.rank, output.strides) &&
         output.device.type == RTORCH_CPU && output.deleter != nullptr &&
         Gather(output) == value.bytes;
}

// Whether the outputs of a call have these values, and nothing beside them was changed.
bool AreResults(const std::vector<Value>& values,
                const std::vector<RTorchTensor>& outputs, const Snapshot& before,
                const Snapshot& after) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const RTorchTensor& output = outputs[i];
    if (before.tensors[i].data == nullptr) {
      if (!IsAllocatedFor(values[i], output)) return false;
    } else if (ElementsAreApart(output)) {
      Bytes expected = before.bytes[i];
      Scatter(values[i], output, expected.data() + before.first[i]);
      if (after.bytes[i] != expected) return false;
    }
  }
  return true;
}

bool AreSame(const RTorchTensor& a, const RTorchTensor& b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

void Session::Run(const Instance& instance, const Call& call) {
  const Judgement judgement(model_, call, instance.has_allocator);
  if (judgement.hopeless()) {
    ++test_.hopeless;
    return;
  }
  const Snapshot inputs(call.inputs);
  const Snapshot outputs(call.outputs);
  std::vector<Value> arguments;
  if (judgement.outcome().Allows(RTORCH_OK)) {
    for (const RTorchTensor& tensor : inputs.tensors) {
      arguments.push_back({tensor.dtype, SizesOf(tensor), Gather(tensor)});
    }
  }
  std::vector<RTorchTensor> in = inputs.tensors;
  std::vector<RTorchTensor> out = outputs.tensors;
  plan = &call.plan;
  ran = false;
  const RTorchCode code = Expect(
      judgement.outcome(), call.allocations, call.null_error, [&](RTorchError* error) {
        return fake_->api().run(
            call.null_model ? nullptr : instance.model,
            call.null_inputs ? nullptr : in.data(), call.num_inputs,
            call.null_outputs ? nullptr : out.data(), call.num_outputs,
            call.options.has_value() ? &*call.options : nullptr, error);
      });

  const Snapshot inputs_after(call.inputs);
  for (std::size_t i = 0; i < in.size(); ++i) {
    EXPECT_TRUE(AreSame(in[i], inputs.tensors[i])) << "input " << i;
    const bool is_output = std::any_of(
        call.outputs.begin(), call.outputs.end(),
        [&](const Argument& one) { return one.memory == call.inputs[i].memory; });
    EXPECT_TRUE(is_output || inputs_after.bytes[i] == inputs.bytes[i]) << "input " << i;
  }
  const Snapshot after(call.outputs);
  if (code != RTORCH_OK) {
    for (std::size_t i = 0; i < out.size(); ++i) {
      EXPECT_TRUE(AreSame(out[i], outputs.tensors[i])) << "output " << i;
      EXPECT_TRUE(ran || after.bytes[i] == outputs.bytes[i]) << "output " << i;
    }
    return;
  }
  std::vector<float> weights = {kEmbedded, kInMemory, kInFile};
  if (instance.weight.has_value()) weights = {*instance.weight};
  EXPECT_TRUE(call.outputs_overlap ||
              std::any_of(weights.begin(), weights.end(), [&](float weight) {
                return AreResults(
                    *model_.Compute(call.plan, arguments, judgement.symbols(), weight),
                    out, outputs, after);
              }));
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (outputs.tensors[i].data != nullptr) {
      EXPECT_TRUE(AreSame(out[i], outputs.tensors[i])) << "output " << i;
    } else {
      fake_->api().release(&out[i]);
      EXPECT_TRUE(AreSame(out[i], RTorchTensor{})) << "output " << i;
    }
  }
}

TEST_F(CallsFuzzTest, RightCallsSucceedAndWrongOnesDoNoHarm) {
  const std::uint64_t sessions =
      ForEachSeed(8'000, [this](std::uint64_t seed) { Session(this, seed).Do(); });
  std::uint64_t calls = 0;
  for (const auto& count : tally) calls += count;
  RecordProperty("calls", std::to_string(calls));
  if (sessions < 1000) return;
  for (const RTorchCode code :
       {RTORCH_CANCELLED, RTORCH_INVALID_ARGUMENT, RTORCH_NOT_FOUND,
        RTORCH_RESOURCE_EXHAUSTED, RTORCH_INTERNAL, RTORCH_DATA_LOSS}) {
    EXPECT_GT(tally.at(static_cast<std::size_t>(code)), calls / 2000)
        << CodeName(code) << " of " << calls;
  }
  // A third of them may be wrong.
  EXPECT_GT(tally[RTORCH_OK], calls / 3 * 2);
  EXPECT_LT(tally[RTORCH_OK], calls / 10 * 9);
  EXPECT_LT(hopeless, calls / 20);
}

}  // namespace
}  // namespace rules_torch::testing
