"""How machine code goes from the compiler to the launcher: a blob, and its contents."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

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


def read(prefixes: Sequence[str]) -> tuple[list[Part], bytes]:
    """Reads PREFIX.json and PREFIX.images of each prefix, and joins the blobs."""
    blobs = []
    for prefix in prefixes:
        with open(f"{prefix}.images", "rb") as file:
            blobs.append(file.read())
    blob, bases = _concatenate(blobs)
    parts = []
    for prefix, base in zip(prefixes, bases, strict=True):
        with open(f"{prefix}.json", encoding="utf-8") as file:
            part = Part(**json.load(file))
        rows = [{**row, "offset": base + row["offset"]} for row in part.rows]
        parts.append(dataclasses.replace(part, rows=rows))
    return parts, blob


def _concatenate(pieces: Sequence[bytes]) -> tuple[bytes, list[int]]:
    blob, offsets = bytearray(), []
    for piece in pieces:
        blob += bytes(-len(blob) % _ALIGNMENT)
        offsets.append(len(blob))
        blob += piece
    return bytes(blob), offsets
