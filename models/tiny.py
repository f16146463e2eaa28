"""A two-layer perceptron: the smallest model worth compiling.

It shows the whole interface: an entry function that returns a `Model`, an example
input, and a batch dimension that stays dynamic within stated bounds.
"""

import torch
from torch import nn
from torch.export import Dim

from torch_aot import Model


class Mlp(nn.Module):
    """Maps float32[batch, 8] to float32[batch, 4]."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(8, 16)
        self.output = nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(torch.relu(self.hidden(x)))


def mlp() -> Model:
    """Input `x` float32[batch, 8]; output `y` float32[batch, 4]; 1 <= batch <= 1024."""
    return Model(
        module=Mlp(),
        inputs=(torch.randn(2, 8),),
        dynamic_shapes={"x": {0: Dim("batch", min=1, max=1024)}},
        output_names=["y"],
    )
