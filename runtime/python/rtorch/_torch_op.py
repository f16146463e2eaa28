"""Loads the operators that torch_op_library makes of models. It alone imports torch."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

import torch

from rtorch import _elf

# The first with the stable C ABI that libraries use.
_OLDEST = (2, 10)

_loaded: dict[str, str] = {}


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An input or output of a model.

    Attributes:
        name: In messages.
        dtype: "float32".
        dims: Of each dimension the size: a number; a dynamic size, "batch", or with
            scale and offset ("batch", 2, 1); None if only the run knows it.
    """

    name: str
    dtype: str
    dims: Sequence[int | str | tuple[str, int, int] | None]


def load(
    op: str,
    library: str,
    *,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    sizes: dict[str, tuple[int, int | None]],
    torch_version: str | None,
) -> Any:
    """Loads a library and gives its operator a fake implementation.

    Args:
        op: "models::resnet".
        library: Path of the library.
        inputs: The model's inputs.
        outputs: Its outputs.
        sizes: Of each dynamic size the least and the greatest, None for no bound.
        torch_version: The only release that it runs on; None: all with the stable ABI.

    Returns:
        torch.ops.models.resnet.

    Raises:
        FileNotFoundError: There is no such library.
        ImportError: This process cannot load it, or has an operator of that name.
    """
    namespace, _, name = op.partition("::")
    library = os.path.abspath(library)
    if op in _loaded and os.path.realpath(_loaded[op]) != os.path.realpath(library):
        raise ImportError(
            f"{library}: the operator {op} is there already, of {_loaded[op]}; name one "
            'of them by "op" of its torch_op_library',
            path=library,
        )
    if op not in _loaded:
        _check(library, torch_version)
        loaded = os.path.realpath(library) in torch.ops.loaded_libraries
        if not loaded and hasattr(getattr(torch.ops, namespace), name):
            raise ImportError(
                f"{library}: the operator {op} is there already; name this one by "
                '"op" of its torch_op_library',
                path=library,
            )
        try:
            torch.ops.load_library(library)
        except OSError as error:
            raise ImportError(f"{library}: {error}", path=library) from error
        torch.library.register_fake(op, fake(op, inputs, outputs, sizes))
        _loaded[op] = library
    return getattr(getattr(torch.ops, namespace), name)


def _check(library: str, torch_version: str | None) -> None:
    _elf.needed(library)
    release = torch.__version__.partition("+")[0]
    version = tuple(int(part) for part in release.split(".")[:2])
    if version < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise ImportError(
            f"{library}: needs torch {oldest} or newer, and this is {torch.__version__}",
            path=library,
        )
    if torch_version and torch_version.partition("+")[0] != release:
        raise ImportError(
            f"{library}: compiled by torch {torch_version}, and this is "
            f"{torch.__version__}; install the other, or compile the model with "
            'runtime = "standalone"',
            path=library,
        )


def fake(
    op: str,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    sizes: dict[str, tuple[int, int | None]],
) -> Callable[..., Any]:
    """What the operator does to tensors without values: sizes may be symbolic."""

    def implementation(*tensors: torch.Tensor) -> Any:
        known: dict[str, Any] = {}
        for spec, tensor in zip(inputs, tensors, strict=True):
            _expect(
                tensor.dtype == getattr(torch, spec.dtype),
                f"{op}: input '{spec.name}': the dtype is "
                f"{str(tensor.dtype).removeprefix('torch.')}, not {spec.dtype}",
            )
            _expect(
                tensor.dim() == len(spec.dims),
                f"{op}: input '{spec.name}': the rank is {tensor.dim()}, "
                f"not {len(spec.dims)}",
            )
            for i, (dim, size) in enumerate(zip(spec.dims, tensor.shape, strict=True)):
                if dim is None:
                    continue
                symbol, scale, offset = _linear(dim)
                if symbol is not None and symbol not in known:
                    known[symbol] = (size - offset) // scale
                    least, greatest = sizes[symbol]
                    _expect(
                        known[symbol] >= least, f"{op}: {symbol} is less than {least}"
                    )
                    if greatest is not None:
                        _expect(
                            known[symbol] <= greatest,
                            f"{op}: {symbol} is more than {greatest}",
                        )
                expected = offset if symbol is None else scale * known[symbol] + offset
                _expect(
                    size == expected,
                    f"{op}: input '{spec.name}': dimension {i} is not {_text(dim)}",
                )
        device = tensors[0].device if tensors else torch.device("cpu")
        made = [
            torch.empty(
                [_size(dim, known) for dim in spec.dims],
                dtype=getattr(torch, spec.dtype),
                device=device,
            )
            for spec in outputs
        ]
        return made[0] if len(made) == 1 else tuple(made)

    return implementation


def _expect(condition: Any, message: str) -> None:
    torch._check(condition, lambda: message)


def _linear(dim: int | str | tuple[str, int, int]) -> tuple[str | None, int, int]:
    """A size as symbol, scale and offset."""
    if isinstance(dim, int):
        return None, 0, dim
    return (dim, 1, 0) if isinstance(dim, str) else dim


def _size(dim: int | str | tuple[str, int, int] | None, known: dict[str, Any]) -> Any:
    if dim is None:
        return torch.library.get_ctx().new_dynamic_size()
    symbol, scale, offset = _linear(dim)
    return offset if symbol is None else scale * known[symbol] + offset


def _text(dim: int | str | tuple[str, int, int]) -> str:
    if not isinstance(dim, tuple):
        return str(dim)
    symbol, scale, offset = dim
    return f"{scale}*{symbol}" + (f" + {offset}" if offset else "")
