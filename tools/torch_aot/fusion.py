"""Makes products and what follows them one operator of the runtime's.

A matrix product or a convolution of float32, then scales and shifts of each channel (a
batch norm is two of each), a residual addition, and an activation become one call
(fused_operators.py). Scales are not multiplied into the weights, which stay what the
state dict has: a program may replace them. What is computed of channels alone is a kernel
of some elements.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.fx import Graph, GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

from torch_aot import upstream
from torch_aot.fused_operators import CONVOLUTION, MATMUL, Epilogue

_aten = torch.ops.aten

# Of the result of each product, which dimension has the channels.
_PRODUCTS = {
    _aten.addmm.default: -1,
    _aten.convolution.default: 1,
    _aten.mm.default: -1,
}

# What Inductor's decompositions make of these is what is looked for.
_ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "gelu": torch.nn.functional.gelu,
    "gelu_tanh": functools.partial(torch.nn.functional.gelu, approximate="tanh"),
    "hardsigmoid": torch.nn.functional.hardsigmoid,
    "hardswish": torch.nn.functional.hardswish,
    "sigmoid": torch.sigmoid,
    "silu": torch.nn.functional.silu,
    "tanh": torch.tanh,
}


def fuse(module: GraphModule) -> None:
    """Replaces products in a module, its branches and its loops.

    Args:
        module: What Inductor is about to lower.
    """
    for each in module.modules():
        if isinstance(each, GraphModule):
            for node in [*each.graph.nodes]:
                if node.target in _PRODUCTS and node.users and _are_float(node):
                    _Fusion(node).apply()
            each.graph.eliminate_dead_code()
            each.recompile()


class _Fusion:
    """One product and what follows it, as far as one operator does all of it."""

    def __init__(self, product: Node) -> None:
        self._product = product
        self._parts = [product]  # in the graph's order
        self._channels = _value(product).shape[_PRODUCTS[product.target]]
        self._epilogue = Epilogue()
        self._is_activated = False
        self._view: Node | None = None  # of a matrix: other dimensions before the last

    def apply(self) -> None:
        """Replaces what can be; nothing, if the runtime has no operator for the product."""
        if not isinstance(self._channels, int) or self._channels == 0:
            return
        call = self._call_of_product()
        if call is None:
            return
        while self._take_activation() or self._take_user():
            pass
        last = self._parts[-1]
        operator, operands, shape = call
        arguments = (*operands, *self._epilogue.arguments(), *shape)
        fused = self._insert(last, operator, *arguments, value=_value(self._product))
        fused.meta["fused"] = self._parts
        if self._view is not None:
            fused = self._insert(last, self._view.target, fused, self._view.args[1])
        last.replace_all_uses_with(fused)
        for part in reversed(self._parts):
            last.graph.erase_node(part)

    def _call_of_product(self) -> tuple[Any, tuple[Any, ...], tuple[Any, ...]] | None:
        """The operator, and its arguments before and behind the epilogue's, or None."""
        node = self._product
        if node.target is _aten.convolution.default:
            x, weight, bias, stride, padding, dilation, transposed, _, groups = (
                node.args
            )
            kernel = [*_value(weight).shape[2:]]
            if transposed or len(kernel) > 2 or not _are_float(x, weight):
                return None
            if not all(isinstance(size, int) for size in kernel):
                return None
            self._epilogue.bias = bias
            shape = (stride, padding, dilation, groups, kernel, 0)
            return CONVOLUTION, (x, weight), shape
        *added, a, b = node.args
        if any(factor != 1 for factor in node.kwargs.values()) or not _are_float(a, b):
            return None
        if added and not self._add(added[0], node):
            return None
        return MATMUL, (a, b), (0,)

    def _take_user(self) -> bool:
        """Takes what follows, if that is the only user of what there is up to here."""
        before = self._parts[-1]
        if len(before.users) != 1:
            return False
        (user,) = before.users
        if user.op != "call_function" or user.args.count(before) != 1:
            return False
        if not _are_float(user) or not self._may_move_to(user):
            return False
        taken = self._take_view(user) or (
            _is_of_shape(before, user)
            and (self._take_clamp(user) or self._take_sum(user))
        )
        if taken:
            self._parts.append(user)
        return taken

    def _take_view(self, user: Node) -> bool:
        """Takes another view of a matrix, of the same columns."""
        if user.target is not _aten.reshape.default or self._view is not None:
            return False
        if _PRODUCTS[self._product.target] != -1:
            return False
        if not upstream.is_same_size(_value(user).shape[-1], self._channels):
            return False
        self._view = user
        return True

    def _take_clamp(self, user: Node) -> bool:
        """Takes a limit, one of several."""
        least, most = -math.inf, math.inf
        if user.target is _aten.relu.default:
            least = 0.0
        elif user.target is _aten.clamp_min.default:
            least = user.args[1]
        elif user.target is _aten.clamp_max.default:
            most = user.args[1]
        else:
            return False
        epilogue = self._epilogue
        if epilogue.activation != "clamp" or isinstance(least, Node):
            return False
        if isinstance(most, Node):
            return False
        epilogue.lowest = float(min(max(epilogue.lowest, least), most))
        epilogue.highest = float(min(max(epilogue.highest, least), most))
        self._is_activated = True
        return True

    def _take_sum(self, user: Node) -> bool:
        """Takes a scale or a shift of each channel, or the addition of a tensor."""
        if self._is_activated or user.kwargs or len(user.args) != 2:
            return False
        first, second = user.args
        is_first = first is self._parts[-1]
        other = second if is_first else first
        if user.target is _aten.add.Tensor:
            return self._add(other, user)
        if user.target is _aten.mul.Tensor:
            return self._scale(other, user)
        return (
            is_first and user.target is _aten.sub.Tensor and self._add(other, user, -1)
        )

    def _add(self, other: Any, user: Node, sign: int = 1) -> bool:
        """Adds what `user` adds, or subtracts it."""
        epilogue = self._epilogue
        vector = self._vector(other, user)
        if vector is not None:
            if epilogue.bias is not None:
                operator = _aten.add.Tensor if sign > 0 else _aten.sub.Tensor
                vector = self._insert(user, operator, epilogue.bias, vector)
            elif sign < 0:
                vector = self._insert(user, _aten.neg.default, vector)
            epilogue.bias = vector
            return True
        if epilogue.residual is not None or sign < 0 or not isinstance(other, Node):
            return False
        if not _are_float(other) or not _is_of_shape(other, user):
            return False
        if self._view is not None:
            other = self._insert(
                user, _aten.reshape.default, other, [-1, self._channels]
            )
        epilogue.residual = other
        return True

    def _scale(self, other: Any, user: Node) -> bool:
        epilogue = self._epilogue
        vector = self._vector(other, user)
        if vector is None or epilogue.residual is not None:
            return False
        for name in ("factors", "bias"):
            old = getattr(epilogue, name)
            if old is not None:
                new = self._insert(user, _aten.mul.Tensor, old, vector)
                setattr(epilogue, name, new)
        if epilogue.factors is None:
            epilogue.factors = vector
        return True

    def _vector(self, other: Any, user: Node) -> Node | None:
        """An operand of `user` as a vector, if it has an element for each channel.

        Numbers have, too. None for what has not.
        """
        if isinstance(other, int | float):
            return self._insert(
                user,
                _aten.full.default,
                [self._channels],
                float(other),
                dtype=torch.float32,
                device=torch.device("cpu"),
            )
        if not isinstance(other, Node) or not _are_float(other):
            return None
        channels = (
            _PRODUCTS[self._product.target] % _value(user).dim() - _value(user).dim()
        )
        shape = _value(other).shape
        if len(shape) < -channels or not all(
            upstream.is_same_size(size, self._channels if dim == channels else 1)
            for dim, size in zip(range(-len(shape), 0), shape, strict=True)
        ):
            return None
        if len(shape) == 1:
            return other
        return self._insert(user, _aten.reshape.default, other, [self._channels])

    def _take_activation(self) -> bool:
        """Takes an activation, which is several nodes."""
        if self._is_activated:
            return False
        before = self._parts[-1]
        for name in _ACTIVATIONS:
            pattern = _pattern(name)
            for node in _after(before, len(pattern.nodes)):
                found = _match(pattern, before, node)
                if found and self._may_move_to(node):
                    order = [each for each in before.graph.nodes if each in found]
                    self._parts += order
                    self._epilogue.activation = name
                    self._is_activated = True
                    return True
        return False

    def _may_move_to(self, place: Node) -> bool:
        """Whether nothing between here and there changes what the product reads."""
        node = self._product
        while node is not place:
            schema = getattr(node.target, "_schema", None)
            if schema is not None and schema.is_mutable:
                return False
            node = node.next
        return True

    def _insert(
        self,
        before: Node,
        operator: Any,
        *args: Any,
        value: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> Node:
        """A call that stands for part of what `before` does."""
        with before.graph.inserting_before(before):
            node = before.graph.call_function(operator, args, kwargs)
        if value is None:
            with _value(before).fake_mode:
                value = operator(*torch.fx.node.map_arg(args, _value), **kwargs)
        node.meta = {**before.meta, "val": value}
        return node


def _value(node: Node) -> torch.Tensor:
    return node.meta["val"]


def _are_float(*nodes: Any) -> bool:
    """Whether nodes are tensors of float32 on the CPU."""
    values = [node.meta.get("val") for node in nodes]
    return all(
        isinstance(value, torch.Tensor)
        and value.dtype == torch.float32
        and value.device.type == "cpu"
        for value in values
    )


def _is_of_shape(node: Node, other: Node) -> bool:
    shape, wanted = _value(node).shape, _value(other).shape
    return len(shape) == len(wanted) and all(map(upstream.is_same_size, shape, wanted))


@functools.cache
def _pattern(name: str) -> Graph:
    """The graph of an activation, as Inductor decomposes it."""
    table = upstream.look_up("torch._inductor.decomposition:select_decomp_table")()
    function = _ACTIVATIONS[name]
    traced = make_fx(lambda x: function(x), decomposition_table=table)
    return traced(torch.zeros(2)).graph


def _after(node: Node, depth: int) -> Iterator[Node]:
    """The nodes that `depth` steps from a node lead to, each once."""
    seen = {node: None}
    for _ in range(depth):
        new = {user: None for each in seen for user in each.users}
        seen |= new
    yield from [*seen][1:]


def _match(pattern: Graph, given: Node, result: Node) -> set[Node]:
    """The nodes from `given`, without it, to `result`, if they are the pattern's.

    None of them, nor `given`, has users elsewhere, but for the result.
    """
    (placeholder,) = pattern.find_nodes(op="placeholder")
    found: dict[Node, Node] = {placeholder: given}

    def is_alike(wanted: Any, node: Any) -> bool:
        if isinstance(wanted, Node) != isinstance(node, Node):
            return False
        if not isinstance(wanted, Node):
            return wanted == node
        if wanted in found:
            return found[wanted] is node
        if wanted.target is not node.target or len(wanted.args) != len(node.args):
            return False
        found[wanted] = node
        return wanted.kwargs == node.kwargs and all(
            map(is_alike, wanted.args, node.args)
        )

    (wanted,) = pattern.output_node().args
    if not is_alike(wanted, result):
        return set()
    inner = {*found.values()} - {given}
    outside = [
        user
        for node in (inner | {given}) - {result}
        for user in node.users
        if user not in inner
    ]
    return set() if outside else inner
