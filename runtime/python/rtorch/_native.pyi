"""The extension module: Python over the C ABI of compiled models."""

import os
from typing import Any, Protocol, Self

class Tensor:
    """An output of a compiled model: row-major contiguous memory.

    numpy.asarray, memoryview, torch.from_dlpack and others use it without a copy.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> str: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __dlpack__(
        self,
        *,
        stream: Any | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...

class Library:
    """A compiled model's shared library, loaded as long as it or a model is there."""

    def __new__(cls, path: str) -> Self: ...
    @property
    def name(self) -> str: ...
    @property
    def signature(self) -> str: ...
    @property
    def torch(self) -> str: ...
    @property
    def inputs(self) -> tuple[str, ...]: ...
    @property
    def outputs(self) -> tuple[str, ...]: ...

class Model:
    """An instance of a compiled model."""

    def __new__(
        cls,
        library: Library,
        outputs: type[tuple[Any, ...]],
        weights: str | os.PathLike[str] | None = None,
        threads: int = 0,
    ) -> Self: ...
    def run(self, *args: Any, **kwargs: Any) -> Any: ...
    def swap(self, weights: str | os.PathLike[str] | None) -> None: ...
    @property
    def isa(self) -> str: ...

class SupportsDLPack(Protocol):
    """An array of any library that speaks DLPack."""

    def __dlpack__(self) -> Any: ...

def preload(path: str, /) -> None: ...
