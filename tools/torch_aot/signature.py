"""A model's inputs and outputs: names, dtypes, symbolic shapes."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

# torch's dtypes by name, with their RTorchDType and their C++ type.
DTYPES = {
    "uint8": (0, "std::uint8_t"),
    "int8": (1, "std::int8_t"),
    "int16": (2, "std::int16_t"),
    "int32": (3, "std::int32_t"),
    "int64": (4, "std::int64_t"),
    "float16": (5, "::rules_torch::float16"),
    "float32": (6, "float"),
    "float64": (7, "double"),
    "bool": (11, "bool"),
    "bfloat16": (15, "::rules_torch::bfloat16"),
}

MAX_RANK = 8  # RTORCH_MAX_RANK


@dataclasses.dataclass(frozen=True)
class Dim:
    """One dimension: `scale * symbol + offset`, or a fixed size, or unknown.

    Attributes:
        text: As people write it: "3", "batch", "2*batch + 1", "?".
        min: Smallest size.
        max: Largest size, or None for no bound.
        symbol: Name of the symbol it is linear in, or None.
        known: False if neither fixed nor linear in one symbol.
    """

    text: str
    min: int
    max: int | None
    symbol: str | None = None
    scale: int = 1
    offset: int = 0
    known: bool = True


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """One input or output tensor."""

    name: str
    dtype: str
    dims: tuple[Dim, ...]

    @property
    def type(self) -> str:
        """`float32[batch, 3, 224, 224]`."""
        return f"{self.dtype}[{', '.join(dim.text for dim in self.dims)}]"


@dataclasses.dataclass(frozen=True)
class Signature:
    """Everything about a model that its caller can see.

    Attributes:
        inputs: The tensors among the flattened inputs, in order.
        outputs: The tensors among the flattened outputs, in order.
        symbols: Names and ranges of the dynamic dimensions: (min, max or None).
        source: The entry that it was exported from: "models/resnet.py:resnet18".
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    symbols: dict[str, tuple[int, int | None]]
    source: str

    @property
    def text(self) -> str:
        """`(image: float32[batch, 3]) -> (logits: float32[batch, 10])`."""
        sides = (
            ", ".join(f"{spec.name}: {spec.type}" for spec in side)
            for side in (self.inputs, self.outputs)
        )
        return " -> ".join(f"({side})" for side in sides)

    @property
    def ranges(self) -> str:
        """`1 <= batch <= 64`, several separated by commas."""
        return ", ".join(map(self.range_of, self.symbols))

    def range_of(self, symbol: str) -> str:
        """`1 <= batch <= 64`, or `1 <= batch`."""
        low, high = self.symbols[symbol]
        return f"{low} <= {symbol}" + ("" if high is None else f" <= {high}")

    def to_json(self) -> str:
        """Serialises the signature, the same text for equal signatures."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @staticmethod
    def from_json(text: str) -> Signature:
        """Reads what to_json wrote."""

        def tensors(items: list[dict[str, Any]]) -> tuple[TensorSpec, ...]:
            return tuple(
                TensorSpec(
                    item["name"],
                    item["dtype"],
                    tuple(Dim(**dim) for dim in item["dims"]),
                )
                for item in items
            )

        data = json.loads(text)
        return Signature(
            inputs=tensors(data["inputs"]),
            outputs=tensors(data["outputs"]),
            symbols={
                name: (low, high) for name, (low, high) in data["symbols"].items()
            },
            source=data["source"],
        )
