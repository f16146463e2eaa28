"""A model with state: buffers that each call changes and the next call sees.

Exported programs keep the mutation of a registered buffer, so the compiled model
counts its calls and tracks a running mean just as the Python module does.
"""

import torch
from torch import nn
from torch.export import Dim

from torch_aot import Model


class RunningMean(nn.Module):
    """Subtracts the mean of everything seen so far, this call included.

    Buffers:
        steps: int64[1], the number of calls.
        mean: float32[4], the mean over calls of each call's batch mean.
    """

    steps: torch.Tensor
    mean: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("steps", torch.zeros(1, dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        self.steps.add_(1)
        self.mean.add_((x.mean(dim=0) - self.mean) / self.steps)
        # Clones: an output that aliased a buffer would change under its owner's feet.
        return {
            "centred": x - self.mean,
            "mean": self.mean.clone(),
            "steps": self.steps.clone(),
        }


def counter() -> Model:
    """A running mean over calls.

    Input:
        x: float32[batch, 4], 1 <= batch <= 64.

    Outputs:
        centred: float32[batch, 4], x minus the running mean.
        mean: float32[4], the running mean, this call included.
        steps: int64[1], 1 after the first call.
    """
    return Model(
        module=RunningMean(),
        inputs=(torch.randn(2, 4),),
        dynamic_shapes={"x": {0: Dim("batch", min=1, max=64)}},
    )
