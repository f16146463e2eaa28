// Operators of complex tensors that are no transforms, of any strides.

#include <cmath>
#include <cstdint>

#include "rules_torch/abi.h"
#include "runtime/standalone/kernels/parallel.h"
#include "runtime/standalone/operand.h"
#include "runtime/standalone/operators.h"

namespace rules_torch::standalone {
namespace {

template <typename Real>
void ComputeAbsolutes(const Operand& in, const Operand& out) {
  std::int64_t count = 1;
  for (int i = 0; i < in.rank; ++i) count *= in.sizes[i];
  constexpr std::int64_t kWork = 20;  // of an element
  const int parts = PartsOf(count * kWork, MaxThreads());
  ForEachPart(parts, [&](int part) {
    const Range range = ShareOf(count, part, parts);
    for (std::int64_t element = range.begin; element < range.end; ++element) {
      std::int64_t from = 0;
      std::int64_t to = 0;
      std::int64_t rest = element;
      for (int i = in.rank - 1; i >= 0; --i) {
        const std::int64_t index = rest % in.sizes[i];
        from += index * in.strides[i];
        to += index * out.strides[i];
        rest /= in.sizes[i];
      }
      const Real* parts_of = static_cast<const Real*>(in.data) + 2 * from;
      static_cast<Real*>(out.data)[to] = std::hypot(parts_of[0], parts_of[1]);
    }
  });
}

}  // namespace
}  // namespace rules_torch::standalone

RTORCH_OPERATOR(absolute)
(const rules_torch::standalone::Operand& in,
 const rules_torch::standalone::Operand& out) {
  using namespace rules_torch::standalone;
  if (in.dtype == kComplex64) return ComputeAbsolutes<float>(in, out);
  ComputeAbsolutes<double>(in, out);
}
