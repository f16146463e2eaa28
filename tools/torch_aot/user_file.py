"""Runs a Python file of the user's: a model's, or one with kernels."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import types

from torch_aot.errors import portable_path


def run(path: str) -> types.ModuleType:
    """Runs a file, as the module that it is for others' imports.

    Raises:
        Exception, SystemExit: Whatever the file raises.
    """
    name = _module_name(path)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _module_name(path: str) -> str:
    """`models.resnet`: as the file is imported by others, and in the program."""
    # Bazel has other repositories in there; imports start at a repository's root.
    path_in_repository = re.sub(r"^external/[^/]+/", "", portable_path(path))
    name = os.path.splitext(path_in_repository)[0].replace(os.sep, ".").strip(".")
    known = sys.modules.get(name)
    if known is None or _is_file(known, path):
        return name
    return f"{name}_model"  # the file is called like a package, e.g. random.py


def _is_file(module: types.ModuleType, path: str) -> bool:
    file = getattr(module, "__file__", None)
    return bool(file) and os.path.abspath(file) == os.path.abspath(path)
