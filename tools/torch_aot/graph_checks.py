"""Finds in an exported graph what AOTInductor rejects later, or does not compile.

Here the lines of the user's code are known; in AOTInductor's errors they are not.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx import GraphModule, Node

from aot_common.errors import UserError, error_at
from aot_common.frames import Frame, innermost
from torch_aot import dispatched_operators, torch_errors, upstream
from torch_aot.blame import branch_frame
from torch_aot.frames import frames_of_node

# The operators whose branches may not return what they are given, with the
# functions they take: position among the arguments, and what to call it.
_BRANCHES = {
    "cond": (
        (1, "the true branch of torch.cond"),
        (2, "the false branch of torch.cond"),
    ),
    "while_loop": (
        (0, "the condition of a while_loop"),
        (1, "the body of a while_loop"),
    ),
}

# The arguments that can keep a random operator from drawing, each with the value.
_NOT_DRAWING = {
    "p": 0,
    "dropout": 0,
    "dropout_p": 0,
    "train": False,
    "training": False,
}

# Of PyTorch's own operators: this is run before any code of the user's.
_NAMESPACES = dispatched_operators.NAMESPACES_OF_TORCH


def check(
    program: torch.export.ExportedProgram, input_names: Sequence[str], where: str
) -> None:
    """Checks a program's graph.

    Args:
        program: The program. If it is functionalised, as a given one may be, it has no
            changes in place to find; `check_given` finds those of inputs.
        input_names: Of the tensors among the inputs, flattened.
        where: What errors name if the line is unknown.

    Raises:
        UserError: A branch of torch.cond or a part of a while_loop returns one of
            its inputs or a view of one; a while_loop changes one in place; the model
            changes one of its own inputs, a tensor that is no buffer, or memory that
            two buffers share; a view reaches beyond its tensor; a mask stretches what
            it selects from; an operator is the user's own or draws random numbers; or a
            Triton kernel is launched.
    """
    for node, frames in _calls(program.graph_module):
        if _launches_triton(node):
            raise error_at(
                torch_errors.TRITON,
                frames=frames,
                where=where,
                fix=torch_errors.TRITON_FIX,
            )
    for node, frames in _operators(program.graph_module):
        _check_operator(node, frames, where)
        _check_masked_select(node, frames, where)
    effects = _Effects(program.graph_module, where)
    specs = {
        spec.arg.name: spec
        for spec in program.graph_signature.input_specs
        if isinstance(spec.arg, torch.export.graph_signature.TensorArgument)
    }
    inputs = [name for name in specs if specs[name].kind == InputKind.USER_INPUT]
    names = dict(zip(inputs, input_names, strict=True))
    held = {**program.constants, **program.state_dict}
    tensors = {
        spec.target: held[spec.target]
        for name, spec in specs.items()
        if name not in names
    }
    for placeholder, node in effects.changed.items():
        if placeholder.name in names:
            raise _changed_input(names[placeholder.name], frames_of_node(node), where)
        spec = specs[placeholder.name]
        if spec.kind == InputKind.CONSTANT_TENSOR:
            raise error_at(
                f"the model changes the tensor {spec.target!r} in place, which is no "
                "buffer; compiled models keep only buffers from call to call",
                frames=frames_of_node(node),
                where=where,
                fix="register it in __init__: self.register_buffer(name, tensor)",
            )
        _check_memory(spec.target, tensors, frames_of_node(node), where)


# What says that a normalisation takes the batch's statistics, and adds them to its own.
_TRAINING = ("training", "use_input_stats")


def check_given(
    program: torch.export.ExportedProgram, input_names: Sequence[str], where: str
) -> None:
    """Checks what only a program can have that was not exported here.

    Args:
        program: The program.
        input_names: Of all inputs, flattened.
        where: What errors name if the line is unknown.

    Raises:
        UserError: It changes one of its own inputs, as the signature of a functionalised
            program says; it computes gradients; or it is of a module in training mode.
    """
    nodes = {node.name: node for node in program.graph.nodes}
    inputs = dict(zip(program.graph_signature.user_inputs, input_names, strict=True))
    for spec in program.graph_signature.output_specs:
        frames = frames_of_node(nodes[spec.arg.name]) if spec.arg.name in nodes else ()
        if spec.kind == OutputKind.USER_INPUT_MUTATION:
            raise _changed_input(inputs[spec.target], frames, where)
        if spec.kind in (
            OutputKind.LOSS_OUTPUT,
            OutputKind.GRADIENT_TO_PARAMETER,
            OutputKind.GRADIENT_TO_USER_INPUT,
        ):
            raise error_at(
                "the program computes gradients, as for a step of training",
                frames=frames,
                where=where,
                fix="export the forward computation alone",
            )
    for node, frames in _operators(program.graph_module):
        given = {
            argument.name: value
            for argument, value in _arguments(node, node.target._schema)
        }
        if given.get("running_mean") is not None and any(
            given.get(switch) is True for switch in _TRAINING
        ):
            raise error_at(
                f"the program was exported in training mode: {node.target.name()} takes "
                "the batch's statistics, and changes the running ones at each call",
                frames=frames,
                where=where,
                fix="call module.eval() before torch.export.export(module, ...)",
            )


def _changed_input(name: str, frames: Sequence[Frame], where: str) -> UserError:
    return error_at(
        f"the model changes its input {name!r} in place; inputs are read-only in C++",
        frames=frames,
        where=where,
        fix="work on a copy: x = x.clone() before the change, or x = x + 1 instead of "
        "x += 1",
    )


@dataclasses.dataclass
class _Effects:
    """What running a graph does to memory.

    Attributes:
        owners: For each tensor the node that made its memory: itself, or what it
            is a view of. The owner of an input's memory is its placeholder.
        changed: The inputs that it changes, with the first node that does.
    """

    owners: dict[Node, Node]
    changed: dict[Node, Node]

    def __init__(self, module: GraphModule, where: str) -> None:
        self.owners = {}
        self.changed = {}
        for node in module.graph.nodes:
            self.owners[node] = node
            if node.op != "call_function":
                continue
            name = getattr(node.target, "__name__", "")
            if name in _BRANCHES:
                self._check_branches(module, node, name, where)
            elif isinstance(node.target, upstream.OpOverload):
                self._apply(node, node.target._schema)
                _check_extent(node, self.owners[node], where)
            elif name == "getitem":
                self._view(node, node.args[0])

    def _apply(self, node: Node, schema: Any) -> None:
        for argument, value in _arguments(node, schema):
            alias = argument.alias_info
            if alias is None:
                continue
            if alias.is_write:
                for changed in _nodes(value):
                    self._change(changed, node)
            # `Tensor(a -> *)`: the result is a list of views, as split's is.
            if "*" in alias.after_set or any(
                returned.alias_info
                and returned.alias_info.before_set & alias.before_set
                for returned in schema.returns
            ):
                self._view(node, value)

    def _view(self, node: Node, value: Any) -> None:
        for source in _nodes(value):
            if _may_share_memory(source, node):
                self.owners[node] = self.owners[source]

    def _change(self, changed: Node, by: Node) -> None:
        owner = self.owners[changed]
        if owner.op == "placeholder":
            self.changed.setdefault(owner, by)

    def _check_branches(
        self, module: GraphModule, call: Node, name: str, where: str
    ) -> None:
        for position, title in _BRANCHES[name]:
            branch = _Branch(call, name, position, title, where)
            graph = getattr(module, call.args[position].target)
            effects = _Effects(graph, where)
            _check_results(branch, graph, effects)
            if name == "while_loop" and effects.changed:
                raise branch.error(
                    "changes one of its inputs in place",
                    "compute a new tensor: x + 1 instead of x.add_(1)",
                    next(iter(effects.changed.values())),
                    at_return=False,
                )
            # What a branch of torch.cond changes is the operand's memory.
            placeholders = graph.graph.find_nodes(op="placeholder")
            operands = call.args[3] if len(call.args) > 3 else ()
            for placeholder in effects.changed:
                self._change(operands[placeholders.index(placeholder)], call)
        if name == "while_loop" and not all(isinstance(x, Node) for x in call.args[2]):
            raise error_at(
                "an initial value of a while_loop is a Python number",
                frames=frames_of_node(call),
                where=where,
                fix="give a tensor: torch.tensor(0) instead of 0",
            )


@dataclasses.dataclass
class _Branch:
    """A function that the user gave to torch.cond or while_loop, in the graph.

    Attributes:
        call: The operator's call.
        name: The operator, a key of _BRANCHES.
        position: Which of its arguments the function is.
        title: What errors call it.
        where: What errors name if the line is unknown.
    """

    call: Node
    name: str
    position: int
    title: str
    where: str

    def error(
        self, what: str, fix: str, node: Node | None = None, at_return: bool = True
    ) -> UserError:
        """An error at a node's line, or the function's, or else the call's.

        Args:
            what: What the function does wrong.
            fix: What to do about it.
            node: The node to blame. Only for some of those in branches does
                torch know the user's line.
            at_return: Whether to name the function's line that returns, not
                its first.
        """
        frames = frames_of_node(self.call)
        caller = innermost(frames)
        inside = innermost(frames_of_node(node)) if node is not None else None
        if caller and inside in (None, caller):
            inside = branch_frame(caller, self.name, self.position, at_return)
        return error_at(
            f"{self.title} {what}",
            frames=[*frames, *([inside] if inside else [])],
            where=self.where,
            fix=fix,
        )


def _check_results(branch: _Branch, graph: GraphModule, effects: _Effects) -> None:
    (output,) = graph.graph.find_nodes(op="output")
    results = output.args[0]
    owners: set[Node] = set()
    for result in results if isinstance(results, list | tuple) else [results]:
        value = result.meta.get("val") if isinstance(result, Node) else result
        if isinstance(value, torch.Tensor):
            owner = effects.owners[result]
            if owner.op == "placeholder":
                view = "" if result.op == "placeholder" else "a view of "
                raise branch.error(
                    f"returns {view}one of its inputs; PyTorch compiles no branch whose "
                    "result shares memory with an input",
                    "return a copy: x.clone() instead of x",
                    result if view else None,
                )
            if owner in owners:
                raise branch.error(
                    "returns one tensor twice, or views of one; PyTorch compiles no branch "
                    "whose results share memory",
                    "return a copy: return y, y.clone()",
                )
            owners.add(owner)
        elif branch.name == "cond" and value is not None:
            raise branch.error(
                "returns a Python number",
                "return a tensor: torch.tensor(1) instead of 1",
            )


def _check_memory(
    changed: str,
    tensors: Mapping[str, torch.Tensor],
    frames: Sequence[Frame],
    where: str,
) -> None:
    """Rejects a change of a buffer's memory that another name reads too."""
    for name, tensor in tensors.items():
        if name != changed and _overlap(tensor, tensors[changed]):
            raise error_at(
                f"the model changes the buffer {changed!r} in place, and {name!r} shares "
                "its memory; a compiled model keeps each apart",
                frames=frames,
                where=where,
                fix="keep one of them, and take the other from it in forward: "
                "self.ring[4:] in the place of self.tail",
            )


def _overlap(first: torch.Tensor, second: torch.Tensor) -> bool:
    spans = []
    for tensor in (first, second):
        if tensor.layout != torch.strided or not tensor.numel():
            return False
        start = tensor.data_ptr()
        spans.append((start, start + (_reach(tensor) + 1) * tensor.element_size()))
    return max(start for start, _ in spans) < min(end for _, end in spans)


def _calls(
    module: GraphModule, caller: Sequence[Frame] = ()
) -> Iterator[tuple[Node, Sequence[Frame]]]:
    """The calls of functions, in branches and other inner graphs too.

    Each comes with the stack of the user's code, or the call's of the inner graph: for
    few nodes in branches does torch know it.
    """
    for node in module.graph.nodes:
        if node.op != "call_function":
            continue
        frames = frames_of_node(node)
        frames = frames if innermost(frames) else caller
        yield node, frames
        for argument in node.all_input_nodes:
            if argument.op == "get_attr":
                inner = getattr(module, str(argument.target), None)
                if isinstance(inner, GraphModule):
                    yield from _calls(inner, frames)


def _operators(module: GraphModule) -> Iterator[tuple[Node, Sequence[Frame]]]:
    """The calls of operators."""
    for node, frames in _calls(module):
        if isinstance(node.target, upstream.OpOverload):
            yield node, frames


def _launches_triton(node: Node) -> bool:
    """Whether a call is of a kernel, by wrap_triton, or of an operator with one in it."""
    if isinstance(node.target, upstream.OpOverload):
        return node.target.name().partition(".")[0] in upstream.TRITON_OPERATORS
    name = getattr(node.target, "__name__", "")
    return name.startswith("triton_kernel_wrapper_")


def _check_operator(node: Node, frames: Sequence[Frame], where: str) -> None:
    """Rejects operators of the user's, that nobody else has, and random ones."""
    name = node.target.name().partition(".")[0]
    if dispatched_operators.is_loaded(node.target):
        return
    if node.target.namespace not in _NAMESPACES:
        raise error_at(
            f"{name} is a custom operator, and none of the torch_model's `ops`",
            frames=frames,
            where=where,
            fix="write it with PyTorch's own operators, or in C++: name the cc_library "
            "that registers it in `ops`",
        )
    if torch.Tag.nondeterministic_seeded not in node.target.tags:
        return
    switches = {
        argument.name: argument.default_value
        for argument in node.target._schema.arguments
        if argument.name in _NOT_DRAWING
    }
    for argument, value in _arguments(node, node.target._schema):
        if argument.name in switches:
            switches[argument.name] = value
    if any(value == _NOT_DRAWING[switch] for switch, value in switches.items()):
        return
    fix = "pass the random numbers as an input: forward(self, x, noise)"
    if switches.keys() - {"p"}:
        fix = (
            "turn it off outside of training: F.dropout(x, p, training=self.training), "
            "dropout_p=0.0, self.layer.eval(); F.dropout is on by default, also in eval "
            f"mode. Or {fix}"
        )
    raise error_at(
        f"{name} draws random numbers, and a compiled model has no generator",
        frames=frames,
        where=where,
        fix=fix,
    )


def _check_masked_select(node: Node, frames: Sequence[Frame], where: str) -> None:
    """Rejects a mask that stretches what it selects from.

    PyTorch bounds the number of results by the elements that there were before, and
    the compiled model checks it.
    """
    if node.target is not torch.ops.aten.masked_select.default:
        return
    arguments = (*node.args, *node.kwargs.values())
    values = [argument.meta.get("val") for argument in arguments]
    if not all(isinstance(value, torch.Tensor) for value in values):
        return
    shapes = [tuple(value.shape) for value in values]
    if not all(isinstance(size, int) for shape in shapes for size in shape):
        return
    whole = tuple(torch.broadcast_shapes(*shapes))
    if math.prod(whole) > math.prod(shapes[0]):
        raise error_at(
            f"the mask of masked_select stretches its input, {list(shapes[0])}, to "
            f"{list(whole)}; PyTorch compiles no such selection",
            frames=frames,
            where=where,
            fix="stretch it before: x.expand(mask.shape)",
        )


def _check_extent(view: Node, owner: Node, where: str) -> None:
    """Rejects a view of more than its owner has: export only makes the memory larger."""
    end, memory = _extent(view), _extent(owner)
    if end is not None and memory is not None and end > memory:
        raise error_at(
            f"the view reaches to byte {end} of a tensor that has {memory}",
            frames=frames_of_node(view),
            where=where,
            fix="give as_strided sizes, strides and an offset that stay within the tensor",
        )


def _extent(node: Node) -> int | None:
    """Where a tensor ends in its memory, in bytes; None if that is not known."""
    value = node.meta.get("val")
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided:
        return None
    numbers = (*value.shape, *value.stride(), value.storage_offset())
    if not all(isinstance(number, int) for number in numbers):
        return None
    if 0 in value.shape:
        return 0
    return (value.storage_offset() + _reach(value) + 1) * value.itemsize


def _reach(tensor: torch.Tensor) -> int:
    """How many elements a tensor's last one lies behind its first."""
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    return sum((size - 1) * stride for size, stride in steps)


def _arguments(node: Node, schema: Any) -> Iterator[tuple[Any, Any]]:
    """The arguments of a call with their declarations, positional or named."""
    for i, argument in enumerate(schema.arguments):
        if i < len(node.args):
            yield argument, node.args[i]
        elif argument.name in node.kwargs:
            yield argument, node.kwargs[argument.name]


def _nodes(value: Any) -> list[Node]:
    if isinstance(value, Node):
        return [value]
    if isinstance(value, list | tuple):
        return [node for item in value for node in _nodes(item)]
    return []


def _may_share_memory(source: Node, view: Node) -> bool:
    """False if a node that is declared to be a view turned out to be a copy.

    `contiguous`, `reshape` and `to` are the one or the other, by their input.
    """
    tensors = source.meta.get("val"), view.meta.get("val")
    if not all(isinstance(tensor, torch.Tensor) for tensor in tensors):
        return True
    try:
        first, second = (tensor.untyped_storage()._cdata for tensor in tensors)
    except NotImplementedError:  # of a torch.func transform: it has no storage
        return True
    return first == second
