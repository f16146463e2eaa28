"""Views of complex numbers as two real ones, and back, undo each other.

Arithmetic of complex numbers is decomposed into that of their parts; between two of its
operations a tensor would be looked at both ways, and each be a kernel of its own.
"""

from __future__ import annotations

import torch
from torch.fx import GraphModule

_PAIRS = {
    torch.ops.aten.view_as_real.default: torch.ops.aten.view_as_complex.default,
    torch.ops.aten.view_as_complex.default: torch.ops.aten.view_as_real.default,
}


def cancel(module: GraphModule) -> None:
    """Takes one view of the other out of a graph, and of branches and loops."""
    for nested in module.modules():
        if isinstance(nested, GraphModule):
            _cancel(nested)


def _cancel(module: GraphModule) -> None:
    for node in module.graph.nodes:
        if node.target not in _PAIRS:
            continue
        (inner,) = node.args
        if inner.target == _PAIRS[node.target]:
            node.replace_all_uses_with(inner.args[0])
    # Users before what they use, so that whole chains go.
    for node in reversed(module.graph.nodes):
        if node.target in _PAIRS and not node.users:
            module.graph.erase_node(node)
    module.recompile()
