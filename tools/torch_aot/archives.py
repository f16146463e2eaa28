"""What a file of PyTorch's is, told by what is in it: endings say little."""

from __future__ import annotations

import enum
import os
import zipfile
from collections.abc import Mapping

from aot_common.errors import fail

# What zipfile raises for archives that are none, or damaged.
_BROKEN = (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, ValueError)


class Kind(enum.Enum):
    """What torch writes into zip archives; the value is how messages call it."""

    PROGRAM = "an ExportedProgram"
    COMPILED = "an AOTInductor package"
    TORCHSCRIPT = "a TorchScript archive"
    PICKLE = "what torch.save wrote"


def kind(path: str) -> Kind | None:
    """What a file is; None if it is none of those.

    Raises:
        OSError: The file cannot be read.
    """
    names = contents(path)
    if "constants.pkl" in names:
        return Kind.TORCHSCRIPT
    if any(name.startswith("data/aotinductor/") for name in names):
        return Kind.COMPILED  # a program may be beside it
    if "serialized_exported_program.json" in names:  # of torch 2.7 or before
        return Kind.PROGRAM
    if "archive_format" in names and any(name.startswith("models/") for name in names):
        return Kind.PROGRAM
    return Kind.PICKLE if "data.pkl" in names else None


def contents(path: str) -> set[str]:
    """The names of a zip archive's files, without the folder that torch puts around them.

    Before torch 2.8, programs had none. What is no archive, or a broken one, has no names.

    Raises:
        OSError: The file cannot be read.
    """
    with open(path, "rb") as file:
        try:
            parts = zipfile.ZipFile(file).infolist()
        except _BROKEN:
            return set()
    if parts and min(part.header_offset for part in parts) > 0:
        return set()  # a file within one that has lost its end
    return {part.filename.partition("/")[2] or part.filename for part in parts}


def damage(path: str) -> str:
    """What is damaged in a zip archive: the first of its files with a wrong checksum, or ""."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            try:
                with archive.open(name) as file:
                    while file.read(1 << 20):
                        pass
            except _BROKEN:
                return name
    return ""


def is_lfs_pointer(path: str) -> bool:
    """Whether Git LFS keeps the file's contents elsewhere."""
    with open(path, "rb") as file:
        return file.read(40).startswith(b"version https://git-lfs")


def check(
    path: str, where: str, wanted: Kind, others: Mapping[Kind, str], fix: str
) -> None:
    """Checks that a file is of a kind, and whole.

    Args:
        path: The file.
        where: What errors name.
        wanted: What it should be.
        others: What to do about a file of another kind.
        fix: What to do about one of no kind.

    Raises:
        UserError: It is not.
        OSError: The file cannot be read.
    """
    with open(path, "rb") as file:
        start = file.read(4)
    found = kind(path)
    if found is wanted:
        if damaged := damage(path):
            fail(
                f"the file is damaged: {damaged} has another checksum than it says",
                where=where,
                fix="fetch it again",
            )
        return
    if found is not None:
        fail(
            f"the file is {found.value}, not {wanted.value}",
            where=where,
            fix=others[found],
        )
    if is_lfs_pointer(path):
        fail(
            f"the file is a Git LFS pointer, not {wanted.value}",
            where=where,
            fix="run `git lfs pull`",
        )
    size = f"({os.path.getsize(path):,} bytes)"
    if start.startswith(b"PK") and not contents(path):
        fail(
            f"the file is cut short: it is a zip archive without its end {size}",
            where=where,
            fix="fetch it again",
        )
    fail(f"the file is not {wanted.value} {size}", where=where, fix=fix)
