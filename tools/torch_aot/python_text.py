"""What generated Python modules have in common."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import Any

from torch_aot.signature import Signature, TensorSpec


def read(manifest: str) -> tuple[dict[str, Any], Signature]:
    """A model's manifest, and the signature in it."""
    data = json.loads(manifest)
    return data, Signature.from_json(json.dumps(data["signature"]))


def about(signature: Signature, manifest: dict[str, Any], inputs: str) -> str:
    """Inputs under a title, outputs, state and instruction sets, for people."""
    parts = [
        _tensors(inputs, signature.inputs),
        _tensors("Outputs", signature.outputs),
    ]
    if signature.ranges:
        parts.append(_wrap(f"where {signature.ranges}."))
    if manifest["mutable_constants"]:
        parts.append(
            _wrap(
                "The model has state: its mutable buffers "
                f"({', '.join(manifest['mutable_constants'])}) keep their values from one "
                "run of an instance to the next, and start anew in each instance. Runs "
                "of one instance wait for one another."
            )
        )
    parts.append(_wrap(f"Compiled for {', '.join(manifest['isas'])}."))
    return "\n\n".join(parts)


def _tensors(title: str, specs: Sequence[TensorSpec]) -> str:
    lines = [f"    {spec.name}: {spec.type}" for spec in specs] or ["    none"]
    return "\n".join([f"{title}:", *lines])


def doc(text: str) -> str:
    """A text as it is written between three quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def literal(text: str) -> str:
    """Python reads JSON's texts."""
    return json.dumps(text, ensure_ascii=False)


def _wrap(text: str) -> str:
    return textwrap.fill(text, 84)
