// Operators of a shop's own, as an ordinary C++ library registers them.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace {

at::Tensor Scale(const at::Tensor& x, double factor, std::optional<int64_t> shift) {
  TORCH_CHECK(factor > 0, "shop::scale: factor must be positive, not ", factor);
  return (x * factor + shift.value_or(0)).contiguous();
}

at::Tensor Pick(const std::vector<at::Tensor>& tensors,
                const std::vector<int64_t>& rows,
                const std::optional<at::Tensor>& weight, const std::string& mode) {
  at::Tensor sum = at::zeros_like(tensors[0][0]);
  for (std::size_t i = 0; i < tensors.size(); ++i) sum += tensors[i][rows[i]];
  if (weight.has_value()) sum *= *weight;
  return mode == "negative" ? sum.neg() : sum;
}

std::tuple<at::Tensor, at::Tensor> Range(const at::Tensor& x) {
  return {x.amin(0), x.amax(0)};
}

void Accumulate(at::Tensor& total, const at::Tensor& x) { total.add_(x.sum()); }

at::Tensor Head(const at::Tensor& x, int64_t rows) {
  return x.narrow(0, 0, rows).clone();
}

at::Tensor Checked(const at::Tensor& x) {
  TORCH_CHECK(x.min().item<float>() >= 0, "shop::checked: no negative prices");
  return x.clone();
}

// One element less than Meta says.
at::Tensor Misfit(const at::Tensor& x) { return x.narrow(0, 1, 3).clone(); }

}  // namespace

TORCH_LIBRARY(shop, m) {
  m.def("misfit(Tensor x) -> Tensor");
  m.def("scale(Tensor x, float factor, int? shift=None) -> Tensor");
  m.def("pick(Tensor[] tensors, int[] rows, Tensor? weight, str mode) -> Tensor");
  m.def("range(Tensor x) -> (Tensor low, Tensor high)");
  m.def("accumulate(Tensor(a!) total, Tensor x) -> ()");
  m.def("head(Tensor x, SymInt rows) -> Tensor");
  m.def("checked(Tensor x) -> Tensor");
}

TORCH_LIBRARY_IMPL(shop, CPU, m) {
  m.impl("misfit", Misfit);
  m.impl("scale", Scale);
  m.impl("pick", Pick);
  m.impl("range", Range);
  m.impl("accumulate", Accumulate);
  m.impl("head", Head);
  m.impl("checked", Checked);
}

// What they do to sizes, for the export; one is Python's, in model.py.
TORCH_LIBRARY_IMPL(shop, Meta, m) {
  m.impl("scale", [](const at::Tensor& x, double, std::optional<int64_t>) {
    return at::empty_symint(x.sym_sizes(), x.options());
  });
  m.impl("pick", [](const std::vector<at::Tensor>& tensors, const std::vector<int64_t>&,
                    const std::optional<at::Tensor>&, const std::string&) {
    return at::empty_like(tensors[0].select(0, 0));
  });
  m.impl("head", [](const at::Tensor& x, c10::SymInt rows) {
    return at::empty_like(x.narrow_symint(0, 0, std::move(rows)));
  });
  m.impl("accumulate", [](at::Tensor&, const at::Tensor&) {});
  m.impl("checked", [](const at::Tensor& x) { return at::empty_like(x); });
  m.impl("misfit", [](const at::Tensor& x) { return at::empty_like(x); });
}
