#include "examples/kernels/reference.h"

#include <algorithm>
#include <cmath>

namespace {

// row[i] *= 1 / sum(row), row = exp(row - max(row)).
void SoftmaxRow(double* row, std::int64_t columns) {
  const double max = *std::max_element(row, row + columns);
  double sum = 0;
  for (std::int64_t i = 0; i < columns; ++i) sum += row[i] = std::exp(row[i] - max);
  for (std::int64_t i = 0; i < columns; ++i) row[i] /= sum;
}

// out += factor * x.
void AddScaled(double* out, double factor, const double* x, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) out[i] += factor * x[i];
}

}  // namespace

Vector Add(const Vector& x, const Vector& y) {
  Vector out = x;
  AddScaled(out.data(), 1, y.data(), static_cast<std::int64_t>(y.size()));
  return out;
}

Vector Softmax(const Vector& x, std::int64_t columns) {
  Vector out = x;
  for (std::size_t row = 0; row < out.size(); row += columns) {
    SoftmaxRow(&out[row], columns);
  }
  return out;
}

Vector LayerNorm(const Vector& x, const Vector& weight, const Vector& bias,
                 double epsilon) {
  const std::size_t columns = weight.size();
  Vector out = x;
  for (std::size_t row = 0; row < out.size(); row += columns) {
    double mean = 0;
    for (std::size_t i = 0; i < columns; ++i) mean += out[row + i];
    mean /= static_cast<double>(columns);
    double variance = 0;
    for (std::size_t i = 0; i < columns; ++i) {
      out[row + i] -= mean;
      variance += out[row + i] * out[row + i];
    }
    variance /= static_cast<double>(columns);
    const double scale = 1 / std::sqrt(variance + epsilon);
    for (std::size_t i = 0; i < columns; ++i) {
      out[row + i] = out[row + i] * scale * weight[i] + bias[i];
    }
  }
  return out;
}

Vector Matmul(const Vector& a, const Vector& b, std::int64_t n, std::int64_t k) {
  const std::int64_t m = static_cast<std::int64_t>(a.size()) / k;
  Vector out(m * n);
  for (std::int64_t row = 0; row < m; ++row) {
    for (std::int64_t i = 0; i < k; ++i) {
      AddScaled(&out[row * n], a[row * k + i], &b[i * n], n);
    }
  }
  return out;
}

Vector Attention(const Vector& q, const Vector& k, const Vector& v,
                 std::int64_t sequence, std::int64_t head_size, double scale,
                 bool causal) {
  const std::int64_t head_elements = sequence * head_size;
  Vector out(q.size());
  Vector keys(head_elements);  // of a head, transposed: [head_size, sequence]
  Vector weights(sequence);
  for (std::size_t head = 0; head < q.size(); head += head_elements) {
    for (std::int64_t i = 0; i < head_elements; ++i) {
      keys[i % head_size * sequence + i / head_size] = k[head + i];
    }
    for (std::int64_t query = 0; query < sequence; ++query) {
      const std::size_t row = head + query * head_size;
      const std::int64_t seen = causal ? query + 1 : sequence;
      std::fill(weights.begin(), weights.end(), 0);
      for (std::int64_t i = 0; i < head_size; ++i) {
        AddScaled(weights.data(), q[row + i] * scale, &keys[i * sequence], seen);
      }
      SoftmaxRow(weights.data(), seen);
      for (std::int64_t i = 0; i < seen; ++i) {
        AddScaled(&out[row], weights[i], &v[head + i * head_size], head_size);
      }
    }
  }
  return out;
}
