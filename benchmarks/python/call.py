"""What a call from Python costs beside the same call from C++, and what an import costs.

    call.py BARE_SO

All calls take turns in one process, round by round: the model's own time is in each of
them, and what is compared are the differences. Prints medians.
"""

from __future__ import annotations

import ctypes
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import mlp_py
import numpy as np
import torch

ROUNDS = 60
CALLS = 1000  # a round
IMPORTS = 15
AIM = 2000  # ns

LIBRARY = os.path.join(os.path.dirname(mlp_py.__file__), "libmlp_py.so")
BARE = os.path.abspath(sys.argv[1])  # what bare.cc became


class Tensor(ctypes.Structure):
    """RTorchTensor of rules_torch/abi.h."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("dtype", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("device", ctypes.c_int32 * 2),
        ("sizes", ctypes.c_int64 * 8),
        ("strides", ctypes.c_int64 * 8),
        ("owner", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("reserved", ctypes.c_uint64 * 2),
    ]


class Api(ctypes.Structure):
    """RTorchModelApi, as far as it is used here."""

    _fields_ = [
        ("head", ctypes.c_uint8 * 56),
        ("tables", ctypes.c_void_p * 5),
        ("weights", ctypes.c_uint64),
        ("texts", ctypes.c_void_p * 2),
        ("create", ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * 4)),
        ("destroy", ctypes.c_void_p),
        (
            "run",
            ctypes.CFUNCTYPE(
                ctypes.c_int32,
                ctypes.c_void_p,
                ctypes.POINTER(Tensor),
                ctypes.c_int32,
                ctypes.POINTER(Tensor),
                ctypes.c_int32,
                ctypes.c_void_p,
                ctypes.c_void_p,
            ),
        ),
    ]


def api() -> ctypes._Pointer[Api]:
    """The model's table."""
    get = ctypes.CDLL(LIBRARY).rtorch_model_api
    get.restype = ctypes.POINTER(Api)
    return get()


def by_ctypes() -> Callable[..., None]:
    """A call as Python can make it without an extension; no checks, and no outputs."""
    table = api().contents
    model = ctypes.c_void_p()
    if table.create(ctypes.addressof(table), None, ctypes.addressof(model), None):
        raise RuntimeError("the model cannot be made")
    run = table.run

    def describe(array: np.ndarray) -> Tensor:
        tensor = Tensor(array.ctypes.data, 6, array.ndim, (1, 0))
        tensor.sizes[: array.ndim] = array.shape
        tensor.strides[: array.ndim] = [each // 4 for each in array.strides]
        return tensor

    def call(x: np.ndarray, out: np.ndarray) -> None:
        tensor, output = describe(x), describe(out)
        if run(model, ctypes.byref(tensor), 1, ctypes.byref(output), 1, None, None):
            raise RuntimeError("the call failed")

    return call


def ns(call: Callable[..., object], x: object, **options: object) -> float:
    """Of one call, on the average of a round."""
    start = time.perf_counter_ns()
    for _ in range(CALLS):
        call(x, **options)
    return (time.perf_counter_ns() - start) / CALLS


def calls() -> None:
    """Prints the table of calls."""
    bare = ctypes.CDLL(BARE).BareCall
    bare.restype = ctypes.c_double
    run = mlp_py.Mlp().run
    array, tensor = np.ones((2, 8), np.float32), torch.ones(2, 8)
    room, tensor_room = np.empty((2, 4), np.float32), torch.empty(2, 4)
    view = memoryview(array)
    ways = {
        "C++": lambda: bare(api(), ctypes.c_int64(2), ctypes.c_int64(8), CALLS),
        "numpy": lambda: ns(run, array),
        "numpy, out=": lambda: ns(run, array, out=room),
        "torch": lambda: ns(run, tensor),
        "torch, out=": lambda: ns(run, tensor, out=tensor_room),
        "memoryview": lambda: ns(run, view),
        "ctypes, out=": lambda: ns(by_ctypes_call, array, out=room),
    }
    by_ctypes_call = by_ctypes()
    rounds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, measure in ways.items():
            rounds[way].append(measure())
    print(f"models/tiny.py:mlp, float32[2, 8], {ROUNDS} rounds of {CALLS} calls")
    for way, times in rounds.items():
        over = statistics.median(
            time - base for time, base in zip(times, rounds["C++"], strict=True)
        )
        aim = f"  (aim: {AIM})" if way in ("numpy", "torch") else ""
        print(
            f"{way:14} {statistics.median(times):8.0f} ns, {over:+8.0f} ns over C++{aim}"
        )


def imports() -> None:
    """Prints what importing the module takes a Python that starts anew."""
    path = os.pathsep.join(os.path.abspath(each) for each in sys.path)
    times: dict[str, list[float]] = {"mlp_py": [], "numpy": [], "torch": []}
    for number in range(IMPORTS):
        for module, measured in times.items():
            if module == "torch" and number >= 3:
                continue  # seconds
            code = (
                f"import time; start = time.perf_counter(); import {module}; "
                "print(time.perf_counter() - start)"
            )
            said = subprocess.check_output(
                [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}
            )
            measured.append(float(said) * 1e3)
    for module, measured in times.items():
        aim = "  (aim: 30)" if module == "mlp_py" else ""
        print(f"import {module:7} {statistics.median(measured):8.1f} ms{aim}")


if __name__ == "__main__":
    calls()
    imports()
