"""ptxas, so that what it makes depends on its input alone.

ptxas for Blackwell lays out code by the addresses of its data. ptxas_heap.c, which is
preloaded into it, makes these its own.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import types
from collections.abc import Sequence
from typing import Any

_HERE = os.path.dirname(os.path.abspath(__file__))


def assembler(directory: str) -> types.SimpleNamespace:
    """Makes what stands for the module `subprocess` where Triton runs ptxas.

    The lengths of the paths that ptxas is given move its data, and so what it makes:
    it is given none of this machine's.

    Args:
        directory: A private one.
    """

    def run(command: Sequence[str], **settings: Any) -> Any:
        program, *flags, source, _, output = command
        shutil.copyfile(source, os.path.join(directory, "kernel.ptx"))
        done = subprocess.run(
            [os.path.basename(program), *flags, "kernel.ptx", "-o", "kernel.cubin"],
            executable=os.path.abspath(program),
            cwd=directory,
            env=os.environ | _preload(directory),
            **settings,
        )
        shutil.move(os.path.join(directory, "kernel.cubin"), output)
        return done

    return types.SimpleNamespace(**{**vars(subprocess), "run": run})


def _preload(directory: str) -> dict[str, str]:
    """The variable that gives ptxas its heap, before what is preloaded anyway."""
    heap = _heap(directory)
    libraries = [heap, os.environ.get("LD_PRELOAD", "")]
    return {"LD_PRELOAD": ":".join(filter(None, libraries))} if heap else {}


def _heap(directory: str) -> str:
    """Finds the library that Bazel made; without Bazel, makes it in `directory`.

    Returns:
        Its path; "" if there is no C compiler.
    """
    built = os.path.join(_HERE, "ptxas_heap.so")
    if os.path.exists(built):
        return built
    made = os.path.join(directory, "ptxas_heap.so")
    if not os.path.exists(made):
        compiler = os.environ.get("CC", "cc")
        source = os.path.join(_HERE, "ptxas_heap.c")
        try:
            subprocess.run(
                [compiler, "-O2", "-shared", "-fPIC", source, "-o", made],
                check=True,
                capture_output=True,
                text=True,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            _warn(compiler, getattr(error, "stderr", None) or str(error))
            return ""
    return made


@functools.cache
def _warn(compiler: str, error: str) -> None:
    print(
        f"note: {compiler!r} cannot compile {_HERE}/ptxas_heap.c, without which code for "
        "Blackwell GPUs may differ from one build to the next; set CC to a C compiler:\n"
        f"{error.rstrip()}",
        file=sys.stderr,
    )
