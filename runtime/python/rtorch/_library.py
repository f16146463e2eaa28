"""Loads models' libraries, and sees to it that a process has one libtorch.

A library that needs libtorch asks the loader for `libtorch_cpu.so`, and gets the one
that the process has, whoever brought it. So does `import torch`. A model must not come to
run on the libtorch of another torch, nor torch on a model's: where this Python has torch,
imported or not, its libtorch is loaded first, and must be of the version that compiled
the model. Where it has none, the library finds the one that it was linked to. So it does
not matter whether torch is imported before or after.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import os
import re
import sys

from rtorch import _elf, _native

_LIBTORCH = "libtorch_cpu.so"


@dataclasses.dataclass(frozen=True)
class _Torch:
    """Whose libtorch this process has.

    Attributes:
        version: "2.13.0+cpu".
        where: What brought it: a folder, or a model's library.
    """

    version: str
    where: str

    def serves(self, version: str) -> bool:
        """Whether it is of the same release; CPU and GPU builds have one interface."""
        return self.version.partition("+")[0] == version.partition("+")[0]


_in_process: _Torch | None = None


def load(path: str | os.PathLike[str]) -> _native.Library:
    """Loads a model's library; raises as rtorch.load says."""
    global _in_process
    path = os.path.abspath(os.fspath(path))
    if _LIBTORCH not in _elf.needed(path):
        return _open(path)
    installed = _installed()
    if installed and "torch" not in sys.modules:
        try:
            _native.preload(os.path.join(installed.where, "lib", _LIBTORCH))
        except ImportError:  # builds for GPUs have ways of their own to find CUDA
            importlib.import_module("torch")
    torch = installed or _in_process
    if torch is None:
        library = _open(
            path,
            "install the torch that compiled it, or name the folder of its libraries "
            "in LD_LIBRARY_PATH",
        )
        _in_process = _Torch(library.torch, path)
        return library
    library = _open(path, f"this Python has torch {torch.version} in {torch.where}")
    if not torch.serves(library.torch):
        raise ImportError(
            f"{path}: compiled by torch {library.torch}, but this Python has torch "
            f"{torch.version} in {torch.where}, and a process can have one; install "
            f"torch {library.torch.partition('+')[0]}, or compile the model with the other",
            path=path,
        )
    _in_process = torch
    return library


def _open(path: str, fix: str = "") -> _native.Library:
    try:
        return _native.Library(path)
    except ImportError as error:
        reason = str(error).removeprefix(f"{path}: ")  # the loader may have said it
        message = f"{path}: {reason}" + (f"; {fix}" if fix else "")
        raise ImportError(message, path=path) from error


def _installed() -> _Torch | None:
    """The torch that `import torch` gives, or gave, without importing it."""
    try:
        spec = importlib.util.find_spec("torch")
    except ValueError:  # a module without a spec: what tests put there
        return None
    if spec is None or spec.origin is None:
        return None
    folder = os.path.dirname(spec.origin)
    if not os.path.exists(os.path.join(folder, "lib", _LIBTORCH)):
        return None
    with open(os.path.join(folder, "version.py"), encoding="utf-8") as file:
        version = re.search(r"(?m)^__version__ = '(.*)'", file.read())
    return _Torch(version[1], folder) if version else None
