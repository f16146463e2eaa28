"""Reads TorchScript: what `torch.jit.save` wrote."""

from __future__ import annotations

import re

import torch

from aot_common.errors import fail
from aot_common.paths import shorten_path
from torch_aot import archives
from torch_aot.archives import Kind
from torch_aot.torch_errors import summary

ENDINGS = (".pt", ".pth", ".jit", ".pts", ".ts", ".torchscript")

_SAVE_FIX = "save a scripted or traced module: torch.jit.script(module).save(path)"

_OTHERS = {
    Kind.COMPILED: _SAVE_FIX,
    Kind.PICKLE: "a state dict goes into the torch_model's `weights`, beside a Python "
    "`src` that makes its module; of a pickled module save TorchScript where its class is: "
    "torch.jit.script(module).save(path)",
    Kind.PROGRAM: "name it in the torch_model's `program`",
}


def load(path: str) -> torch.jit.ScriptModule:
    """Reads a file of TorchScript.

    No Python in it is run, and no object of Python's made: TorchScript has a reader of its
    own. What TorchScript a module has to run when it is loaded, `__setstate__`, is run.

    Args:
        path: The file; its ending says nothing.

    Returns:
        The module, on the CPU.

    Raises:
        UserError: It is none, or one that this torch does not read.
        OSError: It cannot be read.
    """
    where = shorten_path(path)
    archives.check(path, where, Kind.TORCHSCRIPT, _OTHERS, _SAVE_FIX)
    try:
        return torch.jit.load(path, map_location="cpu")
    except Exception as error:
        text = str(error)
        unknown = re.search(r"Unknown (?:builtin op|type name): *'?([\w:.]+)", text)
        if unknown:
            fail(
                f"the module needs {unknown[1].rstrip('.')}, which is none of PyTorch's own",
                where=where,
                fix="write a Python `src` that imports what registers it, names the file "
                "in `data`, and returns Model(torch.jit.load(path), inputs=...)",
            )
        fail(
            f"torch {torch.__version__} does not read this module: {summary(error, 2)}",
            where=where,
            fix="save it again, with a torch that is not newer than the one that builds",
        )
