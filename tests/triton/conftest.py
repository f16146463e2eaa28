"""What the tests of the kernels' compiler share."""

import json
import pathlib
import sys
from collections.abc import Callable, Sequence

import pytest
from commands import ROOT, arguments

sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from tests.tools.conftest import (  # noqa: E402 (found by the line above)
    Result,
    golden,
    isolated_imports,
    tool,
    write,
)

__all__ = ["golden", "isolated_imports", "kernel", "library", "tool", "write"]


@pytest.fixture
def kernel(tool: Callable[..., Result]) -> Callable[..., Result]:
    """Runs the stage `kernel` on a file; what it writes is OUT/k.json and .images."""

    def run(source: str, *declarations: str, flags=(), architecture="sm_80") -> Result:
        return tool(*arguments(source, declarations, architecture, *flags))

    return run


@pytest.fixture
def library(
    tool: Callable[..., Result], tmp_path: pathlib.Path
) -> Callable[..., Result]:
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
        compiled = []
        for name, mine in functions.items():
            for architecture in architectures:
                prefix = str(tmp_path / f"{name}.{architecture}")
                made = tool(*arguments(source, mine, architecture, *flags, out=prefix))
                assert made.status == 0, made.output
                compiled.append(prefix + ".json")
        named = ["--name=Lib", "--include=pkg/lib.h"] if stage == "launcher" else []
        return tool(
            stage,
            *compiled,
            "--label=//pkg:lib",
            "--id=rtorch_pkg_lib",
            f"--out=OUT/lib.{'h' if stage == 'launcher' else 'cc'}",
            *named,
            *stage_flags,
        )

    return run
