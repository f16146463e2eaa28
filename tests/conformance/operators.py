"""Models made of samples of PyTorch's operators, each of a share of the operators.

The samples in them are those that operators.json says are right; see survey.py.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping

from tests.conformance import calls, table
from tests.conformance.samples import OPERATORS, Sample, samples
from torch_aot import Model


def model(named: Mapping[str, Sample]) -> Model:
    """The model whose inputs are samples' tensors.

    Args:
        named: The samples, by what their results are called.
    """
    return calls.model(
        {name: (sample.call, sample.tensors) for name, sample in named.items()}
    )


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
