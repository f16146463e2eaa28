#include "tests/runtime/fake_model.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "gtest/gtest.h"

namespace rules_torch::testing {

namespace {

// What a Backend's load makes, and the instances are.
struct Loaded {
  FakeModel* model;
  const void* const* weights;
};

// What the body that runs in this thread can ask for.
struct Running {
  const Loaded* loaded;
  const std::int64_t* symbols;
};
thread_local Running running{};

}  // namespace

RTorchDim Fixed(std::int64_t size) { return {size, size, 1, 0, -1, 0}; }

RTorchDim Symbolic(std::int32_t symbol, std::int64_t min, std::int64_t max,
                   std::int64_t scale, std::int64_t offset) {
  return {min, max, scale, offset, symbol, 0};
}

RTorchDim DataDependent() { return {0, INT64_MAX, 1, 0, -2, 0}; }

FakeModel::FakeModel(FakeSignature signature, Body body, Creation creation)
    : signature_(std::move(signature)),
      body_(std::move(body)),
      creation_(std::move(creation)),
      symbols_(Symbols(signature_.symbols)),
      inputs_(Specs(signature_.inputs)),
      outputs_(Specs(signature_.outputs)),
      backend_{&Load, &Unload, &Create, &Destroy, &Run, nullptr},
      variants_(Variants()),
      file_{signature_.file.data(), signature_.file.size()},
      definition_{variants_.data(), static_cast<std::int32_t>(variants_.size()),
                  signature_.file.empty() ? nullptr : &file_},
      api_{MakeApi()} {}

FakeModel::Api FakeModel::MakeApi() {
  static constexpr RTorchBuild kBuild = {"0", "0", "0"};
  Api api{};
  api.abi_version = RTORCH_ABI_VERSION;
  api.struct_size = sizeof(RTorchModelApi);
  api.name = "//fake:model";
  api.signature = "(...) -> (...)";
  api.num_inputs = static_cast<std::int32_t>(inputs_.size());
  api.num_outputs = static_cast<std::int32_t>(outputs_.size());
  api.num_symbols = static_cast<std::int32_t>(symbols_.size());
  api.num_weights = static_cast<std::int32_t>(signature_.weights.size());
  api.stateful = signature_.stateful ? 1 : 0;
  api.device_type = RTORCH_CPU;
  api.inputs = inputs_.data();
  api.outputs = outputs_.data();
  api.symbols = symbols_.data();
  api.weights = signature_.weights.data();
  api.weights_fingerprint = "";
  api.build = &kBuild;
  api.create = &internal::CreateModel;
  api.destroy = &internal::DestroyModel;
  api.run = &internal::RunModel;
  api.release = &internal::ReleaseTensor;
  api.swap = &internal::SwapWeights;
  api.isa = &internal::IsaOfModel;
  api.definition = &definition_;
  api.model = this;
  return api;
}

const void* const* FakeModel::weights() { return running.loaded->weights; }

const std::int64_t* FakeModel::symbols() { return running.symbols; }

FakeModel::~FakeModel() {
  EXPECT_EQ(created_, destroyed_) << "instances";
  EXPECT_EQ(loaded_, unloaded_) << "loads";
  for (const auto& result : results_) {
    EXPECT_EQ(result->deletions, 1) << "of a result";
  }
}

RTorchTensor FakeModel::NewResult(RTorchDType dtype, const void* elements,
                                  std::size_t bytes,
                                  const std::vector<std::int64_t>& sizes) {
  auto memory = std::make_unique<Memory>();
  const auto* begin = static_cast<const std::uint8_t*>(elements);
  memory->bytes.assign(begin, begin + bytes);
  RTorchTensor result{};
  result.data = memory->bytes.data();
  result.dtype = dtype;
  result.device = {RTORCH_CPU, 0};
  result.rank = static_cast<std::int32_t>(sizes.size());
  std::int64_t stride = 1;
  for (std::size_t i = sizes.size(); i-- > 0;) {
    result.sizes[i] = sizes[i];
    result.strides[i] = stride;
    stride *= sizes[i];
  }
  result.owner = memory.get();
  result.deleter = &Delete;
  const std::lock_guard<std::mutex> lock(mutex_);
  results_.push_back(std::move(memory));
  return result;
}

int FakeModel::live_results() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<int>(
      std::count_if(results_.begin(), results_.end(),
                    [](const auto& result) { return result->deletions == 0; }));
}

RTorchCode FakeModel::Load(const internal::LoadRequest& request, void** loaded,
                           std::string*) {
  FakeModel* model = static_cast<const Api*>(request.api)->model;
  *loaded = new Loaded{model, request.weights};
  ++model->loaded_;
  return RTORCH_OK;
}

void FakeModel::Unload(void* loaded) {
  ++static_cast<Loaded*>(loaded)->model->unloaded_;
  delete static_cast<Loaded*>(loaded);
}

RTorchCode FakeModel::Create(void* loaded, std::int32_t, const void*, void** instance,
                             std::string* reason) {
  FakeModel* model = static_cast<Loaded*>(loaded)->model;
  if (model->creation_) *reason = model->creation_();
  if (!reason->empty()) return RTORCH_INTERNAL;
  ++model->created_;
  *instance = loaded;
  return RTORCH_OK;
}

void FakeModel::Destroy(void* instance) {
  ++static_cast<Loaded*>(instance)->model->destroyed_;
}

RTorchCode FakeModel::Run(void* instance, const internal::RunRequest& request,
                          std::string* reason) {
  const auto* loaded = static_cast<const Loaded*>(instance);
  const Running outer = std::exchange(running, Running{loaded, request.symbols});
  FakeModel* model = loaded->model;
  ++model->runs_;
  const bool ok =
      model->body_(request.inputs, request.outputs, request.results, reason);
  running = outer;
  return ok ? RTORCH_OK : RTORCH_INTERNAL;
}

void FakeModel::Delete(void* owner) {
  auto* memory = static_cast<Memory*>(owner);
  std::fill(memory->bytes.begin(), memory->bytes.end(), std::uint8_t{0xdd});
  ++memory->deletions;
}

std::vector<internal::Variant> FakeModel::Variants() const {
  std::vector<internal::Variant> made;
  for (const char* isa : signature_.isas) made.push_back({isa, &backend_});
  return made;
}

std::vector<RTorchSymbol> FakeModel::Symbols(const std::vector<const char*>& names) {
  std::vector<RTorchSymbol> made;
  for (const char* name : names) made.push_back({name, 0, INT64_MAX});
  return made;
}

std::vector<RTorchTensorSpec> FakeModel::Specs(const std::vector<FakeSpec>& specs) {
  std::vector<RTorchTensorSpec> made;
  for (const FakeSpec& spec : specs) {
    made.push_back({spec.name,
                    spec.type,
                    spec.dtype,
                    static_cast<std::int32_t>(spec.dims.size()),
                    spec.dims.data(),
                    {}});
  }
  return made;
}

}  // namespace rules_torch::testing
