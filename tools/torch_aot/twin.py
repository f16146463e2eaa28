"""A model's twin in float64, which tells rounding from mistakes."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from aot_common.frames import innermost
from torch_aot.frames import model_frames
from torch_aot.torch_errors import summary
from torch_aot.upstream import pytree

# Where half of eager's results are farther from float64 than this share of the largest
# value, the two have computed different things: a condition fell the other way. Values
# below the second are small as differences of larger ones, whose rounding they have.
_ROUNDING = 0.1
_SMALL = 0.01


def duplicate(
    module: nn.Module, convert: Callable[[torch.Tensor], torch.Tensor] = torch.clone
) -> nn.Module:
    """Copies a module with all its tensors.

    Unlike `copy.deepcopy` alone, copies tensors that autograd computed, which the old
    `weight_norm` leaves in a module.

    Args:
        module: Stays as it is.
        convert: Makes a new tensor from each of the module's.
    """
    memo: dict[int, Any] = {}
    for submodule in module.modules():
        for value in tensors_of(vars(submodule)):
            if id(value) not in memo:
                copied = convert(value.detach())
                if isinstance(value, nn.Parameter):
                    copied = nn.Parameter(copied, value.requires_grad)
                memo[id(value)] = copied
    return copy.deepcopy(module, memo)


def tensors_of(tree: Any) -> list[torch.Tensor]:
    """The tensors among the leaves of a nest of inputs or outputs, in order."""
    return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def widen(tensor: torch.Tensor) -> torch.Tensor:
    """A copy, in float64 or complex128 if the tensor is floating-point or complex."""
    if tensor.is_floating_point():
        return tensor.clone().double()
    return tensor.clone().cdouble() if tensor.is_complex() else tensor.clone()


class Twin:
    """The module in float64: its parameters, its state, its inputs.

    What `forward` casts to a narrower type itself stays narrower. The twin has state
    of its own, so that it must run on every case that the module runs on.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module: nn.Module | None = None
        self._lost = ""
        try:
            # The second for buffers of ScriptModules, which show none of their tensors.
            # Their parameters are constants (see torchscript.py) and stay narrow.
            self._module = duplicate(module, widen).double()
        except Exception as error:
            self._lost = f"the model cannot be copied to float64: {_text(error)}"

    def run(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        eager: Sequence[torch.Tensor],
    ) -> tuple[list[torch.Tensor], str]:
        """Runs one case.

        Args:
            args: As the module was given them; they are not changed.
            kwargs: Likewise.
            eager: The tensors among the module's outputs.

        Returns:
            Of each floating-point output what it is in float64, and "". Or none, and
            why: the model does not run in float64, now and for good, or does
            something else there.
        """
        if self._module is None:
            return [], self._lost
        args, kwargs = pytree.tree_map_only(torch.Tensor, widen, (args, kwargs))
        default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)  # of what forward makes
        try:
            outputs = self._module(*args, **kwargs)
        except Exception as error:
            self._module = None
            self._lost = f"the model does not run in float64: {_text(error)}"
            return [], self._lost
        finally:
            torch.set_default_dtype(default)
        exact = [tensor.detach().clone() for tensor in tensors_of(outputs)]
        for index, (ours, theirs) in enumerate(itertools.zip_longest(exact, eager)):
            if ours is None or theirs is None or not _same_way(ours, theirs):
                return [], f"float64 went another way: output {index} is something else"
        return [tensor.double() for tensor in exact if tensor.is_floating_point()], ""


def _same_way(exact: torch.Tensor, eager: torch.Tensor) -> bool:
    """Whether no more than rounding lies between the two."""
    if exact.shape != eager.shape:
        return False
    if exact.is_floating_point() != eager.is_floating_point():
        return False
    if not eager.is_floating_point():
        return exact.dtype == eager.dtype and torch.equal(exact, eager)
    exact = exact.double()
    finite = exact.isfinite() & eager.isfinite()
    exact = exact[finite]
    if not exact.numel():
        return True
    errors = (eager[finite].double() - exact).abs()
    return bool(errors.median() <= _ROUNDING * exact.abs().max().clamp(min=_SMALL))


def _text(error: Exception) -> str:
    frame = innermost(model_frames(error))
    where = f"{frame.where}: " if frame else ""
    return f"{where}{type(error).__name__}: {summary(error, 1)}"
