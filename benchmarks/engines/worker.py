"""One engine with one model, in a process of its own; compare.py talks to it.

    worker.py ENGINE THREADS FOLDER SOURCE:ENTRY
    worker.py compiled THREADS FOLDER MODULE

`eager` writes inputs and expected outputs into the folder, which the others read. Says
"ready" in a line of standard output, and then for each number that it reads from standard
input the seconds of so many calls.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable

import numpy as np

Call = Callable[[], list[np.ndarray]]


def compiled(module: str, folder: str, threads: int) -> Call:
    """What rules_torch compiled; OMP_NUM_THREADS says in how many threads."""
    inputs = _inputs(folder)
    package = importlib.import_module(module)
    (class_,) = (each for each in vars(package).values() if isinstance(each, type))
    run = class_().run

    def call() -> list[np.ndarray]:
        outputs = run(*inputs)
        outputs = outputs if isinstance(outputs, tuple | list) else [outputs]
        return [np.asarray(output) for output in outputs]

    return call


def _load(place: str):
    """A model of torch_aot's, whose folder is on Python's path."""
    import torch

    path, _, entry = place.partition(":")
    sys.path.insert(0, os.path.dirname(path))
    module = importlib.import_module(os.path.splitext(os.path.basename(path))[0])
    torch.manual_seed(0)  # as the export does
    model = getattr(module, entry)()
    inputs = model.inputs
    inputs = list(inputs.values() if isinstance(inputs, dict) else inputs)
    return torch, model.module.eval(), inputs


def _torch_call(torch, module, inputs) -> Call:
    def call() -> list[np.ndarray]:
        with torch.inference_mode():
            leaves = torch.utils._pytree.tree_leaves(module(*inputs))
        return [leaf.numpy() for leaf in leaves]

    return call


def eager(place: str, folder: str, threads: int) -> Call:
    """PyTorch's own; writes what the others read."""
    torch, module, inputs = _load(place)
    torch.set_num_threads(threads)
    call = _torch_call(torch, module, inputs)
    arrays = [each.numpy() for each in inputs]
    np.savez(os.path.join(folder, "inputs.npz"), *arrays)
    np.savez(os.path.join(folder, "expected.npz"), *call())
    return call


def aotinductor(place: str, folder: str, threads: int) -> Call:
    """AOTInductor as it is, with its freezing passes, compiled for this machine."""
    torch, module, inputs = _load(place)
    torch.set_num_threads(threads)
    with torch.no_grad():
        program = torch.export.export(module, tuple(inputs))
        package = torch._inductor.aoti_compile_and_package(
            program,
            package_path=os.path.join(folder, f"aoti{threads}.pt2"),
            inductor_configs={"freezing": True},
        )
    return _torch_call(torch, torch._inductor.aoti_load_package(package), inputs)


def _onnx(place: str, folder: str) -> str:
    """The path of the model as ONNX, exported once."""
    path = os.path.join(folder, "model.onnx")
    if not os.path.exists(path):
        torch, module, inputs = _load(place)
        with torch.no_grad():
            torch.onnx.export(module, tuple(inputs), path, dynamo=True, verbose=False)
    return path


def onnxruntime(place: str, folder: str, threads: int) -> Call:
    """ONNX Runtime's CPU provider, with the model as torch.onnx exports it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(_onnx(place, folder), options)
    feed = dict(
        zip((i.name for i in session.get_inputs()), _inputs(folder), strict=True)
    )
    return lambda: session.run(None, feed)


def openvino(place: str, folder: str, threads: int) -> Call:
    """OpenVINO's CPU plugin, with the same file, in float32."""
    import openvino

    core = openvino.Core()
    model = core.compile_model(
        _onnx(place, folder),
        "CPU",
        {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
        },
    )
    request = model.create_infer_request()
    inputs = _inputs(folder)

    def call() -> list[np.ndarray]:
        request.infer(inputs, share_inputs=True, share_outputs=True)
        return [request.get_output_tensor(i).data for i in range(len(model.outputs))]

    return call


def _inputs(folder: str) -> list[np.ndarray]:
    with np.load(os.path.join(folder, "inputs.npz")) as arrays:
        return [arrays[key] for key in arrays.files]


ENGINES = {
    engine.__name__: engine
    for engine in (compiled, eager, aotinductor, onnxruntime, openvino)
}


def main(engine: str, threads: str, folder: str, what: str) -> None:
    """Answers compare.py."""
    call = ENGINES[engine](what, folder, int(threads))
    outputs = call()
    with np.load(os.path.join(folder, "expected.npz")) as arrays:
        expected = [arrays[key] for key in arrays.files]
    error = max(
        float(
            np.abs(got.astype(np.float64) - want).max() / max(np.abs(want).max(), 1e-9)
        )
        for got, want in zip(outputs, expected, strict=True)
    )
    print(f"ready {error}", flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        print(json.dumps(times), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
