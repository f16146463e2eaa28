"""Explains what depends on the values of tensors, and what to write in its place."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Sequence

from aot_common.errors import UserError, error_at
from aot_common.frames import Frame, innermost
from torch_aot import blame, upstream
from torch_aot.frames import all_frames


def is_data_dependent(error: BaseException) -> bool:
    """Whether torch gave up at a value that is not known when it compiles."""
    if isinstance(error, upstream.DynamoError):
        return "Data-dependent" in str(error)
    return isinstance(error, upstream.DATA_DEPENDENT)


# By the kind of statement: what depends on data, and what to do instead.
_DATA_DEPENDENCE = {
    ast.If: (
        "this `if`",
        "use torch.cond(pred, true_fn, false_fn, operands), which compiles both branches, "
        "or torch.where(pred, a, b) to choose by element",
    ),
    ast.IfExp: (
        "this conditional expression",
        "use torch.where(pred, a, b), or torch.cond(pred, true_fn, false_fn, operands), "
        "which runs only the branch it takes",
    ),
    ast.While: (
        "this `while`",
        "use torch.while_loop(cond_fn, body_fn, carried_inputs)",
    ),
    ast.For: (
        "the number of iterations of this `for`",
        "use torch.while_loop(cond_fn, body_fn, carried_inputs), or loop to a fixed bound "
        "and choose with torch.where",
    ),
    ast.Assert: (
        "this `assert`",
        "leave it out when compiling: `if not torch.compiler.is_compiling():`",
    ),
    None: (
        "a Python number needed on this line (a size, an index, a truth value)",
        "keep it a tensor: x[i] and torch.index_select take tensors as indices, torch.where "
        "and torch.cond as conditions; for one of several modules nest torch.cond",
    ),
}


# For lines of the last kind.
_ELEMENT = (
    "the index that is assigned to here, which PyTorch needs as a Python number,",
    "index with a tensor of rank 1: x[i.reshape(1)] = y in the place of x[i] = y, and "
    "x[i + torch.arange(n)] = y in that of x[i : i + n] = y",
)
_DISTRIBUTION = (
    "the check that torch.distributions makes of this distribution's arguments",
    "leave it out: validate_args=False",
)


def explain(error: BaseException, stack: Sequence[Frame], where: str) -> UserError:
    """Explains an error that `is_data_dependent`.

    Args:
        error: The exception.
        stack: The user's frames, outermost first.
        where: Where the error is if there are none.
    """
    frame = innermost(stack)
    kind = None
    if frame is not None:
        kind, line = blame.statement(frame, _DATA_DEPENDENCE)
        moved = dataclasses.replace(frame, line=line)
        stack = [moved if other == frame else other for other in stack]
    what, fix = _DATA_DEPENDENCE[kind]
    if kind is None and frame is not None and blame.assigns_element(frame):
        what, fix = _ELEMENT
    if any("/torch/distributions/" in frame.path for frame in all_frames(error)):
        what, fix = _DISTRIBUTION
    found = re.search(r"data-dependent expression (.+?) \(unhinted", str(error))
    # `Eq(u0, 1)` is what PyTorch calls the truth of a tensor; it tells nothing.
    if found and not re.fullmatch(r"Eq\(\w+, 1\)|\w+", found[1]):
        what += f" depends on a number that comes from data ({found[1]})"
    else:
        what += " depends on a tensor's value"
    checks = re.findall(r"(?m)^\s*\d\. (torch\._check.*)$", str(error))
    if checks:
        fix += "\nor, if one of these holds for all data, state it before this line: "
        fix += ", ".join(checks[:2])
    return error_at(
        f"{what}, which is not known when the model is compiled",
        frames=stack,
        where=where,
        fix=fix,
    )
