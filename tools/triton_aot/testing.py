"""Runs what a cc_triton_library instantiates, on machines with no GPU.

Triton's interpreter executes kernels with NumPy. A test compares every instantiation
with a reference:

    from triton_aot.testing import instantiations

    @pytest.mark.parametrize("add", instantiations("kernels/add.manifest.json"), ids=str)
    def test_add(add):
        x = torch.randn(1000).to(add.dtype("x"))
        ...
        add(out=out, x=x, y=y, n=1000)

Import this module before Triton: it sets TRITON_INTERPRET, which Triton reads when it
is imported. The interpreter knows nothing of warps, stages and shared memory, and
computes element by element in the declared types: races and wrong synchronisation do
not show.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from triton_aot.declaration import Type
from triton_aot.expressions import Expression

_DTYPES = {
    "i1": "bool",
    "u8": "uint8",
    "fp16": "float16",
    "bf16": "bfloat16",
    "fp32": "float32",
    "fp64": "float64",
    "fp8e4nv": "float8_e4m3fn",
    "fp8e5": "float8_e5m2",
    **{f"i{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"u{bits}": f"uint{bits}" for bits in (16, 32, 64)},
}


class MisfitError(ValueError):
    """Arguments break a promise that the instantiation was compiled with."""


@dataclasses.dataclass(frozen=True)
class Instantiation:
    """A kernel with types and constexprs.

    Attributes:
        kernel: The C++ function, without its namespace.
        id: What tells it from the kernel's others.
        targets: The architectures that are compiled with these constexprs.
        signature: Types with hints, "*fp32:16", by parameter.
        constexprs: Values by parameter.
        when: The declared condition, or None.
        grid: The declared grid; empty if the caller gives it.
    """

    kernel: str
    id: str
    targets: Sequence[str]
    signature: Mapping[str, str]
    constexprs: Mapping[str, Any]
    when: Expression | None
    grid: Sequence[Expression]
    _source: str
    _function: str

    def __str__(self) -> str:
        return f"{self.kernel}[{self.id}]" if self.id else self.kernel

    @functools.cached_property
    def _types(self) -> dict[str, Any]:
        return {name: Type.parse(text) for name, text in self.signature.items()}

    def dtype(self, name: str) -> Any:
        """The torch.dtype of a scalar, or of what a pointer points to."""
        import torch

        return getattr(torch, _DTYPES[self._types[name].element])

    def fits(self, **scalars: int) -> bool:
        """Whether scalars keep what the instantiation was promised of them.

        Args:
            scalars: Those that hints and `when` are about; others may be missing.
        """
        return not self._misfit(scalars)

    def __call__(
        self,
        grid: Sequence[int] | None = None,
        *,
        multiprocessors: int = 2,
        **arguments: Any,
    ) -> None:
        """Runs the kernel on CPU tensors.

        Args:
            grid: The launch grid, for a kernel that declares none.
            multiprocessors: What the grid's variable of that name is.
            arguments: A tensor for each pointer, a number for each scalar.

        Raises:
            MisfitError: A hint, a type or `when` does not hold, or a grid is not one.
            TypeError: An argument is missing, or is none of the kernel's.
        """
        self._check_names(arguments)
        misfit = self._misfit(arguments)
        if misfit:
            raise MisfitError(f"{self}: {misfit}")
        values = {**self._scalars(arguments), "multiprocessors": multiprocessors}
        if (grid is None) != bool(self.grid):
            state = "declares its grid" if self.grid else "has no grid of its own"
            raise TypeError(
                f"{self} {state}; give one {'less' if self.grid else 'more'}"
            )
        axes = tuple(grid or (int(axis.evaluate(values)) for axis in self.grid))
        if not all(0 < axis < 1 << 31 for axis in axes) or len(axes) > 3:
            raise MisfitError(f"{self}: the grid is {axes}")
        function = _load(self._source, self._function)
        converted = {
            name: _convert(type_, arguments[name])
            for name, type_ in self._types.items()
        }
        function[axes](**converted, **self.constexprs)

    def _scalars(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What the kernel's expressions can refer to."""
        numbers = {
            name: arguments[name]
            for name, type_ in self._types.items()
            if name in arguments and not type_.is_pointer
        }
        return {**self.constexprs, **numbers}

    def _check_names(self, arguments: Mapping[str, Any]) -> None:
        missing = [name for name in self.signature if name not in arguments]
        surplus = [name for name in arguments if name not in self.signature]
        if missing:
            raise TypeError(f"{self} needs {', '.join(missing)}")
        if surplus:
            raise TypeError(f"{self} does not take {', '.join(surplus)}")

    def _misfit(self, arguments: Mapping[str, Any]) -> str:
        """Says what does not hold, of what is known; empty if nothing."""
        for name, value in arguments.items():
            problem = _problem(self._types[name], value)
            if problem:
                return f"{name} {problem}"
        values = self._scalars(arguments)
        if (
            self.when
            and all(name in values for name in self.when.names)
            and not self.when.evaluate(values)
        ):
            found = ", ".join(f"{name}={values[name]}" for name in self.when.names)
            return f"{self.when} does not hold, with {found}"
        return ""


def instantiations(manifest: str, kernel: str | None = None) -> list[Instantiation]:
    """Lists what a library compiles.

    An instantiation whose constexprs tuning chose differently for some architectures is
    listed once for each choice.

    Args:
        manifest: The path of NAME.manifest.json. A test gets it, and the source it
            names, as data: a filegroup of the library's output group
            triton_generated, and the triton_library.
        kernel: A C++ function; by default, all.

    Raises:
        ValueError: The library has no such kernel.
        RuntimeError: Triton compiles in this process, since it was imported before.
    """
    _interpret()
    with open(manifest, encoding="utf-8") as file:
        data = json.load(file)
    found = [
        each
        for row in data["kernels"]
        if kernel in (None, row["name"])
        for each in _of_kernel(data["source"], row)
    ]
    if not found:
        names = ", ".join(dict.fromkeys(row["name"] for row in data["kernels"]))
        raise ValueError(f"{data['label']} has no kernel {kernel!r}, only {names}")
    return found


def _of_kernel(source: str, row: Mapping[str, Any]) -> Iterator[Instantiation]:
    for each in row["instantiations"]:
        choices: dict[str, list[str]] = {}
        for target, image in each["targets"].items():
            key = json.dumps(image["constexprs"], sort_keys=True)
            choices.setdefault(key, []).append(target)
        for key, targets in choices.items():
            also = [f"for {' '.join(targets)}"] if len(choices) > 1 else []
            yield Instantiation(
                kernel=row["name"],
                id=", ".join([*([each["id"]] if each["id"] else []), *also]),
                targets=tuple(targets),
                signature=each["signature"],
                constexprs=json.loads(key),
                when=Expression(each["when"]) if each["when"] else None,
                grid=tuple(Expression(text) for text in each["grid"]),
                _source=source,
                _function=row["function"],
            )


def _problem(type_: Type, value: Any) -> str:
    """What is wrong with an argument, or an empty string."""
    if type_.is_pointer:
        dtype = _DTYPES[type_.element]
        if str(value.dtype) != f"torch.{dtype}":
            return f"is a tensor of {value.dtype}, not of torch.{dtype}"
        if type_.hint and value.data_ptr() % type_.hint:
            return f"is not aligned to {type_.hint} bytes"
        return ""
    if not type_.is_integer:
        return ""
    if not type_.range.start <= value < type_.range.stop:
        return f"is {value}, which is no {type_.name}"
    if type_.hint == 1 and value != 1:
        return f"is {value}, not 1"
    if type_.hint > 1 and value % type_.hint:
        return f"is {value}, not a multiple of {type_.hint}"
    return ""


def _convert(type_: Type, value: Any) -> Any:
    """Gives a scalar the declared type: of a number, the interpreter guesses one."""
    if type_.is_pointer:
        return value
    import numpy as np
    import triton.language as tl
    from triton.runtime.interpreter import TensorHandle, _get_np_dtype

    scalar = tl.str_to_ty(type_.name, None)
    if type_.name == "bf16":
        rounded = _bfloat16_bits(np.array([value], np.float32))
        return tl.tensor(TensorHandle(rounded, scalar), scalar)
    array = np.array([value]).astype(_get_np_dtype(scalar))
    return tl.tensor(TensorHandle(array, scalar), scalar)


@functools.cache
def _load(path: str, name: str) -> Any:
    """Imports a kernel, without what @triton.autotune and heuristics wrapped it in."""
    from triton.runtime.interpreter import InterpretedFunction

    function = _names(path)[name]
    while not isinstance(function, InterpretedFunction):
        function = function.fn
    return function


@functools.cache
def _names(path: str) -> Mapping[str, Any]:
    """Runs the user's file, once."""
    from triton_aot import source

    return source.load(path)


def _interpret() -> None:
    """Checks that Triton interprets, and mends its bfloat16."""
    from triton import language as tl
    from triton.runtime.interpreter import InterpretedFunction

    if not isinstance(tl.cdiv, InterpretedFunction):
        raise RuntimeError(
            "triton was imported before triton_aot.testing, and compiles kernels now; "
            "import triton_aot.testing first, or set TRITON_INTERPRET=1"
        )
    _mend_bfloat16()


@functools.cache
def _mend_bfloat16() -> None:
    """Makes the interpreter compute with bfloat16 as GPUs do.

    It keeps bfloat16 as 16-bit integers; Triton 3.7.1 also adds and multiplies them as
    such, and cuts off bits where GPUs round to the nearest.
    """
    import numpy as np
    from triton import language as tl
    from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

    cast = InterpreterBuilder.cast_impl
    binary = InterpreterBuilder.binary_op
    dot = InterpreterBuilder.create_dot

    def widen(handle: Any) -> Any:
        if handle.dtype.scalar != tl.bfloat16:
            return handle
        bits = handle.data.astype(np.uint32) << 16
        return TensorHandle(bits.view(np.float32), tl.float32)

    def cast_impl(self: Any, handle: Any, type_: Any) -> Any:
        wide = widen(handle)
        if type_.scalar != tl.bfloat16:
            return cast(self, wide, type_)
        numbers = wide.data.astype(np.float32)
        return TensorHandle(_bfloat16_bits(numbers), tl.bfloat16)

    def binary_op(self: Any, left: Any, right: Any, op: Any) -> Any:
        result = binary(self, widen(left), widen(right), op)
        if left.dtype.scalar != tl.bfloat16 or result.data.dtype == bool:
            return result
        return cast_impl(self, result, tl.bfloat16)

    def create_dot(self: Any, a: Any, b: Any, *rest: Any) -> Any:
        return dot(self, widen(a), widen(b), *rest)

    InterpreterBuilder.cast_impl = cast_impl
    InterpreterBuilder.binary_op = binary_op
    InterpreterBuilder.create_dot = create_dot


def _bfloat16_bits(numbers: Any) -> Any:
    """Rounds float32 to the nearest bfloat16, ties to even; as 16-bit integers."""
    import numpy as np

    bits = np.ascontiguousarray(numbers).view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(numbers), np.uint16(0x7FC0), rounded)


if "triton" not in sys.modules:
    os.environ["TRITON_INTERPRET"] = "1"
