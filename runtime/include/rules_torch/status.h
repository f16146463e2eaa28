// Errors as values: no exception crosses rules_torch's boundary.
#ifndef RULES_TORCH_STATUS_H_
#define RULES_TORCH_STATUS_H_

#include <iosfwd>
#include <optional>
#include <string>
#include <utility>

#include "rules_torch/abi.h"

namespace rules_torch {

// "INVALID_ARGUMENT"; "code 42" for a value that has no name here, which a newer
// library may return.
inline std::string CodeName(RTorchCode code) {
  switch (code) {
    case RTORCH_OK:
      return "OK";
    case RTORCH_CANCELLED:
      return "CANCELLED";
    case RTORCH_INVALID_ARGUMENT:
      return "INVALID_ARGUMENT";
    case RTORCH_NOT_FOUND:
      return "NOT_FOUND";
    case RTORCH_RESOURCE_EXHAUSTED:
      return "RESOURCE_EXHAUSTED";
    case RTORCH_UNIMPLEMENTED:
      return "UNIMPLEMENTED";
    case RTORCH_INTERNAL:
      return "INTERNAL";
    case RTORCH_UNAVAILABLE:
      return "UNAVAILABLE";
    case RTORCH_DATA_LOSS:
      return "DATA_LOSS";
    default:
      return "code " + std::to_string(code);
  }
}

// OK, or a code and a message that names what was wrong. The codes are
// absl::StatusCode's.
//
// Making an OK status allocates nothing. Thread-compatible: const methods may be called
// at once.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(RTorchCode code, std::string message)
      : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == RTORCH_OK; }
  RTorchCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // "OK", or "INVALID_ARGUMENT: input 'image': ...".
  std::string ToString() const {
    return ok() ? CodeName(code_) : CodeName(code_) + ": " + message_;
  }

  friend bool operator==(const Status& a, const Status& b) {
    return a.code_ == b.code_ && a.message_ == b.message_;
  }
  friend bool operator!=(const Status& a, const Status& b) { return !(a == b); }

  // A template, so that only those who print pay for <ostream>.
  template <typename Traits>
  friend std::basic_ostream<char, Traits>& operator<<(
      std::basic_ostream<char, Traits>& stream, const Status& status) {
    return stream << status.ToString().c_str();
  }

 private:
  RTorchCode code_ = RTORCH_OK;
  std::string message_;
};

// A T, or the error that prevented it. Reading the value of an error is
// undefined, as with std::optional; look at ok() first. An OK status is no error:
// made of one, it is RTORCH_INTERNAL.
//
// Holds the T in place: what it costs is moving a T. Thread-compatible.
template <typename T>
class [[nodiscard]] StatusOr {
 public:
  using value_type = T;

  StatusOr(Status status) : status_(std::move(status)) {  // NOLINT: implicit
    if (status_.ok()) {
      status_ = Status(RTORCH_INTERNAL, "an OK status in place of a value");
    }
  }
  StatusOr(T value) : value_(std::move(value)) {}  // NOLINT: implicit

  bool ok() const { return value_.has_value(); }
  const Status& status() const& { return status_; }
  Status status() && { return std::move(status_); }

  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return *std::move(value_); }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return *std::move(value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

  // The value, or `other`, converted to T, in place of an error.
  template <typename U>
  T value_or(U&& other) const& {
    return value_.value_or(std::forward<U>(other));
  }
  template <typename U>
  T value_or(U&& other) && {
    return std::move(value_).value_or(std::forward<U>(other));
  }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace rules_torch

#endif  // RULES_TORCH_STATUS_H_
