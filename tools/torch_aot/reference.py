"""Test data: inputs, what eager PyTorch makes of them, and what that is in float64.

File format, little-endian, read by runtime/testing/cases.h:

    magic   8 bytes "RTCASES2"
    int32   number of cases
    case:   tensors, the inputs; tensors, eager's outputs; tensors, float64's; text
    tensors: int32 number of tensors, the tensors
    tensor: int32 dtype (RTorchDType), int32 rank, int64 sizes[rank], the elements
    text:   int32 number of bytes, UTF-8

Of float64's outputs there is one for each floating-point output, in their order. Or
there is none, and the text says why; it is empty otherwise.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from aot_common.errors import UserError, error_at, fail
from torch_aot import eager, samples
from torch_aot import signature as sig
from torch_aot.entry import Entry
from torch_aot.frames import model_frames
from torch_aot.model import Model
from torch_aot.samples import Arguments, Sample
from torch_aot.torch_errors import summary
from torch_aot.twin import Twin, duplicate, tensors_of
from torch_aot.upstream import pytree


@dataclasses.dataclass(frozen=True)
class Case:
    """One case of the file, as the module's docstring describes it."""

    inputs: list[torch.Tensor]
    outputs: list[torch.Tensor]
    float64: list[torch.Tensor]
    why_no_float64: str


def make_cases(
    entry: Entry, model: Model, signature: sig.Signature, count: int | None, seed: int
) -> bytes:
    """Runs the eager model; returns its inputs and outputs in the format above.

    The cases are the model's test_inputs, and those of `samples.generate`. They run in
    this order on one module, so that a model with state is tested as a sequence, and
    beside it on its twin in float64.

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
    example = model.bind(model.inputs, "the example inputs")
    with torch.no_grad(), eager.portable(), eager.as_written():
        declared = _declared(entry, model, example, signature)
        if count is None and not declared:
            fail(
                "the model has no test_inputs, and nothing else is to run",
                where=model.where,
                fix="give Model(..., test_inputs=...), or drop test_inputs_only",
            )
        generated = (
            samples.generate(model.module, example, signature, count, seed)
            if count is not None
            else ()
        )
        cases = list(run(model, [*declared, *generated]))
    return b"RTCASES2" + b"".join(_encode(cases))


def run(model: Model, cases: Iterable[Sample]) -> Iterator[Case]:
    """Runs cases in order, on the model and on its twin.

    Raises:
        UserError: Eager PyTorch fails on the last choice of a sample's.
    """
    module = model.module
    twin = Twin(module)
    for sample in cases:
        *tries, last = sample.choices
        for arguments in tries:
            # A run that fails may have changed half of the state.
            attempt = duplicate(module)
            try:
                given, outputs = _call(attempt, arguments)
            except Exception:
                continue
            module = attempt
            break
        else:
            try:
                given, outputs = _call(module, last)
            except Exception as error:
                raise _explain(error, model, sample.what) from error
        leaves = tensors_of(outputs)
        yield Case(tensors_of(given), leaves, *twin.run(*given, leaves))


def _call(module: torch.nn.Module, arguments: Arguments) -> tuple[Arguments, Any]:
    """Runs a module; returns copies of what it was given, and of what came out.

    It may write to its inputs, and return views of them or of its buffers.
    """
    given = pytree.tree_map_only(torch.Tensor, torch.clone, arguments)
    args, kwargs = arguments
    outputs = module(*args, **kwargs)
    return given, pytree.tree_map_only(torch.Tensor, torch.clone, outputs)


def _declared(
    entry: Entry, model: Model, example: Arguments, signature: sig.Signature
) -> list[Sample]:
    """The user's test inputs."""
    try:
        given = list(model.test_inputs()) if model.test_inputs else []
    except Exception as error:
        raise entry.explain_own("test_inputs() raised", error, model.where) from error
    declared = []
    for i, inputs in enumerate(given):
        what = f"test_inputs()[{i}]"
        arguments = _like_example(model.bind(inputs, what), example, what, model.where)
        for tensor, spec in zip(tensors_of(arguments), signature.inputs, strict=True):
            _check_size(tensor, spec, what, model.where)
        declared.append(Sample(what, (arguments,)))
    return declared


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
    return error_at(
        f"the model, run by plain PyTorch, fails on {what}: {type(error).__name__}: "
        f"{summary(error)}",
        frames=model_frames(error),
        where=model.where,
        fix="make the model accept all that its signature does (narrow dynamic_shapes, "
        "mask or clamp), or correct test_inputs",
    )


def _encode(cases: list[Case]) -> Iterator[bytes]:
    yield struct.pack("<i", len(cases))
    for case in cases:
        for tensors in (case.inputs, case.outputs, case.float64):
            yield struct.pack("<i", len(tensors))
            for tensor in tensors:
                dtype = sig.DTYPES[str(tensor.dtype).removeprefix("torch.")][0]
                sizes = tensor.shape
                yield struct.pack(f"<ii{len(sizes)}q", dtype, len(sizes), *sizes)
                # Contiguous is also one element that is expanded, whose strides are 0.
                flat = tensor.detach().clone(memory_format=torch.contiguous_format)
                flat = flat.flatten()
                yield flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
        text = case.why_no_float64.encode()
        yield struct.pack("<i", len(text)) + text
