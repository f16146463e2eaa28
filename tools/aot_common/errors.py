"""Errors that a user can act on: what is wrong, where, and what to do."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import NoReturn

from aot_common.frames import Frame, innermost, source_line, user_stack

_WIDTH = 100
_MAX_STACK = 4  # frames shown beside the one that the error is at

FULL_TRACE_FLAG = "--full_trace (under Bazel: --@rules_torch//rules:full_trace)"


class UserError(Exception):
    """A mistake in the user's model, weights, kernels or arguments.

    Attributes:
        what: What is wrong: a sentence or two, or a few lines.
        where: "models/resnet.py:31", "//models:resnet", or an empty string.
        fix: What to do about it; may be lines.
        stack: The user's frames, outermost first; the one at `where` among them.
    """

    def __init__(
        self, what: str, *, where: str = "", fix: str = "", stack: Sequence[Frame] = ()
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix
        self.stack = tuple(stack)

    def __str__(self) -> str:
        prefix = f"{self.where}: error: " if self.where else "error: "
        lines = _wrap(prefix + self.what)
        path, _, line = self.where.rpartition(":")
        if line.isdigit():
            code = source_line(path, int(line))
            lines += [_clip(f"  {line} | {code}")] if code else []
        lines += [_clip(line) for line in self._other_frames()]
        if self.fix:
            lines += _wrap(f"  fix: {self.fix}")
        return "\n".join(lines)

    def _other_frames(self) -> list[str]:
        """Says how the line came to run, and where below it the error arose."""
        places = [frame.where for frame in self.stack]
        if self.where not in places:
            return []
        at = len(places) - 1 - places[::-1].index(self.where)
        inner = [("in", frame) for frame in self.stack[:at:-1]]
        outer = [("called from", frame) for frame in reversed(self.stack[:at])]
        shown = []
        for relation, frame in inner[:1] + outer:
            code = f": {frame.code}" if frame.code else ""
            if frame.where != self.where:
                shown.append(f"  {relation} {frame.where}{code}")
        return list(dict.fromkeys(shown))[:_MAX_STACK]


def _wrap(text: str) -> list[str]:
    """Wraps each line of a text; all but the first are indented."""
    wrapped: list[str] = []
    for line in text.splitlines():
        indent = "    " if wrapped else ""
        wrapped += textwrap.wrap(
            line.strip() if wrapped else line,
            width=_WIDTH,
            initial_indent=indent,
            subsequent_indent=indent + "    " if indent else "    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return wrapped


def _clip(line: str) -> str:
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"


def fail(what: str, *, where: str = "", fix: str = "") -> NoReturn:
    """Raises a UserError."""
    raise UserError(what, where=where, fix=fix)


def error_at(
    what: str, *, frames: Iterable[Frame], where: str = "", fix: str = ""
) -> UserError:
    """Makes a UserError at the innermost user's line of a stack.

    Args:
        what: What is wrong.
        frames: The stack, outermost first.
        where: Where the error is if no line of the stack is the user's.
        fix: What to do about it.
    """
    stack = user_stack(frames)
    frame = innermost(stack)
    return UserError(what, where=frame.where if frame else where, fix=fix, stack=stack)


def first_lines(text: str, count: int = 5) -> str:
    """The start of a text that is not ours, in a form fit for a message."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "\n".join(textwrap.shorten(line, 200) for line in lines[:count])
