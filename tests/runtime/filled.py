"""Models whose weights are a number each: an answer says which set of them it is of."""

import torch
from torch import nn

from torch_aot import Model

_SIZE = 512


class Filled(nn.Module):
    """The sums of x times the columns of two matrices that are all one number."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.full((_SIZE, _SIZE), value))
        self.second = nn.Parameter(torch.full((_SIZE, _SIZE), value))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x @ self.first, x @ self.second


def ones() -> Model:
    """Input float32[1, 512]; two outputs of that shape."""
    return Model(Filled(1.0), (torch.ones(1, _SIZE),), output_names=["first", "second"])


def twos() -> Model:
    """Other weights for the same code."""
    return Model(Filled(2.0), (torch.ones(1, _SIZE),), output_names=["first", "second"])


class Added(Filled):
    """The same weights, and another signature."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x @ self.first + y @ self.second


def added() -> Model:
    """Two inputs float32[2, 512]; an output of that shape."""
    return Model(Added(1.0), (torch.ones(2, _SIZE), torch.ones(2, _SIZE)))


class Counted(Filled):
    """Counts its calls."""

    calls: torch.Tensor

    def __init__(self, value: float) -> None:
        super().__init__(value)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.calls.add_(1)
        return x @ self.first + self.second, self.calls.clone()


def counted_ones() -> Model:
    """Input float32[1, 512]; outputs float32[512, 512] and the number of calls."""
    return Model(Counted(1.0), (torch.ones(1, _SIZE),), output_names=["sums", "calls"])


def counted_twos() -> Model:
    """Other weights for the same code."""
    return Model(Counted(2.0), (torch.ones(1, _SIZE),), output_names=["sums", "calls"])
