"""What a shared library says of itself before it is loaded."""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

from rtorch import _native

_MACHINES = {62: "x86-64", 183: "aarch64"}  # e_machine
_SHARED = 3  # e_type
_LOAD, _DYNAMIC = 1, 2  # p_type
_NEEDED, _STRTAB = 1, 5  # d_tag


def needed(path: str) -> list[str]:
    """The libraries that a shared library names as those it needs.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: It is no shared library, or is for another CPU.
    """
    with open(_native.__file__, "rb") as file:
        ours = _machine(file)
    with open(path, "rb") as file:
        try:
            machine = _machine(file)
            libraries = _needed(file) if machine == ours else []
        except (struct.error, StopIteration, ValueError) as error:
            raise ImportError(
                f"{path}: no shared library for 64 bits, or damaged", path=path
            ) from error
    if machine != ours:
        raise ImportError(
            f"{path}: compiled for {_name(machine)}, and this is {_name(ours)}",
            path=path,
        )
    return libraries


def _machine(file: BinaryIO) -> int:
    """For which kind of CPU it is."""
    start = file.read(20)
    kind: int
    machine: int
    kind, machine = struct.unpack_from("<HH", start, 16)
    if start[:6] != b"\x7fELF\2\1" or kind != _SHARED:
        raise ValueError(start)
    return machine


def _name(machine: int) -> str:
    return _MACHINES.get(machine, f"the ELF machine {machine}")


def _needed(file: BinaryIO) -> list[str]:
    file.seek(0)
    header = file.read(64)
    (offset,) = struct.unpack_from("<Q", header, 32)
    size, count = struct.unpack_from("<HH", header, 54)
    file.seek(offset)
    table = file.read(size * count)
    segments = [  # type, offset, address, size in the file
        struct.unpack_from("<I4xQQ8xQ", table, i * size) for i in range(count)
    ]
    length = file.seek(0, os.SEEK_END)
    if any(offset + size > length for _, offset, _, size in segments):
        raise ValueError(length)
    dynamic = next(each for each in segments if each[0] == _DYNAMIC)
    file.seek(dynamic[1])
    entries = [*struct.iter_unpack("<QQ", file.read(dynamic[3]))]
    address = next(value for tag, value in entries if tag == _STRTAB)
    load = next(
        each
        for each in segments
        if each[0] == _LOAD and 0 <= address - each[2] < each[3]
    )
    file.seek(load[1] + address - load[2])
    strings = file.read(load[3] - (address - load[2]))
    return [
        strings[value : strings.index(b"\0", value)].decode()
        for tag, value in entries
        if tag == _NEEDED
    ]
