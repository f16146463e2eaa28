"""Renders the Python module that makes a compiled model a torch operator, and its stub."""

from __future__ import annotations

import keyword
from collections.abc import Sequence

import torch

from aot_common.errors import fail
from aot_common.templates import Template
from torch_aot import python_text
from torch_aot.signature import Dim, TensorSpec

_MODULE = Template(__file__, "torch_op.py.template")
_STUB = Template(__file__, "torch_op.pyi.template")


def render(manifest: str, *, label: str, op: str, library: str) -> tuple[str, str]:
    """Renders the module and its stub.

    Args:
        manifest: The text of the model's manifest.
        label: What is generated, "//models:resnet_op".
        op: The operator, "models::resnet".
        library: Path of the shared library, from the folder that the module will be in.

    Raises:
        UserError: The model cannot be an operator, or not of that name.
    """
    about, signature = python_text.read(manifest)
    if about["mutable_constants"]:
        fail(
            f"{about['label']} has state ({', '.join(about['mutable_constants'])}), and an "
            "operator has no instance that could keep it",
            where=label,
            fix="pass the state as an input and return it, or use a py_torch_library",
        )
    name = op.partition("::")[2]
    if keyword.iskeyword(name):
        fail(
            f"the operator would be called {name}, which is no name in Python",
            where=label,
            fix='set op, to "models::resnet" for example',
        )
    common = {
        "LABEL": python_text.doc(label),
        "MODEL": python_text.doc(about["label"]),
        "SOURCE": python_text.doc(signature.source),
        "OP": op,
        "NAME": name,
        "ABOUT": python_text.doc(python_text.about(signature, about, "Inputs")),
    }
    module = _MODULE.render(
        **common,
        LIBRARY=python_text.literal(library),
        INPUTS=_tensors(signature.inputs),
        OUTPUTS=_tensors(signature.outputs),
        SIZES="\n".join(
            f"{python_text.literal(symbol)}: ({low}, {high}),"
            for symbol, (low, high) in signature.symbols.items()
        )
        or None,
        TORCH=python_text.literal(torch.__version__)
        if about["runtime"] == "libtorch"
        else "None",
    )
    results = ", ".join(["Tensor"] * len(signature.outputs))
    stub = _STUB.render(
        **common,
        ARGUMENTS="\n".join(
            f"{spec.name}: Tensor,  # {spec.type}" for spec in signature.inputs
        )
        or None,
        RESULT=results if len(signature.outputs) == 1 else f"tuple[{results or '()'}]",
    )
    return module, stub


def _tensors(specs: Sequence[TensorSpec]) -> str | None:
    return (
        "\n".join(
            f"Tensor({python_text.literal(spec.name)}, {python_text.literal(spec.dtype)}, "
            f"[{', '.join(map(_dim, spec.dims))}]),"
            for spec in specs
        )
        or None
    )


def _dim(dim: Dim) -> str:
    """A size as rtorch's Tensor has it."""
    if not dim.known:
        return "None"
    if dim.symbol is None:
        return str(dim.min)
    symbol = python_text.literal(dim.symbol)
    if dim.scale == 1 and not dim.offset:
        return symbol
    return f"({symbol}, {dim.scale}, {dim.offset})"
