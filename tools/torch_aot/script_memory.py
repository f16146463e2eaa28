"""Which tensors of a scripted program share memory, and which of it was written to.

In an exported graph, what comes out of an `if` or a loop is new memory. In TorchScript it
may be that of a tensor from before. The difference shows if one of the two is changed, and
the other is read then: that is refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import torch

from aot_common.frames import Frame


@dataclasses.dataclass
class Element:
    """What a tensor is a copy of, where TorchScript has a view.

    Attributes:
        base: The tensor that the view is of.
        dim: A dimension of it.
        index: The position there, int64[1].
    """

    base: torch.Tensor
    dim: int
    index: torch.Tensor


class Memory:
    """The memory of one run of a graph, or of one block of it."""

    def __init__(self) -> None:
        # By id of a tensor: the tensor, which keeps the id taken, and what it is about.
        self._owners: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._written: dict[int, torch.Tensor] = {}
        self._related: dict[int, list[torch.Tensor]] = {}
        self._stale: dict[int, list[Frame]] = {}
        self._elements: dict[int, tuple[torch.Tensor, Element]] = {}

    def owner(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor whose memory a tensor is or is a view of."""
        found = self._owners.get(id(tensor))
        return found[1] if found else tensor

    def add_view(self, view: torch.Tensor, base: torch.Tensor) -> None:
        """Notes that a tensor may be a view of another."""
        if view is not base:
            self._owners[id(view)] = view, self.owner(base)

    def add_element(self, copy: torch.Tensor, element: Element) -> None:
        """Notes that a tensor is a copy where TorchScript has a view."""
        self._elements[id(copy)] = copy, element
        self.relate(copy, element.base)

    def relate(self, first: torch.Tensor, second: torch.Tensor) -> None:
        """Notes that in TorchScript two tensors may share memory, and here do not."""
        first, second = self.owner(first), self.owner(second)
        if first is not second:
            self._related.setdefault(id(first), [first]).append(second)
            self._related.setdefault(id(second), [second]).append(first)

    def related(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        """The owners of what may be a tensor's memory in TorchScript."""
        owner = self.owner(tensor)
        return self._related.get(id(owner), [owner])

    def is_written(self, tensor: torch.Tensor) -> bool:
        """Whether the memory of a tensor was written to."""
        return id(self.owner(tensor)) in self._written

    def changed_at(self, tensor: torch.Tensor) -> list[Frame] | None:
        """The lines that may have changed what TorchScript has here, and not what is here."""
        return self._stale.get(id(self.owner(tensor)))

    def write(
        self,
        tensor: torch.Tensor,
        copied: Any,
        put: Callable[[Element, torch.Tensor], None],
        frames: list[Frame],
    ) -> None:
        """Notes that a tensor was written to.

        Args:
            tensor: The tensor.
            copied: What it is now a copy of, if of anything as a whole.
            put: Writes an element back into the tensor that it is of.
            frames: The lines that do it.
        """
        owner = self.owner(tensor)
        self._written[id(owner)] = owner
        element = self._elements.get(id(owner))
        if element is not None:
            put(element[1], owner)
        for other in self.related(owner)[1:]:
            base = element is not None and other is self.owner(element[1].base)
            same = tensor is owner and copied is other
            if not base and not same:
                self._stale[id(other)] = frames

    def shared(self, tensors: Iterable[torch.Tensor]) -> set[int]:
        """The ids of the owners of some tensors."""
        return {id(owner) for tensor in tensors for owner in self.related(tensor)}
