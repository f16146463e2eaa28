"""Gives weights the layout that convolutions want.

Inductor wants the weight of a 2-D convolution channels-last, and generates a kernel that
copies it so in every call. Here the constant itself gets that layout, and the weights
file has it. Strides alone change, so that other weights do for the same code.

Others want weights as they are: a 1-D convolution row-major, a 3-D one too unless its
input lies channels-last, which only the lowering can tell; a matrix product takes what is
transposed.
"""

from __future__ import annotations

import collections
import functools
import itertools
import operator
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.fx import GraphModule, Node

from torch_aot import upstream

_CONVOLUTION = torch.ops.aten.convolution.default
_COND = torch.ops.higher_order.cond
_WHILE_LOOP = torch.ops.higher_order.while_loop

# Which argument of a call is a weight, or has the operands that branches or a loop's parts
# get as they are.
_POSITIONS = {_CONVOLUTION: 1, _COND: 3, _WHILE_LOOP: 3}


def lay_out(module: GraphModule) -> None:
    """Lays out channels-last what 2-D convolutions have as their weight, and no others.

    What is changed, returned, viewed or read otherwise stays: code for it may depend on
    the strides that it has.

    Args:
        module: What Inductor is about to lower. Constants are its attributes, and
            operands of its branches and loops.
    """
    wants_channels_last = functools.cache(upstream.wants_channels_last)
    for tensor, nodes in constants(module):
        if tensor.dim() != 4:
            continue
        places = [*itertools.chain(*(_places(module, node) for node in nodes))]
        if not all(_is_weight(*place, wants_channels_last) for place in places):
            continue
        tensor = tensor.contiguous(memory_format=torch.channels_last)
        for node in nodes:
            upstream.set_constant(module, node.target, tensor)
        for _, node in places:
            value = node.meta["val"]
            node.meta["val"] = value.contiguous(memory_format=torch.channels_last)


def constants(module: GraphModule) -> Iterator[tuple[torch.Tensor, list[Node]]]:
    """Each constant of a module, and the nodes that are it."""
    # Inductor takes two tensors for one constant if they are the same memory.
    found: dict[Any, list[Node]] = collections.defaultdict(list)
    for node in module.graph.find_nodes(op="get_attr"):
        tensor = _value(module, node)
        if isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided:
            key = tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()
            found[key].append(node)
    for nodes in found.values():
        yield _value(module, nodes[0]).detach(), nodes


def positions(call: Node, node: Node) -> list[int]:
    """Which of a call's arguments a node is, or is in."""
    return [
        position
        for position, argument in enumerate(call.args)
        if argument is node or (isinstance(argument, list | tuple) and node in argument)
    ]


def _value(module: GraphModule, node: Node) -> Any:
    """What a node of a graph module's attribute is."""
    return operator.attrgetter(node.target)(module)


def _places(module: GraphModule, node: Node) -> Iterator[tuple[GraphModule, Node]]:
    """A node, and the placeholders that get its value in branches and loops."""
    yield module, node
    for user in node.users:
        if user.target is _COND:
            branches, operands = user.args[1:3], user.args[3]
        elif user.target is _WHILE_LOOP:
            branches, operands = user.args[:2], [*user.args[2], *user.args[3]]
        else:
            continue
        for branch in branches:
            inside = _value(module, branch)
            placeholders = inside.graph.find_nodes(op="placeholder")
            for placeholder, operand in zip(placeholders, operands, strict=True):
                if operand is node:
                    yield from _places(inside, placeholder)


def _is_weight(
    module: GraphModule, node: Node, wants_channels_last: Callable[[GraphModule], bool]
) -> bool:
    """Whether convolutions that want a node's value channels-last alone read it here."""
    for user in node.users:
        if positions(user, node) != [_POSITIONS.get(user.target)]:
            return False
        if user.target is _CONVOLUTION and not wants_channels_last(module):
            return False
    return True
