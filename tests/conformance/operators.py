"""Models made of samples of PyTorch's operators, each of a share of the operators.

The samples in them are those that operators.json says are right; see survey.py.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Mapping

import torch

from tests.conformance import table
from tests.conformance.samples import OPERATORS, Sample, samples
from torch_aot import Model


class Samples(torch.nn.Module):
    """Calls operators, each on tensors of its own.

    Args:
        calls: The samples, by what their results are called.
    """

    def __init__(self, calls: Mapping[str, Sample]) -> None:
        super().__init__()
        self._calls = calls

    def forward(self, *tensors: torch.Tensor) -> dict[str, list[torch.Tensor]]:
        """Returns each call's results.

        Args:
            tensors: All samples', one sample's after the other's.
        """
        given = iter(tensors)
        return {
            name: sample.call([*itertools.islice(given, len(sample.tensors))])
            for name, sample in self._calls.items()
        }


def model(calls: Mapping[str, Sample]) -> Model:
    """The model whose inputs are samples' tensors.

    Args:
        calls: The samples, by what their results are called.
    """
    inputs = tuple(tensor for sample in calls.values() for tensor in sample.tensors)
    return Model(Samples(calls), inputs, test_inputs=lambda: [inputs])


def group(first: int, step: int) -> Model:
    """The model of every `step`-th operator."""
    outcomes = table.read()
    return model(
        {
            f"{operator} {dtype} {i}": sample
            for operator in [*OPERATORS][first::step]
            for dtype, of_samples in outcomes[operator].items()
            for i, (sample, outcome) in enumerate(
                zip(samples(operator, dtype), of_samples, strict=True)
            )
            if outcome == table.RIGHT
        }
    )


def __getattr__(name: str) -> Callable[[], Model]:
    """The groups' entries: `group_0_of_12` and so on, as many as BUILD wants."""
    found = re.fullmatch(r"group_(\d+)_of_(\d+)", name)
    if not found:
        raise AttributeError(name)
    return functools.partial(group, int(found[1]), int(found[2]))
