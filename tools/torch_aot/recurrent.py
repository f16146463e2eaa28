"""Recurrent layers, which stay whole: torch.nn.LSTM, GRU and RNN of any length.

PyTorch writes most of them out, step by step, for the length of the example input. Here
each layer and direction is one operator, rtorch::recurrent_layer. An export computes
only shapes with it. Of the runtimes, the standalone one has it, as a shim. With libtorch
a sequence of a dynamic length is a loop, where it is no LSTM of oneDNN's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch

from torch_aot.upstream import Patch, look_up

_NAME = "rtorch::recurrent_layer"
_SCHEMA = (
    "(Tensor input, Tensor input_weights, Tensor state_weights, Tensor? projection, "
    "Tensor? input_biases, Tensor? state_biases, Tensor state, Tensor? cells, int kind, "
    "bool is_reversed) -> (Tensor, Tensor, Tensor)"
)

# As the operator numbers them.
_KINDS = {"rnn_relu": 0, "rnn_tanh": 1, "lstm": 2, "gru": 3}

_DECOMPOSITIONS = "torch._decomp.decompositions"


class LengthError(Exception):
    """A layer's length is dynamic, and the runtime has none of any length."""


def _shapes(
    input_: torch.Tensor,
    input_weights: torch.Tensor,
    state_weights: torch.Tensor,
    projection: torch.Tensor | None,
    input_biases: torch.Tensor | None,
    state_biases: torch.Tensor | None,
    state: torch.Tensor,
    cells: torch.Tensor | None,
    kind: int,
    is_reversed: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    steps, batch, _ = input_.shape
    return (
        input_.new_empty(steps, batch, state.shape[1]),
        input_.new_empty(state.shape),
        input_.new_empty(0 if cells is None else cells.shape),
    )


torch.library.define(_NAME, _SCHEMA)
torch.library.register_fake(_NAME, _shapes)
_OPERATOR = torch.ops.rtorch.recurrent_layer.default

# What AOTInductor declares that calls the shim.
C_SHIMS = {
    _OPERATOR: [
        "AOTITorchError aoti_torch_cpu_recurrent_layer(AtenTensorHandle input, "
        "AtenTensorHandle input_weights, AtenTensorHandle state_weights, "
        "AtenTensorHandle* projection, AtenTensorHandle* input_biases, "
        "AtenTensorHandle* state_biases, AtenTensorHandle state, "
        "AtenTensorHandle* cells, int64_t kind, int32_t is_reversed, "
        "AtenTensorHandle* ret0, AtenTensorHandle* ret1, AtenTensorHandle* ret2)"
    ]
}


def patches(decompose: Callable[..., Any]) -> tuple[Patch, ...]:
    """Replaces how PyTorch decomposes recurrent layers.

    Args:
        decompose: whole_layers, or loops.
    """

    def replace(name: str, kernels: dict[Any, Any]) -> dict[Any, Any]:
        key = look_up("torch._C:DispatchKey.CompositeImplicitAutograd")
        return kernels | {key: functools.partial(decompose, name, kernels[key])}

    found = []
    for name in _KINDS:
        operator = f"torch:ops.aten.{name}.input"
        found += [
            Patch(
                f"{operator}.py_kernels",
                functools.partial(replace, name),
                "a layer's steps are written out, for the length of the example input",
            ),
            Patch(
                f"{operator}._dispatch_cache",
                lambda _: {},
                "it has what was found in py_kernels before",
            ),
        ]
    return tuple(found)


def whole_layers(
    name: str,
    original: Callable[..., Any],
    input_: torch.Tensor,
    hx: Any,
    params: Sequence[torch.Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Any:
    """Decomposes into one operator for each layer and direction."""
    is_lstm = name == "lstm"
    has_projections = is_lstm and hx[0].size(2) != hx[1].size(2)

    def run(
        layer_input: torch.Tensor,
        hidden: Any,
        weights: Sequence[torch.Tensor],
        has_biases: bool,
        reverse: bool = False,
    ) -> Any:
        biases = weights[2:4] if has_biases else (None, None)
        out, last, last_cells = _OPERATOR(
            layer_input,
            weights[0],
            weights[1],
            weights[-1] if has_projections else None,
            *biases,
            hidden[0] if is_lstm else hidden,
            hidden[1] if is_lstm else None,
            _KINDS[name],
            reverse,
        )
        return out, ((last, last_cells) if is_lstm else last)

    grouped = look_up(f"{_DECOMPOSITIONS}:gather_params")(
        params, has_biases, has_projections
    )
    out, ends = look_up(f"{_DECOMPOSITIONS}:_rnn_helper")(
        input_,
        list(zip(*hx, strict=True)) if is_lstm else hx.unbind(0),
        grouped,
        has_biases,
        num_layers,
        dropout,
        train,
        bidirectional,
        batch_first,
        run,
    )
    if is_lstm:
        return out, *map(torch.stack, zip(*ends, strict=True))
    return out, torch.stack(ends)


def loops(name: str, original: Callable[..., Any], *args: Any) -> Any:
    """Decomposes into loops where the length is dynamic, else as PyTorch does.

    Raises:
        LengthError: PyTorch has no loop for the layer.
    """
    input_, hx, params, *_, batch_first = args
    length = input_.shape[1 if batch_first else 0]
    if isinstance(length, int):
        return original(*args)
    if name == "lstm":
        grouped = look_up(f"{_DECOMPOSITIONS}:gather_params")(
            params, args[3], hx[0].size(2) != hx[1].size(2)
        )
        chosen = look_up(f"{_DECOMPOSITIONS}:select_one_layer_lstm_function")
        if chosen(input_, hx, grouped) is look_up(
            f"{_DECOMPOSITIONS}:mkldnn_one_layer_lstm"
        ):
            return original(*args)
    if name in ("lstm", "gru"):
        return look_up(f"torch.export._patches:{name}_while_loop_impl")(*args)
    raise LengthError(f"no loop for aten::{name} of a dynamic length")
