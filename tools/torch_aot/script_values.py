"""What TorchScript's names stand for while torch.export runs its graphs.

Tensors, and numbers, strings, None, lists, tuples and dicts of Python's. Sizes are symbols.
A number that comes from a tensor's elements is `Data`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from torch_aot import upstream

# How numbers travel through tensors.
DTYPES = {"int": torch.int64, "float": torch.float64, "bool": torch.bool}
SYMBOLS = (torch.SymInt, torch.SymFloat, torch.SymBool)


class Data:
    """A number that depends on the elements of tensors.

    Attributes:
        tensor: Has it, in the dtype of its kind and of rank 0.
        kind: A key of `DTYPES`.
    """

    def __init__(self, tensor: torch.Tensor, kind: str) -> None:
        self.tensor = tensor.to(DTYPES[kind]).reshape(())
        self.kind = kind
        self._number: Any = None

    @property
    def number(self) -> Any:
        """It as a symbol, for operators that take numbers."""
        if self._number is None:
            self._number = self.tensor.item()
        return self._number


class Missing:
    """What TorchScript calls uninitialised: no correct program reads it."""


MISSING = Missing()


class Mismatch(Exception):
    """Two values cannot be one of an exported graph; the text says what they are."""


def kind_of(value: Any) -> str:
    """What number a value is, a key of `DTYPES`; empty if it is none."""
    if isinstance(value, Data):
        return value.kind
    if isinstance(value, bool | torch.SymBool):
        return "bool"
    if isinstance(value, int | torch.SymInt):
        return "int"
    return "float" if isinstance(value, float | torch.SymFloat) else ""


def to_tensor(number: Any) -> torch.Tensor:
    """A number as a tensor of rank 0."""
    if isinstance(number, Data):
        return number.tensor
    return torch.scalar_tensor(number, dtype=DTYPES[kind_of(number)])


def items_of(value: Any) -> list[Any]:
    """What a container has in it; nothing if the value is none."""
    if isinstance(value, dict):
        return [*value.values()]
    return [*value] if isinstance(value, list | tuple) else []


def like(container: Any, items: Sequence[Any]) -> Any:
    """A container of the same type, and with the same keys, of other items."""
    if isinstance(container, dict):
        return dict(zip(container, items, strict=True))
    return type(container)(items)


def refill(container: list[Any] | dict[Any, Any], other: Any) -> None:
    """Gives a list or dict the items of another."""
    container.clear()
    container.update(other) if isinstance(container, dict) else container.extend(other)


def leaves_of(value: Any) -> Iterator[Any]:
    """The tensors and symbols in a value."""
    if isinstance(value, (torch.Tensor, *SYMBOLS)):
        yield value
    elif isinstance(value, Data):
        yield value.tensor
    for item in items_of(value):
        yield from leaves_of(item)


def tensors_of(value: Any) -> Iterator[torch.Tensor]:
    """The tensors in a value; those that carry numbers are none."""
    if isinstance(value, torch.Tensor):
        yield value
    for item in items_of(value):
        yield from tensors_of(item)


@dataclasses.dataclass(frozen=True)
class Template:
    """What values of one make are, in tensors.

    Attributes:
        kind: "tensor", a key of `DTYPES`, "container", or "constant".
        example: A value: the tensor, the container or the constant.
        items: Of a container.
    """

    kind: str
    example: Any = None
    items: tuple[Template, ...] = ()

    @staticmethod
    def of(first: Any, second: Any, vary: bool = False) -> Template:
        """The template of two values, of which a run has one or the other.

        Args:
            first: A value.
            second: Another one.
            vary: Whether numbers are data even where both are the same.

        Raises:
            Mismatch: They differ in more than numbers and elements.
        """
        if first is MISSING or second is MISSING:
            other = second if first is MISSING else first
            return (
                Template("constant", MISSING)
                if other is MISSING
                else Template.of(other, other, vary)
            )
        kind = kind_of(first)
        if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
            _check_alike(first, second)
            return Template("tensor", first)
        if kind and kind == kind_of(second):
            known = isinstance(first, int | float) and isinstance(second, int | float)
            if known and first == second and not vary:
                return Template("constant", first)
            return Template(kind)
        if isinstance(first, list | tuple | dict) and type(first) is type(second):
            mine, theirs = items_of(first), items_of(second)
            if len(mine) != len(theirs) or (
                isinstance(first, dict) and [*first] != [*second]
            ):
                raise Mismatch(f"{describe(first)} or {describe(second)}")
            pairs = zip(mine, theirs, strict=True)
            items = tuple(Template.of(a, b, vary) for a, b in pairs)
            return Template("container", first, items)
        if first is second or (isinstance(first, str) and first == second):
            return Template("constant", first)
        raise Mismatch(f"{describe(first)} or {describe(second)}")

    def flatten(self, value: Any) -> list[torch.Tensor]:
        """The tensors that stand for a value."""
        if self.kind == "constant":
            return []
        if self.kind == "container":
            items = [value] * len(self.items) if value is MISSING else items_of(value)
            pairs = zip(self.items, items, strict=True)
            return [tensor for item, each in pairs for tensor in item.flatten(each)]
        if value is not MISSING:
            return [value if self.kind == "tensor" else to_tensor(value)]
        if self.kind == "tensor":
            return [torch.zeros(self.example.shape, dtype=self.example.dtype)]
        return [torch.zeros((), dtype=DTYPES[self.kind])]

    def unflatten(self, tensors: Iterator[torch.Tensor]) -> Any:
        """The value that the next of some tensors stand for."""
        if self.kind == "constant":
            return self.example
        if self.kind == "container":
            return like(self.example, [item.unflatten(tensors) for item in self.items])
        tensor = next(tensors)
        return tensor if self.kind == "tensor" else Data(tensor, self.kind)


def _check_alike(first: torch.Tensor, second: torch.Tensor) -> None:
    if (
        first.dtype != second.dtype
        or first.dim() != second.dim()
        or not all(map(upstream.is_same_size, first.shape, second.shape))
    ):
        raise Mismatch(f"{describe(first)} or {describe(second)}")


def describe(value: Any) -> str:
    """A value as errors call it: `float32[2, 4]`, `a list of 3`, `None`."""
    if isinstance(value, torch.Tensor):
        sizes = ", ".join(map(str, value.shape))
        return f"{str(value.dtype).removeprefix('torch.')}[{sizes}]"
    if isinstance(value, list | tuple | dict):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, str | None):
        return repr(value)
    kind = kind_of(value)
    return f"{'an' if kind == 'int' else 'a'} {kind}" if kind else "an object"
