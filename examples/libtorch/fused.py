"""A function of a few element-wise steps, which the compiler makes one loop."""

import torch
from torch import nn

from torch_aot import Model


class Blend(nn.Module):
    """Blends two pictures by a mask, and keeps what can be shown."""

    def forward(
        self, front: torch.Tensor, back: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        weight = torch.sigmoid(mask * 4 - 2)
        return (front * weight + back * (1 - weight)).clamp(0, 1)


def blend() -> Model:
    """Inputs `front`, `back`, `mask` and output `picture` float32[rows, columns]."""
    rows = torch.export.Dim("rows", min=1, max=8192)
    columns = torch.export.Dim("columns", min=1, max=8192)
    sizes = {0: rows, 1: columns}
    return Model(
        Blend(),
        inputs=tuple(torch.rand(6, 8) for _ in range(3)),
        dynamic_shapes={"front": sizes, "back": sizes, "mask": sizes},
        output_names=["picture"],
    )
