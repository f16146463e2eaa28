"""Models that call operators of shop.cc."""

import torch
from torch import nn

from torch_aot import Model

shop = torch.ops.shop


@torch.library.register_fake("shop::range")
def _(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x.new_empty(x.shape[1:]), x.new_empty(x.shape[1:])


class Shop(nn.Module):
    """Every kind of argument and result."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        y = torch.relu(shop.scale(x, 2.5)) - shop.scale(x.T.contiguous().T, 0.5, 3)
        low, high = shop.range(y)
        picked = shop.pick([y, x + 1], [0, 1], self.weight, "negative")
        plain = shop.pick([y], [1], None, "positive")
        head = shop.head(y, x.shape[0] - 1)
        total = torch.zeros(())
        shop.accumulate(total, y)
        return {
            "low": low,
            "high": high * 2,
            "picked": picked + plain,
            "head": head.sum(0),
            "total": total,
        }


def prices() -> Model:
    """Input `x` float32[rows, 8]."""
    rows = torch.export.Dim("rows", min=3, max=64)
    return Model(Shop(), inputs=(torch.randn(5, 8),), dynamic_shapes=({0: rows},))


class Misfit(nn.Module):
    """Calls what does not do as it says."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return shop.misfit(x) + 1


def misfit() -> Model:
    """Input `x` float32[4]."""
    return Model(Misfit(), inputs=(torch.ones(4),))


class Checked(nn.Module):
    """Fails for some values."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return shop.checked(x) + 1


def checked() -> Model:
    """Input `x` float32[4], of no negative elements."""
    return Model(Checked(), inputs=(torch.ones(4),), test_inputs=[(torch.rand(4),)])
