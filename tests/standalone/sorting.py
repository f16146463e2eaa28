"""Sorted tensors, and their first elements."""

import torch

from torch_aot import Model


class Sorting(torch.nn.Module):
    """Of all kinds of dtypes, in both directions, with equal elements and NaN."""

    def forward(self, x, numbers):
        holes = torch.where(x > 1, torch.nan, x)
        rounded = torch.round(2 * x)
        turned = x.transpose(0, 1)

        def values(of, dim, chosen):
            # The order of equal elements is open.
            return chosen[0], torch.gather(of, dim, chosen[1])

        doubles = x.double()
        results = {
            "sorted": values(x, 1, torch.sort(x, dim=1)),
            "columns": values(x, 0, torch.sort(x, dim=0, descending=True)),
            "stable": torch.sort(rounded, dim=1, stable=True),
            "stable_down": torch.sort(rounded, dim=1, stable=True, descending=True),
            "missing": torch.sort(holes, dim=1, stable=True),
            "missing_down": torch.sort(holes, dim=1, stable=True, descending=True),
            "turned": values(turned, 0, torch.sort(turned, dim=0)),
            "halfs": torch.sort(rounded.half(), dim=1, stable=True),
            "brains": torch.sort(rounded.bfloat16(), dim=1, stable=True),
            "doubles": values(doubles, 1, torch.sort(doubles, dim=1)),
            "numbers": torch.sort(numbers, dim=1, stable=True),
            "bytes": torch.sort(numbers.to(torch.uint8), dim=1, stable=True),
            "truths": torch.sort(x > 0, dim=1, stable=True, descending=True),
            "largest": values(x, 1, torch.topk(x, 5, dim=1)),
            "least": values(x, 0, torch.topk(x, 3, dim=0, largest=False)),
            "missing_largest": torch.topk(holes[:, :40], 1, dim=0)[0],
            "scalar": torch.sort(x.sum(), stable=True),
        }
        order = torch.argsort(x, dim=1, descending=True)
        return results | {"order": torch.gather(x, 1, order)}


def sorting() -> Model:
    length = torch.export.Dim("length", min=64, max=3000)
    return Model(
        Sorting(),
        inputs={
            "x": torch.randn(6, 600),
            "numbers": torch.randint(-9, 9, (6, 600)),
        },
        dynamic_shapes={"x": {1: length}, "numbers": {1: length}},
    )
