"""What a compiled model costs as a torch operator, beside operators of torch's own.

All calls take turns in one process, round by round, in inference mode and one thread.
What is compared with torch's own are ratios of medians of the same rounds. Each is called
as an overload, torch.ops.aten.relu.default(x), so that Python costs all the same.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from libtorch_mlp_op import libtorch_mlp
from standalone_mlp_op import standalone_mlp

ROUNDS = 60
CALLS = 1000  # a round
AIM = 1.5


def ns(call: Callable[[torch.Tensor], object], x: torch.Tensor) -> float:
    """Of one call, on the average of a round."""
    start = time.perf_counter_ns()
    for _ in range(CALLS):
        call(x)
    return (time.perf_counter_ns() - start) / CALLS


def main() -> None:
    """Prints the table."""
    torch.set_num_threads(1)
    module = torch.nn.Sequential(
        torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4)
    )
    aten = torch.ops.aten
    base = "aten.relu"
    ways = {
        base: aten.relu.default,
        "aten.neg": aten.neg.default,
        "models.standalone_mlp": standalone_mlp.default,
        "models.libtorch_mlp": libtorch_mlp.default,
        "the module, eager": module,
    }
    x = torch.ones(2, 8)
    rounds: dict[str, list[float]] = {way: [] for way in ways}
    with torch.inference_mode():
        for _ in range(ROUNDS):
            for way, call in ways.items():
                rounds[way].append(ns(call, x))
    print(f"models/tiny.py:mlp, float32[2, 8], {ROUNDS} rounds of {CALLS} calls")
    for way, times in rounds.items():
        ratio = statistics.median(
            time / other for time, other in zip(times, rounds[base], strict=True)
        )
        aim = f"  (aim: {AIM})" if way == "models.standalone_mlp" else ""
        print(
            f"{way:22} {statistics.median(times):8.0f} ns, {ratio:5.2f} x {base}{aim}"
        )


if __name__ == "__main__":
    main()
