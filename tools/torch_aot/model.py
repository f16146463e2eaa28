"""What a model file's entry function returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Inputs = tuple[Any, ...] | Mapping[str, Any]


@dataclasses.dataclass
class Model:
    """A module, and what is needed to export it.

    Attributes:
        module: The module. It is put into eval mode; its dtype stays.
        inputs: Example inputs of `forward`: a tuple of positional arguments or
            a dict of keyword arguments. Their values do not matter, their
            dtypes, nesting and static sizes do. Give dynamic dimensions a size
            of 2 or more, since torch.export takes 0 and 1 for constants.
        dynamic_shapes: As torch.export.export takes it, with torch.export.Dim.
        input_names: A name for each tensor among the inputs, in flattened
            order. By default the argument's name, and below it the keys and
            indices that lead to the tensor: `image`, `state_0`.
        output_names: The same for the outputs. By default `output` if there is
            one, `output_0`, … for a tuple, and the keys of a dict.
        test_inputs: Returns more inputs, in the form of `inputs`, that
            torch_model_test runs beside its random ones: edge values, one for
            each branch.
    """

    module: torch.nn.Module
    inputs: Inputs
    dynamic_shapes: Any = None
    input_names: Sequence[str] | None = None
    output_names: Sequence[str] | None = None
    test_inputs: Callable[[], Iterable[Inputs]] | None = None

    def call_arguments(self, inputs: Inputs) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Splits inputs into forward's positional and keyword arguments."""
        if isinstance(inputs, Mapping):
            return (), dict(inputs)
        return tuple(inputs), {}
