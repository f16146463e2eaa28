"""Ahead-of-time compilation of PyTorch models, one module a stage.

A model file imports `Model` from here, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch_aot.model import Model

__all__ = ["Model"]


def __getattr__(name: str) -> Any:
    # Not at import: kernels share torch_aot.errors, and are compiled without torch.
    if name == "Model":
        from torch_aot.model import Model

        return Model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
