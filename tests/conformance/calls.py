"""A model of many calls, each on tensors of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from torch_aot import Model

# A function that gives a list, and the tensors in the list that it is called with.
Call = tuple[Callable[[Sequence[torch.Tensor]], list[Any]], Sequence[torch.Tensor]]


class _Calls(torch.nn.Module):
    def __init__(self, calls: Mapping[str, Call]) -> None:
        super().__init__()
        self._calls = calls

    def forward(self, *tensors: torch.Tensor) -> dict[str, list[torch.Tensor]]:
        """Returns each call's results.

        Args:
            tensors: All calls', one call's after the other's.
        """
        given = iter(tensors)
        return {
            name: function([*itertools.islice(given, len(inputs))])
            for name, (function, inputs) in self._calls.items()
        }


def model(calls: Mapping[str, Call]) -> Model:
    """The model whose inputs are all calls' tensors.

    Args:
        calls: By what their results are called.
    """
    inputs = tuple(tensor for _, tensors in calls.values() for tensor in tensors)
    return Model(_Calls(calls), inputs, test_inputs=lambda: [inputs])
