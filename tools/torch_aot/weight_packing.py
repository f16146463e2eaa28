"""Packs weights at build time, as the standalone runtime's kernels read them.

The layouts are those of runtime/standalone/kernels, one for all instruction sets;
runtime/internal/weight_packing.h lists them, and packs the weights that a program brings.
A weight is packed if operators of fused_operators.py alone read it, all of them in one
layout; else the runtime packs a copy in the first run.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Iterator, Mapping

import torch
from torch.fx import GraphModule, Node
from torch.nn import functional

from torch_aot import upstream
from torch_aot.fused_operators import CONVOLUTION, MATMUL
from torch_aot.weight_layouts import constants, positions

_PANEL = 16  # columns
# Smaller images take less time to convolve directly than to read larger filters for.
_LEAST_PIXELS = 100  # UsesWinograd of operators/convolution.h has the same
_LEAST_CHANNELS = 16
_META = "rules_torch.packing"
_WEIGHT = 1  # its place among the operators' arguments


class Layout(enum.IntEnum):
    """Packing of weight_packing.h; the names are those of its texts."""

    PANELS = 1
    COLUMNS = 2
    WINOGRAD = 3
    TAPS = 4


@dataclasses.dataclass(frozen=True)
class Packing:
    """How a weight is packed.

    Attributes:
        layout: The kind.
        groups: Of the convolution that reads it; 1 of a product.
        sizes: The weight's, before.
    """

    layout: Layout
    groups: int
    sizes: tuple[int, ...]

    @property
    def number(self) -> int:
        """RTorchWeightSpec.packing."""
        return self.layout | self.groups << 8

    def __str__(self) -> str:
        return f"{self.layout.name.lower()}/{self.groups}"


def pack(module: GraphModule) -> None:
    """Packs the weights of a module that is about to be lowered.

    What `packings` returns says which.
    """
    packed_: dict[str, Packing] = {}
    for tensor, nodes in constants(module):
        calls = [call for node in nodes for call in _calls(node)]
        wanted = {packing for _, _, packing in calls}
        if len(wanted) != 1 or None in wanted or tensor.numel() == 0:
            continue
        (packing,) = wanted
        new = packed(tensor, packing)
        for node in nodes:
            upstream.set_constant(module, node.target, new)
            with node.meta["val"].fake_mode:
                node.meta["val"] = torch.empty(len(new))
            packed_[node.target] = packing
        for call, node, _ in calls:
            call.update_arg(_WEIGHT, node)
            call.update_arg(len(call.args) - 1, int(packing.layout))
    module.graph.eliminate_dead_code()
    module.meta[_META] = packed_


def packings(module: GraphModule) -> Mapping[str, Packing]:
    """The packings of a module's constants, by their attributes' names."""
    return module.meta.get(_META, {})


def packed(weight: torch.Tensor, packing: Packing) -> torch.Tensor:
    """A weight's floats in the order of a layout, one after the other."""
    weight = weight.contiguous()
    match packing.layout:
        case Layout.COLUMNS:
            return _panels(weight.t())
        case Layout.PANELS:
            # Taps come before channels.
            filters = weight.reshape(*weight.shape[:2], -1).movedim(1, -1).flatten(1)
            groups = filters.unflatten(0, (packing.groups, -1))
            return torch.cat([_panels(group) for group in groups])
        case Layout.TAPS:
            return weight.flatten(1).t().flatten()
        case Layout.WINOGRAD:
            # In float64, rounded once.
            rows = _transformed(*weight.double().unbind(2))
            places = [_transformed(*row.unbind(-1)) for row in rows]
            each = [place.float() for row in places for place in row]
            return torch.cat([_panels(place) for place in each])


def _panels(columns: torch.Tensor) -> torch.Tensor:
    """Panels of the matrix whose columns are given: [panel, row, column]."""
    count = math.ceil(len(columns) / _PANEL)
    columns = functional.pad(columns, (0, 0, 0, count * _PANEL - len(columns)))
    return columns.unflatten(0, (count, _PANEL)).transpose(1, 2).flatten()


def _transformed(
    g0: torch.Tensor, g1: torch.Tensor, g2: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """WinogradTwo::Filter of kernels/winograd.h."""
    return g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2


def _calls(node: Node) -> Iterator[tuple[Node, Node, Packing | None]]:
    """What reads a constant, the constant, and how it is to be packed; None: not."""
    for user in node.users:
        if user.target is torch.ops.aten.permute.default and user.args[1] == [1, 0]:
            for call in user.users:
                turned = call.target is MATMUL and positions(call, user) == [_WEIGHT]
                yield call, node, _packing(node, Layout.PANELS) if turned else None
        elif positions(user, node) != [_WEIGHT]:
            yield user, node, None
        elif user.target is MATMUL:
            yield user, node, _packing(node, Layout.COLUMNS)
        else:
            is_filter = user.target is CONVOLUTION
            yield user, node, _of_convolution(user, node) if is_filter else None


def _packing(weight: Node, layout: Layout, groups: int = 1) -> Packing:
    return Packing(layout, groups, tuple(weight.meta["val"].shape))


def _of_convolution(call: Node, weight: Node) -> Packing:
    stride, _, dilation, groups, kernel, _ = call.args[-6:]
    out_channels, channels, *_ = weight.meta["val"].shape
    if groups > 1 and channels == 1 and out_channels == groups:
        return _packing(weight, Layout.TAPS, groups)
    # A size that is dynamic is as large as the example's.
    pixels = math.prod(map(upstream.hint, call.meta["val"].shape[2:]))
    if (
        [*kernel] == [3, 3]
        and {*stride, *dilation, groups} == {1}
        and min(channels, out_channels) >= _LEAST_CHANNELS
        and pixels >= _LEAST_PIXELS
    ):
        return _packing(weight, Layout.WINOGRAD)
    return _packing(weight, Layout.PANELS, groups)
