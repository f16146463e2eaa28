"""What a model costs to build: inside Bazel, and with AOTInductor by hand.

    python3 benchmarks/build_time.py [--rounds 3] [--venv DIR]

Compares, for ResNet-18 from models/resnet.py, alternating in one run:

  bazel: `./bazelw build` of a torch_model and a cc_torch_library with weights that
      no cache has seen: export, code generation, compilation, archive. The server
      runs and the tool is built, as between two builds of a working day.
  aoti:  a Python process that imports torch, exports the same module and calls
      torch._inductor.aoti_compile_and_package, in a virtual environment into which
      pip installed the same locked torch.

Prints every time, both medians and their ratio.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

WORKSPACE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCRATCH = os.path.join(WORKSPACE, "benchmarks", "scratch")

_BUILD = """\
load("//rules:defs.bzl", "cc_torch_library", "torch_model")

torch_model(
    name = "resnet_model",
    src = "//models:resnet.py",
    entry = "resnet18",
    seed = {seed},
)

cc_torch_library(
    name = "resnet",
    model = ":resnet_model",
)
"""

_AOTI = """\
import sys
import torch
from models.resnet import resnet18

torch.manual_seed(int(sys.argv[1]))
model = resnet18()
with torch.no_grad():
    program = torch.export.export(
        model.module.eval(), model.inputs, dynamic_shapes=model.dynamic_shapes
    )
    torch._inductor.aoti_compile_and_package(program, package_path=sys.argv[2])
"""


def _bazel(seed: int) -> float:
    with open(os.path.join(SCRATCH, "BUILD.bazel"), "w", encoding="utf-8") as file:
        file.write(_BUILD.format(seed=seed))
    return timed(["./bazelw", "build", "//benchmarks/scratch:resnet"], os.environ)


def _aoti(python: str, seed: int) -> float:
    with tempfile.TemporaryDirectory() as directory:
        environment = os.environ | {
            "PYTHONPATH": f"{WORKSPACE}:{WORKSPACE}/tools",
            "TORCHINDUCTOR_CACHE_DIR": os.path.join(directory, "cache"),
        }
        package = os.path.join(directory, "resnet.pt2")
        return timed([python, "-c", _AOTI, str(seed), package], environment)


def timed(command: list[str], environment: os._Environ | dict) -> float:
    """Runs a command in the workspace's root; returns the seconds that it took."""
    start = time.monotonic()
    result = subprocess.run(
        command, cwd=WORKSPACE, env=environment, capture_output=True, text=True
    )
    if result.returncode:
        sys.exit(f"{command[0]} failed:\n{result.stdout}\n{result.stderr}")
    return time.monotonic() - start


def _venv(directory: str) -> str:
    python = os.path.join(directory, "bin", "python")
    if not os.path.exists(python):
        print(f"installing torch into {directory}")
        base = next(
            p for p in ("/usr/bin/python3.11", sys.executable) if os.path.exists(p)
        )
        subprocess.run([base, "-m", "venv", "--without-pip", directory], check=True)
        lock = os.path.join(WORKSPACE, "third_party", "python", "requirements.txt")
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "--python", python),
                *("install", "-q", "--no-deps", "-r", lock),
            ],
            check=True,
        )
    return python


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--venv", help="with torch; made if it does not exist")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        python = _venv(args.venv or os.path.join(temporary, "venv"))
        os.makedirs(SCRATCH, exist_ok=True)
        try:
            print(
                f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
            )
            seed = random.SystemRandom().randrange(1 << 30)
            _bazel(seed)  # the tool, the server
            _aoti(python, seed)  # the page cache
            times: dict[str, list[float]] = {"bazel": [], "aoti": []}
            for i in range(1, args.rounds + 1):
                times["bazel"].append(_bazel(seed + i))
                times["aoti"].append(_aoti(python, seed + i))
                print(
                    f"bazel {times['bazel'][-1]:.1f} s, aoti {times['aoti'][-1]:.1f} s"
                )
        finally:
            shutil.rmtree(SCRATCH, ignore_errors=True)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"median: bazel {medians['bazel']:.1f} s, aoti {medians['aoti']:.1f} s")
    print(f"ratio: {medians['bazel'] / medians['aoti']:.2f}")


if __name__ == "__main__":
    main()
