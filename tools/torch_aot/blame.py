"""Finds in the user's syntax tree which part of a line an error is about."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from aot_common.frames import Frame, source_lines


def statement(
    frame: Frame, kinds: Collection[type[ast.AST] | None]
) -> tuple[type[ast.AST] | None, int]:
    """The kind and first line of the statement whose condition a line is in.

    Args:
        frame: The line.
        kinds: Those of statements and expressions to look for.

    Returns:
        One of `kinds`, or None and the frame's own line.
    """
    for node in reversed(_nodes_at(frame)):
        header = getattr(node, "test", getattr(node, "iter", None))
        if type(node) in kinds and header is not None:
            end = header.end_lineno
            if isinstance(node, ast.IfExp) or node.lineno <= frame.line <= end:
                return type(node), node.lineno
    return None, frame.line


def assigns_element(frame: Frame) -> bool:
    """Whether a line assigns at a computed index: `x[i] = y`, `x[i : i + 2] += y`."""
    return any(
        isinstance(target, ast.Subscript)
        and any(
            isinstance(part, ast.Name | ast.Attribute | ast.Call)
            for part in ast.walk(target.slice)
        )
        for node in _nodes_at(frame)
        if isinstance(node, ast.Assign | ast.AugAssign)
        for target in getattr(node, "targets", [getattr(node, "target", None)])
    )


def _nodes_at(frame: Frame) -> list[Any]:
    """The statements and expressions that a line is part of, outermost first."""
    try:
        tree = ast.parse("".join(source_lines(frame.path)))
    except (SyntaxError, ValueError):
        return []
    return sorted(
        (
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.stmt | ast.expr)
            and node.lineno <= frame.line <= (node.end_lineno or node.lineno)
        ),
        key=lambda node: (node.lineno, -(node.end_lineno or 0), node.col_offset),
    )


def branch_frame(
    call: Frame, operator: str, argument: int, at_return: bool = True
) -> Frame | None:
    """Finds the function that a line gives to torch.cond or while_loop.

    Args:
        call: The line of the call.
        operator: The called function's name, "cond".
        argument: Position of the argument: 1 for cond's true branch.
        at_return: Whether to give the line where the function returns, if it
            has one `return`, and not where it begins.

    Returns:
        None if the argument is no lambda or function of the same file.
    """
    for node in reversed(_nodes_at(call)):
        if not isinstance(node, ast.Call) or len(node.args) <= argument:
            continue
        if getattr(node.func, "attr", getattr(node.func, "id", "")) != operator:
            continue
        function = node.args[argument]
        if isinstance(function, ast.Lambda):
            return Frame(call.path, function.body.lineno, "<lambda>")
        if isinstance(function, ast.Name):
            return _function_frame(call, function.id, at_return)
    return None


def _function_frame(call: Frame, name: str, at_return: bool) -> Frame | None:
    """A line of the last function of a name that is defined above a call."""
    tree = ast.parse("".join(source_lines(call.path)))
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and node.name == name
        and node.lineno < call.line
    ]
    if not found:
        return None
    function = max(found, key=lambda node: node.lineno)
    returns = list(_returns(function.body))
    line = returns[0].lineno if at_return and len(returns) == 1 else function.lineno
    return Frame(call.path, line, name)


def _returns(body: Iterable[ast.AST]) -> Iterator[ast.Return]:
    """The return statements of a function, without those of functions inside it."""
    for node in body:
        if isinstance(node, ast.Return):
            yield node
        elif not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            yield from _returns(ast.iter_child_nodes(node))
