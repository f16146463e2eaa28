"""One engine with one model, in a process of its own; compare.py talks to it.

    worker.py ENGINE THREADS FOLDER MODEL

MODEL is what compare.py's Model has, as JSON; FOLDER is the same for all engines of a
model: `eager` writes inputs and expected outputs there, which the others read. Says
"ready ERROR VERSION" in a line of standard output, and then, for each number that it reads
from standard input, the seconds of so many calls.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Call = Callable[[], Any]  # returns arrays or tensors, or a tuple, list or dict of them


def standalone(model: dict[str, Any], folder: str, threads: int) -> tuple[Call, str]:
    """What rules_torch compiled; OMP_NUM_THREADS says in how many threads."""
    return _compiled("standalone", model, folder)


def libtorch(model: dict[str, Any], folder: str, threads: int) -> tuple[Call, str]:
    """The same, on libtorch."""
    return _compiled("libtorch", model, folder)


def _compiled(runtime: str, model: dict[str, Any], folder: str) -> tuple[Call, str]:
    package = importlib.import_module(f"{runtime}_{model['name']}_py")
    (class_,) = (each for each in vars(package).values() if isinstance(each, type))
    run, inputs = class_().run, _inputs(folder)
    outputs = run(*inputs)
    return lambda: run(*inputs, out=outputs), ""


def _load(model: dict[str, Any]):
    """A model of torch_aot's, in eval mode, and its inputs."""
    import torch

    sys.path.insert(0, os.path.dirname(model["path"]))
    name = os.path.splitext(os.path.basename(model["path"]))[0]
    torch.manual_seed(0)  # as the export does
    entry = getattr(importlib.import_module(name), model["entry"])()
    if model["weights"]:
        entry.module.load_state_dict(torch.load(model["weights"], weights_only=True))
    inputs = entry.inputs
    inputs = list(inputs.values() if isinstance(inputs, dict) else inputs)
    if model["batch"]:
        inputs = [each[: model["batch"]] for each in inputs]
    return torch, entry.module.eval(), inputs


def _torch_call(torch, module, inputs) -> Call:
    def call() -> Any:
        with torch.inference_mode():
            return module(*inputs)

    return call


def eager(model: dict[str, Any], folder: str, threads: int) -> tuple[Call, str]:
    """PyTorch's own; writes what the others read."""
    torch, module, inputs = _load(model)
    torch.set_num_threads(threads)
    call = _torch_call(torch, module, inputs)
    arrays = [each.numpy() for each in inputs]
    np.savez(os.path.join(folder, "inputs.npz"), *arrays)
    np.savez(os.path.join(folder, "expected.npz"), *_arrays(call()))
    return call, torch.__version__


def aotinductor(model: dict[str, Any], folder: str, threads: int) -> tuple[Call, str]:
    """AOTInductor as it is, with its freezing passes, compiled for this machine."""
    torch, module, inputs = _load(model)
    torch.set_num_threads(threads)
    with torch.no_grad():
        program = torch.export.export(module, tuple(inputs))
        package = torch._inductor.aoti_compile_and_package(
            program,
            package_path=os.path.join(folder, f"aoti{threads}.pt2"),
            inductor_configs={"freezing": True},
        )
    loaded = torch._inductor.aoti_load_package(package)
    return _torch_call(torch, loaded, inputs), torch.__version__


def _onnx(model: dict[str, Any], folder: str) -> str:
    """The path of the model as ONNX, exported once."""
    path = os.path.join(folder, "model.onnx")
    if not os.path.exists(path):
        torch, module, inputs = _load(model)
        with torch.no_grad():
            torch.onnx.export(module, tuple(inputs), path, dynamo=True, verbose=False)
    return path


def onnxruntime(model: dict[str, Any], folder: str, threads: int) -> tuple[Call, str]:
    """ONNX Runtime's CPU provider, with the model as torch.onnx exports it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(_onnx(model, folder), options)
    feed = dict(
        zip((i.name for i in session.get_inputs()), _inputs(folder), strict=True)
    )
    return lambda: session.run(None, feed), onnxruntime.__version__


def openvino(model: dict[str, Any], folder: str, threads: int) -> tuple[Call, str]:
    """OpenVINO's CPU plugin, with the same file, in float32."""
    import openvino

    program = openvino.Core().compile_model(
        _onnx(model, folder),
        "CPU",
        {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
        },
    )
    request = program.create_infer_request()
    inputs = _inputs(folder)

    def call() -> list[np.ndarray]:
        request.infer(inputs, share_inputs=True, share_outputs=True)
        return [request.get_output_tensor(i).data for i in range(len(program.outputs))]

    return call, openvino.__version__


def _inputs(folder: str) -> list[np.ndarray]:
    with np.load(os.path.join(folder, "inputs.npz")) as arrays:
        return [arrays[key] for key in arrays.files]


def _arrays(outputs: Any) -> list[np.ndarray]:
    """The leaves of outputs, in order."""
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    if isinstance(outputs, tuple | list):
        return [array for each in outputs for array in _arrays(each)]
    return [np.asarray(outputs)]


ENGINES = {
    engine.__name__: engine
    for engine in (eager, aotinductor, onnxruntime, openvino, libtorch, standalone)
}


def main(engine: str, threads: str, folder: str, model: str) -> None:
    """Answers compare.py."""
    call, version = ENGINES[engine](json.loads(model), folder, int(threads))
    outputs = _arrays(call())
    with np.load(os.path.join(folder, "expected.npz")) as arrays:
        expected = [arrays[key] for key in arrays.files]
    error = max(
        float(
            np.abs(got.astype(np.float64) - want).max() / max(np.abs(want).max(), 1e-9)
        )
        for got, want in zip(outputs, expected, strict=True)
    )
    print(f"ready {error} {version}", flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        print(json.dumps(times), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
