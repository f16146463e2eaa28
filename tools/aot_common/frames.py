"""The lines of code that an exception passed through, and which of them are the user's."""

from __future__ import annotations

import dataclasses
import linecache
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence

from aot_common.paths import is_library_file, is_user_file, shorten_path


@dataclasses.dataclass(frozen=True)
class Frame:
    """A line of code that was being run.

    Attributes:
        path: As the interpreter knows it.
        line: From 1.
        function: What the line is in; may be empty.
    """

    path: str
    line: int
    function: str = ""

    @property
    def where(self) -> str:
        """`models/resnet.py:31`."""
        return f"{shorten_path(self.path)}:{self.line}"

    @property
    def code(self) -> str:
        """The source line, if the file can be read."""
        return source_line(self.path, self.line)


def source_lines(path: str) -> list[str]:
    """A file's lines, or none if it cannot be read."""
    linecache.checkcache(path)
    return linecache.getlines(path)


def source_line(path: str, line: int) -> str:
    """One of a file's lines, from 1, without its indentation; empty if there is none."""
    return "".join(source_lines(path)[line - 1 : line]).strip()


def chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and what it was raised from or while handling, outermost first."""
    current: BaseException | None = error
    seen: set[int] = set()
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        # torch raises many `from None`, and the cause alone has the stack.
        current = current.__cause__ or current.__context__


def traceback_frames(error: BaseException) -> Iterator[Frame]:
    """All frames that one exception passed through, outermost first."""
    for frame, line in traceback.walk_tb(error.__traceback__):
        yield Frame(frame.f_code.co_filename, line, frame.f_code.co_name)


def user_frames(
    error: BaseException,
    frames_of: Callable[[BaseException], Iterable[Frame]] = traceback_frames,
) -> list[Frame]:
    """Finds the lines of the user's code that an error passed through.

    Args:
        error: An exception; its causes are searched too, until one has any.
        frames_of: All frames of one exception.

    Returns:
        As `user_stack`.
    """
    for current in chain(error):
        if stack := user_stack(frames_of(current)):
            return stack
    return []


def user_stack(frames: Iterable[Frame]) -> list[Frame]:
    """Leaves out of a stack what is not the user's.

    Args:
        frames: The stack, outermost first.

    Returns:
        The user's frames, outermost first. If the innermost of them called a package
        of theirs, the package's innermost line follows.
    """
    kept = [f for f in frames if is_library_file(f.path) or is_user_file(f.path)]
    users = [frame for frame in kept if is_user_file(frame.path)]
    if users and kept[-1] is not users[-1]:
        users.append(kept[-1])
    return users


def innermost(frames: Sequence[Frame]) -> Frame | None:
    """The user's innermost frame among those of user_frames."""
    return next((f for f in reversed(frames) if is_user_file(f.path)), None)
