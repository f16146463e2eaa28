"""Models that fail for some of their inputs, and must say so and do no harm.

The lines that fail are named in compiled_checks_test.cc.
"""

import torch
from torch import nn
from torch.export import Dim
from torch.nn import functional as F

from torch_aot import Model


class Divided(nn.Module):
    """Divides integers in every way that Inductor writes code for."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> dict[str, torch.Tensor]:
        return {
            "remainder": a % b,
            "floor": a // b,
            "trunc": torch.div(a, b, rounding_mode="trunc"),
            "fmod": torch.fmod(a, b),
        }


def divided() -> Model:
    """Inputs a and b int64[n], 2 <= n <= 4096."""
    n = Dim("n", min=2, max=4096)
    inputs = (torch.arange(12), torch.arange(1, 13))
    return Model(Divided(), inputs, {"a": {0: n}, "b": {0: n}})


class Wrapped(nn.Module):
    """Wraps numbers into [low, high): what divides is computed, not loaded."""

    def forward(
        self, x: torch.Tensor, low: torch.Tensor, high: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        outputs = {}
        for dtype in (torch.int64, torch.int32, torch.int8, torch.uint8):
            a, b = (x - low).to(dtype), (high - low).to(dtype)
            name = str(dtype).removeprefix("torch.")
            outputs[f"remainder_{name}"] = low + a % b
            outputs[f"floor_{name}"] = a // b
            outputs[f"trunc_{name}"] = torch.div(a, b, rounding_mode="trunc")
            outputs[f"fmod_{name}"] = torch.fmod(a, b)
            # Vectors of which the mask leaves lanes out.
            outputs[f"padded_{name}"] = F.pad(a // b, (3, 2))
        return outputs


def wrapped() -> Model:
    """Inputs int64[13]: no multiple of any vector's lanes."""
    return Model(
        Wrapped(), (torch.arange(13) + 9, torch.full((13,), 9), torch.full((13,), 20))
    )


class Looked(nn.Module):
    """Looks up a table by data."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(4, 8)
        with torch.no_grad():
            self.table.weight.copy_(torch.arange(32.0).reshape(4, 8))

    def forward(
        self, ids: torch.Tensor, rows: torch.Tensor, x: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        return {
            "sum": self.table(ids).sum(),
            "rows": self.table.weight[rows],
            # Behind a mask, where a kernel looks for some of its elements only.
            "padded": F.pad(self.table(ids)[:, 1], (3, 2)),
            # After a reduction.
            "best": self.table.weight[(x + 1).long().amax(dim=1), 1],
        }


def looked() -> Model:
    """Inputs ids int64[n], rows int64[m] (negative ones count from the end), x float32[3, 64]."""
    return Model(
        Looked(),
        (
            torch.arange(4).repeat(3),
            torch.arange(-4, 4),
            torch.zeros(3, 64),
        ),
        {
            "ids": {0: Dim("n", min=2, max=4096)},
            "rows": {0: Dim("m", min=2, max=64)},
            "x": None,
        },
    )


class Asserted(nn.Module):
    """Says what its input must be."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch._assert_async((x > 0).all(), 'x is not "positive"')
        return x.log()


def asserted() -> Model:
    """Input x float32[64]."""
    return Model(Asserted(), (torch.ones(64),))


class Placed(nn.Module):
    """Writes to places that data names, by operators of the runtime."""

    def forward(
        self,
        x: torch.Tensor,
        mask: torch.Tensor,
        index: torch.Tensor,
        values: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        return {
            "masked": x.index_put((mask,), values),
            "greatest": x.scatter_reduce(0, index, values, "amax"),
        }


def placed() -> Model:
    """Inputs x float32[4], mask bool[4] with two set, index int64[2], values float32[2]."""
    mask = torch.tensor([True, False, False, True])
    return Model(
        Placed(), (torch.zeros(4), mask, torch.tensor([3, 1]), torch.tensor([5.0, 6.0]))
    )
