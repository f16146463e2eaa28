"""TorchScript in a model: what torch.export needs of it.

torch.export runs a ScriptModule in TorchScript's interpreter and records the operators.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from aot_common.errors import fail
from torch_aot import upstream


def prepare(module: nn.Module, where: str) -> nn.Module:
    """Makes a module exportable whose parts, or all of it, are ScriptModules.

    Each is frozen, as torch.export cannot run those that have others inside: their
    parameters become constants, buffers that they change stay. Its numbers stay too:
    freezing only inlines.

    Args:
        module: The module, in eval mode, with its weights; scripted, traced or loaded
            parts of it are replaced in place.
        where: The line that made the model.

    Returns:
        The module, or one around it if it is a ScriptModule itself.

    Raises:
        UserError: One ScriptModule with state is in two places.
        RuntimeError: torch.jit.freeze does not take it.
    """
    if isinstance(module, torch.jit.ScriptModule):
        return _Scripted(_freeze(module))
    seen: set[nn.Module] = set()
    for path, part in [*module.named_modules(remove_duplicate=False)]:
        above, _, name = path.rpartition(".")
        parent = module.get_submodule(above)
        if isinstance(part, torch.jit.ScriptModule) and not isinstance(
            parent, torch.jit.ScriptModule
        ):
            frozen = _freeze(part)
            # torch.export takes none that is in two places.
            if part in seen and [*frozen.buffers()]:
                fail(
                    f"the TorchScript module {path!r}, which has state, is also elsewhere "
                    "in the model",
                    where=where,
                    fix="let the second place call the first: one attribute for both",
                )
            seen.add(part)
            setattr(parent, name, frozen)
    return module


def is_in(module: nn.Module) -> bool:
    """Whether a module or a part of it is TorchScript."""
    return any(isinstance(each, torch.jit.ScriptModule) for each in module.modules())


@contextlib.contextmanager
def sizes_stay_symbolic() -> Iterator[None]:
    """Keeps TorchScript from compiling for the sizes of the example, for a while.

    Its profiling executor specialises each graph for the sizes that it first sees.
    """
    before = upstream.set_profiling_mode(False)
    try:
        yield
    finally:
        upstream.set_profiling_mode(before)


def _freeze(module: torch.jit.ScriptModule) -> nn.Module:
    methods = [name for name in module._c._method_names() if name != "forward"]
    return torch.jit.freeze(module, preserved_attrs=methods, optimize_numerics=False)


class _Scripted(nn.Module):
    """A ScriptModule whose forward has a signature that Python can read."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        parameters = [
            inspect.Parameter(
                argument.name,
                kind,
                default=argument.default_value
                if argument.has_default_value()
                else inspect.Parameter.empty,
            )
            for argument in module.forward.schema.arguments[1:]  # without self
        ]

        def forward(*args: Any, **kwargs: Any) -> Any:
            return module(*args, **kwargs)

        forward.__signature__ = inspect.Signature(parameters)
        self.forward = forward

    def __deepcopy__(self, memo: dict[int, Any]) -> _Scripted:
        # `forward` is a function, which a copy would share: it runs this module.
        return _Scripted(copy.deepcopy(self.module, memo))
