"""The kernels of //kernels beside PyTorch's, on one GPU in one run.

    python3 benchmarks/gpu/compare.py LIBKERNELS.so [--rounds 30] [--no-compile]

Needs Python 3.10, PyTorch with CUDA and its Triton, and no Bazel: LIBKERNELS.so is
//benchmarks/gpu:libkernels.so. Both sides get the same tensors, of normal random numbers
(zeros run faster), and PyTorch's current stream. Prints Markdown tables:

  errors:  ||x - y|| / ||y|| of every kernel and of PyTorch's, against PyTorch in
      float64 on the same GPU, from the same inputs.
  times:   CUDA events around as many calls as take 20 ms or more, contenders in another
      order in each round; medians over the rounds, and the ratio of the medians. Calls
      rotate among sets of tensors that take four times the L2 cache together. A second
      entry of the same PyTorch operation tells the noise.
  launch:  what a call costs the host: the generated function called from C++, a
      @triton.jit function and a PyTorch operation called from Python, on one element.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import itertools
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import triton
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

_WORKSPACE = os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
)
_DTYPES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}
_NAMES = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}
_EPSILON = 1e-5


class Library:
    """The generated functions, called on tensors."""

    def __init__(self, path: str):
        self._library = ctypes.CDLL(os.path.abspath(path))
        self._library.time_add.restype = ctypes.c_double

    def call(self, name: str, tensors: list[torch.Tensor], *numbers) -> None:
        """Launches kernel `name` on the current stream."""
        function = getattr(self._library, name)
        function.restype = ctypes.c_char_p
        message = function(
            ctypes.c_int(_DTYPES[tensors[0].dtype]),
            ctypes.c_uint64(torch.cuda.current_stream().cuda_stream),
            *(ctypes.c_uint64(tensor.data_ptr()) for tensor in tensors),
            *numbers,
        )
        if message is not None:
            raise RuntimeError(message.decode())

    def time_add(self, tensors: list[torch.Tensor], launches: int) -> float:
        """Host nanoseconds of a call of add from C++."""
        time_ns = self._library.time_add(
            ctypes.c_uint64(torch.cuda.current_stream().cuda_stream),
            *(ctypes.c_uint64(tensor.data_ptr()) for tensor in tensors),
            ctypes.c_int64(tensors[0].numel()),
            ctypes.c_int(launches),
        )
        if time_ns < 0:
            raise RuntimeError("a launch of add failed")
        return time_ns


@dataclass
class Operation:
    """What is compared: contenders compute the same from the same inputs."""

    name: str
    shape: str
    dtype: torch.dtype
    inputs: Callable[[], list[torch.Tensor]]
    # Each takes the output to write, which it may ignore and return its own, and inputs.
    ours: dict[str, Callable]
    theirs: dict[str, Callable]
    reference: Callable  # of float64 inputs
    flops: float = 0  # of a call, or else
    bytes: float = 0  # what it reads and writes

    def rate(self, milliseconds: float) -> str:
        """Achieved TFLOP/s, or GB/s."""
        if self.flops:
            return f"{self.flops / milliseconds * 1e-9:.0f} TFLOP/s"
        return f"{self.bytes / milliseconds * 1e-6:.0f} GB/s"


def _normal(*shape: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(*shape, device="cuda", dtype=torch.float32).to(dtype)


def _int32(value: int) -> ctypes.c_int32:
    return ctypes.c_int32(value)


def _int64(value: int) -> ctypes.c_int64:
    return ctypes.c_int64(value)


def _matmul(library: Library, dtype: torch.dtype, size: int) -> Operation:
    def ours(kernel):
        def run(out, a, b):
            sizes = (_int32(n) for n in (a.shape[0], b.shape[1], a.shape[1]))
            library.call(kernel, [out, a, b], *sizes)
            return out

        return run

    def theirs(out, a, b):
        return torch.matmul(a, b, out=out)

    return Operation(
        name="matmul",
        shape=f"{size} × {size} × {size}",
        dtype=dtype,
        inputs=lambda: [_normal(size, size, dtype=dtype) for _ in range(2)],
        ours={kernel: ours(kernel) for kernel in ("matmul", "matmul_descriptor")},
        theirs={"torch.matmul": theirs},
        reference=torch.matmul,
        flops=2 * size**3,
    )


def _attention(
    library: Library, dtype: torch.dtype, head_size: int, causal: bool
) -> Operation:
    batch, heads, sequence = 4, 16, 4096
    shape = (batch, heads, sequence, head_size)

    def ours(out, q, k, v):
        numbers = (_int32(n) for n in (batch * heads, sequence, head_size))
        scale = ctypes.c_float(head_size**-0.5)
        causal_flag = ctypes.c_int(causal)
        library.call("flash_attention", [out, q, k, v], *numbers, scale, causal_flag)
        return out

    def theirs(_, q, k, v):
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            return functional.scaled_dot_product_attention(q, k, v, is_causal=causal)

    def reference(q, k, v):
        out = torch.empty_like(q)
        mask = torch.ones(sequence, sequence, dtype=torch.bool, device=q.device).triu(1)
        for index in itertools.product(range(batch), range(heads)):
            scores = q[index] @ k[index].T * head_size**-0.5
            if causal:
                scores.masked_fill_(mask, float("-inf"))
            out[index] = scores.softmax(dim=1) @ v[index]
        return out

    return Operation(
        name="flash attention" + (", causal" if causal else ""),
        shape=", ".join(str(n) for n in shape),
        dtype=dtype,
        inputs=lambda: [_normal(*shape, dtype=dtype) for _ in range(3)],
        ours={"flash_attention" + ("_causal" if causal else ""): ours},
        theirs={"SDPA, FLASH_ATTENTION": theirs},
        reference=reference,
        flops=4 * batch * heads * sequence**2 * head_size / (2 if causal else 1),
    )


def _add(library: Library, dtype: torch.dtype) -> Operation:
    n = 1 << 26

    def ours(out, x, y):
        library.call("add", [out, x, y], _int64(n))
        return out

    return Operation(
        name="add",
        shape=str(n),
        dtype=dtype,
        inputs=lambda: [_normal(n, dtype=dtype) for _ in range(2)],
        ours={"add": ours},
        theirs={"torch.add": lambda out, x, y: torch.add(x, y, out=out)},
        reference=torch.add,
        bytes=3 * n * dtype.itemsize,
    )


def _softmax(
    library: Library, dtype: torch.dtype, columns: int, compiled: bool
) -> Operation:
    rows = (1 << 27) // columns

    def ours(out, x):
        library.call("softmax", [out, x], _int64(rows), _int32(columns))
        return out

    def reference(x):
        return x.softmax(dim=1)

    theirs = {"torch.softmax": lambda _, x: reference(x)}
    if compiled:
        function = torch.compile(reference, dynamic=False)
        theirs["torch.compile"] = lambda _, x: function(x)
    return Operation(
        name="softmax",
        shape=f"{rows} × {columns}",
        dtype=dtype,
        inputs=lambda: [_normal(rows, columns, dtype=dtype)],
        ours={"fused_softmax": ours},
        theirs=theirs,
        reference=reference,
        bytes=2 * rows * columns * dtype.itemsize,
    )


def _layer_norm(
    library: Library, dtype: torch.dtype, columns: int, compiled: bool
) -> Operation:
    rows = (1 << 27) // columns

    def ours(out, x, weight, bias):
        epsilon = ctypes.c_float(_EPSILON)
        tensors = [out, x, weight, bias]
        library.call("layer_norm", tensors, _int64(rows), _int32(columns), epsilon)
        return out

    def reference(x, weight, bias):
        return functional.layer_norm(x, (columns,), weight, bias, _EPSILON)

    theirs = {"torch layer_norm": lambda _, *inputs: reference(*inputs)}
    if compiled:
        function = torch.compile(reference, dynamic=False)
        theirs["torch.compile"] = lambda _, *inputs: function(*inputs)
    return Operation(
        name="layer norm",
        shape=f"{rows} × {columns}",
        dtype=dtype,
        inputs=lambda: [
            _normal(rows, columns, dtype=dtype),
            _normal(columns, dtype=dtype),
            _normal(columns, dtype=dtype),
        ],
        ours={"layer_norm": ours},
        theirs=theirs,
        reference=reference,
        bytes=2 * rows * columns * dtype.itemsize,
    )


def _operations(library: Library, compiled: bool) -> list[Operation]:
    half = (torch.float16, torch.bfloat16)
    operations = [_matmul(library, dtype, 4096) for dtype in half]
    operations += [
        _attention(library, dtype, head_size, causal)
        for head_size in (64, 128)
        for causal in (False, True)
        for dtype in half
    ]
    for dtype in _DTYPES:
        operations.append(_add(library, dtype))
        operations.append(_softmax(library, dtype, 4096, compiled))
        operations.append(_layer_norm(library, dtype, 4096, compiled))
    return operations


def _contenders(operation: Operation) -> dict[str, Callable]:
    return operation.ours | operation.theirs


def _output(operation: Operation, inputs: list[torch.Tensor]) -> torch.Tensor:
    return torch.full_like(inputs[0], float("nan"))  # all outputs are as inputs[0]


def _relative_error(result: torch.Tensor, expected: torch.Tensor) -> float:
    return ((result.double() - expected).norm() / expected.norm()).item()


def _errors(operation: Operation) -> dict[str, float]:
    inputs = operation.inputs()
    expected = operation.reference(*(tensor.double() for tensor in inputs))
    errors = {}
    for name, run in _contenders(operation).items():
        result = run(_output(operation, inputs), *inputs)
        torch.cuda.synchronize()
        errors[name] = _relative_error(result, expected)
    return errors


def _milliseconds(calls: list[Callable], repeats: int) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    cycle = itertools.islice(itertools.cycle(calls), repeats)
    start.record()
    for call in cycle:
        call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / repeats


def _times(operation: Operation, rounds: int) -> dict[str, list[float]]:
    first = operation.inputs()
    size = sum(tensor.nbytes for tensor in first) + first[0].nbytes
    cache = torch.cuda.get_device_properties(0).L2_cache_size
    sets = [first] + [operation.inputs() for _ in range(4 * cache // size)]
    outputs = [_output(operation, inputs) for inputs in sets]
    contenders = _contenders(operation)
    base = next(iter(operation.theirs))
    contenders[base + ", again"] = contenders[base]
    calls = {
        name: [
            lambda run=run, out=out, inputs=inputs: run(out, *inputs)
            for out, inputs in zip(outputs, sets, strict=True)
        ]
        for name, run in contenders.items()
    }
    repeats = {}
    for name, sequence in calls.items():
        _milliseconds(sequence, len(sequence))  # loads, compiles, allocates
        once = _milliseconds(sequence, 2 * len(sequence))
        repeats[name] = max(len(sequence), round(20 / once))
    times = {name: [] for name in calls}
    for _ in range(rounds):
        for name in random.sample(list(calls), len(calls)):
            times[name].append(_milliseconds(calls[name], repeats[name]))
    return times


def _row(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def _header(*cells: str) -> None:
    print()
    _row(*cells)
    print("|" + "---|" * len(cells))


def _print_errors(operations: list[Operation]) -> list[Operation]:
    """Prints errors; returns the operations that ran."""
    print("\nErrors: ||x - y|| / ||y||, y being PyTorch's float64 result on this GPU.")
    _header("operation", "shape", "dtype", "kernel", "error")
    ran = []
    for operation in operations:
        cells = (operation.name, operation.shape, _NAMES[operation.dtype])
        try:
            for name, error in _errors(operation).items():
                _row(*cells, name, f"{error:.1e}")
            ran.append(operation)
        except RuntimeError as error:
            _row(*cells, "failed", str(error).splitlines()[0])
        torch.cuda.empty_cache()
    return ran


def _can_compile() -> bool:
    try:
        torch.compile(torch.sin)(_normal(16, dtype=torch.float32))
    except Exception as error:
        print(f"torch.compile is left out: {str(error).splitlines()[0]}")
        return False
    return True


def _print_times(operations: list[Operation], rounds: int) -> None:
    print(
        f"\nTimes: medians of {rounds} rounds, with quartiles. The ratio is the speed"
    )
    print("beside the first of PyTorch's: above 1 is faster.")
    _header("operation", "shape", "dtype", "kernel", "ms", "quartiles", "rate", "ratio")
    for operation in operations:
        times = _times(operation, rounds)
        base = statistics.median(times[next(iter(operation.theirs))])
        for name, values in times.items():
            low, median, high = statistics.quantiles(values, n=4)
            cells = (operation.name, operation.shape, _NAMES[operation.dtype])
            quartiles = f"{low:.4f}–{high:.4f}"
            rate = operation.rate(median)
            _row(*cells, name, f"{median:.4f}", quartiles, rate, f"{base / median:.3f}")
        torch.cuda.empty_cache()


def _print_launches(library: Library, rounds: int) -> None:
    path = os.path.join(_WORKSPACE, "kernels", "add.py")
    spec = importlib.util.spec_from_file_location("rules_torch_add", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    x, y = (_normal(1, dtype=torch.float32) for _ in range(2))
    out = torch.empty_like(x)
    launches = 200

    def timed(call: Callable) -> float:
        start = time.perf_counter_ns()
        for _ in range(launches):
            call()
        return (time.perf_counter_ns() - start) / launches

    contenders = {
        "generated by cc_triton_library, from C++": lambda: library.time_add(
            [out, x, y], launches
        ),
        "@triton.jit of the same source, from Python": lambda: timed(
            lambda: module.add[(1,)](out, x, y, 1, BLOCK=1024)
        ),
        "torch.add, from Python": lambda: timed(lambda: torch.add(x, y, out=out)),
    }
    times = {name: [] for name in contenders}
    for current in range(-5, 5 * rounds):  # the first five warm up
        for name, measure in contenders.items():
            value = measure()
            torch.cuda.synchronize()
            if current >= 0:
                times[name].append(value)
    print("\nLaunch: host time of a call of add on one fp32 element, medians.")
    _header("call", "µs")
    for name, values in times.items():
        _row(name, f"{statistics.median(values) / 1000:.2f}")


def _print_machine() -> None:
    query = [
        "nvidia-smi",
        "--query-gpu=driver_version",
        "--format=csv,noheader",
        "-i",
        "0",
    ]
    driver = subprocess.run(query, capture_output=True, text=True).stdout.strip()
    print(
        f"{torch.cuda.get_device_name(0)}, driver {driver or 'unknown'}, "
        f"torch {torch.__version__}, triton {triton.__version__}, "
        f"Python {sys.version.split()[0]}"
    )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", help="of //benchmarks/gpu:libkernels.so")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument(
        "--no-compile", action="store_true", help="leave torch.compile out"
    )
    args = parser.parse_args()
    if args.rounds < 2:
        parser.error("--rounds must be 2 or more")
    if not torch.cuda.is_available():
        print("compare.py: PyTorch finds no GPU here", file=sys.stderr)
        sys.exit(77)
    library = Library(args.library)
    torch.set_grad_enabled(False)
    _print_machine()
    operations = _operations(library, not args.no_compile and _can_compile())
    ran = _print_errors(operations)
    _print_times(ran, args.rounds)
    _print_launches(library, args.rounds)
    if len(ran) < len(operations):
        sys.exit("compare.py: some operations failed")


if __name__ == "__main__":
    main()
