"""Nested inputs and outputs of every common dtype.

The compiled signature is flat: it has one name for each tensor, in the order in which
PyTorch flattens the nest. This model has tuples, lists and dicts, a scalar tensor, an
input that comes back as it went in, an output that is a view of another, and one that
is a parameter.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.export import Dim

from torch_aot import Model

INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64)


class Multi(nn.Module):
    """A little arithmetic in each dtype; see `multi` for the signature."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.randn(8))

    def forward(
        self,
        reals: tuple[torch.Tensor, torch.Tensor],
        halves: list[torch.Tensor],
        integers: dict[str, torch.Tensor],
        pixels: torch.Tensor,
        keep: torch.Tensor,
        scale: torch.Tensor,
    ) -> dict[str, Any]:
        single, double = reals
        half, brain = halves
        mixed = torch.where(keep, single * scale + self.bias, 0.0)
        return {
            "mixed": mixed,
            "mixed_t": mixed.T,
            "halves": (half + half, -brain),
            "double": double * scale + pixels.to(torch.float64),
            "integers": [
                integers["tiny"] + 1,  # wraps around
                integers["small"] >> 2,
                integers["medium"] - integers["small"],
                integers["big"] // 3,  # rounds down, not towards zero
            ],
            "brighter": (pixels.to(torch.int16) + 16).clamp(max=255).to(torch.uint8),
            "both": keep & (integers["big"] > 0),
            "single": single,
            "bias": self.bias,
        }


def _inputs(batch: int) -> dict[str, Any]:
    shape = (batch, 8)
    tiny, small, medium, big = (
        torch.randint(-100, 100, shape, dtype=dtype) for dtype in INTEGERS
    )
    return {
        "reals": (torch.randn(shape), torch.randn(shape, dtype=torch.float64)),
        "halves": [
            torch.randn(shape, dtype=torch.float16),
            torch.randn(shape, dtype=torch.bfloat16),
        ],
        "integers": {"tiny": tiny, "small": small, "medium": medium, "big": big},
        "pixels": torch.randint(0, 256, shape, dtype=torch.uint8),
        "keep": torch.rand(shape) < 0.5,
        "scale": torch.tensor(1.5),
    }


def _extremes() -> Iterator[dict[str, Any]]:
    """Each dtype's smallest and largest values, infinity, NaN; all kept, and none."""
    for keep in (False, True):
        inputs = _inputs(2)
        names = ("tiny", "small", "medium", "big")
        for name, dtype in zip(names, INTEGERS, strict=True):
            info = torch.iinfo(dtype)
            inputs["integers"][name][0] = info.min
            inputs["integers"][name][1] = info.max
        inputs["pixels"][0] = 0
        inputs["pixels"][1] = 255
        for tensor in (*inputs["reals"], *inputs["halves"]):
            info = torch.finfo(tensor.dtype)
            edges = [info.min, info.max, info.tiny, float("inf"), float("nan"), -0.0]
            tensor[0, :6] = torch.tensor(edges, dtype=tensor.dtype)
        inputs["keep"][:] = keep
        yield inputs


def multi() -> Model:
    """Every dtype in and out.

    Inputs, 1 <= batch <= 32; all are [batch, 8] but `scale`:
        reals: (float32, float64)
        halves: [float16, bfloat16]
        integers: {"tiny": int8, "small": int16, "medium": int32, "big": int64}
        pixels: uint8
        keep: bool
        scale: float32[], a scalar

    Outputs, [batch, 8] where no shape is given:
        mixed: float32, `reals[0] * scale + bias` where `keep`, else 0.
        mixed_t: float32[8, batch], a transposed view of `mixed`.
        halves: (float16, bfloat16)
        double: float64
        integers: [int8, int16, int32, int64]
        brighter: uint8, saturated.
        both: bool
        single: float32, the first of `reals`, unchanged.
        bias: float32[8], a parameter.
    """
    rows = {0: Dim("batch", min=1, max=32)}
    names = ("tiny", "small", "medium", "big")
    return Model(
        module=Multi(),
        inputs=_inputs(3),
        dynamic_shapes={
            "reals": (rows, rows),
            "halves": [rows, rows],
            "integers": dict.fromkeys(names, rows),
            "pixels": rows,
            "keep": rows,
            "scale": None,
        },
        test_inputs=_extremes,
    )
