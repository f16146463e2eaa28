// Fourier transforms along one dimension, of any strides.

#include <cstddef>
#include <cstdint>

#include "rules_torch/abi.h"
#include "runtime/standalone/kernels/fft.h"
#include "runtime/standalone/kernels/parallel.h"
#include "runtime/standalone/kernels/vector.h"
#include "runtime/standalone/operand.h"
#include "runtime/standalone/operators.h"
#include "runtime/standalone/operators/elements.h"
#include "runtime/standalone/operators/lines.h"

namespace rules_torch::standalone {
namespace {

// Lines in float64, as many as a vector has lanes.
typedef double DoubleVec __attribute__((vector_size(kLanes * 4)));

// One call's arguments.
struct Fourier {
  const Operand& in;
  const Operand& out;
  int dim;
  bool is_forward;
  double scale;

  // The length of the lines: of real numbers.
  std::int64_t length() const { return (IsComplex(out.dtype) ? in : out).sizes[dim]; }
};

// Numbers of the type Real, transformed as T, a vector V of them at a time.
template <typename Real, typename T, typename V>
struct FourierLines {
  static constexpr int kCount = sizeof(V) / sizeof(T);

  const Fourier& call;
  const FourierPlan<T>& plan;

  // Number j of a line of the input; its conjugate's parts are exchanged by the caller.
  void Read(const Real* line, std::int64_t j, T* re, T* im) const {
    const std::int64_t n = call.length();
    const std::int64_t stride = call.in.strides[call.dim];
    if (!IsComplex(call.in.dtype)) {
      *re = static_cast<T>(line[j * stride]);
      *im = 0;
      return;
    }
    // Of a real result the second half is the conjugate of the first.
    const bool is_mirrored = !IsComplex(call.out.dtype) && j > n / 2;
    const bool is_real = !IsComplex(call.out.dtype) && (j == 0 || 2 * j == n);
    const Real* at = line + 2 * (is_mirrored ? n - j : j) * stride;
    *re = static_cast<T>(at[0]);
    *im = is_real ? T{0} : static_cast<T>(is_mirrored ? -at[1] : at[1]);
  }

  void Write(Real* line, std::int64_t j, T re, T im) const {
    const std::int64_t stride = call.out.strides[call.dim];
    const T scale = static_cast<T>(call.scale);
    if (!IsComplex(call.out.dtype)) {
      line[j * stride] = static_cast<Real>(re * scale);
      return;
    }
    line[2 * j * stride] = static_cast<Real>(re * scale);
    line[2 * j * stride + 1] = static_cast<Real>(im * scale);
  }

  // Transforms `count` lines, at most kCount, from `first` on, in memory for 4 lines.
  void Run(std::int64_t first, int count, V* memory) const {
    const std::int64_t n = call.length();
    const std::int64_t length = plan.length;
    Complexes<V> line = {memory, memory + length};
    const Complexes<V> other = {memory + 2 * length, memory + 3 * length};
    // Backwards is forwards with the parts exchanged.
    const auto exchanged = [&](const Complexes<V>& of) {
      return call.is_forward ? of : Complexes<V>{of.im, of.re};
    };
    const auto numbers = [](V* vector) { return reinterpret_cast<T*>(vector); };
    for (std::int64_t j = 0; j < n; ++j) line.re[j] = line.im[j] = V{};
    for (int lane = 0; lane < count; ++lane) {
      const std::int64_t width = IsComplex(call.in.dtype) ? 2 : 1;
      const Real* from = static_cast<const Real*>(call.in.data) +
                         width * BeginOfLine(call.in, call.dim, first + lane);
      for (std::int64_t j = 0; j < n; ++j) {
        Read(from, j, numbers(line.re) + j * kCount + lane,
             numbers(line.im) + j * kCount + lane);
      }
    }
    const Complexes<V> made = exchanged(Transform<V, T>(plan, exchanged(line), other));
    for (int lane = 0; lane < count; ++lane) {
      const std::int64_t width = IsComplex(call.out.dtype) ? 2 : 1;
      Real* to = static_cast<Real*>(call.out.data) +
                 width * BeginOfLine(call.out, call.dim, first + lane);
      for (std::int64_t j = 0; j < call.out.sizes[call.dim]; ++j) {
        Write(to, j, numbers(made.re)[j * kCount + lane],
              numbers(made.im)[j * kCount + lane]);
      }
    }
  }
};

template <typename Real, typename T, typename V>
void TransformLines(const Fourier& call, Workspace* workspace) {
  using Lines = FourierLines<Real, T, V>;
  const std::int64_t n = call.length();
  const std::int64_t lines = LinesOf(call.in, call.dim);
  if (n == 0 || lines == 0) return;
  const FourierPlan<T> plan =
      PlanOf(n, static_cast<T*>(workspace->take(
                    workspace, static_cast<std::size_t>(PlanSize(n)) * sizeof(T))));
  std::int64_t passes = 1;
  while (std::int64_t{1} << passes < plan.length) ++passes;
  const int parts = PartsOf(6 * lines * plan.length * passes, MaxThreads());
  const std::int64_t size = 4 * plan.length;
  V* memory = static_cast<V*>(
      workspace->take(workspace, static_cast<std::size_t>(size * parts) * sizeof(V)));
  const Lines run = {call, plan};
  const std::int64_t groups = DivideUp(lines, Lines::kCount);
  ForEachPart(parts, [&](int part) {
    const Range range = ShareOf(groups, part, parts);
    for (std::int64_t group = range.begin; group < range.end; ++group) {
      const std::int64_t first = group * Lines::kCount;
      run.Run(first,
              static_cast<int>(Least<std::int64_t>(Lines::kCount, lines - first)),
              memory + part * size);
    }
  });
}

}  // namespace
}  // namespace rules_torch::standalone

RTORCH_OPERATOR(fourier)
(const rules_torch::standalone::Operand& in,
 const rules_torch::standalone::Operand& out, std::int32_t dim, bool is_forward,
 double scale, rules_torch::standalone::Workspace* workspace) {
  using namespace rules_torch::standalone;
  const Fourier call = {in, out, dim, is_forward, scale};
  switch (out.dtype) {
    case RTORCH_FLOAT64:
    case kComplex128:
      return TransformLines<double, double, DoubleVec>(call, workspace);
    case RTORCH_FLOAT32:
    case kComplex64:
      // The convolution's sums would lose digits.
      if (RadicesOf(call.length()).is_complete) {
        return TransformLines<float, float, Vec>(call, workspace);
      }
      return TransformLines<float, double, DoubleVec>(call, workspace);
    default:
      RefuseDtype("Fourier transform", out.dtype);
  }
}
