"""Stage 1: a model's entry function becomes an ExportedProgram and a signature."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

import sympy
import torch
from torch.utils import _pytree as pytree

from torch_aot import signature as sig
from torch_aot.entry import Entry
from torch_aot.errors import UserError, fail, shorten_path
from torch_aot.model import Model

_CPP_KEYWORDS = frozenset(
    """alignas alignof and and_eq asm auto bitand bitor bool break case catch char
    class compl concept const consteval constexpr constinit const_cast continue
    co_await co_return co_yield decltype default delete do double dynamic_cast else
    enum explicit export extern false float for friend goto if inline int long
    mutable namespace new noexcept not not_eq nullptr operator or or_eq private
    protected public register reinterpret_cast requires return short signed sizeof
    static static_assert static_cast struct switch template this thread_local throw
    true try typedef typeid typename union unsigned using virtual void volatile
    wchar_t while xor xor_eq""".split()
)


def export(
    entry: Entry, model: Model
) -> tuple[torch.export.ExportedProgram, sig.Signature]:
    """Exports a model.

    Args:
        entry: Where the model came from; errors name its lines.
        model: What the entry returned.

    Returns:
        The program, with paths in its stack traces made relative, and its
        signature.

    Raises:
        UserError: The model cannot be exported or called from C++.
    """
    args, kwargs = _bind(entry, model)
    try:
        with torch.no_grad():
            program = torch.export.export(
                model.module,
                args,
                kwargs,
                dynamic_shapes=model.dynamic_shapes,
                strict=False,
            )
    except Exception as error:
        raise entry.explain(error) from error
    signature = _signature(program, entry, model, args, kwargs)
    _relativize_stack_traces(program)
    return program, signature


def _bind(entry: Entry, model: Model) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Puts the example inputs into forward's order, contiguous and on the CPU."""
    args, kwargs = model.call_arguments(model.inputs)
    try:
        bound = inspect.signature(model.module.forward).bind(*args, **kwargs)
    except TypeError as error:
        fail(
            f"the example inputs do not fit forward(): {error}",
            where=shorten_path(entry.path),
            fix="give inputs=(...) in the order of forward's parameters, or a dict",
        )
    return pytree.tree_map_only(
        torch.Tensor, lambda t: t.detach().contiguous(), (bound.args, bound.kwargs)
    )


def _signature(
    program: torch.export.ExportedProgram,
    entry: Entry,
    model: Model,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> sig.Signature:
    where = shorten_path(entry.path)
    values = {
        node.name: node.meta["val"] for node in program.graph.nodes if "val" in node.meta
    }
    kinds = torch.export.graph_signature.InputKind, torch.export.graph_signature.OutputKind
    inputs = [
        spec.arg
        for spec in program.graph_signature.input_specs
        if spec.kind == kinds[0].USER_INPUT
    ]
    outputs = [
        spec.arg
        for spec in program.graph_signature.output_specs
        if spec.kind == kinds[1].USER_OUTPUT
    ]
    dims = _Dims(program, _symbol_names(program, model, args, kwargs, inputs, values))
    input_names = _input_names(model, args, kwargs)
    output_names = _output_names(program)
    specs = []
    for side, arguments, names, given in (
        ("input", inputs, input_names, model.input_names),
        ("output", outputs, output_names, model.output_names),
    ):
        kept = [
            (argument.name, name)
            for argument, name in zip(arguments, names, strict=True)
            if _is_tensor(argument, side, name, where)
        ]
        specs.append(
            [
                _tensor_spec(side, name, values[node], dims, where)
                for (node, _), name in zip(
                    kept,
                    _unique_names(side, [name for _, name in kept], given, where),
                    strict=True,
                )
            ]
        )
    if not specs[1]:
        fail("the model returns no tensor", where=where, fix="return a tensor")
    return sig.Signature(
        inputs=tuple(specs[0]),
        outputs=tuple(specs[1]),
        symbols=dims.used,
        source=f"{where}:{entry.function}",
    )


def _is_tensor(argument: Any, side: str, name: str, where: str) -> bool:
    """False for a constant that was compiled in; other kinds are errors."""
    graph_signature = torch.export.graph_signature
    if isinstance(argument, graph_signature.TensorArgument):
        return True
    if isinstance(argument, graph_signature.ConstantArgument) and (
        side == "input" or argument.value is None
    ):
        return False
    fail(
        f"{side} {name!r} is a number, not a tensor",
        where=where,
        fix="make it a tensor: torch.tensor(x)",
    )


def _tensor_spec(
    side: str, name: str, value: torch.Tensor, dims: _Dims, where: str
) -> sig.TensorSpec:
    dtype = str(value.dtype).removeprefix("torch.")
    if dtype not in sig.DTYPES:
        fail(
            f"{side} {name!r} has the dtype {dtype}, which C++ callers cannot pass",
            where=where,
            fix=f"convert it to one of {', '.join(sig.DTYPES)}",
        )
    if value.dim() > sig.MAX_RANK:
        fail(f"{side} {name!r} has rank {value.dim()}, over {sig.MAX_RANK}", where=where)
    if value.device.type != "cpu":
        fail(f"{side} {name!r} is on {value.device}, not on the CPU", where=where)
    return sig.TensorSpec(name, dtype, tuple(dims.describe(s) for s in value.shape))


class _Dims:
    """Turns sizes of exported tensors into `signature.Dim`s.

    Attributes:
        used: The symbols met so far, with their ranges.
    """

    def __init__(
        self, program: torch.export.ExportedProgram, names: dict[sympy.Symbol, str]
    ) -> None:
        self._ranges = program.range_constraints
        self._names = names
        self.used: dict[str, tuple[int, int | None]] = {}

    def describe(self, size: int | torch.SymInt) -> sig.Dim:
        if isinstance(size, int):
            return sig.Dim(str(size), size, size)
        expression = size.node.expr
        if expression.is_Integer:
            return sig.Dim(str(expression), int(expression), int(expression))
        symbols = sorted(expression.free_symbols, key=str)
        if any(symbol not in self._names for symbol in symbols):
            return sig.Dim("?", 0, None, known=False)  # data-dependent
        text = str(expression.subs({s: sympy.Symbol(self._names[s]) for s in symbols}))
        symbol = symbols[0]
        linear = expression.as_poly(symbol) if len(symbols) == 1 else None
        if (
            linear is None
            or linear.degree() != 1
            or not all(c.is_Integer for c in linear.all_coeffs())
            or linear.nth(1) < 0
        ):
            return sig.Dim(text, 0, None, known=False)
        scale, offset = int(linear.nth(1)), int(linear.nth(0))
        low, high = self._range(symbol)
        self.used.setdefault(self._names[symbol], (low, high))
        return sig.Dim(
            text,
            scale * low + offset,
            None if high is None else scale * high + offset,
            self._names[symbol],
            scale,
            offset,
        )

    def _range(self, symbol: sympy.Symbol) -> tuple[int, int | None]:
        bounds = self._ranges[symbol]
        # sys.maxsize and its like stand for no bound.
        unbounded = not bounds.upper.is_Integer or bounds.upper >= 2**62
        return int(bounds.lower), None if unbounded else int(bounds.upper)


def _symbol_names(
    program: torch.export.ExportedProgram,
    model: Model,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    inputs: Sequence[Any],
    values: dict[str, Any],
) -> dict[sympy.Symbol, str]:
    """Names symbols after the user's Dims, or after the input that has them."""
    names: dict[sympy.Symbol, str] = {}
    dims = _flat_dynamic_shapes(model, args, kwargs)
    input_names = _input_names(model, args, kwargs)
    fallback: dict[sympy.Symbol, str] = {}
    for argument, dims_of_input, input_name in zip(
        inputs, dims, input_names, strict=True
    ):
        value = values.get(getattr(argument, "name", None))
        if not isinstance(value, torch.Tensor):
            continue
        for i, size in enumerate(value.shape):
            if isinstance(size, int) or not size.node.expr.free_symbols:
                continue
            symbols = size.node.expr.free_symbols
            dim = dims_of_input.get(i)
            dim = getattr(dim, "root", dim)  # of a derived Dim
            for symbol in symbols:
                fallback.setdefault(symbol, f"{input_name}_size{i}")
                if isinstance(dim, torch.export.Dim):
                    names.setdefault(symbol, dim.__name__)
    return fallback | names


def _flat_dynamic_shapes(
    model: Model, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[dict[int, Any]]:
    """The user's dynamic shapes, one dict a flattened input."""
    from torch.export import dynamic_shapes as lib

    flat: list[dict[int, Any]] = []

    def collect(path: Any, leaf: Any, shape: Any = None) -> None:
        if isinstance(shape, list | tuple):
            shape = dict(enumerate(shape))
        flat.append(dict(shape or {}))

    combined: Any = lib._combine_args(model.module, args, kwargs)
    shapes = model.dynamic_shapes
    if not shapes:
        pytree.tree_map_with_path(collect, combined)
        return flat
    if isinstance(shapes, list | tuple):
        combined = type(shapes)(combined.values())
    lib._tree_map_with_path(collect, combined, shapes, tree_name="inputs")
    return flat


def _input_names(
    model: Model, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[str]:
    bound = inspect.signature(model.module.forward).bind(*args, **kwargs)
    named: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        if kind == inspect.Parameter.VAR_POSITIONAL:
            named.update({f"{name}_{i}": item for i, item in enumerate(value)})
        elif kind == inspect.Parameter.VAR_KEYWORD:
            named.update(value)
        else:
            named[name] = value
    return [
        _path_name(name, path)
        for name, value in named.items()
        for path, _ in pytree.tree_flatten_with_path(value)[0]
    ]


def _output_names(program: torch.export.ExportedProgram) -> list[str]:
    spec = program.call_spec.out_spec
    tree = pytree.tree_unflatten(range(spec.num_leaves), spec)
    paths = [path for path, _ in pytree.tree_flatten_with_path(tree)[0]]
    return [
        _path_name("output" if not path or _is_index(path[0]) else "", path)
        for path in paths
    ]


def _is_index(key: Any) -> bool:
    return isinstance(key, pytree.SequenceKey)


def _path_name(start: str, path: Iterable[Any]) -> str:
    """`state`, [0], ["h"] -> `state_0_h`."""
    parts = [start] if start else []
    for key in path:
        part = getattr(key, "key", getattr(key, "idx", getattr(key, "name", None)))
        parts.append(str(part))
    return re.sub(r"\W", "_", "_".join(parts))


def _unique_names(
    side: str, names: Sequence[str], given: Sequence[str] | None, where: str
) -> list[str]:
    """Checks the user's names, or mends the derived ones, into C++ identifiers."""
    if given is not None:
        if len(given) != len(names):
            fail(
                f"{side}_names has {len(given)} names, but the model has "
                f"{len(names)} {side} tensors ({', '.join(names)})",
                where=where,
                fix=f"give one name for each, or leave {side}_names out",
            )
        for name in given:
            bad = not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name)
            if bad or name in _CPP_KEYWORDS or list(given).count(name) > 1:
                fail(
                    f"{side} name {name!r} is not a C++ identifier, a C++ keyword, or "
                    "given twice",
                    where=where,
                    fix="choose distinct names like 'image'",
                )
        return list(given)
    unique: list[str] = []
    for name in names:
        if not re.match(r"[A-Za-z]", name):
            name = f"{side}_{name.lstrip('_')}"
        while name in _CPP_KEYWORDS or name in unique:
            name += "_"
        unique.append(name)
    return unique


def _relativize_stack_traces(program: torch.export.ExportedProgram) -> None:
    """Makes the paths in the graph's stack traces the same on every machine."""

    def relative(match: re.Match[str]) -> str:
        path = match.group(1)
        packages = f"{os.sep}site-packages{os.sep}"
        if packages in path:
            return f'File "{path.rpartition(packages)[2]}"'
        return f'File "{shorten_path(path)}"'

    for module in program.graph_module.modules():
        if not isinstance(module, torch.fx.GraphModule):
            continue
        for node in module.graph.nodes:
            trace = node.meta.get("stack_trace")
            if trace:
                node.meta["stack_trace"] = re.sub(r'File "([^"]+)"', relative, trace)


def save(program: torch.export.ExportedProgram, path: str) -> None:
    """Writes a program as `.pt2`, whole or not at all."""
    temporary = f"{path}.partial.pt2"
    try:
        torch.export.save(program, temporary)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def load(path: str) -> torch.export.ExportedProgram:
    """Reads a `.pt2`.

    Raises:
        UserError: It is none, or one of another torch.
    """
    try:
        return torch.export.load(path)
    except Exception as error:
        raise UserError(
            f"not an exported program that torch {torch.__version__} reads: {error}",
            where=shorten_path(path),
        ) from error
