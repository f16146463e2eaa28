"""Compiled models beside eager PyTorch and the inference engines, in one run.

    compare.py --peers VENV/bin/python [--models bert_1 ...] [--threads 1 2] [--rounds 9]

Each engine is a process of its own, and they take turns, round by round. Prints, for each
model and number of threads, medians, the ratio of the best peer to ours, and how far each
engine's results are from eager's; at the end the geometric mean of the ratios. The
peers' Python has what peers.txt lists; an engine that fails is a line with its reason.
"""

from __future__ import annotations

import argparse
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
ZOO = os.path.join(HERE, "zoo.py")
SECONDS = 0.3  # of a round, about

MODELS = {
    "mlp": os.path.join(ROOT, "models/tiny.py:mlp"),
    "encoder": os.path.join(ROOT, "models/encoder.py:encoder"),
    "resnet18": os.path.join(ROOT, "models/resnet.py:resnet18"),
    "resnet50": os.path.join(ROOT, "models/resnet.py:resnet50"),
    **{
        name: f"{ZOO}:{name}"
        for name in (
            "mobilenet",
            "unet",
            "bert_1",
            "bert_8",
            "lstm",
            "pitch",
            "gpt2_step",
        )
    },
}
PEERS = ("eager", "aotinductor", "onnxruntime", "openvino")


class Engine:
    """A worker's process."""

    def __init__(
        self, name: str, python: str, threads: int, folder: str, what: str
    ) -> None:
        """Starts it, and finds out how many calls a round has."""
        path = [os.path.join(ROOT, "tools"), *map(os.path.abspath, sys.path)]
        if name in PEERS:
            path = path[:1]  # the peers' Python has its own packages
        self.name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed by close
        self._process = subprocess.Popen(
            [python, WORKER, name, str(threads), folder, what],
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
        self.failure = ""
        said = self._read()
        if said is not None:
            self.error = float(said.split()[1])
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


def compare(model: str, threads: int, rounds: int, peers: str) -> float | None:
    """Prints a model's table. Returns the ratio of the best peer to ours, if any."""
    with tempfile.TemporaryDirectory() as folder:
        place = MODELS[model]
        engines = [Engine(name, peers, threads, folder, place) for name in PEERS]
        ours = Engine("compiled", sys.executable, threads, folder, f"{model}_py")
        engines.append(ours)
        for _ in range(rounds):
            for engine in engines:
                engine.round()
        print(f"\n{model}, {threads} thread{'s' * (threads > 1)}")
        medians = {}
        for engine in engines:
            name = "rules_torch" if engine is ours else engine.name
            if engine.times:
                median = medians[engine] = statistics.median(engine.times)
                print(f"  {name:12} {median * 1e3:10.3f} ms   error {engine.error:.1e}")
            else:
                print(f"  {name:12} not measured: {engine.failure}")
            engine.close()
    own = medians.pop(ours, None)
    if own is None or not medians:
        return None
    best = min(medians, key=medians.__getitem__)
    ratio = medians[best] / own
    print(f"  {'best peer':12} {ratio:10.2f} x ours ({best.name})", flush=True)
    return ratio


def main() -> None:
    """Compares what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--peers", required=True, help="a Python with peers.txt's packages"
    )
    parser.add_argument("--models", nargs="*", choices=MODELS, default=[*MODELS])
    parser.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    with open("/proc/cpuinfo") as file:
        cpu = next((line for line in file if line.startswith("model name")), "")
    load = os.getloadavg()[0]
    print(
        f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} CPUs,"
        f"{cpu.partition(':')[2].rstrip()}, load {load:.1f}, {args.rounds} rounds"
    )
    ratios = {}
    for model in args.models:
        for threads in args.threads:
            ratio = compare(model, threads, args.rounds, args.peers)
            if ratio is not None:
                ratios[model, threads] = ratio
    if ratios:
        mean = math.exp(statistics.fmean(map(math.log, ratios.values())))
        model, threads = min(ratios, key=ratios.__getitem__)
        print(
            f"\ngeometric mean of {len(ratios)}: {mean:.2f} x the best peer; least: "
            f"{ratios[model, threads]:.2f} x ({model}, {threads} threads)"
        )


if __name__ == "__main__":
    main()
