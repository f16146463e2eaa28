#include "runtime/internal/loaded.h"

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "rules_torch/abi.h"
#include "runtime/internal/backend.h"
#include "runtime/internal/weights_file.h"

namespace rules_torch::internal {
namespace {

// Where weights come from: equal for weights that are the same.
struct Origin {
  const void* data = nullptr;  // memory
  std::uint64_t size = 0;      // of memory and files
  dev_t device = 0;            // files: replaced ones differ in what follows
  ino_t inode = 0;
  std::int64_t seconds = 0;
  std::int64_t nanoseconds = 0;

  bool operator==(const Origin& other) const {
    return data == other.data && size == other.size && device == other.device &&
           inode == other.inode && seconds == other.seconds &&
           nanoseconds == other.nanoseconds;
  }
};

// None of a file that cannot be looked at; FindWeights says why.
std::optional<Origin> OriginOf(const RTorchWeights* weights) {
  Origin origin;
  if (weights == nullptr) return origin;
  if (weights->path == nullptr) {
    origin.data = weights->data;
    origin.size = weights->size;
    return origin;
  }
  struct stat status{};
  if (stat(weights->path, &status) != 0) return std::nullopt;
  origin.size = static_cast<std::uint64_t>(status.st_size);
  origin.device = status.st_dev;
  origin.inode = status.st_ino;
  origin.seconds = status.st_mtim.tv_sec;
  origin.nanoseconds = status.st_mtim.tv_nsec;
  return origin;
}

}  // namespace

struct Loaded {
  const RTorchModelApi* api;
  const Variant* variant;
  RTorchDevice device;
  std::optional<Origin> origin;
  std::shared_ptr<const Weights> weights;
  void* handle = nullptr;  // Backend.load's
  std::int64_t shares = 0;
  Loaded* next = nullptr;

  ~Loaded() {
    if (handle != nullptr) variant->backend->unload(handle);
  }

  bool Same(const Loaded& other) const {
    return api == other.api && variant == other.variant &&
           device.type == other.device.type && device.index == other.device.index &&
           origin.has_value() && origin == other.origin;
  }
};

namespace {

// All that is loaded, and its lock. Neither needs a constructor or a destructor, so
// that models may be made and destroyed at any time of a process.
std::mutex registry_mutex;
Loaded* registry = nullptr;

// The models that share memory keep its owners, each the one that it was given.
RTorchWeights Unowned(RTorchWeights weights) {
  weights.deleter = nullptr;
  return weights;
}

// Takes a share of what is like `wanted`; null if there is none. The lock is held.
Loaded* Find(const Loaded& wanted) {
  Loaded* found = registry;
  while (found != nullptr && !found->Same(wanted)) found = found->next;
  if (found != nullptr) ++found->shares;
  return found;
}

}  // namespace

RTorchCode Share::Of(const RTorchModelApi& api, const Variant& variant,
                     RTorchDevice device, const RTorchWeights* weights, Share* share,
                     std::string* reason) {
  const auto& definition = *static_cast<const Definition*>(api.definition);
  if (weights == nullptr && definition.weights == nullptr) {
    *reason =
        "the weights are not in the library: give Create the file that the build made";
    return RTORCH_INVALID_ARGUMENT;
  }
  if (weights != nullptr) {
    if (const RTorchCode code = CheckSource(*weights, reason); code != RTORCH_OK) {
      return code;
    }
  }
  auto loaded = std::make_unique<Loaded>();
  loaded->api = &api;
  loaded->variant = &variant;
  loaded->device = device;
  loaded->origin = OriginOf(weights);
  Share made;
  {
    const std::lock_guard<std::mutex> lock(registry_mutex);
    made.loaded_ = Find(*loaded);
  }
  if (made.loaded_ == nullptr) {
    // Without the lock, for checking weights takes time.
    if (weights == nullptr) {
      loaded->weights = EmbeddedWeights(api, *definition.weights);
    } else if (const RTorchCode code =
                   FindWeights(api, Unowned(*weights), &loaded->weights, reason);
               code != RTORCH_OK) {
      return code;
    }
    const LoadRequest request{&api, loaded->weights->pointers(), device};
    if (const RTorchCode code = variant.backend->load(request, &loaded->handle, reason);
        code != RTORCH_OK) {
      return code;
    }
    const std::lock_guard<std::mutex> lock(registry_mutex);
    made.loaded_ = Find(*loaded);  // another thread may have been faster
    if (made.loaded_ == nullptr) {
      loaded->shares = 1;
      loaded->next = registry;
      registry = loaded.get();
      made.loaded_ = loaded.release();
    }
  }
  *share = std::move(made);
  return RTORCH_OK;
}

Share::~Share() {
  if (loaded_ == nullptr) return;
  std::unique_ptr<Loaded> last;  // unloaded without the lock
  const std::lock_guard<std::mutex> lock(registry_mutex);
  if (--loaded_->shares > 0) return;
  Loaded** place = &registry;
  while (*place != loaded_) place = &(*place)->next;
  *place = loaded_->next;
  last.reset(loaded_);
}

void* Share::get() const { return loaded_->handle; }

}  // namespace rules_torch::internal
