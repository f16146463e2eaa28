"""Compares what this build and a nested one made of an action_outputs target."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Iterator

from tests.e2e import nested


@dataclasses.dataclass(frozen=True)
class Outputs:
    """The outputs of both builds.

    Attributes:
        here: Their paths, by the path in runfiles.
        there: Those of the nested workspace, likewise.
    """

    here: dict[str, str]
    there: dict[str, str]

    @classmethod
    def of(cls, target: str, workspace: nested.Workspace) -> Outputs:
        """Finds them.

        Args:
            target: "tests/e2e/model_outputs", among the test's data.
            workspace: Where it has been built.
        """
        return cls(
            {
                name: nested.runfile(f"rules_torch/{name}")
                for name, _ in _read_list(nested.runfile(f"rules_torch/{target}.list"))
            },
            {
                name: os.path.join(workspace.path, path)
                for name, path in _read_list(
                    os.path.join(workspace.path, "bazel-bin", f"{target}.list")
                )
            },
        )

    def differences(self) -> list[str]:
        """Compares the bytes; describes each difference, and prints a summary."""
        different = [
            f"{name} is in one of the builds alone"
            for name in sorted(set(self.here) ^ set(self.there))
        ]
        size = 0
        for name in sorted(set(self.here) & set(self.there)):
            here, there = read(self.here[name]), read(self.there[name])
            size += len(here)
            if here != there:
                different.append("\n".join(_describe(name, here, there)))
        print(f"{len(self.here)} files, {size:,} bytes, {len(different)} different")
        return different


def read(path: str) -> bytes:
    """Reads a file."""
    with open(path, "rb") as file:
        return file.read()


def _read_list(path: str) -> Iterator[list[str]]:
    with open(path, encoding="utf-8") as file:
        for line in file:
            yield line.split()


def _describe(name: str, here: bytes, there: bytes) -> Iterator[str]:
    """What differs: the first bytes that do, and lines where it is text."""
    at = next(
        (i for i, (a, b) in enumerate(zip(here, there, strict=False)) if a != b),
        min(len(here), len(there)),
    )
    yield f"{name}: {len(here)} and {len(there)} bytes, different from byte {at}:"
    yield f"  here  {here[at : at + 32].hex(' ')}  {here[at : at + 32]!r}"
    yield f"  there {there[at : at + 32].hex(' ')}  {there[at : at + 32]!r}"
    try:
        texts = [text.decode().splitlines() for text in (here, there)]
    except UnicodeDecodeError:
        return
    diff = difflib.unified_diff(*texts, "here", "there", lineterm="", n=1)
    for line, _ in zip(diff, range(40), strict=False):
        yield f"  {line}"
