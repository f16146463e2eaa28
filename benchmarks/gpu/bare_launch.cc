#include "benchmarks/gpu/bare_launch.h"

#include <dlfcn.h>

#include <string>
#include <utility>

using rules_torch::Status;
using rules_torch::StatusOr;

static_assert(sizeof(KernelParameters) == 72);

StatusOr<BareDriver> BareDriver::Find() {
  void* const library = dlopen("libcuda.so.1", RTLD_NOW);
  if (library == nullptr) return Status(RTORCH_UNAVAILABLE, dlerror());
  BareDriver driver;
  std::string missing;
  const auto find = [&](auto* function, const char* name) {
    void* const address = dlsym(library, name);
    if (address == nullptr) missing = name;
    *function = reinterpret_cast<std::decay_t<decltype(*function)>>(address);
  };
  find(&driver.begin_capture, "cuStreamBeginCapture_v2");
  find(&driver.end_capture, "cuStreamEndCapture");
  find(&driver.get_nodes, "cuGraphGetNodes");
  find(&driver.node_type, "cuGraphNodeGetType");
  find(&driver.kernel_parameters, "cuGraphKernelNodeGetParams_v2");
  find(&driver.destroy_graph, "cuGraphDestroy");
  find(&driver.launch, "cuLaunchKernel");
  find(&driver.allocate_async, "cuMemAllocAsync");
  find(&driver.free_async, "cuMemFreeAsync");
  if (!missing.empty())
    return Status(RTORCH_UNAVAILABLE, "the driver has no " + missing);
  return driver;
}

BareLaunch::BareLaunch(BareLaunch&& other) noexcept
    : driver_(other.driver_),
      graph_(std::exchange(other.graph_, nullptr)),
      function_(other.function_),
      parameters_(other.parameters_),
      has_scratch_(other.has_scratch_),
      arguments_(std::move(other.arguments_)) {
  if (has_scratch_) arguments_[arguments_.size() - 2] = &scratch_;
}

BareLaunch::~BareLaunch() {
  if (graph_ != nullptr) driver_.destroy_graph(graph_);
}

Status BareLaunch::Error(const char* function, int code) {
  return Status(RTORCH_INTERNAL,
                std::string(function) + " failed: error " + std::to_string(code));
}

Status BareLaunch::Read(std::size_t arguments) {
  constexpr int kKernelNode = 0;
  void* nodes[3];  // one, or allocation, kernel, release
  std::size_t count = 3;
  int code = driver_.get_nodes(graph_, nodes, &count);
  if (code != 0) return Error("cuGraphGetNodes", code);
  for (std::size_t i = 0; i < count; ++i) {
    int type = -1;
    code = driver_.node_type(nodes[i], &type);
    if (code != 0) return Error("cuGraphNodeGetType", code);
    if (type != kKernelNode) {
      has_scratch_ = true;
      continue;
    }
    code = driver_.kernel_parameters(nodes[i], &parameters_);
    if (code != 0) return Error("cuGraphKernelNodeGetParams", code);
    function_ =
        parameters_.kernel != nullptr ? parameters_.kernel : parameters_.function;
  }
  if (function_ == nullptr) return Status(RTORCH_INTERNAL, "captured no kernel");
  arguments_.assign(parameters_.arguments, parameters_.arguments + arguments + 2);
  if (has_scratch_) arguments_[arguments] = &scratch_;
  return Status();
}
