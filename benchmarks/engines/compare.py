"""Compiled models beside eager PyTorch and the inference engines, in one run.

    compare.py --peers VENV/bin/python [--models bert_1 ...] [--threads 1 2] [--rounds 9]

Each engine is a process of its own, and they take turns, round by round. Prints, for each
model and number of threads, medians, the ratio of the best peer to each runtime of ours,
and how far each engine's results are from eager's; at the end the geometric means of the
ratios. The peers' Python has what peers.txt lists; an engine that fails is a line with its
reason.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
WORKER = os.path.join(HERE, "worker.py")
SECONDS = 0.3  # of a round, about


@dataclasses.dataclass(frozen=True)
class Model:
    """Where a model comes from."""

    name: str
    path: str
    entry: str
    batch: int | None = None  # of the example inputs, how many; None: as they are
    weights: str | None = None  # None: random ones


MODELS = {
    model.name: model
    for model in [
        Model("mlp", "models/tiny.py", "mlp"),
        Model("encoder", "models/encoder.py", "encoder"),
        Model("resnet18", "models/resnet.py", "resnet18", batch=1),
        Model("resnet50", "models/resnet.py", "resnet50", batch=1),
        Model(
            "efficientnet_lite0",
            "models/efficientnet_lite0.py",
            "efficientnet_lite0",
            batch=1,
        ),
    ]
    + [
        Model(name, "benchmarks/engines/zoo.py", name)
        for name in (
            "mobilenet",
            "unet",
            "bert_1",
            "bert_8",
            "lstm",
            "pitch",
            "gpt2_step",
            "spectral",
        )
    ]
}
PEERS = ("eager", "aotinductor", "onnxruntime", "openvino")
OURS = ("libtorch", "standalone")
ISAS = ("avx2", "avx512f", "avx512_bf16", "amx_tile")


class Engine:
    """A worker's process."""

    def __init__(
        self, name: str, python: str, threads: int, folder: str, model: Model
    ) -> None:
        """Starts it, and finds out how many calls a round has."""
        path = [os.path.join(ROOT, "tools")]
        if name in OURS:  # the peers' Python has its own packages
            path += map(os.path.abspath, sys.path)
        self.name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed by close
        self._process = subprocess.Popen(
            [
                python,
                WORKER,
                name,
                str(threads),
                folder,
                json.dumps(
                    dataclasses.asdict(model) | {"path": os.path.join(ROOT, model.path)}
                ),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={
                **os.environ,
                "OMP_NUM_THREADS": str(threads),
                "PYTHONPATH": os.pathsep.join(path),
            },
        )
        self.times: list[float] = []
        self.calls = 1
        self.error = math.nan
        self.version = ""
        self.failure = ""
        said = self._read()
        if said is not None:
            error, _, self.version = said.removeprefix("ready ").strip().partition(" ")
            self.error = float(error)
            took = min(self._run(3) or [SECONDS])
            self.calls = max(1, min(2000, int(SECONDS / took)))

    def _read(self) -> str | None:
        """The next line that is an answer; None, and the reason, if none comes."""
        for line in self._process.stdout:
            if line.startswith(("ready ", "[")):
                return line
        self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        self.failure = lines[-1][:120] if lines else f"exit {self._process.returncode}"
        return None

    def _run(self, calls: int) -> list[float]:
        print(calls, file=self._process.stdin, flush=True)
        said = self._read()
        return [] if said is None else json.loads(said)

    def round(self) -> None:
        """Adds the median of a round."""
        if not self.failure:
            times = self._run(self.calls)
            if times:
                self.times.append(statistics.median(times))

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._errors.close()


def compare(
    model: Model, threads: int, rounds: int, peers: str, folder: str
) -> dict[str, float]:
    """Prints a model's table. Returns the ratios of the best peer to ours, by runtime."""
    pythons = dict.fromkeys(PEERS, peers) | dict.fromkeys(OURS, sys.executable)
    engines = [
        Engine(name, python, threads, folder, model) for name, python in pythons.items()
    ]
    for _ in range(rounds):
        for engine in engines:
            engine.round()
    print(f"\n{model.name}, {threads} thread{'s' * (threads > 1)}")
    medians = {}
    for engine in engines:
        if engine.times:
            medians[engine.name] = statistics.median(engine.times)
    best = min(filter(PEERS.__contains__, medians), key=medians.get, default="")
    ratios = {}
    for engine in engines:
        engine.close()
        if engine.name not in medians:
            print(f"  {engine.name:12} not measured: {engine.failure}")
            continue
        median = medians[engine.name]
        line = f"  {engine.name:12} {median * 1e6:12.2f} us   error {engine.error:.1e}"
        if engine.name in OURS and best:
            ratio = ratios[engine.name] = medians[best] / median
            line += f"   {ratio:.2f} x as fast as {best}"
        elif engine.version:
            line += f"   {engine.version}"
        print(line)
    sys.stdout.flush()
    return ratios


def main() -> None:
    """Compares what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--peers", required=True, help="a Python with peers.txt's packages"
    )
    parser.add_argument("--models", nargs="*", choices=MODELS, default=[*MODELS])
    parser.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--weights",
        action="append",
        default=[],
        metavar="MODEL=FILE",
        help="what a model was compiled with",
    )
    args = parser.parse_args()
    weights = dict(each.split("=", 1) for each in args.weights)
    with open("/proc/cpuinfo") as file:
        lines = [line.partition(":")[::2] for line in file]
    cpu = {key.strip(): value.split() for key, value in reversed(lines)}
    flags = [flag for flag in ISAS if flag in cpu.get("flags", [])]
    print(
        f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} CPUs, "
        f"{' '.join(cpu.get('model name', ['?']))} ({', '.join(flags)}), "
        f"load {os.getloadavg()[0]:.1f}, {args.rounds} rounds"
    )
    ratios = {}
    for name in args.models:
        model = MODELS[name]
        if name in weights:
            model = dataclasses.replace(model, weights=os.path.abspath(weights[name]))
        with tempfile.TemporaryDirectory() as folder:
            for threads in args.threads:
                measured = compare(model, threads, args.rounds, args.peers, folder)
                for runtime, ratio in measured.items():
                    ratios.setdefault(runtime, {})[name, threads] = ratio
    print()
    for runtime, each in ratios.items():
        mean = statistics.geometric_mean(each.values())
        name, threads = min(each, key=each.get)
        print(
            f"{runtime}: geometric mean of {len(each)}: {mean:.2f} x as fast as the best "
            f"peer; least: {each[name, threads]:.2f} x ({name}, {threads} threads)"
        )


if __name__ == "__main__":
    main()
