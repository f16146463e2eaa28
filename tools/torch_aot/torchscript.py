"""TorchScript in a model: what torch.export needs of it.

torch.export runs a frozen ScriptModule in TorchScript's interpreter and records the
operators. What it cannot record so, it records while script_interpreter.py runs the graph.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from aot_common.errors import fail
from torch_aot import upstream
from torch_aot.script_interpreter import (
    Translated,
    methods_of,
    nodes_of,
    signature_of,
)


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
    for path, parent, name in _parts(module):
        part = parent.get_submodule(name)
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


def keeps_attributes(module: nn.Module) -> bool:
    """Whether TorchScript in a module keeps more from call to call than torch.export sees.

    It sees buffers that are changed in place. Attributes that are set, and lists that are
    changed, would keep their first values.

    Args:
        module: What `prepare` made.
    """
    return any(
        node.kind() == "prim::SetAttr"
        or (
            node.kind() == "prim::GetAttr"
            and node.output().type().kind() not in ("ClassType", "TensorType")
        )
        for part in module.modules()
        if isinstance(part, torch.jit.ScriptModule)
        for name in methods_of(part)
        for node in nodes_of(part._c._get_method(name).graph)
    )


@contextlib.contextmanager
def translated(module: nn.Module, where: str) -> Iterator[nn.Module]:
    """Gives a form of a module in which torch.export sees through TorchScript.

    Args:
        module: What `prepare` made. Parts of it that are ScriptModules are replaced for
            a while.
        where: The line that made the model.
    """
    if isinstance(module, _Scripted):
        yield Translated(module.module, where)
        return
    made: dict[nn.Module, nn.Module] = {}
    with contextlib.ExitStack() as undo:
        for _, parent, name in _parts(module):
            part = parent.get_submodule(name)
            if part not in made:
                made[part] = Translated(part, where)
            setattr(parent, name, made[part])
            undo.callback(setattr, parent, name, part)
        yield module


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


def _parts(module: nn.Module) -> list[tuple[str, nn.Module, str]]:
    """The outermost ScriptModules in a module: paths, parents, and names there."""
    return [
        (f"{path}.{name}" if path else name, parent, name)
        for path, parent in module.named_modules(remove_duplicate=False)
        if not isinstance(parent, torch.jit.ScriptModule)
        for name, part in parent._modules.items()
        if isinstance(part, torch.jit.ScriptModule)
    ]


def _freeze(module: torch.jit.ScriptModule) -> nn.Module:
    methods = [name for name in methods_of(module) if name != "forward"]
    return torch.jit.freeze(module, preserved_attrs=methods, optimize_numerics=False)


class _Scripted(nn.Module):
    """A ScriptModule whose forward has a signature that Python can read."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

        def forward(*args: Any, **kwargs: Any) -> Any:
            return module(*args, **kwargs)

        forward.__signature__ = signature_of(module._c._get_method("forward"))
        self.forward = forward

    def __deepcopy__(self, memo: dict[int, Any]) -> _Scripted:
        # `forward` is a function, which a copy would share: it runs this module.
        return _Scripted(copy.deepcopy(self.module, memo))
