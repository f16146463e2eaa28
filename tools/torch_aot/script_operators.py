"""TorchScript's operators on numbers and containers, and those that read sizes.

What is known when a model is compiled is computed by torch's own functions. Here is what
symbols and data need, and what changes lists and dicts of Python's.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import torch

from torch_aot import signature as sig
from torch_aot import upstream
from torch_aot.script_values import (
    SYMBOLS,
    Data,
    items_of,
    to_tensor,
)


class Unsupported(Exception):
    """What is not compiled; the text says what."""


def compute(name: str, values: list[Any], kind: str) -> Any:
    """Computes an operator on numbers, of which some are symbols or data.

    Args:
        name: The operator's, without "aten::" or "prim::".
        values: Its arguments.
        kind: What number TorchScript says it returns, a key of `DTYPES`, or "".

    Raises:
        Unsupported: There is no such operator here.
    """
    of_data = any(isinstance(value, Data) for value in values)
    function = (_OF_DATA if of_data else _OF_SYMBOLS).get(name)
    if name in _COMPOSED:
        return _COMPOSED[name](*values)
    if function is None:
        raise Unsupported(f"{name} of a number that is data or a dynamic size")
    if not of_data:
        return function(*values)
    tensors = [to_tensor(value) for value in values]
    if any(tensor.is_floating_point() for tensor in tensors) or name in _OF_FLOATS:
        tensors = [tensor.to(torch.float64) for tensor in tensors]
    elif name not in _LOGICAL:
        tensors = [tensor.to(torch.int64) for tensor in tensors]
    result = function(*tensors)
    found = "bool" if result.dtype == torch.bool else "int"
    return Data(result, kind or ("float" if result.is_floating_point() else found))


def convert(kind: str, value: Any) -> Any:
    """int(), float() or bool() of a tensor of one element or of a number."""
    if isinstance(value, str):
        return {"int": int, "float": float}[kind](value)
    if isinstance(value, Data):
        value = value.tensor
    if isinstance(value, torch.Tensor):
        if value.numel() != 1:
            raise Unsupported(f"{kind}() of a tensor of {value.numel()} elements")
        return Data(value != 0 if kind == "bool" else value, kind)
    if not isinstance(value, SYMBOLS):
        return {"int": int, "float": float, "bool": bool}[kind](value)
    if kind == "bool":
        return value != 0
    return torch.sym_int(value) if kind == "int" else torch.sym_float(value)


def item(tensor: torch.Tensor) -> Data:
    """The element of a tensor, as a number of its own kind."""
    kind = "float" if tensor.is_floating_point() else "int"
    return convert("bool" if tensor.dtype == torch.bool else kind, tensor)


@functools.cache
def _dtypes() -> dict[int, torch.dtype]:
    named = (getattr(torch, name) for name in (*sig.DTYPES, "complex64", "complex128"))
    return {upstream.number_of_dtype(torch.empty(0, dtype=d)): d for d in named}


def tensor_of(data: Any, number: int | None, inside: bool) -> torch.Tensor:
    """torch.tensor(data, dtype=...), of numbers of all kinds and lists of them.

    Args:
        data: The numbers.
        number: TorchScript's of the dtype.
        inside: Whether this is in an `if` or a loop that becomes an operator, which can
            have no tensors of its own.
    """
    dtype = None if number is None else _dtypes().get(number)
    if dtype is None and number is not None:
        raise Unsupported("torch.tensor() of this dtype")
    if not inside and not _is_symbolic(data):
        return torch.tensor(data, dtype=dtype)
    made = _rows(data)
    if dtype is None and made.is_floating_point():
        dtype = torch.get_default_dtype()
    return made.to(dtype or made.dtype)


def _rows(data: Any) -> torch.Tensor:
    return torch.stack([*map(_rows, data)]) if items_of(data) else to_tensor(data)


def is_symbolic(values: Any) -> bool:
    """Whether there is a number among values that is data or a symbol."""
    return any(map(_is_symbolic, values))


def _is_symbolic(value: Any) -> bool:
    return isinstance(value, (Data, *SYMBOLS)) or is_symbolic(items_of(value))


def _range_length(low: Any, high: Any, step: Any) -> Any:
    if is_symbolic([step]):
        raise Unsupported("range() with a step that is data or a dynamic size")
    rounded = _add(_subtract(high, low), step - (1 if step > 0 else -1))
    return _call("max", _call("floordiv", rounded, step), 0)


def _derive_index(index: Any, start: Any, step: Any) -> Any:
    return _add(start, _call("mul", index, step))


def _call(name: str, *values: Any) -> Any:
    if is_symbolic(values):
        return compute(name, [*values], "int")
    return _KNOWN[name](*values)


def _add(a: Any, b: Any) -> Any:
    return _call("add", a, b)


def _subtract(a: Any, b: Any) -> Any:
    return _call("sub", a, b)


_KNOWN: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "floordiv": operator.floordiv,
    "max": max,
    "mul": operator.mul,
    "sub": operator.sub,
}

_COMPOSED: dict[str, Callable[..., Any]] = {
    "__derive_index": _derive_index,
    "__range_length": _range_length,
}

_COMPARISONS = {name: getattr(operator, name) for name in "eq ge gt le lt ne".split()}

_OF_SYMBOLS: dict[str, Callable[..., Any]] = {
    **_COMPARISONS,
    **_KNOWN,
    "__and__": operator.and_,
    "__not__": torch.sym_not,
    "__or__": operator.or_,
    "div": operator.truediv,
    "max": torch.sym_max,
    "min": torch.sym_min,
    "neg": operator.neg,
    "remainder": operator.mod,
}

_LOGICAL = {"__and__", "__not__", "__or__", "__xor__", "eq", "ne"}
_OF_FLOATS = {"ceil", "div", "exp", "floor", "log", "pow", "sqrt"}

_OF_DATA: dict[str, Callable[..., torch.Tensor]] = {
    **{name: getattr(torch, name) for name in _COMPARISONS},
    "__and__": torch.bitwise_and,
    "__not__": torch.logical_not,
    "__or__": torch.bitwise_or,
    "__xor__": torch.bitwise_xor,
    "abs": torch.abs,
    "add": torch.add,
    "ceil": torch.ceil,
    "div": torch.div,
    "exp": torch.exp,
    "floor": torch.floor,
    "floordiv": lambda a, b: torch.div(a, b, rounding_mode="floor"),
    "log": torch.log,
    "max": torch.maximum,
    "min": torch.minimum,
    "mul": torch.mul,
    "neg": torch.neg,
    "pow": torch.pow,
    "remainder": torch.remainder,
    "sqrt": torch.sqrt,
    "sub": torch.sub,
}

# What may be computed although no run asks for it: it has no errors and no effects.
HARMLESS = frozenset(
    f"aten::{name}"
    for name in [*_COMPARISONS, "Bool", "__and__", "__not__", "__or__", "add", "mul"]
) | {"prim::Constant"}


def _append(items: list[Any], item: Any) -> list[Any]:
    items.append(item)
    return items


def _set_item(items: Any, key: Any, item: Any) -> Any:
    items[key] = item
    return items


def _add_in_place(items: list[Any], more: list[Any]) -> list[Any]:
    items += more
    return items


def _slice(
    items: list[Any], start: int | None, end: int | None, step: int
) -> list[Any]:
    return items[start:end:step]


# By name, for those whose first argument is a list or dict; these keep it as it is.
READING: dict[str, Callable[..., Any]] = {
    "__contains__": operator.contains,
    "__getitem__": operator.getitem,
    "add": operator.add,
    "copy": lambda items: items.copy(),
    "eq": operator.eq,
    "get": lambda items, key, default=None: items.get(key, default),
    "items": lambda items: [*items.items()],
    "keys": lambda items: [*items],
    "len": len,
    "list": lambda items: [*items],
    "mul": operator.mul,
    "ne": operator.ne,
    "slice": _slice,
    "values": lambda items: [*items.values()],
}

CHANGING: dict[str, Callable[..., Any]] = {
    "Delete": operator.delitem,
    "_set_item": _set_item,
    "add_": _add_in_place,
    "append": _append,
    "clear": lambda items: items.clear(),
    "extend": lambda items, more: items.extend(more),
    "insert": lambda items, index, item: items.insert(index, item),
    "pop": lambda items, *key: items.pop(*key),
    "reverse": lambda items: items.reverse(),
    "update": lambda items, more: items.update(more),
}

# Of tensors: what TorchScript has as numbers.
OF_TENSORS: dict[str, Callable[..., Any]] = {
    "Bool": lambda tensor: convert("bool", tensor),
    "Float": lambda tensor: convert("float", tensor),
    "FloatImplicit": lambda tensor: convert("float", tensor),
    "Int": lambda tensor: convert("int", tensor),
    "IntImplicit": lambda tensor: convert("int", tensor),
    "ScalarImplicit": item,
    "dim": lambda tensor: tensor.dim(),
    "is_nonzero": lambda tensor: convert("bool", tensor),
    "item": item,
    "len": lambda tensor: tensor.shape[0],
    "numel": lambda tensor: tensor.numel(),
    "size": lambda tensor, *dim: tensor.shape[dim[0]] if dim else [*tensor.shape],
    "stride": lambda tensor, *dim: tensor.stride(*dim) if dim else [*tensor.stride()],
}

CONVERSIONS = {"Bool": "bool", "Float": "float", "Int": "int"}
