"""A folder with an action's declared inputs and nothing else, which the action runs in.

Bazel runs a worker among all files of the workspace, unless it is told to sandbox it,
and even a sandbox consists of links, through which `os.path.realpath` leaves it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

# Sources are copied, so that whatever they ask for their own path is in the folder.
# Larger files are data: a link is as good, and takes no time.
_MOST_COPIED = 1 << 20
# Of packages there can be thousands of files, and these are the same everywhere.
_LINKED = "/site-packages/"


def make(folder: str, inputs: Iterable[str], root: str) -> None:
    """Fills a folder.

    Args:
        folder: An empty one.
        inputs: Paths from `root`, which are those in `folder` too. One that does not
            exist is left out.
        root: An absolute path; what the inputs lie below.
    """
    made = set()
    for path in inputs:
        source, target = os.path.join(root, path), os.path.join(folder, path)
        parent = os.path.dirname(target)
        if parent not in made:
            os.makedirs(parent, exist_ok=True)
            made.add(parent)
        with contextlib.suppress(FileNotFoundError):
            if _LINKED in path or not _copy(source, target):
                os.symlink(os.path.realpath(source), target)


def _copy(source: str, target: str) -> bool:
    """Copies a file; whether it is one, and small enough."""
    try:
        with open(source, "rb") as file:
            content = file.read(_MOST_COPIED + 1)
            mode = os.fstat(file.fileno()).st_mode
    except IsADirectoryError:
        return False
    if len(content) > _MOST_COPIED:
        return False
    with open(os.open(target, os.O_WRONLY | os.O_CREAT, mode | 0o200), "wb") as file:
        file.write(content)
    return True


def own_files(runfiles: str) -> frozenset[str]:
    """The tool's own packages, by their paths among an action's inputs.

    A model that declares numpy gets the tool's, of which it needs no copy.

    Args:
        runfiles: The tool's folder of runfiles.
    """
    return frozenset(
        os.path.join("external", os.path.relpath(os.path.join(folder, name), runfiles))
        for folder, _, names in os.walk(runfiles)
        for name in names
    )
