#include "runtime/testing/judge.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>

#include "rules_torch/dtype.h"
#include "runtime/testing/cases.h"

namespace rules_torch::testing {
namespace {

template <typename T>
T Load(const std::uint8_t* address) {
  T value;
  std::memcpy(&value, address, sizeof value);
  return value;
}

double LoadAs(std::int32_t dtype, const std::uint8_t* address) {
  switch (dtype) {
    case RTORCH_FLOAT16:
      return static_cast<float>(Load<float16>(address));
    case RTORCH_BFLOAT16:
      return static_cast<float>(Load<bfloat16>(address));
    case RTORCH_FLOAT32:
      return Load<float>(address);
    default:
      return Load<double>(address);
  }
}

std::string Text(std::int32_t dtype, double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*g", dtype == RTORCH_FLOAT64 ? 17 : 9, value);
  return text;
}

void Widen(Distance* distance, double value, double right) {
  const double error = std::fabs(value - right);
  if (!std::isfinite(error)) return;
  distance->absolute = std::max(distance->absolute, error);
  if (right != 0) {
    distance->relative = std::max(distance->relative, error / std::fabs(right));
  }
}

}  // namespace

Tolerance DefaultTolerance(std::int32_t dtype) {
  switch (dtype) {
    case RTORCH_FLOAT16:
      return {1e-5, 1e-3};
    case RTORCH_BFLOAT16:
      return {1e-5, 1.6e-2};
    case RTORCH_FLOAT32:
      return {1e-5, 1.3e-6};
    case RTORCH_FLOAT64:
      return {1e-7, 1e-7};
    default:
      return {0, 0};
  }
}

Judge::Judge(std::int32_t dtype, Tolerance tolerance,
             const std::vector<double>& float64)
    : dtype_(dtype), tolerance_(tolerance), float64_(float64) {}

void Judge::Add(const std::uint8_t* compiled, const std::uint8_t* eager) {
  const std::int64_t place = next_++;
  const auto width = static_cast<std::size_t>(DTypeSize(dtype_));
  if (!IsFloat(dtype_)) {
    if (std::memcmp(compiled, eager, width) == 0) return;
    ++wrong_;
    return Blame(place, std::numeric_limits<double>::infinity(), "the bytes differ");
  }
  const double x = LoadAs(dtype_, compiled);
  const double y = LoadAs(dtype_, eager);
  const bool known = !float64_.empty();
  const double right = known ? float64_[static_cast<std::size_t>(place)] : y;
  Widen(&compiled_distance_, x, right);
  if (known) Widen(&eager_distance_, y, right);

  const auto tolerance = [&](double value) {
    return tolerance_.atol + tolerance_.rtol * std::fabs(value);
  };
  const bool comparable = known && std::isfinite(right);
  const bool judged = comparable && std::isfinite(x);
  const double excess = std::fabs(x - right) - tolerance(right);
  if (comparable) {
    errors_.push_back({std::fabs(right), judged ? excess : -1,
                       std::isfinite(y) ? std::fabs(y - right) : -1});
  }
  if (x == y || (std::isnan(x) && std::isnan(y))) return;
  if (std::isfinite(x - y) && std::fabs(x - y) <= tolerance(y)) return;
  if (judged && excess <= 0) return;
  far_ = true;
  if (!judged) ++wrong_;
  const double off = (judged ? excess : std::fabs(x - y)) /
                     std::max(tolerance(judged ? right : y), DBL_MIN);
  Blame(place, std::isnan(off) ? std::numeric_limits<double>::infinity() : off,
        Text(dtype_, x) + " instead of " + Text(dtype_, y) +
            (known ? " (" + Text(RTORCH_FLOAT64, right) + " in float64)" : ""));
}

std::int64_t Judge::CountWrong() {
  if (!far_) return wrong_;
  return wrong_ + std::max(CountLargerThanPeers(), CountTooMany());
}

int Judge::Factor(std::int32_t dtype) { return DTypeSize(dtype) == 2 ? 3 : 10; }

void Judge::Blame(std::int64_t place, double excess, const std::string& what) {
  if (excess <= worst_excess_) return;
  worst_excess_ = excess;
  worst_ = place;
  what_ = what;
}

std::int64_t Judge::CountLargerThanPeers() {
  std::sort(errors_.begin(), errors_.end(),
            [](const Errors& a, const Errors& b) { return a.size < b.size; });
  const int factor = Factor(dtype_);
  std::int64_t larger = 0;
  double most = 0;
  std::size_t peers = 0;
  for (const Errors& one : errors_) {
    while (peers < errors_.size() &&
           (peers < kPeers || errors_[peers].size <= 2 * one.size)) {
      most = std::max(most, errors_[peers++].eager);
    }
    if (one.compiled > factor * most) ++larger;
  }
  return larger;
}

std::int64_t Judge::CountTooMany() const {
  std::vector<double> compiled;
  std::vector<double> eager;
  for (const Errors& one : errors_) {
    if (one.compiled > 0) compiled.push_back(one.compiled);
    if (one.eager >= 0) eager.push_back(one.eager);
  }
  std::sort(compiled.begin(), compiled.end(), std::greater<>());
  std::sort(eager.begin(), eager.end(), std::greater<>());
  const auto factor = static_cast<std::size_t>(Factor(dtype_));
  std::int64_t beyond = 0;
  for (std::size_t k = 0; k < compiled.size(); ++k) {
    const std::size_t rank = k / factor;
    const double allowed =
        rank < eager.size() ? static_cast<double>(factor) * eager[rank] : 0;
    if (compiled[k] > allowed) ++beyond;
  }
  return beyond;
}

}  // namespace rules_torch::testing
