// The operations in float64 on the CPU: what the kernels' results are compared with.
// Matrices are row-major and contiguous.
#ifndef EXAMPLES_KERNELS_REFERENCE_H_
#define EXAMPLES_KERNELS_REFERENCE_H_

#include <cstdint>
#include <vector>

using Vector = std::vector<double>;

Vector Add(const Vector& x, const Vector& y);
Vector Softmax(const Vector& x, std::int64_t columns);
Vector LayerNorm(const Vector& x, const Vector& weight, const Vector& bias,
                 double epsilon);

// [m, k] times [k, n].
Vector Matmul(const Vector& a, const Vector& b, std::int64_t n, std::int64_t k);

// softmax(scale * q @ k^T) @ v of [heads, sequence, head_size]; if `causal`, a query
// sees the keys up to its own position.
Vector Attention(const Vector& q, const Vector& k, const Vector& v,
                 std::int64_t sequence, std::int64_t head_size, double scale,
                 bool causal);

#endif  // EXAMPLES_KERNELS_REFERENCE_H_
