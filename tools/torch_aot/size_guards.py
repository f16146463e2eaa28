"""Refuses code that is right for the example's sizes alone.

Inductor may decide by a relation of dynamic sizes what to generate: a loop of so many
steps, or another operator where a size is a multiple of another. A compiler at run time
guards such code with a check, and compiles again where it fails; a compiled model
cannot, and would be wrong for other sizes.

Equalities are what code of one size asks for. Inequalities choose between algorithms
that are right for all sizes, or say of a size that it is not 1, so that strides have to
be looked at: those are let pass.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import sympy
import torch

from aot_common.errors import error_at
from aot_common.frames import Frame
from torch_aot import signature as sig
from torch_aot.dynamic_shapes import as_python
from torch_aot.frames import frames_of_node
from torch_aot.upstream import Patch, symbol_of


class SizeGuards:
    """The guards of one code generation.

    Args:
        signature: The program's.
    """

    def __init__(self, signature: sig.Signature) -> None:
        self._signature = signature
        # By how many guards there were, what was lowered when the next one came.
        self._places: dict[int, list[Frame]] = {}

    def patches(self) -> tuple[Patch, ...]:
        """Watches what is lowered when a guard comes."""

        def watch(original: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(original)
            def run_node(graph: Any, node: torch.fx.Node) -> Any:
                guards = graph.sizevars.shape_env.guards
                before = len(guards)
                result = original(graph, node)
                for number in range(before, len(guards)):
                    self._places.setdefault(number, frames_of_node(node))
                return result

            return run_node

        return (
            Patch(
                "torch._inductor.graph:GraphLowering.run_node",
                watch,
                "a guard says of Inductor's own line alone where it is from",
            ),
        )

    def check(self, graph: Any) -> None:
        """Fails if there is an equality.

        Args:
            graph: The GraphLowering.

        Raises:
            UserError: The code is right for some of the declared sizes alone.
        """
        names = self._names(graph.module)
        for number, guard in enumerate(graph.sizevars.shape_env.guards):
            if not isinstance(guard.expr, sympy.Eq):
                continue
            condition = guard.expr.subs(names)
            raise error_at(
                f"this line can be compiled only for sizes with {as_python(condition)}, "
                "which dynamic_shapes does not promise",
                frames=self._places.get(number, []),
                where=self._signature.source,
                fix="leave the dimension out of dynamic_shapes, or write the line with "
                "operators that take any size",
            )

    def _names(self, module: torch.fx.GraphModule) -> dict[Any, sympy.Symbol]:
        """The signature's names of the graph's symbols."""
        inputs = module.graph.find_nodes(op="placeholder")
        values = [node.meta.get("val") for node in inputs]
        tensors = [value for value in values if isinstance(value, torch.Tensor)]
        return {
            symbol: sympy.Symbol(dim.text, integer=True)
            for value, spec in zip(tensors, self._signature.inputs, strict=False)
            for size, dim in zip(value.shape, spec.dims, strict=False)
            if (symbol := symbol_of(size)) is not None
        }
