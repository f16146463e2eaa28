"""Operators of the standalone runtime that torch has not: a product and what follows it.

    activation(factors * product + bias + residual)

`factors` and `bias` have an element for each channel, `residual` is of the result's shape,
and each of them may be None. `packing` says how the second operand lies, whose shape then
says nothing: weight_packing.py. The runtime's kernels apply all of it to a tile of the
product while that is in registers. fusion.py makes calls of them, Inductor lowers these
here: the wrapper allocates the result, as it does for what it computes itself.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import MutableMapping, Sequence
from typing import Any

import torch
from torch.fx import Node

from torch_aot.upstream import Patch, look_up

_EPILOGUE = (
    "Tensor? factors, Tensor? bias, Tensor? residual, "
    "int activation, float lowest, float highest"
)
torch.library.define(
    "rtorch::matmul", f"(Tensor a, Tensor b, {_EPILOGUE}, int packing) -> Tensor"
)
torch.library.define(
    "rtorch::convolution",
    f"(Tensor input, Tensor weight, {_EPILOGUE}, SymInt[] stride, SymInt[] padding, "
    "SymInt[] dilation, SymInt groups, SymInt[] kernel, int packing) -> Tensor",
)

_RESIDUAL = 4  # its place among the arguments

MATMUL = torch.ops.rtorch.matmul.default
CONVOLUTION = torch.ops.rtorch.convolution.default

# rules_torch::standalone::Activation of operators.h has the same numbers.
ACTIVATIONS = (
    "clamp",
    "gelu",
    "gelu_tanh",
    "hardsigmoid",
    "hardswish",
    "sigmoid",
    "silu",
    "tanh",
)


@dataclasses.dataclass
class Epilogue:
    """What follows a product.

    Attributes:
        factors: A node of shape [channels], or None.
        bias: Likewise.
        residual: A node of the product's shape, or None.
        activation: One of ACTIVATIONS; clamp is to [lowest, highest].
        lowest: Of clamp.
        highest: Of clamp.
    """

    factors: Node | None = None
    bias: Node | None = None
    residual: Node | None = None
    activation: str = "clamp"
    lowest: float = float("-inf")
    highest: float = float("inf")

    def arguments(self) -> tuple[Any, ...]:
        """The arguments of a call that the product's tensors precede."""
        number = ACTIVATIONS.index(self.activation)
        tensors = (self.factors, self.bias, self.residual)
        return (*tensors, number, self.lowest, self.highest)


def lowerings() -> Patch:
    """Inductor lowers the operators to calls of the runtime."""

    def add(original: MutableMapping[Any, Any]) -> MutableMapping[Any, Any]:
        own = {MATMUL: _lower_matmul, CONVOLUTION: _lower_convolution}
        # Inductor adds fallbacks to its own meanwhile.
        return collections.ChainMap(own, original)

    return Patch(
        "torch._inductor.graph:lowerings",
        add,
        "the operators have no implementation in torch, which fallbacks would call",
    )


def _lower_matmul(a: Any, b: Any, *rest: Any) -> Any:
    return _call(MATMUL, "matmul_out", (a, b, *rest), [1, 0])


def _lower_convolution(x: Any, weight: Any, *rest: Any) -> Any:
    # Channels are adjacent in what kernels read and write.
    rank = len(x.get_size())
    order = [rank - 1, 0, *reversed(range(1, rank - 1))]
    x = look_up("torch._inductor.ir:ExternKernel").require_stride_order(x, order)
    return _call(CONVOLUTION, "convolution_out", (x, weight, *rest), order)


def _call(operator: Any, name: str, args: Sequence[Any], order: Sequence[int]) -> Any:
    """A call whose result Inductor allocates.

    Args:
        operator: One of this module's.
        name: Of the shim, without "aoti_torch_cpu_rtorch_".
        args: As the operator's.
        order: The result's dimensions, and the residual's: 0 is the one whose elements
            are adjacent, and so on.
    """
    ir = look_up("torch._inductor.ir")
    args = [*args]
    if args[_RESIDUAL] is not None:
        args[_RESIDUAL] = ir.ExternKernel.require_stride_order(args[_RESIDUAL], order)
    args = [
        ir.ExternKernel.realize_input(arg) if isinstance(arg, ir.TensorBox) else arg
        for arg in args
    ]
    value = look_up("torch._inductor.virtualized:V").graph.current_node.meta["val"]
    sizes = ir.convert_shape_to_inductor(value.shape)
    strides = [0] * len(sizes)
    stride = 1
    for dim in sorted(range(len(sizes)), key=lambda dim: order[dim]):
        strides[dim] = stride
        stride *= sizes[dim]
    return ir.TensorBox.create(
        _call_class()(
            ir.FixedLayout(value.device, value.dtype, sizes, strides),
            args,
            operator,
            f"aoti_torch_cpu_rtorch_{name}",
        )
    )


@functools.cache
def _call_class() -> type:
    base = look_up("torch._inductor.ir:ExternKernelOut")

    class Call(base):  # type: ignore[misc, valid-type]
        """Of tensors, numbers and None, in the order of the operator's arguments."""

        def __init__(self, layout: Any, args: list[Any], operator: Any, shim: str):
            tensors = [hasattr(arg, "codegen_reference") for arg in args]
            self._tensors = tensors
            super().__init__(
                layout,
                [arg for arg, is_one in zip(args, tensors, strict=True) if is_one],
                [arg for arg, is_one in zip(args, tensors, strict=True) if not is_one],
                cpp_kernel_name=shim,
                python_kernel_name=str(operator),
                op_overload=operator,
            )

        def codegen_args(self) -> list[str]:
            inputs, constants = iter(self.inputs), iter(self.constant_args)
            wrapper = look_up("torch._inductor.virtualized:V").graph.wrapper_code
            return [
                wrapper.val_to_arg_str(
                    next(inputs if is_one else constants), argument.real_type
                )
                for is_one, argument in zip(
                    self._tensors, self.op_overload._schema.arguments, strict=True
                )
            ]

    return Call
