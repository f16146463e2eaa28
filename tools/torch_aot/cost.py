"""What a run of a model takes, counted and not timed: the same on every machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from torch_aot.twin import tensors_of
from torch_aot.upstream import HigherOrderOperator, TorchDispatchMode, cpu_attention

# In floating-point operations on float32. Measured on one thread with the code paths
# that rules/private/actions.bzl pins, about 1e10 a second: of them a byte that an
# operator reads or writes takes 16, and an operation on half as wide a number 16 too,
# as ATen has no such products of its own.
_BYTE = 16
_NARROW = 16


def _attention(
    query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any
) -> int:
    batch, heads, length, width = query
    return 2 * batch * heads * length * key[-2] * (width + value[-1])


class Cost(TorchDispatchMode):
    """Counts what runs within it, in the bodies of torch.cond and loops too.

    Attributes:
        total: In floating-point operations, or what takes as long.
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()
        self.total = 0
        self._formulas = FlopCounterMode(
            display=False, custom_mapping={cpu_attention: _attention}
        ).flop_registry

    def __torch_dispatch__(
        self,
        operator: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if isinstance(operator, HigherOrderOperator):
            bodies = [
                self._counted(each)
                if callable(each) and not isinstance(each, torch.Tensor)
                else each
                for each in args
            ]
            return operator(*bodies, **kwargs)
        outputs = operator(*args, **kwargs)
        tensors = tensors_of((args, kwargs, outputs))
        self.total += _BYTE * sum(map(bytes_of, tensors))
        formula = self._formulas.get(operator.overloadpacket)
        if formula is not None:
            narrow = any(
                tensor.is_floating_point() and tensor.element_size() < 4
                for tensor in tensors
            )
            flops = formula(*args, **kwargs, out_val=outputs)
            self.total += flops * (_NARROW if narrow else 1)
        return outputs

    def _counted(self, body: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any) -> Any:
            with self:
                return body(*args)

        return counted


def bytes_of(tensor: torch.Tensor) -> int:
    """The bytes of a tensor's elements."""
    return tensor.numel() * tensor.element_size()
