"""What a module keeps from call to call, and a compiled model does not."""

from __future__ import annotations

import ast
import inspect
import re
import warnings
from collections.abc import Sequence
from typing import Any

import torch

from aot_common.errors import fail
from aot_common.frames import Frame
from torch_aot.model import Model
from torch_aot.upstream import FakeTensor


def reject_lost(
    model: Model,
    program: torch.export.ExportedProgram,
    caught: Sequence[warnings.WarningMessage],
) -> None:
    """Rejects a module that keeps a tensor between calls in a plain attribute.

    torch.export only warns, and compiles the attribute's first value in. It is state if
    the program has that value in it; weight_norm and its like assign the attribute
    before anything reads it. It stays a warning if that was no tensor: then the
    attribute may be a cache, or be there to be looked at.

    Args:
        model: The model.
        program: What torch.export made of it.
        caught: The warnings that torch.export gave. Others are given again.

    Raises:
        UserError: A later call would see what an earlier one assigned.
    """
    # nn.LSTM lists its parameters a second time, and export puts others in their
    # place for a while: they are no constants.
    read = {
        _memory(tensor) for tensor in program.constants.values() if _is_real(tensor)
    }
    read.discard(0)
    for warning in caught:
        found = re.match(
            r"The tensor attributes? (.+) (?:was|were) assigned during export",
            str(warning.message),
        )
        if not found:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
        for path in found[1].split(", ") if found else ():
            value = _attribute(model.module, path)
            where = _assignment(model.module, path) or model.where
            # torch.export puts old values back, and leaves new attributes fake.
            if not _is_real(value):
                file, _, line = where.rpartition(":")
                warnings.warn_explicit(
                    f"forward() assigns {path}, which the compiled model does not keep",
                    warning.category,
                    file,
                    int(line),
                )
            elif _memory(value) in read:
                fail(
                    f"forward() reads {path} and then assigns it, so that a later call "
                    "would see it; compiled models keep only buffers from call to call",
                    where=where,
                    fix="register the attribute as a buffer in __init__, "
                    "self.register_buffer(name, tensor), and change it in place: "
                    f"{path}.copy_(...)",
                )


def _is_real(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and not isinstance(value, FakeTensor)


def _memory(tensor: torch.Tensor) -> int:
    """What identifies a tensor's memory, as export wraps tensors anew; 0: it has none."""
    try:
        return tensor.untyped_storage().data_ptr()
    except NotImplementedError:  # sparse, or of a torch.func transform
        return 0


def _attribute(module: torch.nn.Module, path: str) -> Any:
    """The value of `self.blocks.0.state['h']`, or None."""
    value: Any = module
    try:
        for name, key in re.findall(r"\.(\w+)|\[(.+?)\]", path):
            value = getattr(value, name) if name else value[ast.literal_eval(key)]
    except (AttributeError, LookupError, ValueError):
        return None
    return value


def _assignment(module: torch.nn.Module, path: str) -> str:
    """The last line in an attribute's class that assigns it, or an empty string."""
    owner, _, name = re.sub(r"\[.*", "", path).rpartition(".")
    kind = type(_attribute(module, owner))
    try:
        lines, start = inspect.getsourcelines(kind)
        file = inspect.getsourcefile(kind) or ""
    except (OSError, TypeError):
        return ""
    pattern = rf"self\.{name}\b.*?(?<![=!<>])=(?!=)"
    found = [start + i for i, line in enumerate(lines) if re.search(pattern, line)]
    return Frame(file, found[-1]).where if found else ""
