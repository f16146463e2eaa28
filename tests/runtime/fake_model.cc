#include "tests/runtime/fake_model.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "gtest/gtest.h"

namespace rules_torch::testing {

RTorchDim Fixed(std::int64_t size) { return {size, size, -1, 1, 0}; }

RTorchDim Symbolic(std::int32_t symbol, std::int64_t min, std::int64_t max,
                   std::int64_t scale, std::int64_t offset) {
  return {min, max, symbol, scale, offset};
}

RTorchDim DataDependent() { return {0, INT64_MAX, -2, 1, 0}; }

FakeModel::FakeModel(FakeSignature signature, Body body, Creation creation)
    : signature_(std::move(signature)),
      body_(std::move(body)),
      creation_(std::move(creation)),
      inputs_(Specs(signature_.inputs)),
      outputs_(Specs(signature_.outputs)),
      backend_{&Create, &Destroy, &Run},
      variants_(Variants()),
      // The weights are all that a backend is told when it makes an instance.
      weights_{reinterpret_cast<const std::uint8_t*>(this), sizeof *this},
      definition_{variants_.data(), static_cast<std::int32_t>(variants_.size()),
                  &weights_},
      api_{RTORCH_ABI_VERSION,
           "//fake:model",
           "(...) -> (...)",
           static_cast<std::int32_t>(inputs_.size()),
           static_cast<std::int32_t>(outputs_.size()),
           static_cast<std::int32_t>(signature_.symbols.size()),
           signature_.stateful ? 1 : 0,
           inputs_.data(),
           outputs_.data(),
           signature_.symbols.data(),
           weights_.size,
           &internal::CreateModel,
           &internal::DestroyModel,
           &internal::RunModel,
           &internal::ReleaseTensor,
           &internal::IsaOfModel,
           &definition_} {}

FakeModel::~FakeModel() {
  EXPECT_EQ(created_, destroyed_) << "instances";
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

RTorchCode FakeModel::Create(const internal::Blob& weights, void** instance,
                             std::string* reason) {
  auto* model = reinterpret_cast<FakeModel*>(const_cast<std::uint8_t*>(weights.begin));
  if (model->creation_) *reason = model->creation_();
  if (!reason->empty()) return RTORCH_INTERNAL;
  ++model->created_;
  *instance = model;
  return RTORCH_OK;
}

void FakeModel::Destroy(void* instance) {
  ++static_cast<FakeModel*>(instance)->destroyed_;
}

RTorchCode FakeModel::Run(void* instance, const RTorchTensor* inputs,
                          RTorchTensor* outputs, bool* owned, std::string* reason) {
  auto* model = static_cast<FakeModel*>(instance);
  ++model->runs_;
  return model->body_(inputs, outputs, owned, reason) ? RTORCH_OK : RTORCH_INTERNAL;
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

std::vector<RTorchTensorSpec> FakeModel::Specs(const std::vector<FakeSpec>& specs) {
  std::vector<RTorchTensorSpec> made;
  for (const FakeSpec& spec : specs) {
    made.push_back({spec.name, spec.type, spec.dtype,
                    static_cast<std::int32_t>(spec.dims.size()), spec.dims.data()});
  }
  return made;
}

}  // namespace rules_torch::testing
