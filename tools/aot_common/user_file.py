"""Runs a Python file of the user's, a model's or one with kernels; explains its errors."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import types
from collections.abc import Callable, Mapping, Sequence

from aot_common.errors import FULL_TRACE_FLAG, UserError, error_at, fail
from aot_common.frames import Frame
from aot_common.paths import portable_path, shorten_path


def run(
    path: str, explain: Callable[[str, BaseException, str], UserError]
) -> types.ModuleType:
    """Runs a file, as the module that it is for others' imports.

    Args:
        path: The file.
        explain: Explains what the file raises: what was done, "importing the file
            raised", the exception, and where it is if no line of the user's is to blame.

    Raises:
        UserError: There is no such file, or what `explain` returns.
    """
    where = shorten_path(path)
    if not os.path.exists(path):
        fail("the file does not exist", where=where, fix="check the path")
    name = _module_name(path)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise explain("importing the file raised", error, where) from error
    return module


def explain(
    doing: str,
    error: BaseException,
    where: str,
    *,
    text: str,
    stack: Sequence[Frame],
    fixes: Mapping[type[BaseException], str],
) -> UserError:
    """Explains an error of the user's code itself, run as plain Python.

    Args:
        doing: "mlp() raised": what the message begins with.
        error: The exception.
        where: What to name if it passed through no line of the user's.
        text: What the exception says.
        stack: The user's frames that it passed through, outermost first.
        fixes: What to do about an exception, by its type; the first that fits holds.
    """
    if isinstance(error, SyntaxError) and error.filename:
        broken = Frame(error.filename, error.lineno or 1)
        return UserError(
            f"{type(error).__name__}: {error.msg}",
            where=broken.where,
            stack=[*stack, broken],
        )
    what = f"{doing} {type(error).__name__}: {text or 'no message'}"
    if isinstance(error, ModuleNotFoundError):
        what = f"there is no module named {error.name!r}"
    elif isinstance(error, ImportError):
        what = re.sub(r" \([^()]*\.py\)", "", what)  # Python adds the module's path
    fix = next(
        (fix for kind, fix in fixes.items() if isinstance(error, kind)),
        f"see the whole traceback with {FULL_TRACE_FLAG}",
    )
    return error_at(what, frames=stack, where=where, fix=fix)


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
