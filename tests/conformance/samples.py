"""PyTorch's own samples of its operators: few, small, and the same on every machine."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import pkgutil
import random
import re
import sys
import types
import unittest
import unittest.mock
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.testing._internal
from torch.utils import _pytree as pytree

from torch_aot import signature as sig

# The tool's torch has no tests: they are a target of their own, in a folder that Python
# has to be told of.
for package in (torch, torch.testing, torch.testing._internal):
    package.__path__ = pkgutil.extend_path(package.__path__, package.__name__)

# What PyTorch's test framework imports, and its samples do not need. The extensions'
# module wants setuptools, of which rules_python leaves a file out: its name has a space.
_STAND_INS = {
    "expecttest": {"TestCase": unittest.TestCase},
    "torch.utils.cpp_extension": {},
}
for module, contents in _STAND_INS.items():
    sys.modules[module] = types.ModuleType(module)
    vars(sys.modules[module]).update(contents)

# Importing it forbids for good what torch_aot.eager does.
with unittest.mock.patch("torch.backends.disable_global_flags"):
    from torch.testing._internal.common_methods_invocations import op_db
    from torch.testing._internal.opinfo.core import OpInfo

# That operators are deprecated, or in beta.
warnings.filterwarnings("ignore", category=UserWarning)

# The dtypes, with how many samples there are to be of an operator.
DTYPES = {"float32": 3, "int64": 2, "bool": 1}

# Of an operator's samples so many are looked at, and those without a tensor of more
# elements taken.
_MOST_READ = 100
_MOST_ELEMENTS = 10_000

# Operators whose results hold what was in memory before: their shapes are compared.
_UNDEFINED = re.compile(r"(new_)?empty(_\w+)?")


def name(operator: OpInfo) -> str:
    """What the table calls an operator: `div.floor_rounding`."""
    variant = operator.variant_test_name
    return f"{operator.name}.{variant}" if variant else operator.name


OPERATORS: dict[str, OpInfo] = {name(each): each for each in sorted(op_db, key=name)}


@dataclasses.dataclass(frozen=True)
class Sample:
    """A call of an operator.

    Attributes:
        operator: The operator.
        leaves: Its arguments, flattened. All but the tensors are compiled in.
        spec: How they are nested: ((positional, ...), {name: ...}).
        copies: Whether the operator changes its arguments, and gets copies.
    """

    operator: OpInfo
    leaves: tuple[Any, ...]
    spec: pytree.TreeSpec
    copies: bool = False

    @property
    def tensors(self) -> list[torch.Tensor]:
        """The tensors among the arguments, contiguous."""
        return [leaf for leaf in self.leaves if isinstance(leaf, torch.Tensor)]

    def call(self, tensors: Sequence[torch.Tensor]) -> list[Any]:
        """Calls the operator.

        Args:
            tensors: In place of the sample's own.

        Returns:
            The results, flattened; complex ones as real ones with a last dimension of 2.
        """
        given = iter(tensors)
        leaves = [
            (next(given).clone() if self.copies else next(given))
            if isinstance(leaf, torch.Tensor)
            else leaf
            for leaf in self.leaves
        ]
        args, kwargs = pytree.tree_unflatten(leaves, self.spec)
        results = pytree.tree_leaves(self.operator.op(*args, **kwargs))
        return [self._comparable(result) for result in results]

    def _comparable(self, result: Any) -> Any:
        if not isinstance(result, torch.Tensor):
            return result
        if _UNDEFINED.fullmatch(self.operator.name):
            return torch.zeros_like(result)
        return (
            torch.view_as_real(result.resolve_conj()) if result.is_complex() else result
        )


def samples(operator: str, dtype: str) -> list[Sample]:
    """Picks samples of an operator, as unlike as its first, its last and a middle one.

    Samples with inputs that no compiled model takes are left out: sparse and complex.

    Args:
        operator: A key of OPERATORS.
        dtype: A key of DTYPES.
    """
    info = OPERATORS[operator]
    if not info.supports_dtype(getattr(torch, dtype), "cpu"):
        return []
    _seed()
    with torch.no_grad():
        made = info.sample_inputs("cpu", getattr(torch, dtype), requires_grad=False)
        fitting = [
            Sample(info, tuple(map(_plain, leaves)), spec)
            for leaves, spec in (
                pytree.tree_flatten(((each.input, *each.args), each.kwargs))
                for each in itertools.islice(made, _MOST_READ)
            )
            if all(_fits(leaf) for leaf in leaves)
        ]
        return [
            dataclasses.replace(each, copies=_changes_arguments(each))
            for each in _spread(fitting, DTYPES[dtype])
        ]


def _seed() -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)


def _fits(leaf: Any) -> bool:
    return not isinstance(leaf, torch.Tensor) or (
        leaf.layout == torch.strided
        and str(leaf.dtype).removeprefix("torch.") in sig.DTYPES
        and leaf.numel() <= _MOST_ELEMENTS
    )


def _plain(leaf: Any) -> Any:
    if not isinstance(leaf, torch.Tensor):
        return leaf
    # A copy: it may be a part of a larger one, and the operator look at the rest.
    return leaf.detach().clone(memory_format=torch.contiguous_format)


def _spread(items: list[Sample], count: int) -> list[Sample]:
    """The first, the last, and what lies evenly between them."""
    if len(items) <= count:
        return items
    if count == 1:
        return [items[len(items) // 2]]
    step = (len(items) - 1) / (count - 1)
    return [items[round(i * step)] for i in range(count)]


def _changes_arguments(sample: Sample) -> bool:
    tensors = [tensor.clone() for tensor in sample.tensors]
    versions = [tensor._version for tensor in tensors]
    # One that cannot be run is the compiler's to refuse.
    with contextlib.suppress(Exception):
        sample.call(tensors)
    # Batch norm changes its running statistics and says nothing.
    return any(
        after._version != version or not torch.equal(after, before)
        for before, after, version in zip(
            sample.tensors, tensors, versions, strict=True
        )
    )
