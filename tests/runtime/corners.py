"""Models whose outputs are what the runtime has to be most careful with."""

import torch
from torch import nn
from torch.export import Dim

from torch_aot import Model


class Sharing(nn.Module):
    """Returns views of its state, its weights and its input, and one of them twice."""

    total: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(2, 3))
        self.weight = nn.Parameter(torch.arange(6.0).reshape(2, 3))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        self.total.add_(x)
        doubled = 2 * x
        return {
            "total": self.total,
            "total_row": self.total[1],
            "weight_t": self.weight.T,
            "weight_row": self.weight[1],
            "x_row": x[1],
            "x_t": x.T,
            "doubled": doubled,
            "doubled_row": doubled[1],
        }


def sharing() -> Model:
    """Input x float32[2, 3]; outputs that share memory wherever PyTorch lets them."""
    return Model(Sharing(), inputs=(torch.ones(2, 3),))


class Positive(nn.Module):
    """The places of positive elements: how many, only the run knows."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.nonzero(x > 0), x + 1


def positive() -> Model:
    """Input x float32[n], 2 <= n <= 100; outputs int64[?, 1] and float32[n]."""
    return Model(
        Positive(),
        inputs=(torch.ones(4),),
        dynamic_shapes={"x": {0: Dim("n", min=2, max=100)}},
        output_names=["places", "next"],
    )
