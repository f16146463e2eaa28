"""Example inputs as a build file has them: `float32[batch=1..64, 8]`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NoReturn

import torch

from aot_common.errors import fail
from torch_aot import signature as sig

FORM = (
    'write it like "float32[batch=1..64, 8]": a dtype, and of each dimension the size or a '
    "name with the range of sizes; of one argument among others with defaults, "
    '"mask: bool[8]"'
)

_ITEM = re.compile(r"(?:(\w+)\s*:\s*)?(\w+)\s*\[([^\[\]]*)\]")
_DIM = re.compile(r"(\d+)|([A-Za-z_]\w*)(?:\s*=\s*(\d+)\s*\.\.\s*(\d*))?")


def parse(
    texts: Sequence[str], schema: torch._C.FunctionSchema, where: str
) -> tuple[dict[str, torch.Tensor], dict[str, dict[int, Any]]]:
    """Makes the example inputs of a method of TorchScript's.

    Floating-point numbers are random. Integers are 0, as they may be indices.

    Args:
        texts: One for each argument, in order; or with the argument's name in front.
        schema: The method's.
        where: What errors name.

    Returns:
        The inputs and their dynamic dimensions, by argument, as `Model` takes them.

    Raises:
        UserError: One of the texts says something else, or they do not fit the method.
    """
    arguments = {each.name: each for each in schema.arguments[1:]}
    signature = ", ".join(f"{name}: {arguments[name].type}" for name in arguments)
    remaining = list(arguments)
    symbols: dict[str, Any] = {}
    inputs: dict[str, torch.Tensor] = {}
    shapes: dict[str, dict[int, Any]] = {}
    for i, text in enumerate(texts):

        def reject(
            what: str, fix: str = FORM, i: int = i, text: str = text
        ) -> NoReturn:
            fail(f"example_inputs[{i}], {text!r}, {what}", where=where, fix=fix)

        item = _ITEM.fullmatch(text.strip())
        if item is None:
            reject("is not a dtype with sizes in brackets")
        name, dtype, dims = item[1] or next(iter(remaining), ""), item[2], item[3]
        if name not in remaining:
            reject(
                "is for no argument that is left"
                if name in arguments or not name
                else f"is for an argument {name!r}, which there is not",
                f"give one for each argument of forward({signature})",
            )
        remaining.remove(name)
        if str(arguments[name].type) not in ("Tensor", "Optional[Tensor]"):
            reject(
                f"is for the argument {name!r}, which is no tensor but of the type "
                f"{arguments[name].type}",
                "write a Python `src` that returns Model(torch.jit.load(path), inputs=...)",
            )
        if dtype not in sig.DTYPES:
            reject(f"has the dtype {dtype}", f"take one of {', '.join(sig.DTYPES)}")
        sizes: list[int] = []
        shapes[name] = {}
        for dim in filter(None, re.split(r"\s*,\s*", dims.strip())):
            found = _DIM.fullmatch(dim)
            if found is None:
                reject(f"has {dim!r} for a dimension")
            if found[1]:
                sizes.append(int(found[1]))
                continue
            symbol = _symbol(symbols, found, reject)
            shapes[name][len(sizes)] = symbol
            sizes.append(_example_size(symbols, symbol))
        inputs[name] = _tensor(getattr(torch, dtype), sizes)
    missing = [name for name in remaining if not arguments[name].has_default_value()]
    if missing:
        fail(
            f"example_inputs has {len(texts)} of the inputs of forward({signature}); "
            f"{', '.join(missing)} is missing",
            where=where,
            fix=FORM,
        )
    return inputs, shapes


def _symbol(symbols: dict[str, Any], found: re.Match[str], reject: Any) -> Any:
    name, low, high = found[2], found[3], found[4]
    if low is None:
        if name not in symbols:
            reject(f"has a dimension {name} without a range", f'write "{name}=1..64"')
        return symbols[name]
    bounds = {"min": int(low)} | ({"max": int(high)} if high else {})
    if high and int(high) < max(int(low), 2):
        reject(
            f"has no size of 2 or more in the range of {name}",
            "give a larger range, or a size that is fixed",
        )
    made = torch.export.Dim(name, **bounds)
    known = symbols.setdefault(name, made)
    if (known.min, known.max) != (made.min, made.max):
        reject(f"has another range for {name} than the one before", "write it once")
    return known


def _example_size(symbols: dict[str, Any], symbol: Any) -> int:
    """A size of 2 or more, and of each symbol another one if there is room."""
    size = max(symbol.min, 2) + [*symbols].index(symbol.__name__)
    return min(size, symbol.max)


def _tensor(dtype: torch.dtype, sizes: Sequence[int]) -> torch.Tensor:
    if dtype.is_floating_point:
        return torch.randn(sizes, dtype=torch.float32).to(dtype)
    return torch.zeros(sizes, dtype=dtype)
