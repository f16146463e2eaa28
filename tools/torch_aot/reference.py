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

from torch_aot import eager
from torch_aot import signature as sig
from torch_aot.entry import Entry
from torch_aot.errors import UserError, fail, first_lines, innermost, user_frames
from torch_aot.model import Model
from torch_aot.upstream import pytree

# forward's positional and keyword arguments.
Arguments = tuple[tuple[Any, ...], dict[str, Any]]

# Random cases keep each input below this many elements, so that a model with a
# large or unbounded range is still quick to test.
_MAX_ELEMENTS = 1 << 22
_UNBOUNDED = 64


def make_cases(
    entry: Entry, model: Model, signature: sig.Signature, count: int | None, seed: int
) -> bytes:
    """Runs the eager model; returns its inputs and outputs in the format above.

    The cases are the model's test_inputs; one with every dynamic dimension at
    its smallest size and one at its largest; one of zeros and one of large
    values; and `count` random ones. They run in this order on one module, so
    that a model with state is tested as a sequence.

    Args:
        entry: Where the model came from.
        model: The model, fresh: its buffers in their initial state.
        signature: The exported signature.
        count: Number of random cases; None to run the test_inputs alone.
        seed: Seeds the random cases.

    Raises:
        UserError: The test_inputs do not fit the signature, or there are none and
            nothing else is to run, or eager PyTorch fails on a case.
    """
    cases = []
    example = model.bind(model.inputs, "the example inputs")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad(), eager.portable():
        for what, arguments in (
            *_declared(entry, model, example, signature),
            *(
                _random(example, signature, count, seed, generator)
                if count is not None
                else ()
            ),
        ):
            given = [tensor.clone() for tensor in _leaves(arguments)]
            args, kwargs = arguments
            try:
                # A copy: the model may return a view of an input or a buffer.
                outputs = pytree.tree_map_only(
                    torch.Tensor, torch.clone, model.module(*args, **kwargs)
                )
            except Exception as error:
                raise _explain(error, model, what) from error
            cases.append((given, _leaves(outputs)))
    if not cases:
        fail(
            "the model has no test_inputs, and nothing else is to run",
            where=model.where,
            fix="give Model(..., test_inputs=...), or drop test_inputs_only",
        )
    parts = [b"RTCASES1", struct.pack("<i", len(cases))]
    for sides in cases:
        for tensors in sides:
            parts.append(struct.pack("<i", len(tensors)))
            parts += [_encode(tensor) for tensor in tensors]
    return b"".join(parts)


def _declared(
    entry: Entry, model: Model, example: Arguments, signature: sig.Signature
) -> Iterator[tuple[str, Arguments]]:
    """The user's test inputs, each with what errors call it."""
    try:
        given = list(model.test_inputs()) if model.test_inputs else []
    except Exception as error:
        raise entry.explain_own("test_inputs() raised", error, model.where) from error
    for i, inputs in enumerate(given):
        what = f"test_inputs()[{i}]"
        arguments = _like_example(model.bind(inputs, what), example, what, model.where)
        for tensor, spec in zip(_leaves(arguments), signature.inputs, strict=True):
            _check_size(tensor, spec, what, model.where)
        yield what, arguments


def _like_example(
    arguments: Arguments, example: Arguments, what: str, where: str
) -> Arguments:
    """Gives arguments the example's order of keys; they may differ in nothing else."""
    leaves = {
        str(path): leaf for path, leaf in pytree.tree_flatten_with_path(arguments)[0]
    }
    wanted = {
        str(path): leaf for path, leaf in pytree.tree_flatten_with_path(example)[0]
    }
    if leaves.keys() != wanted.keys():
        fail(
            f"{what} has {len(leaves)} values, not nested like the {len(wanted)} of the "
            "example inputs",
            where=where,
            fix="yield inputs of the same form as Model(..., inputs=...)",
        )
    for path, constant in wanted.items():
        if isinstance(constant, torch.Tensor):
            continue
        if isinstance(leaves[path], torch.Tensor) or leaves[path] != constant:
            fail(
                f"{what} has another constant than the example inputs: {leaves[path]!r} "
                f"instead of {constant!r}; the model is compiled for that one alone",
                where=where,
                fix="yield the example's constants, or make the input a tensor",
            )
    return pytree.tree_unflatten(
        [leaves[path] for path in wanted], pytree.tree_structure(example)
    )


def _check_size(
    tensor: torch.Tensor, spec: sig.TensorSpec, what: str, where: str
) -> None:
    fits = (
        str(tensor.dtype) == f"torch.{spec.dtype}"
        and tensor.dim() == len(spec.dims)
        and all(
            dim.min <= size and (dim.max is None or size <= dim.max)
            for dim, size in zip(spec.dims, tensor.shape, strict=False)
        )
    )
    if not fits:
        dtype = str(tensor.dtype).removeprefix("torch.")
        fail(
            f"{what} has {dtype}{list(tensor.shape)} for {spec.name!r}, which is "
            f"{spec.type}",
            where=where,
            fix="yield inputs that the model's signature allows",
        )


def _explain(error: Exception, model: Model, what: str) -> UserError:
    frames = user_frames(error)
    frame = innermost(frames)
    return UserError(
        f"the model, run by plain PyTorch, fails on {what}: {type(error).__name__}: "
        f"{first_lines(error)}",
        where=frame.where if frame else model.where,
        fix="make the model accept all that its signature does (narrow dynamic_shapes, "
        "mask or clamp), or correct test_inputs",
        stack=frames,
    )


def _leaves(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _random(
    example: Arguments,
    signature: sig.Signature,
    count: int,
    seed: int,
    generator: torch.Generator,
) -> Iterator[tuple[str, Arguments]]:
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
        arguments = pytree.tree_map_only(
            torch.Tensor,
            lambda tensor, specs=specs, sizes=sizes, scale=scale: _sample(
                tensor, next(specs), sizes, scale, generator
            ),
            example,
        )
        text = ", ".join(f"{name} = {size}" for name, size in sizes.items())
        yield f"generated inputs{' with ' if text else ''}{text}", arguments


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
