"""What the tests of the kernels' compiler share."""

import json
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[1] / "tools")]

from tests.tools.conftest import (  # noqa: E402 (found by the line above)
    Result,
    isolated_imports,
    tool,
    write,
)

__all__ = ["declaration", "isolated_imports", "kernel", "library", "tool", "write"]


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
        f"--out={out}",
        *(f"--declaration={each}" for each in declarations),
        *flags,
    ]


@pytest.fixture
def kernel(tool: Callable[..., Result]) -> Callable[..., Result]:
    """Runs the stage `kernel` on a file; what it writes is OUT/k.json and .images."""

    def run(source: str, *declarations: str, flags=(), architecture="sm_80") -> Result:
        return tool(*arguments(source, declarations, architecture, *flags))

    return run


@pytest.fixture
def library(tool: Callable[..., Result], tmp_path: pathlib.Path) -> Callable[..., Result]:
    """Runs `kernel` for each architecture and C++ function, then another stage.

    `stage` is "launcher" or "tuner"; what it writes is OUT/lib.h, OUT/lib.cc and so on.
    """

    def run(
        source: str,
        *declarations: str,
        architectures: Sequence[str] = ("sm_80",),
        flags: Sequence[str] = (),
        stage: str = "launcher",
        stage_flags: Sequence[str] = (),
    ) -> Result:
        functions: dict[str, list[str]] = {}
        for each in declarations:
            functions.setdefault(json.loads(each)["name"], []).append(each)
        prefixes = []
        for name, mine in functions.items():
            for architecture in architectures:
                prefix = str(tmp_path / f"{name}.{architecture}")
                made = tool(*arguments(source, mine, architecture, *flags, out=prefix))
                assert made.status == 0, made.output
                prefixes.append(prefix)
        named = ["--name=Lib", "--include=pkg/lib.h"] if stage == "launcher" else []
        return tool(
            stage,
            *prefixes,
            "--label=//pkg:lib",
            "--id=rtorch_pkg_lib",
            "--out=OUT/lib",
            *named,
            *stage_flags,
        )

    return run
