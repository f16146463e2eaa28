// What rules_torch/kernel.h promises and only hardware can show: stream captures,
// contexts, devices, streams and threads, with real kernels on the real CUDA driver.
//
// A kernel is loaded once a process, and the tests share one. Those of a kernel's
// first launch own the kernel; no other test may launch it:
//
//   CapturesAFirstLaunch                     add, fp16
//   CapturesAFirstLaunchWithScratch          matmul_descriptor, fp16
//   LaunchesWhileAnotherThreadCaptures       softmax of 16000 columns, fp16
//   LaunchesInAnotherContext                 softmax of 1008 columns, fp32
//   CapturesInAnotherContext                 softmax of 4000 columns, fp32
//                                            matmul, fp16
//   OneThreadSwitchesDevices                 softmax of 1008 and 4000 columns, fp16
//   CapturesAFirstLaunchOnEachDevice         matmul, bf16
//   AThreadForEachDevice                     softmax of 1008 columns, bf16
//   ThreadsShareAContext                     softmax of 4000 columns, bf16
//   BadCallsLeaveACaptureAlive               add, bf16
//
// Everybody may launch add of fp32, and matmul_descriptor of bf16 outside a capture
// first.
#include <dlfcn.h>

#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <initializer_list>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/add.h"
#include "kernels/matmul.h"
#include "kernels/softmax.h"
#include "rules_torch/dtype.h"
#include "rules_torch/kernel.h"
#include "rules_torch/status.h"

namespace {

using rules_torch::bfloat16;
using rules_torch::float16;
using rules_torch::Status;
using ::testing::AssertionFailure;
using ::testing::AssertionResult;
using ::testing::AssertionSuccess;

// The driver.

// The part of it that the tests take; every function returns a CUresult.
struct Cuda {
  int (*init)(unsigned flags);
  int (*device_count)(int* count);
  int (*device_attribute)(int* value, int attribute, int device);
  int (*error_name)(int code, const char** name);
  int (*retain_primary)(void** context, int device);
  int (*create_context)(void** context, unsigned flags, int device);
  int (*destroy_context)(void* context);
  int (*pop_context)(void** context);
  int (*get_context)(void** context);
  int (*set_context)(void* context);
  int (*synchronize)();
  int (*create_stream)(void** stream, unsigned flags);
  int (*destroy_stream)(void* stream);
  int (*synchronize_stream)(void* stream);
  int (*allocate)(void** memory, std::size_t bytes);
  int (*free)(void* memory);
  int (*upload)(void* to, const void* from, std::size_t bytes);
  int (*download)(void* to, const void* from, std::size_t bytes);
  int (*begin_capture)(void* stream, int mode);
  int (*end_capture)(void* stream, void** graph);
  int (*graph_nodes)(void* graph, void** nodes, std::size_t* count);
  int (*node_type)(void* node, int* type);
  int (*instantiate)(void** executable, void* graph, unsigned long long flags);
  int (*launch_graph)(void* executable, void* stream);
  int (*destroy_executable)(void* executable);
  int (*destroy_graph)(void* graph);

  int devices = 0;
  std::string missing;  // why there is nothing to test on
};

Cuda FindCuda() {
  Cuda cuda = {};
  void* const library = dlopen("libcuda.so.1", RTLD_NOW);
  if (library == nullptr) {
    cuda.missing = dlerror();
    return cuda;
  }
  const auto find = [&](auto* function, const char* name) {
    void* const address = dlsym(library, name);
    if (address == nullptr) cuda.missing = std::string("libcuda.so.1 has no ") + name;
    *function = reinterpret_cast<std::decay_t<decltype(*function)>>(address);
  };
  find(&cuda.init, "cuInit");
  find(&cuda.device_count, "cuDeviceGetCount");
  find(&cuda.device_attribute, "cuDeviceGetAttribute");
  find(&cuda.error_name, "cuGetErrorName");
  find(&cuda.retain_primary, "cuDevicePrimaryCtxRetain");
  find(&cuda.create_context, "cuCtxCreate_v2");  // newer drivers have it too
  find(&cuda.destroy_context, "cuCtxDestroy_v2");
  find(&cuda.pop_context, "cuCtxPopCurrent_v2");
  find(&cuda.get_context, "cuCtxGetCurrent");
  find(&cuda.set_context, "cuCtxSetCurrent");
  find(&cuda.synchronize, "cuCtxSynchronize");
  find(&cuda.create_stream, "cuStreamCreate");
  find(&cuda.destroy_stream, "cuStreamDestroy_v2");
  find(&cuda.synchronize_stream, "cuStreamSynchronize");
  find(&cuda.allocate, "cuMemAlloc_v2");
  find(&cuda.free, "cuMemFree_v2");
  find(&cuda.upload, "cuMemcpyHtoD_v2");
  find(&cuda.download, "cuMemcpyDtoH_v2");
  find(&cuda.begin_capture, "cuStreamBeginCapture_v2");
  find(&cuda.end_capture, "cuStreamEndCapture");
  find(&cuda.graph_nodes, "cuGraphGetNodes");
  find(&cuda.node_type, "cuGraphNodeGetType");
  find(&cuda.instantiate, "cuGraphInstantiateWithFlags");
  find(&cuda.launch_graph, "cuGraphLaunch");
  find(&cuda.destroy_executable, "cuGraphExecDestroy");
  find(&cuda.destroy_graph, "cuGraphDestroy");
  if (!cuda.missing.empty()) return cuda;

  int code = cuda.init(0);
  if (code == 0) code = cuda.device_count(&cuda.devices);
  if (code != 0) {
    cuda.missing = "CUDA does not start: error " + std::to_string(code);
  } else if (cuda.devices == 0) {
    cuda.missing = "CUDA finds no device";
  }
  return cuda;
}

const Cuda& cuda() {
  static const Cuda found = FindCuda();
  return found;
}

// What the tests themselves ask of the driver works, or the test ends.
void Check(int code, const char* doing) {
  if (code == 0) return;
  const char* name = nullptr;
  if (cuda().error_name(code, &name) != 0 || name == nullptr) name = "an error";
  throw std::runtime_error(std::string(doing) + ": " + name + " (" +
                           std::to_string(code) + ")");
}

// The context that the CUDA runtime uses on a device; kept as long as the process.
void* Primary(int device) {
  static std::vector<void*> contexts(static_cast<std::size_t>(cuda().devices));
  void*& context = contexts.at(static_cast<std::size_t>(device));
  if (context == nullptr) Check(cuda().retain_primary(&context, device), "retain");
  return context;
}

// Makes a context current on this thread while it lives.
class Current {
 public:
  explicit Current(void* context) {
    Check(cuda().get_context(&before_), "get the context");
    Check(cuda().set_context(context), "set the context");
  }
  ~Current() { cuda().set_context(before_); }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;

 private:
  void* before_ = nullptr;
};

// A context next to the device's primary one. Current nowhere.
class NewContext {
 public:
  explicit NewContext(int device) {
    Check(cuda().create_context(&context_, 0, device), "create a context");
    void* popped = nullptr;
    Check(cuda().pop_context(&popped), "pop the context");
  }
  ~NewContext() { cuda().destroy_context(context_); }
  NewContext(const NewContext&) = delete;
  NewContext& operator=(const NewContext&) = delete;

  void* get() const { return context_; }

 private:
  void* context_ = nullptr;
};

// Streams and memory are the current context's; that has to be current again when
// they go.

class Stream {
 public:
  Stream() {
    constexpr unsigned kNonBlocking = 1;
    Check(cuda().create_stream(&stream_, kNonBlocking), "create a stream");
  }
  ~Stream() { cuda().destroy_stream(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void* get() const { return stream_; }

 private:
  void* stream_ = nullptr;
};

template <typename T>
class Array {
 public:
  explicit Array(const std::vector<T>& values) : size_(values.size()) {
    Check(cuda().allocate(&memory_, size_ * sizeof(T)), "allocate");
    Upload(values);
  }
  ~Array() { cuda().free(memory_); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;

  T* data() const { return static_cast<T*>(memory_); }

  // Waits until every stream sees them.
  void Upload(const std::vector<T>& values) {
    Check(cuda().upload(memory_, values.data(), size_ * sizeof(T)), "upload");
    Check(cuda().synchronize(), "synchronize");
  }

  // Waits for the device.
  std::vector<T> Download() const {
    std::vector<T> values(size_);
    Check(cuda().synchronize(), "synchronize");
    Check(cuda().download(values.data(), memory_, size_ * sizeof(T)), "download");
    return values;
  }

 private:
  std::size_t size_;
  void* memory_ = nullptr;
};

// The kernels.

// A kernel with its operands, in the context that is current when it is made.
class Job {
 public:
  virtual ~Job() = default;

  virtual Status Launch(void* stream) = 0;

  // Forgets the result.
  virtual void Clear() = 0;

  // Waits for the device.
  virtual AssertionResult IsRight() = 0;
};

template <typename T>
class JobOf : public Job {
 public:
  void Clear() override { out_.Upload(Nothing()); }

  AssertionResult IsRight() override {
    const std::vector<T> got = out_.Download();
    for (std::size_t i = 0; i < got.size(); ++i) {
      const float value = static_cast<float>(got[i]);
      const float allowed = absolute_ + relative_ * std::fabs(expected_[i]);
      if (!(std::fabs(value - expected_[i]) <= allowed)) {
        return AssertionFailure() << "element " << i << " of " << got.size() << " is "
                                  << value << ", not " << expected_[i];
      }
    }
    return AssertionSuccess();
  }

 protected:
  // What no kernel here computes: what has to stay, has it.
  static constexpr float kNothing = -12345;

  explicit JobOf(std::vector<float> expected, float absolute = 0, float relative = 0)
      : absolute_(absolute),
        relative_(relative),
        expected_(std::move(expected)),
        out_(Nothing()) {
    for (float& value : expected_) value = static_cast<float>(T(value));
  }

  T* out() { return out_.data(); }

 private:
  std::vector<T> Nothing() const {
    return std::vector<T>(expected_.size(), T(kNothing));
  }

  const float absolute_;
  const float relative_;
  std::vector<float> expected_;
  Array<T> out_;
};

template <typename T, typename Function>
std::vector<T> Fill(std::size_t size, Function value) {
  std::vector<T> values(size);
  for (std::size_t i = 0; i < size; ++i) values[i] = T(static_cast<float>(value(i)));
  return values;
}

template <typename T>
class AddJob final : public JobOf<T> {
 public:
  explicit AddJob(std::size_t seed = 0)
      : JobOf<T>(Fill<float>(kSize, [=](std::size_t i) { return X(i) + Y(i, seed); })),
        x_(Fill<T>(kSize, [](std::size_t i) { return X(i); })),
        y_(Fill<T>(kSize, [=](std::size_t i) { return Y(i, seed); })) {}

  Status Launch(void* stream) override { return LaunchWith(stream, kSize); }

  Status LaunchWith(void* stream, std::int64_t n, std::ptrdiff_t shift = 0) {
    return kernels::add(stream, this->out() + shift, x_.data(), y_.data(), n);
  }

 private:
  // Whole numbers, whose sums every type has.
  static std::size_t X(std::size_t i) { return i % 61; }
  static std::size_t Y(std::size_t i, std::size_t seed) {
    return (i / 61 + 5 * seed) % 127;
  }

  static constexpr std::size_t kSize = 100'003;

  Array<T> x_;
  Array<T> y_;
};

template <typename T>
class SoftmaxJob final : public JobOf<T> {
 public:
  // `columns`, a multiple of 16, decides which of the kernels it is.
  explicit SoftmaxJob(std::size_t columns, std::size_t seed = 0)
      : JobOf<T>(Expected(columns, seed), std::is_same_v<T, float> ? 1e-8f : 2e-7f,
                 std::is_same_v<T, float> ? 1e-5f : 1.0f / 128),
        columns_(columns),
        x_(Fill<T>(kRows * columns, [=](std::size_t i) { return X(i, seed); })) {}

  Status Launch(void* stream) override {
    const auto stride = static_cast<std::int64_t>(columns_);
    return kernels::fused_softmax(stream, this->out(), x_.data(), stride, stride, kRows,
                                  static_cast<std::int32_t>(columns_));
  }

 private:
  static constexpr std::size_t kRows = 37;

  // From 0 to 3.2, without rounding in any type.
  static float X(std::size_t i, std::size_t seed) {
    return static_cast<float>((i * 31 + i / 1000 + seed * 17) % 103) / 32;
  }

  static std::vector<float> Expected(std::size_t columns, std::size_t seed) {
    std::vector<float> expected(kRows * columns);
    for (std::size_t row = 0; row < kRows; ++row) {
      const std::size_t first = row * columns;
      double sum = 0;
      for (std::size_t i = 0; i < columns; ++i) {
        sum += std::exp(static_cast<double>(X(first + i, seed)));
      }
      for (std::size_t i = first; i < first + columns; ++i) {
        expected[i] =
            static_cast<float>(std::exp(static_cast<double>(X(i, seed))) / sum);
      }
    }
    return expected;
  }

  const std::size_t columns_;
  Array<T> x_;
};

// Of matmul or matmul_descriptor, by Function. Rows of C have more elements than the
// matrix has columns; those have to stay as they are.
template <typename T, typename Function>
class MatmulJob final : public JobOf<T> {
 public:
  explicit MatmulJob(Function function, std::size_t seed = 0)
      : JobOf<T>(Expected(seed)),
        function_(function),
        a_(Fill<T>(kM * kK, [=](std::size_t i) { return A(i / kK, i % kK, seed); })),
        b_(Fill<T>(kK * kStride, [](std::size_t i) {
          return i % kStride < kN ? B(i / kStride, i % kStride) : 0;
        })) {}

  Status Launch(void* stream) override { return LaunchWith(stream, kN); }

  Status LaunchWith(void* stream, std::size_t n, std::ptrdiff_t shift = 0) {
    return function_(stream, this->out() + shift, a_.data(), b_.data(),
                     std::int32_t{kM}, static_cast<std::int32_t>(n), std::int32_t{kK},
                     std::int64_t{kStride}, std::int64_t{kK}, std::int64_t{kStride});
  }

 private:
  static constexpr std::size_t kM = 200;
  static constexpr std::size_t kN = 256;
  static constexpr std::size_t kK = 80;
  static constexpr std::size_t kStride = 272;  // of B and C

  // Small whole numbers: sums are without rounding.
  static float A(std::size_t i, std::size_t j, std::size_t seed) {
    return static_cast<float>((i * 131 + j * 71 + i * j * 13 + seed) % 5) - 2;
  }
  static float B(std::size_t i, std::size_t j) {
    return static_cast<float>((i * 17 + j * 29 + i * j * 7) % 5) - 2;
  }

  static std::vector<float> Expected(std::size_t seed) {
    std::vector<float> expected(kM * kStride, JobOf<T>::kNothing);
    for (std::size_t row = 0; row < kM; ++row) {
      for (std::size_t column = 0; column < kN; ++column) {
        float sum = 0;
        for (std::size_t i = 0; i < kK; ++i) sum += A(row, i, seed) * B(i, column);
        expected[row * kStride + column] = sum;
      }
    }
    return expected;
  }

  const Function function_;
  Array<T> a_;
  Array<T> b_;
};

// Without scratch memory, and with more shared memory than a kernel has unasked.
template <typename T>
auto NewMatmul(std::size_t seed = 0) {
  const auto function = [](auto... arguments) { return kernels::matmul(arguments...); };
  return std::make_unique<MatmulJob<T, decltype(function)>>(function, seed);
}

// With scratch memory on sm_90 and sm_100.
template <typename T>
auto NewDescriptorMatmul(std::size_t seed = 0) {
  const auto function = [](auto... arguments) {
    return kernels::matmul_descriptor(arguments...);
  };
  return std::make_unique<MatmulJob<T, decltype(function)>>(function, seed);
}

AssertionResult IsOk(const Status& status) {
  if (status.ok()) return AssertionSuccess();
  return AssertionFailure() << status.message();
}

// The part of the checks that every test has: launches, and looks at the result.
void ExpectWorks(Job& job, void* stream) {
  job.Clear();
  ASSERT_TRUE(IsOk(job.Launch(stream)));
  Check(cuda().synchronize_stream(stream), "synchronize the stream");
  EXPECT_TRUE(job.IsRight());
}

// Whether the current context can do a launch that is right in all.
void ExpectAlive() {
  const Stream stream;
  AddJob<float> job(3);
  ExpectWorks(job, stream.get());
}

void ExpectRefused(const Status& status, std::initializer_list<const char*> parts) {
  EXPECT_EQ(status.code(), RTORCH_INVALID_ARGUMENT) << status.message();
  for (const char* part : parts) {
    EXPECT_NE(status.message().find(part), std::string::npos)
        << "no \"" << part << "\" in \"" << status.message() << '"';
  }
}

// Graphs.

class Graph {
 public:
  // Captures what `enqueue` does, in the mode that forbids most, to all threads.
  Graph(const Stream& stream, const std::function<Status(void*)>& enqueue) {
    constexpr int kGlobal = 0;
    Check(cuda().begin_capture(stream.get(), kGlobal), "begin to capture");
    const Status status = enqueue(stream.get());
    const int code = cuda().end_capture(stream.get(), &graph_);
    EXPECT_TRUE(IsOk(status));
    Check(code, "end the capture");
  }
  Graph(const Stream& stream, Job& job)
      : Graph(stream, [&](void* handle) { return job.Launch(handle); }) {}
  ~Graph() {
    if (executable_ != nullptr) cuda().destroy_executable(executable_);
    cuda().destroy_graph(graph_);
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  enum NodeType { kKernel = 0, kAllocation = 10, kRelease = 11 };  // CUgraphNodeType

  std::size_t Count(NodeType type) const {
    std::size_t count = 0;
    for (const int each : Types()) count += each == type ? 1 : 0;
    return count;
  }
  std::size_t Size() const { return Types().size(); }

  void Replay(const Stream& stream) {
    if (executable_ == nullptr) {
      Check(cuda().instantiate(&executable_, graph_, 0), "instantiate the graph");
    }
    Check(cuda().launch_graph(executable_, stream.get()), "launch the graph");
    Check(cuda().synchronize_stream(stream.get()), "synchronize the stream");
  }

 private:
  std::vector<int> Types() const {
    std::size_t count = 0;
    Check(cuda().graph_nodes(graph_, nullptr, &count), "count the nodes");
    std::vector<void*> nodes(count);
    Check(cuda().graph_nodes(graph_, nodes.data(), &count), "get the nodes");
    std::vector<int> types(count);
    for (std::size_t i = 0; i < count; ++i) {
      Check(cuda().node_type(nodes[i], &types[i]), "get a node's type");
    }
    return types;
  }

  void* graph_ = nullptr;
  void* executable_ = nullptr;
};

// Whether matmul_descriptor takes scratch memory: where a descriptor is the hardware's.
bool HasScratch(int device) {
  constexpr int kMajor = 75;
  constexpr int kMinor = 76;
  int major = 0;
  int minor = 0;
  Check(cuda().device_attribute(&major, kMajor, device), "get the architecture");
  Check(cuda().device_attribute(&minor, kMinor, device), "get the architecture");
  return (major == 9 || major == 10) && minor == 0;
}

// Captures a launch, and replays it three times. `allocations`: of scratch memory.
void ExpectCaptures(Job& job, std::size_t allocations = 0) {
  const Stream stream;
  Graph graph(stream, job);
  EXPECT_EQ(graph.Count(Graph::kKernel), 1u);
  EXPECT_EQ(graph.Count(Graph::kAllocation), allocations);
  EXPECT_EQ(graph.Count(Graph::kRelease), allocations);
  EXPECT_EQ(graph.Size(), 1 + 2 * allocations);  // loading left nothing in it
  for (int replay = 0; replay < 3; ++replay) {
    SCOPED_TRACE("replay " + std::to_string(replay));
    job.Clear();
    EXPECT_FALSE(job.IsRight());
    graph.Replay(stream);
    EXPECT_TRUE(job.IsRight());
  }
}

// Threads.

// Runs body(i) in a thread for each context, which is current there; all start at
// once. Returns what each said.
std::vector<Status> AtOnce(const std::vector<void*>& contexts,
                           const std::function<Status(std::size_t)>& body) {
  std::atomic<std::size_t> missing{contexts.size()};
  std::vector<std::future<Status>> threads;
  for (std::size_t i = 0; i < contexts.size(); ++i) {
    threads.push_back(std::async(std::launch::async, [&, i] {
      const int code = cuda().set_context(contexts[i]);
      --missing;
      while (missing != 0) std::this_thread::yield();
      return code == 0 ? body(i) : Status(RTORCH_INTERNAL, "cuCtxSetCurrent failed");
    }));
  }
  std::vector<Status> statuses;
  for (auto& thread : threads) statuses.push_back(thread.get());
  return statuses;
}

// On a stream of its own each, so often that launches of all overlap.
Status LaunchOften(Job& job, void* stream) {
  for (int i = 0; i < 200; ++i) {
    Status status = job.Launch(stream);
    if (!status.ok()) return status;
  }
  const int code = cuda().synchronize_stream(stream);
  return code == 0 ? Status()
                   : Status(RTORCH_INTERNAL, "cuStreamSynchronize failed: error " +
                                                 std::to_string(code));
}

// The tests.

// With the primary context of the first device current; it has to live in the end.
class OnGpuTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!cuda().missing.empty()) GTEST_SKIP() << "no GPU: " << cuda().missing;
    Check(cuda().set_context(Primary(0)), "set the context");
  }
  void TearDown() override {
    if (!cuda().missing.empty()) return;
    Check(cuda().set_context(Primary(0)), "set the context");
    EXPECT_EQ(cuda().synchronize(), 0);
  }
};

class OnGpusTest : public OnGpuTest {
 protected:
  void SetUp() override {
    OnGpuTest::SetUp();
    if (IsSkipped()) return;
    if (cuda().devices < 2) GTEST_SKIP() << "there is one device";
  }
};

TEST_F(OnGpuTest, CapturesAFirstLaunch) {
  AddJob<float16> job;
  ExpectCaptures(job);
  const Stream stream;
  ExpectWorks(job, stream.get());
}

TEST_F(OnGpuTest, CapturesAFirstLaunchWithScratch) {
  const auto job = NewDescriptorMatmul<float16>();
  ExpectCaptures(*job, HasScratch(0) ? 1 : 0);
  const Stream stream;
  ExpectWorks(*job, stream.get());
}

TEST_F(OnGpuTest, LaunchesWithScratch) {
  const auto job = NewDescriptorMatmul<bfloat16>();
  const Stream stream;
  ExpectWorks(*job, stream.get());
  // Many at once share the stream's pool.
  const auto other = NewDescriptorMatmul<bfloat16>(1);
  const Stream other_stream;
  job->Clear();
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(IsOk(job->Launch(stream.get())));
    ASSERT_TRUE(IsOk(other->Launch(other_stream.get())));
  }
  EXPECT_TRUE(job->IsRight());
  EXPECT_TRUE(other->IsRight());
}

TEST_F(OnGpuTest, LaunchesWhileAnotherThreadCaptures) {
  AddJob<float> captured;
  SoftmaxJob<float16> launched(16000);
  const Stream capture_stream;
  const Stream stream;
  Status status;
  Graph graph(capture_stream, [&](void* handle) {
    status = AtOnce({Primary(0)},
                    [&](std::size_t) { return launched.Launch(stream.get()); })[0];
    return captured.Launch(handle);
  });
  EXPECT_TRUE(IsOk(status));
  EXPECT_TRUE(launched.IsRight());
  EXPECT_EQ(graph.Size(), 1u);
  graph.Replay(capture_stream);
  EXPECT_TRUE(captured.IsRight());
}

// Contexts.

TEST_F(OnGpuTest, LaunchesInAnotherContext) {
  AddJob<float> add;
  const auto scratch = NewDescriptorMatmul<bfloat16>();
  SoftmaxJob<float> softmax(1008);
  const Stream stream;
  ExpectWorks(add, stream.get());
  ExpectWorks(*scratch, stream.get());

  const NewContext other(0);
  {
    const Current current(other.get());
    AddJob<float> add_there(1);
    const auto scratch_there = NewDescriptorMatmul<bfloat16>(1);
    SoftmaxJob<float> softmax_there(1008, 1);
    const Stream stream_there;
    ExpectWorks(add_there, stream_there.get());       // loaded in the first context
    ExpectWorks(*scratch_there, stream_there.get());  // too
    ExpectWorks(softmax_there, stream_there.get());   // not loaded anywhere
    ExpectWorks(softmax_there, nullptr);
  }
  ExpectWorks(add, stream.get());
  ExpectWorks(*scratch, stream.get());
  ExpectWorks(softmax, stream.get());  // loaded in the other context
}

TEST_F(OnGpuTest, CapturesInAnotherContext) {
  AddJob<float> add;
  SoftmaxJob<float> softmax(4000);
  const auto matmul = NewMatmul<float16>();
  const Stream stream;
  ExpectWorks(add, stream.get());

  const NewContext other(0);
  {
    const Current current(other.get());
    AddJob<float> add_there(1);
    SoftmaxJob<float> softmax_there(4000, 1);
    const auto matmul_there = NewMatmul<float16>(1);
    ExpectCaptures(add_there);      // loaded in the first context
    ExpectCaptures(softmax_there);  // not loaded anywhere
    ExpectCaptures(*matmul_there);  // nor this
  }
  ExpectCaptures(softmax);
  ExpectCaptures(*matmul);
  ExpectCaptures(add);
}

TEST_F(OnGpuTest, CapturesScratchInAnotherContext) {
  const auto job = NewDescriptorMatmul<bfloat16>();
  const Stream stream;
  ExpectWorks(*job, stream.get());  // loaded in the first context

  const NewContext other(0);
  {
    const Current current(other.get());
    const auto job_there = NewDescriptorMatmul<bfloat16>(1);
    ExpectCaptures(*job_there, HasScratch(0) ? 1 : 0);
  }
  ExpectCaptures(*job, HasScratch(0) ? 1 : 0);
}

// Contexts of the same address come and go.
TEST_F(OnGpuTest, LaunchesInContextsAfterEachOther) {
  for (std::size_t i = 0; i < 3; ++i) {
    SCOPED_TRACE("context " + std::to_string(i));
    const NewContext other(0);
    const Current current(other.get());
    const Stream stream;
    AddJob<float> add(i);
    const auto scratch = NewDescriptorMatmul<bfloat16>(i);
    ExpectWorks(add, stream.get());
    ExpectWorks(*scratch, stream.get());
  }
  ExpectAlive();
}

// The driver launches such kernels in the stream's context, whichever is current; one
// that refuses is right too.
void ExpectNoHarm(void* stream_context) {
  const Current current(stream_context);
  AddJob<float> add(1);
  const auto scratch = NewDescriptorMatmul<bfloat16>(1);
  const Stream stream;
  for (Job* const job : std::initializer_list<Job*>{&add, scratch.get()}) {
    const char* const name =
        job == &add ? "kernels::add" : "kernels::matmul_descriptor";
    Status status;
    {
      const Current first(Primary(0));
      status = job->Launch(stream.get());
    }
    std::cout << name << " on the stream of another context: "
              << (status.ok() ? "launched" : status.message()) << '\n';
    if (status.ok()) {
      EXPECT_TRUE(job->IsRight());
    } else {
      EXPECT_EQ(status.message().find(name), 0u) << status.message();
    }
    const Current first(Primary(0));
    ExpectAlive();
  }
  ExpectAlive();
}

TEST_F(OnGpuTest, TheStreamOfAnotherContextDoesNoHarm) {
  ExpectAlive();
  const NewContext other(0);
  ExpectNoHarm(other.get());
  ExpectAlive();
}

TEST_F(OnGpusTest, TheStreamOfAnotherDeviceDoesNoHarm) {
  ExpectAlive();
  ExpectNoHarm(Primary(1));
  ExpectAlive();
}

TEST_F(OnGpuTest, NeedsAContext) {
  AddJob<float> job;
  const Stream stream;
  const auto expect_refused = [](const Status& status) {
    ExpectRefused(status, {"kernels::add: no CUDA context is current on this thread",
                           "cudaSetDevice", "cuCtxSetCurrent"});
  };
  {
    const Current none(nullptr);
    expect_refused(job.Launch(stream.get()));
    expect_refused(job.Launch(nullptr));
    ExpectRefused(kernels::LoadAdd(), {"//kernels:add: no CUDA context is current"});
  }
  ExpectWorks(job, stream.get());
  // A thread that has had none.
  expect_refused(
      std::async(std::launch::async, [&] { return job.Launch(stream.get()); }).get());
  ExpectWorks(job, stream.get());
}

// Devices.

TEST_F(OnGpusTest, OneThreadSwitchesDevices) {
  const auto launch = [](int device, std::size_t columns) {
    SCOPED_TRACE("device " + std::to_string(device));
    const Current current(Primary(device));
    const auto seed = static_cast<std::size_t>(device);
    const Stream stream;
    SoftmaxJob<float16> softmax(columns, seed);
    const auto scratch = NewDescriptorMatmul<bfloat16>(seed);
    ExpectWorks(softmax, stream.get());
    ExpectWorks(*scratch, stream.get());
    ExpectWorks(softmax, nullptr);
  };
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < cuda().devices; ++i) {
      launch(i, 1008);                       // loaded on the first device
      launch(cuda().devices - 1 - i, 4000);  // on the last
    }
  }
}

TEST_F(OnGpusTest, CapturesAFirstLaunchOnEachDevice) {
  for (int device = 0; device < cuda().devices; ++device) {
    SCOPED_TRACE("device " + std::to_string(device));
    const Current current(Primary(device));
    const auto job = NewMatmul<bfloat16>(static_cast<std::size_t>(device));
    ExpectCaptures(*job);
  }
}

TEST_F(OnGpusTest, AThreadForEachDevice) {
  struct Work {
    Stream stream;
    SoftmaxJob<bfloat16> softmax;
    std::unique_ptr<Job> scratch;
  };
  std::vector<void*> contexts;
  std::vector<std::unique_ptr<Work>> works;
  for (int device = 0; device < cuda().devices; ++device) {
    const auto seed = static_cast<std::size_t>(device);
    contexts.push_back(Primary(device));
    const Current current(Primary(device));
    works.push_back(
        std::unique_ptr<Work>(new Work{{}, SoftmaxJob<bfloat16>(1008, seed), {}}));
    works.back()->scratch = NewDescriptorMatmul<bfloat16>(seed);
  }
  const std::vector<Status> statuses = AtOnce(contexts, [&](std::size_t i) {
    Status status = LaunchOften(works[i]->softmax, works[i]->stream.get());
    if (status.ok()) status = LaunchOften(*works[i]->scratch, works[i]->stream.get());
    return status;
  });
  for (std::size_t i = 0; i < works.size(); ++i) {
    SCOPED_TRACE("device " + std::to_string(i));
    const Current current(contexts[i]);
    EXPECT_TRUE(IsOk(statuses[i]));
    EXPECT_TRUE(works[i]->softmax.IsRight());
    EXPECT_TRUE(works[i]->scratch->IsRight());
    works[i].reset();
  }
}

// Threads and streams.

TEST_F(OnGpuTest, ThreadsShareAContext) {
  constexpr std::size_t kThreads = 8;
  struct Work {
    Stream stream;
    SoftmaxJob<bfloat16> softmax;
    std::unique_ptr<Job> scratch;
  };
  std::vector<std::unique_ptr<Work>> works;
  for (std::size_t i = 0; i < kThreads; ++i) {
    works.push_back(
        std::unique_ptr<Work>(new Work{{}, SoftmaxJob<bfloat16>(4000, i), {}}));
    works.back()->scratch = NewDescriptorMatmul<bfloat16>(i);
  }
  const std::vector<void*> contexts(kThreads, Primary(0));
  const std::vector<Status> statuses = AtOnce(contexts, [&](std::size_t i) {
    Status status = LaunchOften(works[i]->softmax, works[i]->stream.get());
    if (status.ok()) status = LaunchOften(*works[i]->scratch, works[i]->stream.get());
    return status;
  });
  for (std::size_t i = 0; i < kThreads; ++i) {
    SCOPED_TRACE("thread " + std::to_string(i));
    EXPECT_TRUE(IsOk(statuses[i]));
    EXPECT_TRUE(works[i]->softmax.IsRight());
    EXPECT_TRUE(works[i]->scratch->IsRight());
  }
}

TEST_F(OnGpuTest, TakesTheDefaultStreams) {
  void* const legacy = reinterpret_cast<void*>(0x1);      // CU_STREAM_LEGACY
  void* const per_thread = reinterpret_cast<void*>(0x2);  // CU_STREAM_PER_THREAD
  AddJob<float> add;
  const auto scratch = NewDescriptorMatmul<bfloat16>();
  for (void* const stream : {static_cast<void*>(nullptr), legacy, per_thread}) {
    SCOPED_TRACE("stream " + std::to_string(reinterpret_cast<std::uintptr_t>(stream)));
    ExpectWorks(add, stream);
    ExpectWorks(*scratch, stream);
  }
}

// Those of add are not loaded afterwards, whatever ran before: no other test minds.
TEST_F(OnGpuTest, LaunchesAfterUnloading) {
  AddJob<float> add;
  const Stream stream;
  for (int time = 0; time < 2; ++time) {
    ExpectWorks(add, stream.get());
    EXPECT_TRUE(IsOk(kernels::UnloadAdd()));
  }
  EXPECT_TRUE(IsOk(kernels::UnloadAdd()));  // there is nothing
}

// Bad calls.

TEST_F(OnGpuTest, BadCallsLeaveTheContextAlive) {
  const Stream stream;
  AddJob<float> add;
  const auto matmul = NewDescriptorMatmul<bfloat16>();
  const auto expect_refused = [&](const Status& status,
                                  std::initializer_list<const char*> parts) {
    ExpectRefused(status, parts);
    ExpectWorks(add, stream.get());
    ExpectWorks(*matmul, stream.get());
  };
  constexpr std::int64_t kTooMany = (std::int64_t{1} << 31) * 1024;  // of 1024 each

  expect_refused(add.LaunchWith(stream.get(), 1000, 1),
                 {"kernels::add: ", "out is aligned to 16 bytes", "but out is 0x"});
  expect_refused(matmul->LaunchWith(stream.get(), 256, 1),
                 {"kernels::matmul_descriptor: ", "c is aligned to 16 bytes"});
  expect_refused(add.LaunchWith(stream.get(), 0),
                 {"kernels::add: the grid is (0, 1, 1)", "from 1 to 2147483647"});
  expect_refused(add.LaunchWith(stream.get(), kTooMany),
                 {"kernels::add: the grid is (2147483648, 1, 1)"});
  expect_refused(matmul->LaunchWith(stream.get(), 255),
                 {"kernels::matmul_descriptor: ", "n % 8 == 0"});
  expect_refused(matmul->LaunchWith(stream.get(), 0),
                 {"kernels::matmul_descriptor: the grid is (0, 1, 1)"});
}

// Before the kernel's first launch and after it.
TEST_F(OnGpuTest, BadCallsLeaveACaptureAlive) {
  AddJob<bfloat16> job;
  const Stream stream;
  Graph graph(stream, [&](void* handle) {
    ExpectRefused(job.LaunchWith(handle, 1000, 1), {"kernels::add: "});
    ExpectRefused(job.LaunchWith(handle, 0), {"kernels::add: the grid is (0, 1, 1)"});
    Status status = job.Launch(handle);
    ExpectRefused(job.LaunchWith(handle, 0), {"kernels::add: the grid is (0, 1, 1)"});
    return status;
  });
  EXPECT_EQ(graph.Size(), 1u);
  graph.Replay(stream);
  EXPECT_TRUE(job.IsRight());
}

}  // namespace
