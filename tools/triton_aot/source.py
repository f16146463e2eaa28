"""Finds a kernel in the user's file, and what it can be instantiated with."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import triton.language as tl
from triton.runtime.autotuner import Autotuner, Config, Heuristics
from triton.runtime.jit import JITFunction

from aot_common import user_file
from aot_common.errors import UserError, fail, first_lines
from aot_common.frames import Frame, user_frames
from aot_common.paths import shorten_path
from triton_aot.declaration import Instantiation

# What tuning may choose beside constexprs.
OPTIONS = ("num_warps", "num_stages", "num_ctas", "maxnreg")


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A @triton.jit function of the user's.

    Attributes:
        function: The function.
        where: "kernels/softmax.py:12".
        configs: The candidates of @triton.autotune, in order; empty without it.
        heuristics: What @triton.heuristics computes, by constexpr.
    """

    function: JITFunction
    where: str
    configs: list[Config]
    heuristics: Mapping[str, Any]

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.function.fn) or ""


@dataclasses.dataclass(frozen=True)
class Choice:
    """All that an instantiation leaves to tuning.

    Attributes:
        constexprs: Values of constexprs.
        options: Values of OPTIONS.
    """

    constexprs: Mapping[str, Any]
    options: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        return {**self.constexprs, **self.options}


def load(path: str) -> dict[str, Any]:
    """Runs the user's file; returns its names."""
    return vars(user_file.run(path, _explain))


def find(names: Mapping[str, Any], function: str, path: str, label: str) -> Kernel:
    """Finds a kernel among a file's names.

    Args:
        names: From load.
        function: The kernel's name.
        path: The file, for errors.
        label: The target, for errors.
    """
    where = shorten_path(path)
    found = names.get(function)
    configs: list[Config] = []
    heuristics: dict[str, Any] = {}
    inner = found
    while isinstance(inner, Autotuner | Heuristics):
        if isinstance(inner, Autotuner):
            configs = inner.configs
        else:
            heuristics |= inner.values
        inner = inner.fn
    if not isinstance(inner, JITFunction):
        kernels = [name for name, value in names.items() if _is_kernel(value)]
        what = (
            f"there is no kernel {function!r} in this file"
            if found is None
            else f"{function!r} is not a @triton.jit function"
        )
        fail(
            f"{what}, which {label} compiles",
            where=where,
            fix=f"name one of its kernels: {', '.join(kernels) or 'it has none'}",
        )
    return Kernel(inner, Frame(path, definition_line(inner)).where, configs, heuristics)


def choices(kernel: Kernel, instantiation: Instantiation) -> list[Choice]:
    """Lists what tuning can choose from: at least one, the first being the default."""
    configs = kernel.configs or [None]
    found = []
    for config in configs:
        constexprs = dict(config.kwargs) if config else {}
        options = {
            name: getattr(config, name)
            for name in OPTIONS
            if config and getattr(config, name) is not None
        }
        found.append(Choice(constexprs, options | dict(instantiation.options)))
    return found


def bind(
    kernel: Kernel, instantiation: Instantiation, choice: Choice, label: str
) -> dict[str, Any]:
    """Gives every constexpr its value.

    Args:
        kernel: The kernel.
        instantiation: Types and declared constexprs.
        choice: What tuning chose.
        label: The target, for errors.

    Returns:
        Values by parameter, for all parameters that are not in the signature.
    """
    parameters = {p.name: p for p in kernel.function.params}
    declared = instantiation.constexprs
    both = sorted(declared.keys() & choice.constexprs.keys())
    if both:
        fail(
            f"{label} sets {_list(both)}, which @triton.autotune chooses",
            where=kernel.where,
            fix="leave it out of `constexprs`, or out of the configurations",
        )
    surplus = [
        name
        for name in [*declared, *choice.constexprs, *instantiation.signature]
        if name not in parameters
    ]
    if surplus:
        fail(
            f"{label} gives {_list(surplus)}, which {kernel.function.__name__} does not "
            "have as a parameter",
            where=kernel.where,
            fix=f"its parameters are {', '.join(parameters)}",
        )
    typed = [n for n in instantiation.signature if parameters[n].is_constexpr]
    if typed:
        fail(
            f"{label} gives a type to {_list(typed)}, which the kernel declares as "
            "tl.constexpr",
            where=kernel.where,
            fix="give its value in `constexprs`",
        )
    twice = sorted(instantiation.signature.keys() & declared.keys())
    if twice:
        fail(
            f"{label} gives both a type and a value to {_list(twice)}",
            where=kernel.where,
            fix="leave it in one of `signature` and `constexprs`",
        )
    values = {
        name: _value(value, name, kernel.where)
        for name, value in {**declared, **choice.constexprs}.items()
    }
    for name, heuristic in kernel.heuristics.items():
        if name in values:
            continue
        try:
            values[name] = heuristic({**values, **choice.options})
        except Exception as error:
            fail(
                f"@triton.heuristics computes {name!r} from arguments that are known "
                f"only at launch ({type(error).__name__}: {error})",
                where=kernel.where,
                fix=f"give {name!r} in `constexprs`, with `when` for what it stands for",
            )
    for name, parameter in parameters.items():
        if name in values or name in instantiation.signature:
            continue
        if not parameter.has_default:
            kind = "value" if parameter.is_constexpr else "type"
            attribute = "constexprs" if parameter.is_constexpr else "signature"
            fail(
                f"{label} gives no {kind} to {name!r}",
                where=kernel.where,
                fix=f"add it to `{attribute}`",
            )
        values[name] = parameter.default
    return {name: values[name] for name in parameters if name in values}


def functions(kernel: Kernel) -> Iterator[JITFunction]:
    """The kernel, and the @triton.jit functions that it can call by a global name."""
    pending, seen = [kernel.function], set()
    while pending:
        function = pending.pop()
        if id(function) in seen:
            continue
        seen.add(id(function))
        yield function
        pending += [
            value
            for value in function.fn.__globals__.values()
            if isinstance(value, JITFunction)
        ]


def definition_line(function: JITFunction) -> int:
    """The line of a kernel's `def`, below its decorators."""
    lines = function.raw_src
    offset = next(
        (i for i, line in enumerate(lines) if line.lstrip().startswith("def ")), 0
    )
    return function.starting_line_number + offset


def _is_kernel(value: object) -> bool:
    return isinstance(value, JITFunction | Autotuner | Heuristics)


def _value(value: Any, name: str, where: str) -> Any:
    """A constexpr's value; "tl.float16" names a type."""
    if not isinstance(value, str) or not value.startswith("tl."):
        return value
    found = getattr(tl, value.removeprefix("tl."), None)
    if not isinstance(found, tl.dtype):
        fail(
            f"{value!r}, the value of {name!r}, is no type of triton.language",
            where=where,
            fix="give for example tl.float16, tl.bfloat16 or tl.float32",
        )
    return found


def _list(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _explain(doing: str, error: BaseException, where: str) -> UserError:
    return user_file.explain(
        doing,
        error,
        where,
        text=first_lines(str(error)),
        stack=user_frames(error),
        fixes=_FIXES,
    )


# By what the user's file raises.
_FIXES = {
    ModuleNotFoundError: "add the library that holds it to the triton_library's deps",
    BaseException: "correct the line, or move it out of the module's body",
}
