"""Test data: inputs, and what eager PyTorch makes of them.

File format, little-endian, read by runtime/testing/cases.h:

    magic   8 bytes "RTCASES1"
    int32   number of cases
    case:   int32 number of inputs, the inputs, int32 number of outputs, the outputs
    tensor: int32 dtype (RTorchDType), int32 rank, int64 sizes[rank], the elements
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils import _pytree as pytree

from torch_aot import signature as sig
from torch_aot.entry import Entry
from torch_aot.errors import fail, shorten_path
from torch_aot.model import Model

# Random cases keep each input below this many elements, so that a model with a
# large or unbounded range is still quick to test.
_MAX_ELEMENTS = 1 << 22
_UNBOUNDED = 64


def write_cases(
    entry: Entry, model: Model, signature: sig.Signature, path: str, count: int, seed: int
) -> None:
    """Runs the eager model and writes its inputs and outputs.

    The cases are the model's test_inputs; one with every dynamic dimension at
    its smallest size and one at its largest; one of zeros and one of large
    values; and `count` random ones. They run in this order on one module, so
    that a model with state is tested as a sequence.

    Args:
        entry: Where the model came from.
        model: The model, fresh: its buffers in their initial state.
        signature: The exported signature.
        path: The file to write.
        count: Number of random cases.
        seed: Seeds the random cases.
    """
    cases = []
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for inputs in [
            *_declared(model),
            *_random_inputs(model, signature, count, seed, generator),
        ]:
            args, kwargs = model.call_arguments(inputs)
            given = _tensors((args, kwargs), signature, entry)
            try:
                # A copy: the model may return a view of an input or a buffer.
                outputs = pytree.tree_map_only(
                    torch.Tensor, torch.clone, model.module(*args, **kwargs)
                )
            except Exception as error:
                raise entry.explain(error) from error
            cases.append((given, _leaves(outputs)))
    with open(path, "wb") as file:
        file.write(b"RTCASES1" + struct.pack("<i", len(cases)))
        for sides in cases:
            for tensors in sides:
                file.write(struct.pack("<i", len(tensors)))
                for tensor in tensors:
                    file.write(_encode(tensor))


def _declared(model: Model) -> list[Any]:
    return list(model.test_inputs()) if model.test_inputs else []


def _leaves(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _tensors(tree: Any, signature: sig.Signature, entry: Entry) -> list[torch.Tensor]:
    tensors = _leaves(tree)
    if len(tensors) != len(signature.inputs):
        fail(
            f"a test input has {len(tensors)} tensors, the model takes "
            f"{len(signature.inputs)}",
            where=shorten_path(entry.path),
            fix="make test_inputs return inputs of the same form as `inputs`",
        )
    return [tensor.clone() for tensor in tensors]


def _random_inputs(
    model: Model,
    signature: sig.Signature,
    count: int,
    seed: int,
    generator: torch.Generator,
) -> Iterator[Any]:
    chance = random.Random(seed)
    low = {name: bounds[0] for name, bounds in signature.symbols.items()}
    high = {name: _largest(name, signature) for name in signature.symbols}
    middle = [
        {name: chance.randint(low[name], high[name]) for name in low}
        for _ in range(count + 2)
    ]
    plans = [(low, 1.0), (high, 1.0), (middle[0], 0.0), (middle[1], 100.0)]
    plans += [(sizes, 1.0) for sizes in middle[2:]]
    for sizes, scale in plans:
        specs = iter(signature.inputs)
        yield pytree.tree_map_only(
            torch.Tensor,
            lambda example, specs=specs, sizes=sizes, scale=scale: _sample(
                example, next(specs), sizes, scale, generator
            ),
            dict(model.inputs) if isinstance(model.inputs, dict) else model.inputs,
        )


def _largest(symbol: str, signature: sig.Signature) -> int:
    """The largest size to test: the declared one, unless that takes too long."""
    low, high = signature.symbols[symbol]
    size = min(high, 1 << 16) if high is not None else low + _UNBOUNDED
    for spec in signature.inputs:
        others = 1
        uses = 0
        for dim in spec.dims:
            if dim.symbol == symbol:
                uses += dim.scale
            else:
                others *= max(dim.min, 1)
        while uses and size > low and others * (uses * size) > _MAX_ELEMENTS:
            size = max(low, size // 2)
    return size


def _sample(
    example: torch.Tensor,
    spec: sig.TensorSpec,
    sizes: dict[str, int],
    scale: float,
    generator: torch.Generator,
) -> torch.Tensor:
    shape = [
        dim.scale * sizes[dim.symbol] + dim.offset if dim.symbol else size
        for dim, size in zip(spec.dims, example.shape, strict=True)
    ]
    if example.is_floating_point():
        return (torch.randn(shape, generator=generator) * scale).to(example.dtype)
    # Integers may be indices, whose range only the example shows.
    values = example.flatten()
    if example.dtype == torch.bool or not values.numel():
        return torch.randint(0, 2, shape, generator=generator).to(example.dtype)
    picks = torch.randint(0, values.numel(), shape, generator=generator)
    return values[picks]


def _encode(tensor: torch.Tensor) -> bytes:
    dtype = sig.DTYPES[str(tensor.dtype).removeprefix("torch.")][0]
    head = struct.pack(f"<ii{tensor.dim()}q", dtype, tensor.dim(), *tensor.shape)
    flat = tensor.detach().contiguous().flatten()
    return head + flat.view(torch.uint8).numpy().tobytes() if flat.numel() else head
