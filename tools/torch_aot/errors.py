"""Errors that a user can act on: what is wrong, where, and what to do."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Callable
from typing import NoReturn


class UserError(Exception):
    """A mistake in the user's model, entry, weights or arguments.

    Attributes:
        what: One or two sentences: what is wrong.
        where: "models/resnet.py:31", or an empty string.
        fix: What to do about it.
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        lines = [f"{self.where}: error: {self.what}" if self.where else f"error: {self.what}"]
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)


def user_frame(error: BaseException, is_user_file: Callable[[str], bool]) -> str:
    """Finds the innermost line of the user's code that an error passed through.

    Args:
        error: An exception; its causes are searched too.
        is_user_file: Tells whether a path is the user's.

    Returns:
        "path:line" with the source line beneath it, or an empty string.
    """
    current: BaseException | None = error
    found = ""
    while current is not None:
        for frame in traceback.extract_tb(current.__traceback__):
            if is_user_file(frame.filename):
                found = f"{shorten_path(frame.filename)}:{frame.lineno}"
        # torch keeps the user's stack as text where its own has moved on.
        for path, line in re.findall(r'File "([^"]+)", line (\d+)', str(current)):
            if is_user_file(path):
                found = f"{shorten_path(path)}:{line}"
        current = current.__cause__ or current.__context__
    return found


def shorten_path(path: str) -> str:
    """Makes a path relative to the working directory, if it lies below it."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def first_lines(error: BaseException, count: int = 6) -> str:
    """The first non-empty lines of an exception's message."""
    lines = [line.rstrip() for line in str(error).splitlines() if line.strip()]
    return "\n  ".join(lines[:count])


# The errors of torch.export and AOTInductor that people meet, recognised by
# their text: torch raises the same few types for all of them. Each row is a
# pattern, what to say, and what to do; \1 is the pattern's first group.
_KNOWN = [
    (
        r"(?:Could not guard on|Could not extract specialized integer from) "
        r"data-dependent expression (.+?)(?: \(unhinted|\n|$)",
        r"the code branches on a tensor's value, which is not known at compile "
        r"time (data-dependent expression: \1)",
        "use torch.cond(pred, true_fn, false_fn, operands) for an `if` on a tensor, "
        "torch.while_loop for a loop, torch.where for a choice by element; or "
        "torch._check(...) if the condition always holds",
    ),
    (
        r"(?s)(?:cond|while_loop).{0,400}?(?:alias|Alias)|"
        r"(?:alias|Alias|aliasing).{0,300}?(?:cond|while_loop|branch)",
        "a branch of torch.cond (or the body of a while_loop) returns one of its "
        "inputs, or a view of it, as it is",
        "return a copy from the branch, e.g. `x.clone()` instead of `x`",
    ),
    (
        r"(?s)(?:cond|while_loop).{0,400}?(?:mutat|in-place)",
        "a branch of torch.cond (or the body of a while_loop) changes one of its "
        "inputs in place",
        "compute a new tensor instead: `x = x + 1`, not `x.add_(1)`",
    ),
    (
        r"(?s)marked (.+?) as dynamic but your code specialized it to be a constant "
        r"\((\d+)\)",
        r"\1 is declared dynamic, but the model works only with the size \2",
        "make the code independent of that size (look for reshapes, loops and "
        "buffers made for one size, or an example input of size 0 or 1), or drop "
        "the dimension from dynamic_shapes",
    ),
    (
        r"Not all values of (\w+)[^\n]*?inferred to be a constant \((\d+)\)",
        r"dynamic dimension \1 is declared dynamic, but the model works only with "
        r"the size \2",
        "make the code independent of that size (look for reshapes, loops and "
        "buffers made for one size, or an example input of size 0 or 1), or drop "
        "the dimension from dynamic_shapes",
    ),
    (
        r"Not all values of (\w+)[^\n]*?(?:satisfy the generated guard|in the "
        r"specified range)([^\n]*)",
        r"dynamic dimension \1: the model does not work for its whole declared "
        r"range\2",
        "narrow the range given to torch.export.Dim, or change the code that needs "
        "the narrower one",
    ),
    (
        r"(?s)Expected input.*?to be (?:>=|<=|equal to).*|"
        r"Expected .*? to be (?:>=|<=|of the form).*|"
        r"received .* in dynamic_shapes.*outside",
        "an example input does not fit the declared dynamic shapes",
        "give an example whose sizes lie within the range of torch.export.Dim",
    ),
]


def explain(error: BaseException, where: str) -> UserError:
    """Turns an exception of torch.export or AOTInductor into a UserError.

    Args:
        error: The exception.
        where: The user's file and line, from user_frame.

    Returns:
        An error in the terms of the table above; for one that it does not
        know, the exception's type and the start of its message.
    """
    text = str(error)
    for pattern, what, fix in _KNOWN:
        match = re.search(pattern, text)
        if match:
            return UserError(match.expand(what), where=where, fix=fix)
    return UserError(
        f"{type(error).__name__}: {first_lines(error)}",
        where=where,
        fix="run again with --verbose_failures and the flag --full_trace of the "
        "tool (or --//rules:full_trace) to see PyTorch's whole report",
    )


def fail(what: str, *, where: str = "", fix: str = "") -> NoReturn:
    """Raises a UserError."""
    raise UserError(what, where=where, fix=fix)
