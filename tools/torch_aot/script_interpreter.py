"""Runs the graph of a frozen ScriptModule node by node, so that torch.export sees it.

TorchScript's own interpreter takes sizes for numbers, goes one way at an `if` on data, and
keeps what a module sets where torch.export does not look. Here sizes stay symbols, such an
`if` and such loops become operators of the exported graph (script_blocks.py), attributes are
buffers, and Python's stack has the lines of the scripted code.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import linecache
import operator
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn

from aot_common.errors import UserError, error_at
from aot_common.frames import Frame
from torch_aot import script_operators as operators
from torch_aot import upstream
from torch_aot.script_blocks import Raised, run_if, run_loop
from torch_aot.script_memory import Element, Memory
from torch_aot.script_values import (
    DTYPES,
    MISSING,
    Data,
    Mismatch,
    Template,
    items_of,
    kind_of,
    like,
    tensors_of,
    to_tensor,
)


def signature_of(method: Any) -> inspect.Signature:
    """The signature of a method of TorchScript's, without self."""
    return inspect.Signature(
        [
            inspect.Parameter(
                argument.name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=argument.default_value
                if argument.has_default_value()
                else inspect.Parameter.empty,
            )
            for argument in method.schema.arguments[1:]
        ]
    )


class Translated(nn.Module):
    """A frozen ScriptModule that torch.export sees through, and that runs in nothing else.

    Its tensors are buffers, and so are the numbers that its methods set.

    Args:
        module: The ScriptModule.
        where: What errors name if no line of the scripted code is known.
    """

    def __init__(self, module: torch.jit.ScriptModule, where: str) -> None:
        super().__init__()
        self._script = module._c
        self._held: dict[
            str, tuple[str, str]
        ] = {}  # by path: a buffer, a number's kind
        self._memory: dict[Any, str] = {}  # by a tensor's memory: a buffer
        methods = {name: module._c._get_method(name) for name in methods_of(module)}
        graphs = {name: method.graph for name, method in methods.items()}
        self.sets = {
            path for graph in graphs.values() for path in paths(graph, "prim::SetAttr")
        }
        for name, graph in graphs.items():
            for path in paths(graph, "prim::GetAttr"):
                self._hold(path)
            setattr(self, name, self._method(methods[name], graph, where))

    def held(self, path: str) -> tuple[torch.Tensor, str] | None:
        """The buffer of an attribute, and which number it is for, if for any."""
        name, kind = self._held.get(path, ("", ""))
        return (getattr(self, name), kind) if name else None

    def attribute(self, path: str) -> Any:
        """An attribute as the ScriptModule has it."""
        value: Any = self._script
        for name in path.split("."):
            value = value.getattr(name)
        return value

    def _method(self, method: Any, graph: Any, where: str) -> Callable[..., Any]:
        signature = signature_of(method)
        constants = {
            node.output().unique(): self._constant(node.output())
            for node in nodes_of(graph)
            if node.kind() == "prim::Constant"
        }

        def run(*args: Any, **kwargs: Any) -> Any:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            names = {
                name: getattr(self, value) if is_buffer else value
                for name, (value, is_buffer) in constants.items()
            }
            return Interpreter(self, where).run(
                graph, [*bound.arguments.values()], names
            )

        run.__signature__ = signature
        return run

    def _constant(self, value: Any) -> tuple[Any, bool]:
        constant = value.toIValue()
        if not isinstance(constant, torch.Tensor):
            return constant, False
        return self._register(value.debugName(), constant), True

    def _hold(self, path: str) -> None:
        if path in self._held:
            return
        value = self.attribute(path)
        kind = kind_of(value) if path in self.sets else ""
        if kind:
            value = torch.tensor(value, dtype=DTYPES[kind])
        if isinstance(value, torch.Tensor):
            self._held[path] = self._register(path, value), kind

    def _register(self, name: str, value: torch.Tensor) -> str:
        tensor = value.detach()
        storage = tensor.untyped_storage().data_ptr()
        place = (tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype)
        key = (storage, *place) if storage else object()
        if key not in self._memory:
            name = re.sub(r"\W", "_", name.removeprefix("self."))
            name = name if name.isidentifier() else f"constant_{name}"
            while hasattr(self, name):
                name += "_"
            self._memory[key] = name
            self.register_buffer(name, tensor)
        return self._memory[key]


def methods_of(module: torch.jit.ScriptModule) -> list[str]:
    """The names of what can be called of a ScriptModule."""
    return [*module._c._method_names()]


def nodes_of(block: Any) -> Iterator[Any]:
    """The nodes of a graph or a block, and those of the blocks in it."""
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from nodes_of(inner)


def paths(block: Any, kind: str) -> Iterator[str]:
    """The attributes, no modules, that the nodes of a kind are about: `encoder.steps`."""
    for node in nodes_of(block):
        if node.kind() == kind:
            value = node.inputsAt(1) if kind == "prim::SetAttr" else node.output()
            if value.type().kind() != "ClassType":
                yield _path(node)


def _path(node: Any) -> str:
    owner = node.inputsAt(0).node()
    before = f"{_path(owner)}." if owner.kind() == "prim::GetAttr" else ""
    return before + node.s("name")


class Interpreter:
    """One call of a method.

    Attributes:
        memory: What was written where.
        state: The attributes that were read or set so far, by path.
        dry: Whether what runs is only tried, and left out of the exported graph.
        depth: In how many operators of the exported graph it is.
    """

    def __init__(self, module: Translated, where: str) -> None:
        self.memory = Memory()
        self.state: dict[str, Any] = {}
        self.dry = False
        self.depth = 0
        self._module = module
        self._where = where
        self._stack: list[Frame] = []
        self._sizes: dict[int, tuple[torch.Tensor, Any]] = {}  # tensors of sizes
        self._kept: list[Any] = []  # containers that the module has

    def run(self, graph: Any, arguments: Sequence[Any], names: dict[int, Any]) -> Any:
        """Runs a graph.

        Args:
            graph: A method's.
            arguments: All of its arguments but self.
            names: Its constants, by torch's numbers of TorchScript's names.

        Raises:
            UserError: The method does what no exported graph can do; names the line.
        """
        try:
            outputs = self.run_block(graph, [self._module, *arguments], names)
        except Raised as error:
            raise error_at(
                f"the model raises for the sizes and constants of its example: {error}",
                frames=error.frames,
                where=self._where,
                fix="correct the example inputs",
            ) from error
        for tensor in tensors_of(outputs):
            self.check_read(tensor)
        self._finish(arguments)
        result = _numbers(outputs)
        return result[0] if len(result) == 1 else tuple(result)

    def run_block(
        self, block: Any, arguments: Sequence[Any], names: dict[int, Any]
    ) -> list[Any]:
        """Runs a block or a graph; returns the values of its outputs.

        Args:
            block: Of TorchScript's.
            arguments: The values of its inputs.
            names: The values of the names outside; gets those inside.
        """
        for name, value in zip(block.inputs(), arguments, strict=True):
            names[name.unique()] = value
        for node in block.nodes():
            if node.kind() != "prim::Constant":  # these are there from the beginning
                self._run_node(node, names)
        return [names[name.unique()] for name in block.outputs()]

    def failure(self, what: str, fix: str) -> UserError:
        """An error at the line that is being run."""
        return error_at(what, frames=[*self._stack], where=self._where, fix=fix)

    def attributes_of(self, blocks: Sequence[Any]) -> tuple[list[str], list[str]]:
        """The paths of the attributes that blocks use, and of those that they set."""
        sets = {path for each in blocks for path in paths(each, "prim::SetAttr")}
        reads = {path for each in blocks for path in paths(each, "prim::GetAttr")}
        return sorted(sets | reads), sorted(sets)

    def attribute(self, path: str) -> Any:
        """The value of an attribute."""
        if path not in self.state:
            found = self._module.held(path)
            if found is None:
                value = self._module.attribute(path)
                self._kept.append(value)
            else:
                value, kind = found
                if path in self._module.sets:
                    value = value.clone()  # what was read stays what it was
                value = Data(value, kind) if kind else value
            self.state[path] = value
        return self.state[path]

    def check_read(self, tensor: torch.Tensor) -> None:
        """Refuses a tensor of which it is not known what TorchScript has in it."""
        frames = self.memory.changed_at(tensor)
        if frames is not None:
            raise error_at(
                "this line changes a tensor in place that an `if` or a loop on data may have "
                "left by another name, and that is read by the other name then",
                frames=frames,
                where=self._where,
                fix="assign a new tensor: x = x + 1 in the place of x += 1",
            )

    def apply(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Calls one of torch's operators, and notes what it shares and changes."""
        for tensor in tensors_of([args, kwargs]):
            self.check_read(tensor)
        result = function(*args, **kwargs)
        schema = function._schema
        returned = [result] if len(schema.returns) == 1 else items_of(result)
        for i, argument in enumerate(schema.arguments):
            alias = argument.alias_info
            value = args[i] if i < len(args) else kwargs.get(argument.name)
            if alias is None or value is None:
                continue
            for j, (spec, output) in enumerate(
                zip(schema.returns, returned, strict=False)
            ):
                if "*" in alias.after_set or (
                    spec.alias_info and spec.alias_info.before_set & alias.before_set
                ):
                    if alias.is_write and isinstance(value, torch.Tensor):
                        returned[j] = value
                    for view in tensors_of(output):
                        for base in tensors_of(value):
                            self.memory.add_view(view, base)
            if alias.is_write:
                copied = args[1] if function is torch.ops.aten.copy_.default else None
                for tensor in tensors_of(value):
                    self.memory.write(tensor, copied, self._put, [*self._stack])
        if len(schema.returns) == 1:
            return returned[0]
        return tuple(returned) if schema.returns else result

    def _put(self, element: Element, tensor: torch.Tensor) -> None:
        self.apply(
            torch.ops.aten.index_copy_.default,
            *(element.base, element.dim, element.index, tensor.unsqueeze(element.dim)),
        )

    def _finish(self, arguments: Sequence[Any]) -> None:
        """Puts what was set into the module."""
        for tensor in tensors_of(arguments):
            self.check_read(tensor)
        for path, value in self.state.items():
            found = self._module.held(path)
            if found is None:
                continue
            if path in self._module.sets:
                found[0].copy_(to_tensor(value) if found[1] else value)
            else:
                self.check_read(found[0])

    def _run_node(self, node: Any, names: dict[int, Any]) -> None:
        values = [names[name.unique()] for name in node.inputs()]
        frames = _frames_of(node)
        self._stack += frames
        action = functools.partial(self._outputs, node, values, names)
        for frame in reversed(frames):
            action = functools.partial(_run_at, frame, action)
        try:
            outputs = action()
        finally:
            del self._stack[len(self._stack) - len(frames) :]
        for name, value in zip(node.outputs(), outputs, strict=True):
            names[name.unique()] = value

    def _outputs(
        self, node: Any, values: list[Any], names: dict[int, Any]
    ) -> Sequence[Any]:
        kind = node.kind()
        if kind == "prim::If":
            return run_if(self, node, values[0], names)
        if kind == "prim::Loop":
            return run_loop(self, node, values, names)
        special = _SPECIAL.get(kind)
        if special is not None:
            return special(self, node, values)
        try:
            result = self._operator(node, kind.partition("::")[2], values)
        except operators.Unsupported as error:
            raise self.failure(
                f"{error} is not compiled",
                "compute with tensors, or with sizes that are static",
            ) from error
        count = node.outputsSize()
        return [result] if count == 1 else items_of(result) if count else []

    def _operator(self, node: Any, name: str, values: list[Any]) -> Any:
        first = values[0] if values else None
        if isinstance(first, torch.Tensor):
            if id(first) in self._sizes and name in _OF_SIZES:
                sizes = [self._size_of(value) for value in values[:2]]
                if None not in sizes and values[2:] in ([], [1]):
                    return self._as_tensor(_OF_SIZES[name](*sizes))
            if name == "select" and isinstance(values[2], Data):
                return self._element(*values)
            if name == "slice" and operators.is_symbolic(values[2:4]):
                # Inductor writes None into C++.
                values[2] = 0 if values[2] is None else values[2]
                values[3] = sys.maxsize if values[3] is None else values[3]
            if name == "Int" and id(first) in self._sizes:
                return self._sizes[id(first)][1]
            if name in operators.OF_TENSORS:
                self.check_read(first)
                return operators.OF_TENSORS[name](*values)
        if isinstance(first, list | dict) and (
            name in operators.READING or name in operators.CHANGING
        ):
            return self._container(name, values)
        if name in operators.CONVERSIONS:
            return operators.convert(operators.CONVERSIONS[name], first)
        if name == "tensor":
            return operators.tensor_of(first, values[1], self.depth > 0)
        operator = upstream.operator_of_node(node)
        if operator is None:
            raise operators.Unsupported(f"TorchScript's {node.kind()}")
        declared = operator._schema.arguments
        types = [str(each.type) for each in (*declared, *operator._schema.returns)]
        if any("Tensor" in each for each in types):
            return self._call(operator, declared, values)
        if operators.is_symbolic(values):
            kind = node.output().type().kind().removesuffix("Type").lower()
            return operators.compute(name, values, kind if kind in DTYPES else "")
        return operator(*values)

    def _call(
        self, operator: Any, declared: Sequence[Any], values: Sequence[Any]
    ) -> Any:
        args: list[Any] = []
        named: dict[str, Any] = {}
        for argument, value in zip(declared, values, strict=True):
            wanted = str(argument.type)
            if kind_of(value) and wanted == "Tensor":
                value = to_tensor(value)
            value = _numbers(value)
            if argument.kwarg_only:
                named[argument.name] = value
            else:
                args.append(value)
        if operator.__name__ in ("copy_.int", "copy_.float"):  # x[i] = a number
            operator, args = (
                torch.ops.aten.copy_.default,
                [args[0], to_tensor(values[1])],
            )
        return self.apply(operator, *args, **named)

    def _element(self, base: torch.Tensor, dim: int, index: Data) -> torch.Tensor:
        """What lies at a position that is data; TorchScript has a view of it."""
        self.check_read(base)
        position = index.tensor
        size = base.shape[dim]
        position = torch.where(position < 0, position + size, position).reshape(1)
        copy = base.index_select(dim, position).squeeze(dim)
        self.memory.add_element(copy, Element(base, dim % base.dim(), position))
        return copy

    def _container(self, name: str, values: list[Any]) -> Any:
        changing = name in operators.CHANGING
        if changing and any(values[0] is kept for kept in self._kept):
            raise self.failure(
                f"forward changes a {type(values[0]).__name__} that the module has, so that "
                "a later call would see it; compiled models keep only buffers",
                "keep what is to last in a buffer of a fixed size",
            )
        at = values[1:2] if name in ("__getitem__", "_set_item", "pop") else values[1:]
        keys = name not in ("add", "add_", "append", "eq", "extend", "ne", "update")
        if keys and operators.is_symbolic(at):
            raise operators.Unsupported(
                f"{name} of a {type(values[0]).__name__} at a position that is data or a "
                "dynamic size"
            )
        table = operators.CHANGING if changing else operators.READING
        return table[name](*values)

    # ---- The nodes that are no operators.

    def _get_attribute(self, node: Any, values: list[Any]) -> Sequence[Any]:
        if node.output().type().kind() == "ClassType":
            return [MISSING]  # a module, of which attributes know their paths
        return [self.attribute(_path(node))]

    def _set_attribute(self, node: Any, values: list[Any]) -> Sequence[Any]:
        path, value = _path(node), values[1]
        try:
            if self._module.held(path) is None:
                before = self._module.attribute(path)
                Template.of(before, MISSING if kind_of(value) else value)
                raise Mismatch("no tensor, and no number")
            before = self.attribute(path)
            if Template.of(before, value, vary=True).kind == "container":
                raise Mismatch("a container")
        except Mismatch as error:
            raise self.failure(
                f"forward sets self.{path} to what compiled models do not keep: {error}",
                "register what is to last as a buffer of its final size: "
                f'self.register_buffer("{path}", torch.zeros(...))',
            ) from error
        self.state[path] = value
        return []

    def _raise(self, node: Any, values: list[Any]) -> Sequence[Any]:
        raise Raised(str(values[0]), self._stack)

    def _number_to_tensor(self, node: Any, values: list[Any]) -> Sequence[Any]:
        return [self._as_tensor(values[0])]

    def _as_tensor(self, number: Any) -> torch.Tensor:
        """Traced modules compute sizes with tensors: here they stay what they are."""
        tensor = to_tensor(number)
        if not isinstance(number, Data):
            self._sizes[id(tensor)] = tensor, number
        return tensor

    def _size_of(self, value: Any) -> Any:
        """The number that a value is known to be, or None."""
        if isinstance(value, torch.Tensor):
            return self._sizes.get(id(value), (None, None))[1]
        return value if isinstance(value, int | torch.SymInt) else None

    def _isinstance(self, node: Any, values: list[Any]) -> Sequence[Any]:
        raise self.failure(
            "isinstance() of a union is not compiled", "use one type, or an Optional"
        )

    def _unpack(self, node: Any, values: list[Any]) -> Sequence[Any]:
        if len(values[0]) != node.outputsSize():
            what = f"expected {node.outputsSize()} items, got {len(values[0])}"
            raise Raised(what, self._stack)
        return items_of(values[0])


def _numbers(value: Any) -> Any:
    """A value in which data are symbols."""
    if isinstance(value, Data):
        return value.number
    items = items_of(value)
    return like(value, [_numbers(item) for item in items]) if items else value


_OF_SIZES: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "floor_divide": operator.floordiv,
    "mul": operator.mul,
    "sub": operator.sub,
}

_Special = Callable[[Interpreter, Any, list[Any]], Sequence[Any]]

_SPECIAL: dict[str, _Special] = {
    "aten::__is__": lambda run, node, values: [values[0] is values[1]],
    "aten::__isnot__": lambda run, node, values: [values[0] is not values[1]],
    "aten::warn": lambda run, node, values: [],
    "prim::DictConstruct": lambda run, node, values: [
        dict(zip(values[::2], values[1::2], strict=True))
    ],
    "prim::GetAttr": Interpreter._get_attribute,
    "prim::ListConstruct": lambda run, node, values: [[*values]],
    "prim::ListUnpack": Interpreter._unpack,
    "prim::NumToTensor": Interpreter._number_to_tensor,
    "prim::Print": lambda run, node, values: [],
    "prim::RaiseException": Interpreter._raise,
    "prim::SetAttr": Interpreter._set_attribute,
    "prim::TupleConstruct": lambda run, node, values: [(*values,)],
    "prim::TupleIndex": lambda run, node, values: [values[0][values[1]]],
    "prim::TupleUnpack": Interpreter._unpack,
    "prim::Uninitialized": lambda run, node, values: [MISSING],
    "prim::data": lambda run, node, values: values,
    "prim::isinstance": Interpreter._isinstance,
    "prim::unchecked_cast": lambda run, node, values: values,
    "aten::_unwrap_optional": lambda run, node, values: values,
}


# ---- The lines of the scripted code.

_PLACE = re.compile(r'(?:Serialized )? *File "(.+)", line (\d+)(?:, in (\w+))?')
_TRACED = re.compile(r"(\S.*)\((\d+)\): (.+)")


def _frames_of(node: Any) -> list[Frame]:
    """The lines that a node was made from, outermost first; may be none.

    Of a scripted module it is one line: that of the file in which TorchScript compiled it,
    with its text, or without that the line of the code in the archive. Of a traced module it
    is the whole stack.
    """
    lines = node.sourceRange().splitlines()
    traced = [
        Frame(found[1], int(found[2]), found[3])
        for line in lines
        if (found := _TRACED.fullmatch(line))
    ]
    if traced:
        return traced[::-1]
    for i, line in enumerate(lines):
        place = _PLACE.match(line)
        if place:
            return [Frame(place[1], int(place[2]), "forward", _marked(lines[i + 1 :]))]
    # Freezing leaves these without.
    return _frames_of(node.inputsAt(1).node()) if node.kind() == "prim::SetAttr" else []


def _marked(lines: Sequence[str]) -> str:
    """The first line that has marks below it."""
    for line, below in itertools.pairwise(lines):
        if re.fullmatch(r" *~+( <--- HERE)?", below):
            return line.strip()
    return ""


def _run_at(frame: Frame, action: Callable[[], Any]) -> Any:
    """Runs a function below a line, as if that had called it.

    Whatever asks Python's stack for the user's code finds it.
    """
    if frame.text and linecache.getline(frame.path, frame.line).strip() != frame.text:
        _remember(frame)
    return _caller(frame.path, frame.line)(action)


@functools.cache
def _caller(path: str, line: int) -> Callable[..., Any]:
    scope: dict[str, Any] = {}
    text = "\n" * (line - 1) + "def forward(action): return action()"
    exec(compile(text, path, "exec"), scope)
    return scope["forward"]


def _remember(frame: Frame) -> None:
    """Lets linecache know a line of a file that is not here, or is another one."""
    entry = linecache.cache.get(frame.path)
    lines = [*entry[2]] if entry is not None and len(entry) == 4 else []
    lines += ["\n"] * (frame.line - len(lines))
    lines[frame.line - 1] = f"{frame.text}\n"
    linecache.cache[frame.path] = (0, None, lines, frame.path)
