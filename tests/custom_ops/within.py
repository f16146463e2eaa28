"""A compiled model as a layer of a larger one."""

import torch
from tests.torch_op.mlp_op import mlp
from torch import nn

from torch_aot import Model


class Within(nn.Module):
    """Its middle is //models:mlp, as C++ has it."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Linear(6, 8)
        self.after = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.after(mlp(self.before(x)).relu())


def within() -> Model:
    """Input `x` float32[rows, 6]."""
    rows = torch.export.Dim("rows", min=2, max=64)
    return Model(Within(), inputs=(torch.randn(5, 6),), dynamic_shapes=({0: rows},))
