"""Renders the Python module of a compiled model, and its type stub."""

from __future__ import annotations

import keyword

from aot_common.errors import fail
from aot_common.templates import Template
from torch_aot import python_text
from torch_aot.signature import Signature

_MODULE = Template(__file__, "module.py.template")
_STUB = Template(__file__, "module.pyi.template")


def render(
    manifest: str, *, label: str, class_name: str, library: str, weights: str
) -> tuple[str, str]:
    """Renders the module and its stub.

    Args:
        manifest: The text of the model's manifest.
        label: What is generated, "//models:resnet_py".
        class_name: The class; "": as in C++.
        library: Path of the shared library, from the folder that the module will be in.
        weights: That of the weights file; "" if the library has them.

    Raises:
        UserError: Python cannot call the class so.
    """
    about, signature = python_text.read(manifest)
    name = class_name or about["class"].rpartition("::")[2]
    if not name.isidentifier() or keyword.iskeyword(name):
        fail(
            f"the class would be called {name!r}, which is no name in Python",
            where=label,
            fix='set class_name, to "Resnet" for example',
        )
    common = {
        "LABEL": python_text.doc(label),
        "SOURCE": python_text.doc(signature.source),
        "CLASS": name,
        "ABOUT": python_text.doc(python_text.about(signature, about, "Inputs of run")),
    }
    module = _MODULE.render(
        **common,
        OUTPUT_NAMES="\n".join(f'"{spec.name}",' for spec in signature.outputs),
        LIBRARY=python_text.literal(library),
        WEIGHTS=f"_weights = os.path.join(_HERE, {python_text.literal(weights)})"
        if weights
        else None,
    )
    stub = _STUB.render(
        **common,
        OUTPUTS="\n".join(
            f"{spec.name}: _Array{_ignored(spec.name)}\n{_quoted(spec.type)}"
            for spec in signature.outputs
        ),
        RUN=_run(signature),
    )
    return module, stub


def _run(signature: Signature) -> str:
    """The stub's overloads: outputs are of the kind that came in, or rtorch's."""
    kinds = [("_Array", "_Array"), ("Buffer", "rtorch.Tensor")]
    lines = []
    for given, made in kinds if signature.inputs else kinds[1:]:
        lines += ["@overload"] if signature.inputs else []
        lines += ["def run(", "    self,"]
        lines += [
            f"    {spec.name}: {given},  # {spec.type}" for spec in signature.inputs
        ]
        lines += ["    *,", "    out: Any = None,", f") -> Outputs[{made}]: ..."]
    return "\n".join(lines)


def _ignored(field: str) -> str:
    """Of fields that are methods of tuples, checkers say so, and it does no harm."""
    return "  # type: ignore[assignment]" if hasattr(tuple, field) else ""


def _quoted(text: str) -> str:
    return f'"""{python_text.doc(text)}"""'
