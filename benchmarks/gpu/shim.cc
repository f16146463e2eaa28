// The generated functions behind a C ABI, for compare.py: addresses and the stream are
// integers, as PyTorch gives them; a dtype is 0 for fp32, 1 for fp16, 2 for bf16. Each
// function returns nullptr, or a message that lasts until the thread's next call.
#include <chrono>
#include <cstdint>
#include <string>

#include "kernels/add.h"
#include "kernels/flash_attention.h"
#include "kernels/layernorm.h"
#include "kernels/matmul.h"
#include "kernels/softmax.h"

namespace {

using rules_torch::bfloat16;
using rules_torch::float16;
using rules_torch::Status;
using Address = std::uint64_t;

const char* Message(const Status& status) {
  thread_local std::string message;
  message = status.message();
  return status.ok() ? nullptr : message.c_str();
}

// An address that becomes a pointer to whatever the called function takes.
template <typename T>
T* At(Address address) {
  return reinterpret_cast<T*>(address);
}

// Calls `function` with a value of the dtype's type.
template <typename Function>
const char* ForHalf(int dtype, Function function) {
  if (dtype == 1) return Message(function(float16()));
  if (dtype == 2) return Message(function(bfloat16()));
  return "dtype must be 1 or 2";
}

template <typename Function>
const char* ForFloat(int dtype, Function function) {
  return dtype == 0 ? Message(function(float())) : ForHalf(dtype, function);
}

}  // namespace

extern "C" {

const char* add(int dtype, Address stream, Address out, Address x, Address y,
                std::int64_t n) {
  return ForFloat(dtype, [=](auto value) {
    using T = decltype(value);
    return kernels::add(At<void>(stream), At<T>(out), At<const T>(x), At<const T>(y),
                        n);
  });
}

const char* softmax(int dtype, Address stream, Address out, Address x,
                    std::int64_t rows, std::int32_t columns) {
  return ForFloat(dtype, [=](auto value) {
    using T = decltype(value);
    return kernels::fused_softmax(At<void>(stream), At<T>(out), At<const T>(x), columns,
                                  columns, rows, columns);
  });
}

const char* layer_norm(int dtype, Address stream, Address out, Address x,
                       Address weight, Address bias, std::int64_t rows,
                       std::int32_t columns, float epsilon) {
  return ForFloat(dtype, [=](auto value) {
    using T = decltype(value);
    return kernels::layer_norm(At<void>(stream), At<T>(out), At<const T>(x),
                               At<const T>(weight), At<const T>(bias), columns, columns,
                               rows, columns, epsilon);
  });
}

const char* matmul(int dtype, Address stream, Address c, Address a, Address b,
                   std::int32_t m, std::int32_t n, std::int32_t k) {
  return ForHalf(dtype, [=](auto value) {
    using T = decltype(value);
    return kernels::matmul(At<void>(stream), At<T>(c), At<const T>(a), At<const T>(b),
                           m, n, k, n, k, n);
  });
}

const char* matmul_descriptor(int dtype, Address stream, Address c, Address a,
                              Address b, std::int32_t m, std::int32_t n,
                              std::int32_t k) {
  return ForHalf(dtype, [=](auto value) {
    using T = decltype(value);
    return kernels::matmul_descriptor(At<void>(stream), At<T>(c), At<const T>(a),
                                      At<const T>(b), m, n, k, n, k, n);
  });
}

const char* flash_attention(int dtype, Address stream, Address out, Address q,
                            Address k, Address v, std::int32_t heads,
                            std::int32_t sequence, std::int32_t head_size, float scale,
                            int causal) {
  return ForHalf(dtype, [=](auto value) {
    using T = decltype(value);
    if (causal != 0) {
      return kernels::flash_attention_causal(
          At<void>(stream), At<T>(out), At<const T>(q), At<const T>(k), At<const T>(v),
          heads, sequence, head_size, scale);
    }
    return kernels::flash_attention(At<void>(stream), At<T>(out), At<const T>(q),
                                    At<const T>(k), At<const T>(v), heads, sequence,
                                    head_size, scale);
  });
}

// Host nanoseconds a call that `launches` calls of add (fp32) take; negative if one
// failed.
double time_add(Address stream, Address out, Address x, Address y, std::int64_t n,
                int launches) {
  bool ok = true;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < launches; ++i) {
    ok &= kernels::add(At<void>(stream), At<float>(out), At<const float>(x),
                       At<const float>(y), n)
              .ok();
  }
  const std::chrono::duration<double, std::nano> time =
      std::chrono::steady_clock::now() - start;
  return ok ? time.count() / launches : -1;
}

}  // extern "C"
