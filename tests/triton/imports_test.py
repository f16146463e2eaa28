"""What the kernels' compiler imports."""

import os
import pathlib
import subprocess
import sys

import triton_aot

TESTING = "testing"  # is for users' tests, which have torch
SCRIPT = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(f"triton_aot.{name}")
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_neither_torch_nor_the_models_side():
    folder = pathlib.Path(triton_aot.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", TESTING}
    assert {"compile", "launcher", "source", "tuner"} <= modules
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *sorted(modules)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    imported = done.stdout.split()
    assert {"aot_common", "triton", "triton_aot"} <= {*imported}
    assert not {"torch", "torch_aot"} & {*imported}
