"""How machine code goes from the compiler to the launcher: a blob, and its contents."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from triton_aot import architectures, declaration
from triton_aot.architectures import Architecture
from triton_aot.declaration import Instantiation

_ALIGNMENT = 64  # bytes, of an image in a blob


@dataclasses.dataclass(frozen=True)
class Image:
    """An instantiation as machine code.

    Attributes:
        code: A cubin, an hsaco, or PTX with a terminating zero; empty if there is none.
        metadata: What the launcher and the manifest say about it; JSON.
    """

    code: bytes
    metadata: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Part:
    """One C++ function, compiled for one architecture.

    Attributes:
        architecture: "sm_90".
        source: The Python file.
        declaration: What triton_kernel() returned, as it was given.
        rows: Metadata of each image, with its `offset` and `size` in the blob.
    """

    architecture: str
    source: str
    declaration: Sequence[str]
    rows: Sequence[Mapping[str, Any]]


def pack(
    images: Sequence[Image], architecture: str, source: str, declared: Sequence[str]
) -> tuple[bytes, str]:
    """Joins images; returns the blob, and a Part as JSON."""
    blob, rows = _concatenate([image.code for image in images])
    part = Part(
        architecture,
        source,
        declared,
        [
            {**image.metadata, "offset": offset, "size": len(image.code)}
            for image, offset in zip(images, rows, strict=True)
        ],
    )
    return blob, json.dumps(dataclasses.asdict(part), indent=2) + "\n"


@dataclasses.dataclass(frozen=True)
class Contents:
    """What the stage `kernel` wrote of one target.

    Attributes:
        source: The Python file, as it was named to the compiler.
        architectures: In the order in which the device's is looked up.
        instantiations: In the order in which they are tried, each with the metadata of
            its images by the name of the architecture; one for each candidate.
        blob: All images; `offset` of an image's metadata refers to it.
    """

    source: str
    architectures: Sequence[Architecture]
    instantiations: Sequence[
        tuple[Instantiation, Mapping[str, Sequence[Mapping[str, Any]]]]
    ]
    blob: bytes


def read(prefixes: Sequence[str], label: str) -> Contents:
    """Reads PREFIX.json and PREFIX.images of each prefix, and joins the blobs.

    Args:
        prefixes: The stage's --out of each kernel and architecture.
        label: The target, for errors.
    """
    blobs = []
    for prefix in prefixes:
        with open(f"{prefix}.images", "rb") as file:
            blobs.append(file.read())
    blob, bases = _concatenate(blobs)
    names: dict[str, None] = {}
    found: dict[tuple[str, str], tuple[Instantiation, dict[str, list[Any]]]] = {}
    for prefix, base in zip(prefixes, bases, strict=True):
        with open(f"{prefix}.json", encoding="utf-8") as file:
            part = Part(**json.load(file))
        names[part.architecture] = None
        for each in declaration.parse(part.declaration, label):
            _, rows = found.setdefault((each.name, each.id), (each, {}))
            rows[part.architecture] = [
                {**row, "offset": base + row["offset"]}
                for row in part.rows
                if row["id"] == each.id
            ]
    return Contents(
        part.source,
        [architectures.parse(name, label) for name in names],
        list(found.values()),
        blob,
    )


def _concatenate(pieces: Sequence[bytes]) -> tuple[bytes, list[int]]:
    blob, offsets = bytearray(), []
    for piece in pieces:
        blob += bytes(-len(blob) % _ALIGNMENT)
        offsets.append(len(blob))
        blob += piece
    return bytes(blob), offsets
