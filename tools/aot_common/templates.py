"""The frames of generated C++: files that read as the C++ that they are.

A template has `$PLACEHOLDERS$`, which are identifiers to a compiler and a formatter,
and no logic: rows, choices and wrapped text are made in Python.
"""

from __future__ import annotations

import os
import re

_PLACEHOLDER = re.compile(r"\$([A-Z][A-Z0-9_]*)\$")


class Template:
    """A template's text, read once: when the module that has it is imported.

    Args:
        module: The `__file__` of that module; templates are in `templates/` beside it.
        name: The template's file.
    """

    def __init__(self, module: str, name: str) -> None:
        self._name = name
        folder = os.path.join(os.path.dirname(module), "templates")
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            self._lines = file.read().split("\n")
        self._placeholders = {*_PLACEHOLDER.findall("\n".join(self._lines))}

    def render(self, **values: str | int | None) -> str:
        """Puts values into the placeholders' places.

        Args:
            values: By placeholder. A value's further lines start below its first one,
                after the same `//` where that is all that is before it; a newline at
                its end adds none. None leaves the placeholder out, with the space
                before it, or with its line if the line has nothing else.

        Raises:
            AssertionError: The values are not those of the template's placeholders.
        """
        unlike = values.keys() ^ self._placeholders
        if unlike:
            raise AssertionError(
                f"{self._name} and its values differ in {sorted(unlike)}"
            )
        lines = (_render(line, values) for line in self._lines)
        return "\n".join(line for line in lines if line is not None)


def _render(line: str, values: dict[str, str | int | None]) -> str | None:
    text, *rest = _PLACEHOLDER.split(line)
    missing = False
    for name, after in zip(rest[::2], rest[1::2], strict=True):
        value = values[name]
        if value is None:
            text = text.removesuffix(" ")
            missing = True
        else:
            before = text.rpartition("\n")[2]
            margin = before if before.strip() == "//" else " " * len(before)
            first, *further = str(value).removesuffix("\n").split("\n")
            text = text + first if first else text.rstrip(" ")
            for each in further:
                text += "\n" + (margin + each if each else margin.rstrip())
        text += after
    return None if missing and not text.strip(" /") else text
