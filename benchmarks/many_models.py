"""What a build of several models costs, with and without the persistent worker.

    python3 benchmarks/many_models.py [--rounds 3] [--models 1 8] [--generate_only]

Builds so many cc_torch_library targets of models/tiny.py, each with weights and a name
that no cache has seen, in three ways, alternating in one run:

  process: each export and each code generation is a process that imports torch.
  started: a worker that the build itself has to start.
  running: a worker that an earlier build started, as on a working day.

The server runs and the tool is built. With --generate_only nothing is compiled. Prints
every time, the medians and their ratios to `process`; then, by the action that made
them, the files and bytes that one model adds to a cache.
"""

from __future__ import annotations

import argparse
import collections
import os
import platform
import random
import shutil
import statistics
import sys
import tempfile

from build_time import SCRATCH, WORKSPACE, timed

sys.path.insert(0, os.path.join(WORKSPACE, "tools"))
import why_missed

_BUILD = """\
load("//rules:defs.bzl", "cc_torch_library", "torch_model")

[
    (
        torch_model(
            name = "m{seed}_%d_model" % i,
            src = "//models:tiny.py",
            entry = "mlp",
            seed = {seed} + i,
        ),
        cc_torch_library(
            name = "m{seed}_%d" % i,
            model = "m{seed}_%d_model" % i,
        ),
    )
    for i in range({models})
]
"""

_NO_WORKER = [
    f"--strategy={mnemonic}=sandboxed" for mnemonic in ("TorchExport", "TorchCodegen")
]


def _build(models: int, flags: list[str]) -> float:
    """Builds models that were never built before; returns the seconds."""
    seed = random.SystemRandom().randrange(1 << 30)
    with open(os.path.join(SCRATCH, "BUILD.bazel"), "w", encoding="utf-8") as file:
        file.write(_BUILD.format(models=models, seed=seed))
    return timed(["./bazelw", "build", "//benchmarks/scratch:all", *flags], os.environ)


def _time(rounds: int, models: int, flags: list[str]) -> None:
    times: dict[str, list[float]] = {"process": [], "started": [], "running": []}
    for _ in range(rounds):
        times["process"].append(_build(models, [*_NO_WORKER, *flags]))
        _build(0, ["--worker_quit_after_build"])
        times["started"].append(_build(models, flags))
        times["running"].append(_build(models, flags))
        print(", ".join(f"{way} {values[-1]:.1f} s" for way, values in times.items()))
    medians = {way: statistics.median(values) for way, values in times.items()}
    print(
        f"{models} models, median: "
        + ", ".join(
            f"{way} {seconds:.1f} s ({seconds / medians['process']:.2f})"
            for way, seconds in medians.items()
        )
    )


def _count_uploads() -> None:
    """Prints what a cache holds after one model was built with it."""
    with tempfile.TemporaryDirectory() as directory:
        cache = os.path.join(directory, "cache")
        log = os.path.join(directory, "log.json")
        _build(1, [f"--disk_cache={cache}", f"--execution_log_json_file={log}"])
        spawns = why_missed.read(log)
        files: collections.Counter[str] = collections.Counter()
        sizes: collections.Counter[str] = collections.Counter()
        seen = set()
        for spawn in spawns:
            for output in spawn["actualOutputs"]:
                digest = output["digest"]["hash"]
                blob = os.path.join(cache, "cas", digest[:2], digest)
                if digest not in seen and os.path.exists(blob):
                    seen.add(digest)
                    files[spawn["mnemonic"]] += 1
                    sizes[spawn["mnemonic"]] += os.path.getsize(blob)
    for mnemonic, size in sizes.most_common():
        print(f"{mnemonic}: {files[mnemonic]} files, {size / 1024:.1f} KiB")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--generate_only", action="store_true")
    args = parser.parse_args()
    flags = ["--output_groups=torch_generated"] if args.generate_only else []
    os.makedirs(SCRATCH, exist_ok=True)
    try:
        print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores")
        _build(1, flags)  # the tool, the server
        for models in args.models:
            _time(args.rounds, models, flags)
        _count_uploads()
    finally:
        shutil.rmtree(SCRATCH, ignore_errors=True)


if __name__ == "__main__":
    main()
