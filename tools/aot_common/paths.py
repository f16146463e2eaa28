"""How paths are shown to users and written to outputs, and whose code they are."""

from __future__ import annotations

import functools
import importlib.util
import os
import sysconfig

_TOOLS_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_OWN_DIRS = tuple(
    os.path.join(_TOOLS_DIR, name, "")
    for name in ("aot_common", "torch_aot", "triton_aot")
)
_OWN_FILES = {os.path.join(_TOOLS_DIR, "compile_model.py")}
_PACKAGES = f"site-packages{os.sep}"
# No line of theirs is shown beside the user's.
_TORCH_PACKAGES = {
    "torch",
    "functorch",
    "mpmath",
    "networkx",
    "numpy",
    "sympy",
    "triton",
}


def shorten_path(path: str) -> str:
    """Makes a path fit for a message: relative, if it lies below this directory."""
    if _PACKAGES in path:
        return _PACKAGES + path.rpartition(_PACKAGES)[2]
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def portable_path(path: str) -> str:
    """Makes a path fit for an output: the same on every machine."""
    relative = shorten_path(path)
    if not os.path.isabs(relative):
        return relative
    for root in _standard_library():
        if path.startswith(root):
            return os.path.join("python", os.path.relpath(path, root))
    return os.path.basename(path)


@functools.cache
def _standard_library() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple(
        {
            root + os.sep
            for name in ("stdlib", "platstdlib")
            for root in (paths[name], os.path.realpath(paths[name]))
        }
    )


@functools.cache
def is_user_file(path: str) -> bool:
    """Whether a path is code of the user's: no package, nor Python's, nor ours."""
    if not path.endswith(".py") or path.startswith("<") or _PACKAGES in path:
        return False
    path = os.path.abspath(path)
    if path in _OWN_FILES or path.startswith(_OWN_DIRS):
        return False
    return not path.startswith((*_standard_library(), *_package_dirs()))


@functools.cache
def _package_dirs() -> tuple[str, ...]:
    """Where torch and Triton are, of those that there are."""
    specs = [importlib.util.find_spec(name) for name in ("torch", "triton")]
    return tuple(
        os.path.dirname(os.path.abspath(spec.origin)) + os.sep
        for spec in specs
        if spec and spec.origin
    )


def is_library_file(path: str) -> bool:
    """Whether a path is of a package that the user imports, other than torch."""
    package = path.rpartition(_PACKAGES)[2].partition(os.sep)[0]
    return _PACKAGES in path and package not in _TORCH_PACKAGES
