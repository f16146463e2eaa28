"""Where the leaves of nested outputs are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch_aot.upstream import pytree


def leaf_paths(tree: Any) -> list[tuple[Any, ...]]:
    """Lists the keys that lead to each leaf, in pytree's order.

    pytree refuses this of types that are registered without keys, as older outputs of
    Hugging Face's transformers are. Theirs are a mapping's own, or positions.
    """
    children = pytree.tree_leaves(tree, is_leaf=lambda node: node is not tree)
    if len(children) == 1 and children[0] is tree:
        return [()]
    return [
        (key, *path)
        for key, child in zip(_keys(tree, len(children)), children, strict=True)
        for path in leaf_paths(child)
    ]


def _keys(node: Any, count: int) -> list[Any]:
    try:
        below, _ = pytree.tree_flatten_with_path(
            node, is_leaf=lambda child: child is not node
        )
        return [path[0] for path, _ in below]
    except ValueError:  # registered without keys
        if isinstance(node, Mapping) and len(node) == count:
            return [pytree.MappingKey(key) for key in node]
        return [pytree.SequenceKey(i) for i in range(count)]
