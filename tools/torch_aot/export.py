"""Stage 1: a model's entry function becomes an ExportedProgram and a signature."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import inspect
import io
import keyword
import random
import re
import sys
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import sympy
import torch

from aot_common import cpp_names
from aot_common.errors import fail
from aot_common.paths import portable_path
from torch_aot import (
    dynamic_shapes,
    graph_checks,
    recurrent,
    state,
    torchscript,
    upstream,
)
from torch_aot import signature as sig
from torch_aot.entry import Entry
from torch_aot.leaf_paths import leaf_paths
from torch_aot.model import Model
from torch_aot.upstream import pytree

# Names are members of structs, and no struct has a member of its own name.
_TAKEN = {"input": "Inputs InputShapes", "output": "Outputs Buffers OutputShapes"}
_ARGUMENTS = {"input": "out self", "output": ""}  # that run has in Python


def export(
    entry: Entry, model: Model
) -> tuple[torch.export.ExportedProgram, sig.Signature]:
    """Exports a model.

    Args:
        entry: Where the model came from; errors name its lines.
        model: What the entry returned.

    Returns:
        The program, without anything that other machines and processes lack,
        and its signature.

    Raises:
        UserError: The model cannot be exported or called from C++.
    """
    args, kwargs = model.bind(model.inputs, "the example inputs")
    names = _input_names(model, args, kwargs)
    _check_inputs(model, names, pytree.tree_leaves((args, kwargs)))
    # Contiguous, since the compiled model takes its inputs so.
    args, kwargs = pytree.tree_map_only(
        torch.Tensor, lambda t: t.detach().contiguous(), (args, kwargs)
    )
    shapes = dynamic_shapes.check(model, args, kwargs, names)
    program = model.program
    if program is None:
        program = _export(entry, model, args, kwargs, shapes)
    else:
        graph_checks.check_given(program, names, model.where)
        program.example_inputs = args, kwargs
    signature = _signature(program, entry, model, names, shapes)
    graph_checks.check(program, [spec.name for spec in signature.inputs], model.where)
    _make_paths_portable(program)
    _make_types_portable(program)
    return program, signature


def _export(
    entry: Entry,
    model: Model,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    shapes: Sequence[dynamic_shapes.Shape],
) -> torch.export.ExportedProgram:
    given = model, (args, kwargs), shapes
    if not torchscript.is_in(model.module):
        return _export_module(entry, model.module, *given)
    if not torchscript.keeps_attributes(model.module):
        printed = io.StringIO()
        try:
            with contextlib.redirect_stderr(printed):
                program = _export_module(None, model.module, *given)
        except Exception:
            pass  # the next way tells what is wrong
        else:
            sys.stderr.write(printed.getvalue())
            return program
    with torchscript.translated(model.module, model.where) as module:
        return _export_module(entry, module, *given)


def _export_module(
    entry: Entry | None,
    module: torch.nn.Module,
    model: Model,
    inputs: tuple[tuple[Any, ...], dict[str, Any]],
    shapes: Sequence[dynamic_shapes.Shape],
) -> torch.export.ExportedProgram:
    """Exports a form of a model's module; explains what is wrong if there is an entry."""
    before = _python_generators()
    with (
        torch.no_grad(),
        dynamic_shapes.SizeWatch(shapes) as watch,
        torchscript.sizes_stay_symbolic(),
        upstream.patched(
            upstream.TRITON_INLINED, *recurrent.patches(recurrent.whole_layers)
        ),
        warnings.catch_warnings(record=True) as caught,
    ):
        try:
            program = torch.export.export(
                module,
                *inputs,
                dynamic_shapes=model.dynamic_shapes,
                strict=False,
            )
        except Exception as error:
            if entry is None:  # it would run the module, which may have state
                raise
            raise watch.explain(error, model.where) or entry.explain(
                error, model
            ) from error
    if before != _python_generators():
        # No error: some models draw, and then use it in training alone.
        file, _, line = model.where.rpartition(":")
        warnings.warn_explicit(
            "forward() draws random numbers from Python's random or NumPy; where it uses "
            "them, the same ones are compiled in for every call",
            UserWarning,
            file,
            int(line),
        )
    state.reject_lost(model, program, caught)
    return program


def _python_generators() -> str:
    """The state of the generators that are no torch's."""
    return repr((random.getstate(), np.random.get_state(legacy=False)))


def _check_inputs(model: Model, names: Sequence[str], values: Sequence[Any]) -> None:
    """Rejects what torch.export takes, or rejects in other words, and C++ cannot pass."""
    packed = torch.nn.utils.rnn.PackedSequence
    for value in pytree.tree_leaves(model.inputs, lambda x: isinstance(x, packed)):
        if isinstance(value, packed):
            fail(
                "an example input is a packed sequence, whose sizes are data",
                where=model.where,
                fix="let forward take the padded batch and the lengths, two tensors",
            )
    for name, value in zip(names, values, strict=True):
        if isinstance(value, torch.Tensor):
            _check_tensor("input", name, value, model.where)
        elif not isinstance(value, int | float | str | None):
            kind = type(value).__qualname__
            fix = (
                "give a tensor (torch.from_numpy(x), torch.tensor(x)); tuples, lists and "
                "dicts of tensors are fine, and numbers are compiled in"
            )
            if dataclasses.is_dataclass(value):
                fix = f"register the dataclass: torch.export.register_dataclass({kind})"
            fail(
                f"input {name!r} is of the type {kind}, not a tensor",
                where=model.where,
                fix=fix,
            )
    for kind, tensors in (
        ("parameter", model.module.named_parameters()),
        ("buffer", model.module.named_buffers()),
    ):
        for name, tensor in tensors:
            if torch.nn.parameter.is_lazy(tensor):
                fail(
                    f"the module's {kind} {name!r} has no shape yet",
                    where=model.where,
                    fix="run the module once on the example, module(x), before Model(...)",
                )
            if tensor.device.type != "cpu":
                fail(
                    f"the module's {kind} {name!r} is on the device {tensor.device}, not on "
                    "the CPU",
                    where=model.where,
                    fix="build the module on the CPU, with its weights: models are "
                    "exported there",
                )


def _check_tensor(side: str, name: str, value: torch.Tensor, where: str) -> None:
    """Rejects tensors that C++ callers cannot pass or receive."""
    dtype = str(value.dtype).removeprefix("torch.")
    if dtype not in sig.DTYPES:
        fail(
            f"{side} {name!r} has the dtype {dtype}, which C++ callers cannot pass",
            where=where,
            fix="convert it: torch.view_as_real(x) for complex numbers, else x.to(...) "
            f"one of {', '.join(sig.DTYPES)}",
        )
    if value.layout != torch.strided or value.is_nested:
        fail(
            f"{side} {name!r} is sparse or nested ({value.layout}), not a dense tensor",
            where=where,
            fix="convert it: x.to_dense(), or x.to_padded_tensor(...)",
        )
    if value.dim() > sig.MAX_RANK:
        fail(
            f"{side} {name!r} has rank {value.dim()}; the most is {sig.MAX_RANK}",
            where=where,
            fix="merge dimensions: x.flatten(...) on one side, x.unflatten(...) on the "
            "other",
        )
    if value.device.type != "cpu":
        fail(
            f"{side} {name!r} is on the device {value.device}, not on the CPU",
            where=where,
            fix="keep everything on the CPU: models are exported there",
        )


def _signature(
    program: torch.export.ExportedProgram,
    entry: Entry,
    model: Model,
    input_names: Sequence[str],
    shapes: Sequence[dynamic_shapes.Shape],
) -> sig.Signature:
    where = model.where
    values = {
        node.name: node.meta["val"]
        for node in program.graph.nodes
        if "val" in node.meta
    }
    kinds = (
        torch.export.graph_signature.InputKind,
        torch.export.graph_signature.OutputKind,
    )
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
    dims = _Dims(program, _symbol_names(inputs, input_names, shapes, values))
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
        fail(
            "the model returns no tensor",
            where=where,
            fix="return a tensor from forward, or a tuple, list or dict of tensors",
        )
    return sig.Signature(
        inputs=tuple(specs[0]),
        outputs=tuple(specs[1]),
        symbols=dims.used,
        source=entry.source,
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
    kind = type(getattr(argument, "value", 0)).__name__
    fail(
        f"{side} {name!r} is a Python {kind}, not a tensor",
        where=where,
        fix="return a tensor, torch.tensor(x), or leave it out: x.shape tells sizes",
    )


def _tensor_spec(
    side: str, name: str, value: torch.Tensor, dims: _Dims, where: str
) -> sig.TensorSpec:
    _check_tensor(side, name, value, where)
    dtype = str(value.dtype).removeprefix("torch.")
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
    inputs: Sequence[Any],
    input_names: Sequence[str],
    shapes: Sequence[dynamic_shapes.Shape],
    values: dict[str, Any],
) -> dict[sympy.Symbol, str]:
    """Names symbols after the user's Dims, or after the input that has them."""
    names: dict[sympy.Symbol, str] = {}
    fallback: dict[sympy.Symbol, str] = {}
    for argument, shape, input_name in zip(inputs, shapes, input_names, strict=True):
        value = values.get(getattr(argument, "name", None))
        if not isinstance(value, torch.Tensor):
            continue
        for i, size in enumerate(value.shape):
            if isinstance(size, int) or not size.node.expr.free_symbols:
                continue
            dim = shape.get(i)
            dim = getattr(dim, "root", dim)  # of a derived Dim
            for symbol in size.node.expr.free_symbols:
                fallback.setdefault(symbol, f"{input_name}_size{i}")
                if isinstance(dim, torch.export.Dim):
                    names.setdefault(symbol, dim.__name__)
    return fallback | names


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
        for path in _input_paths(name, value, model.where)
    ]


def _input_paths(name: str, value: Any, where: str) -> list[tuple[Any, ...]]:
    try:
        return [path for path, _ in pytree.tree_flatten_with_path(value)[0]]
    except ValueError as error:  # torch.export would raise it, too
        fail(
            f"input {name!r}: {error}",
            where=where,
            fix="register the type with that, or take tensors in tuples, lists and dicts",
        )


def _output_names(program: torch.export.ExportedProgram) -> list[str]:
    spec = program.call_spec.out_spec
    tree = pytree.tree_unflatten(range(spec.num_leaves), spec)
    return [
        _path_name("output" if not path or _is_index(path[0]) else "", path)
        for path in leaf_paths(tree)
    ]


def _is_index(key: Any) -> bool:
    return isinstance(key, pytree.SequenceKey)


def _path_name(start: str, path: Iterable[Any]) -> str:
    """`state`, [0], ["h"] -> `state_0_h`."""
    parts = [start] if start else []
    for key in path:
        part = getattr(key, "key", getattr(key, "idx", getattr(key, "name", None)))
        parts.append(str(part))
    return re.sub(r"\W", "_", "_".join(parts), flags=re.ASCII)


def _unique_names(
    side: str, names: Sequence[str], given: Sequence[str] | None, where: str
) -> list[str]:
    """Checks the user's names, or mends the derived ones: both languages have them."""
    if given is not None:
        return _checked_names(side, names, given, where)
    unique: list[str] = []
    for name in names:
        if not re.match(r"[A-Za-z]", name):
            name = f"{side}_{name.lstrip('_')}"
        while _reserved(side, name) or name in unique:
            name += "_"
        unique.append(name)
    return unique


def _checked_names(
    side: str, names: Sequence[str], given: Sequence[str], where: str
) -> list[str]:
    if isinstance(given, str) or not isinstance(given, Sequence):
        fail(
            f"{side}_names is of the type {type(given).__name__}, not a list of names",
            where=where,
            fix=f'write {side}_names=["{names[0]}"]',
        )
    if len(given) != len(names):
        fail(
            f"{side}_names has {len(given)} names, but the model has {len(names)} {side} "
            f"tensors ({', '.join(names)})",
            where=where,
            fix=f"give one name for each, in this order, or leave {side}_names out",
        )
    for name in given:
        if not isinstance(name, str) or not re.fullmatch(
            r"[A-Za-z][A-Za-z0-9_]*", name
        ):
            problem = "is not a C++ identifier (a letter, then letters, digits and _)"
        elif reserved := _reserved(side, name):
            problem = f"is {reserved}"
        elif list(given).count(name) > 1:
            problem = "is given twice"
        else:
            continue
        fail(
            f"the name {name!r} in {side}_names {problem}; it becomes a name in C++ and "
            "in Python",
            where=where,
            fix="choose another name, like 'image'",
        )
    return list(given)


def _reserved(side: str, name: str) -> str:
    """What has the name already: "a C++ keyword", or an empty string."""
    if name in cpp_names.KEYWORDS.split():
        return "a C++ keyword"
    if name in cpp_names.MACROS.split():
        return "a macro of the compiler's or of C's headers"
    if keyword.iskeyword(name):
        return "a Python keyword"
    if name in _ARGUMENTS[side].split():
        return "the name of another argument in Python"
    return "the name of that struct" if name in _TAKEN[side].split() else ""


def _make_paths_portable(program: torch.export.ExportedProgram) -> None:
    """Makes the graph's stack traces the same on every machine."""

    def portable(match: re.Match[str]) -> str:
        return f'File "{portable_path(match[1])}"'

    for module in program.graph_module.modules():
        if not isinstance(module, torch.fx.GraphModule):
            continue
        for node in module.graph.nodes:
            trace = node.meta.get("stack_trace")
            if trace:
                trace = re.sub(r'File "([^"<]+)"', portable, trace)
                # torch numbers the code it generates, from when Python started.
                node.meta["stack_trace"] = re.sub(
                    r'File "<eval_with_key>\.\d+"', 'File "<eval_with_key>"', trace
                )


def _make_types_portable(program: torch.export.ExportedProgram) -> None:
    """Makes tuples of the classes among inputs and outputs.

    Named tuples, the user's dataclasses, and what torch.max returns: a `.pt2`
    cannot name some, and others exist only where the user's module is imported.
    """
    signature = program.module_call_graph[0].signature
    args, kwargs = program.example_inputs
    signature.in_spec = _plain(signature.in_spec)
    signature.out_spec = _plain(signature.out_spec)
    program.example_inputs = pytree.tree_unflatten(
        pytree.tree_leaves((args, kwargs)), signature.in_spec
    )


def _plain(spec: pytree.TreeSpec) -> pytree.TreeSpec:
    if spec.is_leaf():
        return spec
    children = [_plain(child) for child in spec.children()]
    if spec.type in (
        tuple,
        list,
        dict,
        collections.OrderedDict,
        collections.defaultdict,
    ):
        return pytree.TreeSpec(spec.type, spec.context, children)
    return pytree.TreeSpec(tuple, None, children)
