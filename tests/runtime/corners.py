"""Models whose outputs are what the runtime has to be most careful with."""

import torch
from torch import nn
from torch.export import Dim

from torch_aot import Model


class Sharing(nn.Module):
    """Returns views of its state, its weights and its input, all twice, and None."""

    total: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(2, 3))
        self.weight = nn.Parameter(torch.arange(6.0).reshape(2, 3))

    def forward(
        self, x: torch.Tensor, absent: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor | None]:
        self.total.add_(x)
        doubled = 2 * x
        outputs = {
            "total": self.total,
            "total_row": self.total[1],
            "weight": self.weight,
            "weight_t": self.weight.T,
            "weight_row": self.weight[1],
            "constant": torch.tensor([7.0, 8.0]),
            "x": x,
            "x_row": x[1],
            "x_t": x.T,
            "doubled": doubled,
            "doubled_row": doubled[1],
            "empty": x[2:] * 3,
        }
        again = {f"{name}_again": value for name, value in outputs.items()}
        return {"first": None, **outputs, "absent": absent, **again, "last": None}


def sharing() -> Model:
    """Input x float32[2, 3]; outputs that share memory wherever PyTorch lets them."""
    return Model(Sharing(), inputs=(torch.ones(2, 3), None))


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


class Cube(nn.Module):
    """All products of three elements: a small input, a result of any size."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, None, None] * x[None, :, None] * x[None, None, :]


def cube() -> Model:
    """Input x float32[n], n of any size; output float32[n, n, n]."""
    return Model(
        Cube(),
        inputs=(torch.ones(4),),
        dynamic_shapes={"x": {0: Dim("n", min=1)}},
        output_names=["y"],
    )
