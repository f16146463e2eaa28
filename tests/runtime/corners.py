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


class Convolutional(nn.Module):
    """Halves an image's sizes, which are even, rounding up and padding on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.PReLU(4),
            nn.MaxPool2d(2, 2, ceil_mode=True),
            nn.Conv2d(4, 6, 3, stride=2, padding=1),
            nn.PReLU(6),
            nn.MaxPool2d(3, 2, padding=1, ceil_mode=True),
            nn.Conv2d(6, 8, 3, padding=2, dilation=2),
            nn.PReLU(8),
        )
        self.box = nn.Conv2d(8, 4, 1)
        self.kind = nn.Conv2d(8, 2, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.head(x)
        return self.box(features), self.kind(features).softmax(1)


def convolutional() -> Model:
    """Input x float32[1, 3, 2*h, w]; sizes of the outputs are rounded up."""
    height, width = Dim("h", min=6, max=100), Dim("w", min=12, max=200)
    return Model(
        Convolutional(),
        inputs=(torch.randn(1, 3, 24, 27),),
        dynamic_shapes={"x": {2: 2 * height, 3: width}},
        output_names=["box", "kind"],
    )
