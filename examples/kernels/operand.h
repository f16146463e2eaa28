// Arrays as kernels take them: rows in memory that is wider than they are, and at an
// address that may not be aligned.
#ifndef EXAMPLES_KERNELS_OPERAND_H_
#define EXAMPLES_KERNELS_OPERAND_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

// A matrix [rows, columns] in device memory.
struct Layout {
  std::int64_t rows;
  std::int64_t columns;
  std::int64_t stride;      // elements from one row to the next
  std::int64_t offset = 0;  // elements of the allocation before the first row

  std::size_t elements() const { return offset + rows * stride; }
  std::size_t index(std::int64_t row, std::int64_t column) const {
    return offset + row * stride + column;
  }
};

// What memory holds that no kernel may use or change: a NaN spoils every result that
// it is part of.
template <typename T>
T Poison() {
  return T(std::numeric_limits<float>::quiet_NaN());
}

// Standard normal numbers in T, with poison between the rows; `exact` is what they are.
template <typename T>
std::vector<T> RandomOperand(const Layout& layout, std::mt19937_64& random,
                             std::vector<double>* exact) {
  std::normal_distribution<float> normal;
  std::vector<T> values(layout.elements(), Poison<T>());
  exact->clear();
  exact->reserve(layout.rows * layout.columns);
  for (std::int64_t row = 0; row < layout.rows; ++row) {
    for (std::int64_t column = 0; column < layout.columns; ++column) {
      const T value(normal(random));
      values[layout.index(row, column)] = value;
      exact->push_back(static_cast<float>(value));
    }
  }
  return values;
}

// How far x is from the reference y.
struct Deviation {
  double norm = 0;     // ||x - y|| / ||y||, in the 2-norm over all elements
  double element = 0;  // the largest |x_i - y_i| / (|y_i| + root mean square of y)

  // One wrong element among many hardly shows in the norm. A NaN is never within.
  bool Within(double bound) const { return norm <= bound && element <= 8 * bound; }
};

template <typename T>
Deviation DeviationOf(const Layout& layout, const std::vector<T>& values,
                      const std::vector<double>& expected) {
  double difference = 0;
  double norm = 0;
  for (const double y : expected) norm += y * y;
  const double typical = std::sqrt(norm / static_cast<double>(expected.size()));
  Deviation deviation;
  for (std::int64_t row = 0; row < layout.rows; ++row) {
    for (std::int64_t column = 0; column < layout.columns; ++column) {
      const double y = expected[row * layout.columns + column];
      const double x = static_cast<float>(values[layout.index(row, column)]);
      difference += (x - y) * (x - y);
      deviation.element =
          std::max(deviation.element, std::abs(x - y) / (std::abs(y) + typical));
    }
  }
  deviation.norm = std::sqrt(difference / norm);
  return deviation;
}

template <typename T>
bool SameBits(const std::vector<T>& x, const std::vector<T>& y) {
  return x.size() == y.size() &&
         std::memcmp(x.data(), y.data(), x.size() * sizeof(T)) == 0;
}

// Whether memory outside the rows still holds the poison.
template <typename T>
bool OutsideIsPoison(const Layout& layout, std::vector<T> values) {
  for (std::int64_t row = 0; row < layout.rows; ++row) {
    for (std::int64_t column = 0; column < layout.columns; ++column) {
      values[layout.index(row, column)] = Poison<T>();
    }
  }
  return SameBits(values, std::vector<T>(values.size(), Poison<T>()));
}

#endif  // EXAMPLES_KERNELS_OPERAND_H_
