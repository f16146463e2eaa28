// Errors as values: no exception crosses rules_torch's boundary.
#ifndef RULES_TORCH_STATUS_H_
#define RULES_TORCH_STATUS_H_

#include <optional>
#include <string>
#include <utility>

#include "rules_torch/abi.h"

namespace rules_torch {

// OK, or a code and a message that names what was wrong. Making an OK status
// allocates nothing.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(RTorchCode code, std::string message)
      : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == RTORCH_OK; }
  RTorchCode code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  RTorchCode code_ = RTORCH_OK;
  std::string message_;
};

// A T, or the error that prevented it. Reading the value of an error is
// undefined, as with std::optional; look at ok() first. An OK status is no error:
// made of one, it is RTORCH_INTERNAL.
template <typename T>
class [[nodiscard]] StatusOr {
 public:
  StatusOr(Status status) : status_(std::move(status)) {  // NOLINT: implicit
    if (status_.ok()) {
      status_ = Status(RTORCH_INTERNAL, "an OK status in place of a value");
    }
  }
  StatusOr(T value) : value_(std::move(value)) {}  // NOLINT: implicit

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return *std::move(value_); }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return *std::move(value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace rules_torch

#endif  // RULES_TORCH_STATUS_H_
