// A GPU through its driver alone: enough to test, tune and demonstrate Triton
// libraries with neither the CUDA toolkit nor ROCm. Programs that use the CUDA
// or HIP runtime have all of this already, and need nothing of it.
#ifndef RULES_TORCH_GPU_H_
#define RULES_TORCH_GPU_H_

#include <cstddef>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "rules_torch/status.h"

namespace rules_torch {

class Gpu;

namespace internal {
struct GpuDriver;
}  // namespace internal

// Device memory that a Gpu allocated, for `size()` elements of T, aligned to 256
// bytes; its contents are not set. Freed with the object, which must go before the
// Gpu does; freeing waits for the device. Movable. Not thread-safe.
template <typename T>
class DeviceArray {
 public:
  DeviceArray(DeviceArray&& other) noexcept
      : gpu_(std::exchange(other.gpu_, nullptr)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    std::swap(gpu_, other.gpu_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~DeviceArray();

  T* data() const { return data_; }  // an address of the device; nullptr if empty
  std::size_t size() const { return size_; }

 private:
  friend class Gpu;
  DeviceArray(const Gpu* gpu, T* data, std::size_t size)
      : gpu_(gpu), data_(data), size_(size) {}

  const Gpu* gpu_;
  T* data_;
  std::size_t size_;
};

// A stream of work on a Gpu, which does not wait for the legacy default stream.
// Destroying it waits for the work. Movable.
class GpuStream {
 public:
  GpuStream(GpuStream&& other) noexcept
      : gpu_(std::exchange(other.gpu_, nullptr)),
        handle_(std::exchange(other.handle_, nullptr)) {}
  GpuStream& operator=(GpuStream&& other) noexcept {
    std::swap(gpu_, other.gpu_);
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~GpuStream();

  void* get() const { return handle_; }  // a CUstream or hipStream_t

  // Waits for all work, and reports what went wrong in it.
  Status Synchronize() const;

 private:
  friend class Gpu;
  GpuStream(const Gpu* gpu, void* handle) : gpu_(gpu), handle_(handle) {}

  const Gpu* gpu_;
  void* handle_;
};

// One device. Open() makes its primary context, the one that the CUDA and HIP
// runtimes use too, current on the calling thread; another thread that launches
// kernels calls MakeCurrent() first. Must outlive its arrays and streams. Methods
// are thread-safe, work with any context current, and leave that as it is.
class Gpu {
 public:
  // CUDA's device `ordinal`, or HIP's where there is no CUDA device.
  // RTORCH_UNAVAILABLE, with the reason, if there is neither.
  static StatusOr<std::unique_ptr<Gpu>> Open(int ordinal = 0);
  ~Gpu();
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  const std::string& name() const { return name_; }  // "NVIDIA H200"
  const std::string& architecture() const {
    return architecture_;
  }  // "sm_90", "gfx942"
  int multiprocessors() const { return multiprocessors_; }
  // 13000 is CUDA 13.0; of HIP, what hipDriverGetVersion says.
  int driver_version() const { return driver_version_; }

  Status MakeCurrent() const;
  StatusOr<GpuStream> CreateStream() const;

  // Waits for all work of the device, and reports what went wrong in it.
  Status Synchronize() const;

  // RTORCH_RESOURCE_EXHAUSTED if the device has not got the memory.
  template <typename T>
  StatusOr<DeviceArray<T>> Allocate(std::size_t size) const;

  // Copies to the device. What is enqueued afterwards, on any stream, sees it.
  template <typename T>
  StatusOr<DeviceArray<T>> Upload(const std::vector<T>& values) const;

  // Waits for all work of the device, and copies from it.
  template <typename T>
  StatusOr<std::vector<T>> Download(const DeviceArray<T>& array) const;

  // Milliseconds of GPU time that `enqueue` (a callable that returns a Status)
  // takes on `stream`, between two events. Waits for the stream.
  template <typename Enqueue>
  StatusOr<float> Time(const GpuStream& stream, Enqueue enqueue) const;

 private:
  template <typename T>
  friend class DeviceArray;
  friend class GpuStream;

  // Two events around what is timed.
  struct Timer {
    const Gpu* gpu;
    void* stream;
    void* start = nullptr;
    void* end = nullptr;

    Timer(const Gpu* the_gpu, void* the_stream) : gpu(the_gpu), stream(the_stream) {}
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    ~Timer();
    Status Start();
    StatusOr<float> Stop();
  };

  Gpu(const internal::GpuDriver* driver, int ordinal)
      : driver_(driver), ordinal_(ordinal) {}

  Status Initialize();
  StatusOr<void*> AllocateElements(std::size_t size, std::size_t element_size) const;
  Status CopyToDevice(void* to, const void* from, std::size_t bytes) const;
  Status CopyToHost(void* to, const void* from, std::size_t bytes) const;
  void Free(void* memory) const;
  Status SynchronizeStream(void* stream) const;
  void DestroyStream(void* stream) const;

  const internal::GpuDriver* driver_;
  int ordinal_;
  bool retained_ = false;
  void* context_ = nullptr;
  std::string name_;
  std::string architecture_;
  int multiprocessors_ = 0;
  int driver_version_ = 0;
};

template <typename T>
DeviceArray<T>::~DeviceArray() {
  if (data_ != nullptr) gpu_->Free(data_);
}

template <typename T>
StatusOr<DeviceArray<T>> Gpu::Allocate(std::size_t size) const {
  static_assert(std::is_trivially_copyable_v<T>, "device memory holds plain data");
  StatusOr<void*> memory = AllocateElements(size, sizeof(T));
  if (!memory.ok()) return memory.status();
  return DeviceArray<T>(this, static_cast<T*>(*memory), size);
}

template <typename T>
StatusOr<DeviceArray<T>> Gpu::Upload(const std::vector<T>& values) const {
  static_assert(!std::is_same_v<T, bool>, "std::vector<bool> is no array: use uint8_t");
  StatusOr<DeviceArray<T>> array = Allocate<T>(values.size());
  if (!array.ok() || values.empty()) return array;
  Status status = CopyToDevice(array->data(), values.data(), values.size() * sizeof(T));
  if (!status.ok()) return status;
  return array;
}

template <typename T>
StatusOr<std::vector<T>> Gpu::Download(const DeviceArray<T>& array) const {
  static_assert(!std::is_same_v<T, bool>, "std::vector<bool> is no array: use uint8_t");
  std::vector<T> values(array.size());
  if (values.empty()) return values;
  Status status = CopyToHost(values.data(), array.data(), values.size() * sizeof(T));
  if (!status.ok()) return status;
  return values;
}

template <typename Enqueue>
StatusOr<float> Gpu::Time(const GpuStream& stream, Enqueue enqueue) const {
  Timer timer(this, stream.get());
  Status status = timer.Start();
  if (status.ok()) status = enqueue();
  if (!status.ok()) return status;
  return timer.Stop();
}

}  // namespace rules_torch

#endif  // RULES_TORCH_GPU_H_
