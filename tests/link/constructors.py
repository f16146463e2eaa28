"""A model whose kernels construct objects, for each instruction set in its own way."""

import torch
from torch import nn

from torch_aot import Model


class Constructors(nn.Module):
    """Maps float32[2, 64] to the place of each row's maximum, and to rounded numbers."""

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"place": x.argmax(1), "rounded": x.to(torch.bfloat16)}


def constructors() -> Model:
    """Input `x` float32[2, 64]; outputs `place` int64[2], `rounded` bfloat16[2, 64]."""
    return Model(Constructors(), inputs=(torch.randn(2, 64),))
