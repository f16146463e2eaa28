"""Command lines of the kernels' compiler, and what is done with what it makes."""

import json
import os
import pathlib
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

ROOT = pathlib.Path(__file__).parents[2]


def declaration(
    function: str,
    signature: Mapping[str, str],
    *,
    name: str = "",
    types: Mapping[str, Sequence[str]] | None = None,
    constexprs: Mapping[str, Any] | None = None,
    when: str = "",
    grid: Sequence[str] = (),
    num_warps: int = 0,
    num_stages: int = 0,
    num_ctas: int = 0,
    example: Mapping[str, str | float] | None = None,
) -> str:
    """What the Starlark function triton_kernel returns."""
    return json.dumps(
        {
            "constexprs": constexprs or {},
            "example": example or {},
            "function": function,
            "grid": list(grid),
            "name": name or function,
            "options": {
                "num_ctas": num_ctas,
                "num_stages": num_stages,
                "num_warps": num_warps,
            },
            "signature": signature,
            "types": types or {},
            "when": when,
        }
    )


def arguments(
    source: str,
    declarations: Sequence[str],
    architecture: str,
    *flags: str,
    out: str = "OUT/k",
) -> list[str]:
    """The command line that compiles a kernel."""
    return [
        "kernel",
        source,
        "--label=//pkg:lib",
        f"--architecture={architecture}",
        f"--out={out}.json",
        *(f"--declaration={each}" for each in declarations),
        *flags,
    ]


def compile_cpp(source: pathlib.Path) -> None:
    """Compiles a generated source as users with strict flags do.

    Args:
        source: Its header, if it has one, lies beside it, and is included as pkg/.
    """
    compiler = os.environ.get("CC") or shutil.which("g++")
    assert compiler, "no C++ compiler: set CC"
    folder = source.parent / "include" / "pkg"
    folder.mkdir(parents=True)
    for header in source.parent.glob("*.h"):
        shutil.copy(header, folder)
    flags = (
        "-fsyntax-only -x c++ -std=c++17 -Wall -Wextra -Wconversion -Wpedantic -Werror"
    )
    paths = (folder.parent, ROOT, ROOT / "runtime/include")
    done = subprocess.run(
        [compiler, *flags.split(), *(f"-I{path}" for path in paths), source],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
