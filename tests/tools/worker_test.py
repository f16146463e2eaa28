"""The persistent worker, driven as Bazel drives it: requests and responses over pipes."""

import json
import os
import pathlib
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from typing import Any

import pytest

import compile_model

MODELS = """
    import os
    import pathlib
    import signal
    import time

    import torch
    from torch import nn
    from torch_aot import Model

    print("imported")

    def mlp():
        net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
        return Model(net, (torch.randn(2, 8),))

    def gru():
        class Gru(nn.Module):
            def __init__(self):
                super().__init__()
                self.cell = nn.GRUCell(4, 8)

            def forward(self, x, h):
                return self.cell(x, h)

        return Model(Gru(), (torch.randn(2, 4), torch.randn(2, 8)))

    def broken():
        # What it leaves behind would change every other model.
        torch.set_default_dtype(torch.float64)
        torch.relu = torch.nn.functional.relu = torch.neg
        return Model(nn.Linear(8, 16), (torch.randn(2, 9),))

    def killed():
        os.kill(os.getpid(), signal.SIGKILL)

    def crashed():
        os.kill(os.getpid(), signal.SIGSEGV)

    def waits():
        pathlib.Path("waiting").write_text(str(os.getpid()))
        while not os.path.exists("go"):
            time.sleep(0.01)
        return mlp()
"""

EXPORT = "export models/tiny.py:{0} --seed=3 --program={0}.pt2 --signature={0}.json"
CODEGEN = "codegen {0}.pt2 {0}.json --label=//models:{0} --id={0} --class=M --out={0}"
BYTES = ("pt2", "json", "h", "manifest.json", "weights.bin")

ENVIRONMENT = {
    "ATEN_CPU_CAPABILITY": "default",
    "OMP_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
}


class Worker:
    """A worker process, and Bazel's side of the protocol."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.process = subprocess.Popen(
            [sys.executable, compile_model.__file__, "--persistent_worker"],
            cwd=root,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._requests = 0

    def send(self, arguments: str, folder: str) -> int:
        """Sends a request that runs in a folder; returns its number."""
        self._requests += 1
        self._write(
            {
                "arguments": arguments.split(),
                "inputs": [{"path": "models/tiny.py", "digest": "0"}],
                "requestId": self._requests,
                "sandboxDir": folder,
            }
        )
        return self._requests

    def cancel(self, request: int) -> None:
        self._write({"requestId": request, "cancel": True})

    def receive(self) -> dict[str, Any]:
        return json.loads(self.process.stdout.readline())

    def run(self, arguments: str, folder: str) -> dict[str, Any]:
        """Sends a request and waits for its response, with none other under way."""
        request = self.send(arguments, folder)
        response = self.receive()
        assert response["requestId"] == request
        return response

    def _write(self, request: dict[str, Any]) -> None:
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    started = Worker(tmp_path_factory.mktemp("worker"))
    with started.process:
        yield started
        started.process.kill()


@pytest.fixture
def sandbox(worker: Worker, request: pytest.FixtureRequest) -> pathlib.Path:
    """A folder of the test's own, below the worker's."""
    return make_sandbox(worker.root / request.node.name)


def make_sandbox(folder: pathlib.Path) -> pathlib.Path:
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "tiny.py").write_text(textwrap.dedent(MODELS))
    return folder


def contents(folder: pathlib.Path, model: str) -> dict[str, bytes]:
    """What export and codegen made of a model."""
    found = {path.name: path.read_bytes() for path in folder.glob(f"{model}.*")}
    assert {f"{model}.{suffix}" for suffix in BYTES} <= set(found)
    return found


def wait_for(path: pathlib.Path) -> int:
    """Waits for the model `waits`; returns its process."""
    while not path.exists() or not path.read_text():
        time.sleep(0.01)
    return int(path.read_text())


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_same_bytes_in_any_order_as_without_a_worker(worker, tmp_path):
    models = ("mlp", "gru")
    # As Bazel runs it without a worker: a process for each, arguments in files.
    alone = make_sandbox(tmp_path / "alone")
    for stage in (EXPORT, CODEGEN):
        started = []
        for model in models:
            lines = stage.format(model).replace(" ", "\n")
            (alone / f"{model}.params").write_text(lines + "\n")
            command = [sys.executable, compile_model.__file__, f"@{model}.params"]
            started.append(subprocess.Popen(command, cwd=alone, env=ENVIRONMENT))
        assert [process.wait() for process in started] == [0, 0]
    for order in (models, models[::-1]):
        folder = make_sandbox(worker.root / "-".join(order))
        for model in order:
            # Between them one that fails, and would leave torch changed.
            assert worker.run(EXPORT.format("broken"), folder.name)["exitCode"] == 1
            for stage in (EXPORT, CODEGEN):
                response = worker.run(stage.format(model), folder.name)
                assert response["exitCode"] == 0, response["output"]
        for model in models:
            (alone / f"{model}.params").unlink(missing_ok=True)
            assert contents(folder, model) == contents(alone, model)


def test_the_process_that_forks_has_one_thread(worker, sandbox):
    worker.run(EXPORT.format("mlp"), sandbox.name)
    assert len(os.listdir(f"/proc/{worker.process.pid}/task")) == 1


def test_errors_are_those_of_a_run_by_hand(worker, sandbox):
    response = worker.run(EXPORT.format("broken"), sandbox.name)
    alone = subprocess.run(
        [sys.executable, compile_model.__file__, *EXPORT.format("broken").split()],
        cwd=sandbox,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert (response["exitCode"], response["output"]) == (1, alone.stdout)
    assert response["output"].startswith("models/tiny.py:32: error: the model fails")
    assert response["output"].endswith("imported\n")  # buffered, as a pipe's is
    assert not (sandbox / "broken.pt2").exists()
    traced = worker.run(EXPORT.format("broken") + " --full_trace", sandbox.name)
    assert traced["exitCode"] == 1
    assert "Traceback" in traced["output"]


def test_wrong_usage(worker, sandbox):
    response = worker.run("export --no_such_flag", sandbox.name)
    assert response["exitCode"] == 2
    assert response["output"].startswith("usage: ")


@pytest.mark.parametrize(
    ("model", "said"),
    [("killed", "killed by SIGKILL; out of memory?"), ("crashed", "killed by SIGSEGV")],
)
def test_a_death_by_signal_is_an_error_of_its_own_request(model, said, worker, sandbox):
    response = worker.run(EXPORT.format(model), sandbox.name)
    assert response["exitCode"] == 1
    assert response["output"].endswith(f"error: the compiler was {said}\n")
    assert worker.run(EXPORT.format("mlp"), sandbox.name)["exitCode"] == 0


def test_requests_run_side_by_side(worker, sandbox):
    slow = worker.send(EXPORT.format("waits"), sandbox.name)
    wait_for(sandbox / "waiting")
    assert worker.run(EXPORT.format("mlp"), sandbox.name)["exitCode"] == 0
    (sandbox / "go").touch()
    response = worker.receive()
    assert (response["requestId"], response["exitCode"]) == (slow, 0)


def test_a_cancelled_request_ends_and_leaves_the_others(worker, sandbox):
    other = make_sandbox(sandbox / "other")
    unwanted = worker.send(EXPORT.format("waits"), sandbox.name)
    wanted = worker.send(EXPORT.format("waits"), f"{sandbox.name}/other")
    process = wait_for(sandbox / "waiting")
    wait_for(other / "waiting")
    worker.cancel(unwanted)
    assert worker.receive() == {"requestId": unwanted, "wasCancelled": True}
    assert not is_running(process)
    worker.cancel(unwanted)  # Bazel's may come too late
    (other / "go").touch()
    response = worker.receive()
    assert (response["requestId"], response["exitCode"]) == (wanted, 0)


def test_the_end_of_the_requests_ends_all(worker, sandbox):
    worker.send(EXPORT.format("waits"), sandbox.name)
    process = wait_for(sandbox / "waiting")
    worker.process.stdin.close()
    assert worker.process.stdout.read() == b""
    assert worker.process.wait() == 0
    assert not is_running(process)
    assert worker.process.stderr.read() == b""


def test_a_killed_worker_leaves_no_child(tmp_path):
    folder = make_sandbox(tmp_path / "killed")
    worker = Worker(tmp_path)
    worker.send(EXPORT.format("waits"), folder.name)
    process = wait_for(folder / "waiting")
    with worker.process:
        worker.process.kill()
    while is_running(process):
        time.sleep(0.01)
