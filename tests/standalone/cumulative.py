"""Cumulative sums, products and extremes."""

import torch

from torch_aot import Model


class Cumulation(torch.nn.Module):
    """Of all dtypes, along any dimension, with NaN."""

    def forward(self, x, numbers):
        cumsum, cumprod = torch.cumsum, torch.cumprod
        doubles = x.double()
        near_one = 1 + 0.01 * x
        extremes = {
            "highs": torch.cummax(x, 1),
            "lows": torch.cummin(x, 0),
            "missing_highs": torch.cummax(torch.where(x > 3, torch.nan, x), 1),
            "number_lows": torch.cummin(numbers, 1),
            "truth_highs": torch.cummax(x > 1, 1),
            "half_highs": torch.cummax(x.T.bfloat16(), 0),
        }
        results = {}
        for name, (values, indices) in extremes.items():
            results |= {name: values, name + "_at": indices}
        return results | {
            "logs": torch.logcumsumexp(x, 1),
            "logs_of_far": torch.logcumsumexp(
                torch.where(x > 2, torch.inf, torch.where(x < 0, -torch.inf, x)), 0
            ),
            "half_logs": torch.logcumsumexp(x[:, :9].half(), 1),
            "rows": cumsum(x.abs(), 1),
            "columns": cumsum(x.abs(), 0),
            "turned": cumsum(x.abs().T, 0),
            "doubles": cumsum(doubles.abs(), 1),
            "brains": cumsum(x.abs().bfloat16()[:, :7], 1),
            "halfs": cumsum(x.abs().half()[:, :7], 1),
            "numbers": cumsum(numbers, 1),
            "bytes": cumsum(numbers.to(torch.uint8), 1),
            "short": cumsum(numbers, 1, dtype=torch.int32),
            "truths": cumsum(x > 0, 1),
            "floats": cumsum(numbers.abs(), 1, dtype=torch.float32),
            "products": cumprod(near_one, 0),
            "product": cumprod(near_one[:, :50], 1),
            "number_products": cumprod(numbers[:, :9], 1),
            "missing": cumsum(torch.where(x > 3, torch.nan, x.abs()), 1),
            "scalar": cumsum(x.abs().sum(), 0),
        }


def cumulation() -> Model:
    length = torch.export.Dim("length", min=64, max=700)
    return Model(
        Cumulation(),
        inputs={
            "x": torch.randn(6, 600),
            "numbers": torch.randint(-9, 9, (6, 600)),
        },
        dynamic_shapes={"x": {1: length}, "numbers": {1: length}},
    )
