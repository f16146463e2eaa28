"""What the user declares about sizes, and what the model's code asks of them."""

from __future__ import annotations

import dataclasses
import re
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import sympy
import torch

from aot_common.errors import UserError, error_at, fail
from aot_common.frames import Frame
from aot_common.paths import is_user_file
from torch_aot import upstream
from torch_aot.model import Model
from torch_aot.torch_errors import summary
from torch_aot.upstream import pytree

# Inputs' dynamic dimensions: by position, what the user gave for each.
Shape = dict[int, Any]

_STRUCTURE_FIX = (
    "give a dict from forward's argument names, or a tuple with one entry for each argument; "
    "an entry is None or {dimension: Dim} for a tensor, and nested like the argument otherwise"
)


def check(
    model: Model, args: tuple[Any, ...], kwargs: dict[str, Any], names: Sequence[str]
) -> list[Shape]:
    """Checks the user's dynamic shapes against the example inputs.

    Args:
        model: The model.
        args: The example inputs, in forward's order.
        kwargs: Those that are given by keyword.
        names: What the inputs are called, flattened.

    Returns:
        The dynamic dimensions of each flattened input.

    Raises:
        UserError: They do not fit each other.
    """
    shapes = model.dynamic_shapes
    if not isinstance(shapes, Mapping | tuple | list | None):
        fail(
            f"dynamic_shapes is of the type {type(shapes).__name__}",
            where=model.where,
            fix=_STRUCTURE_FIX,
        )
    combined: Any = upstream.combine_args(model.module, args, kwargs)
    try:
        upstream.check_dynamic_shapes(combined, shapes)
    except Exception as error:
        raise _explain_structure(error, model.where) from error
    flat = _flatten(combined, shapes)
    sizes: dict[str, tuple[int, str]] = {}
    for name, value, shape in zip(
        names, pytree.tree_leaves(combined), flat, strict=True
    ):
        if isinstance(value, torch.Tensor):
            for i, dim in shape.items():
                _check_dim(name, value, i, dim, sizes, model.where)
    return flat


def _flatten(combined: Any, shapes: Any) -> list[Shape]:
    flat: list[Shape] = []

    def collect(path: Any, leaf: Any, shape: Any = None) -> None:
        listed = isinstance(shape, list | tuple)
        flat.append(dict(enumerate(shape) if listed else shape or {}))

    if not shapes:
        pytree.tree_map_with_path(collect, combined)
        return flat
    if isinstance(shapes, list | tuple):
        combined = type(shapes)(combined.values())
    upstream.tree_map_with_path(collect, combined, shapes, tree_name="inputs")
    return flat


def _explain_structure(error: Exception, where: str) -> UserError:
    text = str(error)
    match = re.search(r"must be the arg names \[(.*?)\].*?they are \[(.*?)\]", text)
    if match:
        return UserError(
            f"dynamic_shapes has the keys {match[2]}, but the example gives forward the "
            f"arguments {match[1]}",
            where=where,
            fix=_STRUCTURE_FIX,
        )
    match = re.search(r"Found different definitions (.+?) and (.+?) for the same", text)
    if match:
        return UserError(
            f"one name has two meanings in dynamic_shapes: {match[1]} and {match[2]}",
            where=where,
            fix="use one Dim object for dimensions that are equal, other names for others",
        )
    for pattern, what in _STRUCTURE:
        match = re.search(pattern, text)
        if match:
            return UserError(match.expand(what), where=where, fix=_STRUCTURE_FIX)
    return UserError(
        f"dynamic_shapes does not fit the example inputs: {summary(error)}",
        where=where,
        fix=_STRUCTURE_FIX,
    )


# How torch.export words its findings, and how we do.
_STRUCTURE = [
    (
        r"specified at `(.+?)` to have the same length .*?\(expected (\d+), but got (\d+)",
        r"\1 has \3 entries for a tensor of \2 dimensions",
    ),
    (
        r"Unexpected dimension (?:mapped to index |#)(\d+) .*?specified at `(.+?)` .*?but got "
        r"(.+?) instead",
        r"\2 has \3 for dimension \1, which is no Dim, Dim.AUTO, Dim.DYNAMIC, Dim.STATIC, "
        r"int or None",
    ),
    (
        r"Unexpected input tensor shape (.+?) specified at `(.+?)`",
        r"\2 is \1, which is no shape of a tensor",
    ),
    (
        r"Cannot associate shape (.+?) specified at `(.+?)` to non-tensor type <class "
        r"'(.+?)'> at",
        r"\2 is a shape, but the input there is no tensor: it is of the type \3",
    ),
    (
        r"`inputs(.*?)` has (\d+) elements, but `(.+?)` has (\d+) elements",
        r"\3 has \4 entries, but the inputs there number \2",
    ),
    (
        r"`inputs(.*?)` is a <class '(.+?)'>, but `(.+?)` is(?: a <class '(.+?)'>| not)",
        r"\3 is not a \2 as the input there is",
    ),
]


def _check_dim(
    name: str,
    tensor: torch.Tensor,
    i: int,
    dim: Any,
    sizes: dict[str, tuple[int, str]],
    where: str,
) -> None:
    """Checks a dimension's example size; `sizes` are those of the Dims so far."""
    if not 0 <= i < tensor.dim():
        fail(
            f"dynamic_shapes names dimension {i} of input {name!r}, which has "
            f"{tensor.dim()} dimensions",
            where=where,
            fix="count dimensions from 0",
        )
    size = tensor.shape[i]
    place = f"dimension {i} of input {name!r}"
    if not isinstance(dim, torch.export.Dim):
        hint = getattr(dim, "type", None)
        if getattr(hint, "name", "") == "DYNAMIC" and size < 2:
            _fail_small(f"{place} is declared dynamic", size, where)
        return
    root, value = getattr(dim, "root", dim), size
    if root is not dim:  # derived: linear in its root
        offset = int(dim.fn(0))
        value, rest = divmod(size - offset, int(dim.fn(1)) - offset)
        if rest:
            fail(
                f"the example has size {size} in {place}, which is not of the form "
                f"{dim.__name__}",
                where=where,
                fix=f"give an example whose size is {dim.__name__} for a whole number",
            )
    if size < 2:
        _fail_small(f"{place} is declared dynamic ({dim.__name__})", size, where)
    if not root.min <= value <= root.max:
        fail(
            f"the example has size {size} in {place}, outside of the declared range: "
            f"{_range_text(root)}",
            where=where,
            fix="give an example within the range, or another range to torch.export.Dim",
        )
    other, first = sizes.setdefault(root.__name__, (value, place))
    if value != other:
        fail(
            f"one Dim, {root.__name__}, stands for different sizes of the example: {other} "
            f"in {first}, {value} in {place}",
            where=where,
            fix="use a Dim of another name if the sizes are independent, or make them "
            "equal in the example",
        )


def _fail_small(what: str, size: int, where: str) -> None:
    fail(
        f"{what}, but the example has size {size} there, which torch.export takes for a "
        "constant",
        where=where,
        fix="give an example of size 2 or more",
    )


def _range_text(dim: Any) -> str:
    high = f" <= {dim.max}" if _is_bounded(dim.max) else ""
    return f"{dim.min} <= {dim.__name__}{high}"


def _is_bounded(bound: Any) -> bool:
    return isinstance(bound, int) and bound < 2**62


@dataclasses.dataclass(frozen=True)
class _Problem:
    """A condition on sizes that the declared shapes do not promise."""

    what: str
    fix: str
    frame: Frame | None


class SizeWatch:
    """Watches an export for the lines that put conditions on sizes.

    torch.export reports which declared dimension was violated, not by which line:
    it knows only its own. This context manager makes it note the user's.
    """

    def __init__(self, shapes: Sequence[Shape]) -> None:
        self._dims = {
            root.__name__: root
            for shape in shapes
            for dim in shape.values()
            if isinstance(root := getattr(dim, "root", dim), torch.export.Dim)
        }
        self._env: Any = None

    def __enter__(self) -> Self:
        caller = sys._getframe(1)  # what is above it, is no line of the model's

        def user_frame(env: Any, original: Callable[[Any], Any]) -> Any:
            self._env = env
            frame: types.FrameType | None = sys._getframe()
            while frame and not is_user_file(frame.f_code.co_filename):
                frame = frame.f_back if frame is not caller else None
            return frame or original(env)

        self._patched = upstream.patched(upstream.user_frame(user_frame))
        self._patched.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._patched.__exit__(*error)

    def explain(self, error: Exception, where: str) -> UserError | None:
        """Explains a violation of the declared shapes.

        Args:
            error: What torch.export raised.
            where: What to name if the line is unknown.

        Returns:
            None if the error is another one.
        """
        text = str(error)
        match = re.search(
            r"(?:Constraints violated|unexpectedly required) \((.+?)\)!", text
        )
        if (
            not match
            and "conflicts between user-specified ranges and inferred" not in text
        ):
            return None
        problems = self._problems(match[1].split(", ") if match else None, text)
        if not problems:
            return UserError(
                f"the model does not work for all declared sizes: {summary(error)}",
                where=where,
                fix="narrow dynamic_shapes, or change the code that needs it narrower",
            )
        first, *others = problems
        also = [
            f"\nalso {p.frame.where + ': ' if p.frame else ''}{p.what}"
            for p in others[:3]
        ]
        frames = [first.frame] if first.frame else []
        return error_at(
            first.what + "".join(also), frames=frames, where=where, fix=first.fix
        )

    def _problems(self, violated: Sequence[str] | None, text: str) -> list[_Problem]:
        env = self._env
        names = {
            symbol: self._name(symbol) for symbol in getattr(env, "var_to_sources", ())
        }
        problems = []
        explained = set()
        for symbol, name in names.items():
            if violated is not None and name not in violated:
                continue
            problem = self._replaced(symbol, names) or self._out_of_range(symbol, name)
            if problem:
                problems.append(problem)
                explained |= {symbol, *_free_symbols(env.replacements.get(symbol))}
        for guard in getattr(env, "guards", ()):
            symbols = guard.expr.free_symbols
            about = [names.get(symbol) for symbol in symbols]
            if symbols <= explained or (
                violated is not None and not set(violated) & set(about)
            ):
                continue
            explained |= symbols
            condition = guard.expr.subs(
                {s: sympy.Symbol(n, integer=True) for s, n in names.items()}
            )
            what = f"this line works only if {_readable(as_python(condition))}"
            fix = "choose the range of the Dim so that it holds, or change the line"
            if isinstance(condition, sympy.Ne) and condition.args[1] in (0, 1):
                what += " (PyTorch compiles sizes of 0 and 1 apart)"
            for name in filter(None, about):
                form = re.search(
                    rf"(?m)^\s*{re.escape(name)} = (.*\b_{name}\b.*)$", text
                )
                if form:  # torch has solved the condition
                    what = (
                        f"dynamic dimension {name} must be of the form {form[1]} here"
                    )
                    fix = f"declare it: {_suggestion(text)}; or change the line"
            problems.append(
                _Problem(
                    f"{what}, which dynamic_shapes does not promise",
                    fix,
                    _frame(guard.sloc),
                )
            )
        return problems

    def _name(self, symbol: sympy.Symbol) -> str:
        source = self._env.var_to_sources[symbol][0]
        name = source.name if isinstance(source.name, str) else source.name()
        return self._env.source_name_to_debug_name.get(name, name)

    def _declared(self, name: str) -> str:
        dim = self._dims.get(name)
        return (
            f"dynamic_shapes says {_range_text(dim)}"
            if dim
            else "it is declared dynamic"
        )

    def _replaced(self, symbol: sympy.Symbol, names: dict[Any, str]) -> _Problem | None:
        value = self._env.replacements.get(symbol)
        if value is None:
            return None
        name = names[symbol]
        frame = _frame(self._env.replacements_slocs.get(symbol))
        if value.is_Integer:
            return _Problem(
                f"dynamic dimension {_readable(name)} can only be {value} here, but "
                f"{self._declared(name)}",
                "make the line work for any size: no reshape to a fixed size (use -1 or "
                "x.shape), no loop over or unpacking of the dimension, no weight or buffer "
                "of that size; or leave the dimension out of dynamic_shapes",
                frame,
            )
        other = value.subs({s: sympy.Symbol(n) for s, n in names.items()})
        return _Problem(
            f"dynamic dimensions {_readable(name)} and {_readable(str(other))} must be "
            "equal here, but are declared independent",
            f"use one torch.export.Dim for both, or derive one from the other: "
            f"{name} = {other}",
            frame,
        )

    def _out_of_range(self, symbol: sympy.Symbol, name: str) -> _Problem | None:
        dim = self._dims.get(name)
        found = self._env.var_to_range.get(symbol)
        if dim is None or found is None:
            return None
        slocs = self._env.var_to_range_sloc[symbol]
        # A lower bound of 2 comes from torch.export itself and excludes nothing.
        for bad, word, bound, sloc in (
            (found.upper < dim.max, "most", found.upper, slocs.upper),
            (found.lower > max(dim.min, 2), "least", found.lower, slocs.lower),
        ):
            if bad:
                option = "max" if word == "most" else "min"
                return _Problem(
                    f"dynamic dimension {_readable(name)} must be at {word} {bound} here, "
                    f"but {self._declared(name)}",
                    f"declare torch.export.Dim({name!r}, …, {option}={bound}), or change "
                    "the line",
                    _frame(sloc),
                )
        return None


def _frame(sloc: Any) -> Frame | None:
    place = getattr(sloc, "framework_loc", None)
    if not hasattr(place, "filename") or not is_user_file(place.filename):
        return None
    return Frame(place.filename, place.lineno, place.name)


def _free_symbols(expression: Any) -> set[Any]:
    return getattr(expression, "free_symbols", set())


def _readable(name: str) -> str:
    """`L['x'].size()[0]`, as torch calls a dimension without a Dim: `x.shape[0]`."""
    name = re.sub(r"L\['(\w+)'\]", r"\1", name)
    return re.sub(r"\.size\(\)\[(\d+)\]", r".shape[\1]", name)


def as_python(condition: sympy.Basic) -> str:
    """A condition, as one would write it in Python."""
    sides = {sympy.Eq: "==", sympy.Ne: "!="}
    if type(condition) in sides:
        left, right = condition.args
        return f"{left} {sides[type(condition)]} {right}"
    return str(condition)


def _suggestion(text: str) -> str:
    """torch's suggested declarations, in an order in which Python can run them."""
    lines = text.partition("Suggested fixes:")[2].strip().partition("\n\n")[0]
    return "; ".join(
        sorted(map(str.strip, lines.splitlines()), key=lambda line: "Dim(" not in line)
    )
