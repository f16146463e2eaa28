"""The persistent worker, driven as Bazel drives it: requests and responses over pipes."""

import json
import os
import pathlib
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

import compile_model
from torch_aot import input_tree

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
        pathlib.Path("FOLDER/waiting").write_text(str(os.getpid()))
        while not os.path.exists("FOLDER/go"):
            time.sleep(0.01)
        return mlp()

    def imports():
        import sibling

        return sibling.Model(nn.Linear(8, 16), (torch.randn(2, 8),))

    def finds():
        here = pathlib.Path(os.path.realpath(__file__)).parent
        print("finds", sorted(path.name for path in here.iterdir()), os.listdir())
        return mlp()

    def writes():
        pathlib.Path("left").write_text("behind")
        return mlp()
"""

EXPORT = "export models/tiny.py:{0} --seed=3 --program={0}.pt2 --signature={0}.json"
CODEGEN = "codegen {0}.pt2 {0}.json --label=//models:{0} --id={0} --class=M --out={0}"
BYTES = (
    "pt2",
    "json",
    "h",
    "manifest.json",
    "weights.fingerprint",
    "weights.safetensors",
)

ENVIRONMENT = {
    "ATEN_CPU_CAPABILITY": "default",
    "OMP_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
}


PROGRAM = (sys.executable, compile_model.__file__)
# What Bazel starts; it starts the program.
START = str(pathlib.Path(compile_model.__file__).with_name("start_worker.sh"))


class Worker:
    """A worker process, and Bazel's side of the protocol."""

    def __init__(self, root: pathlib.Path, command: Sequence[str] = PROGRAM) -> None:
        self.root = root
        self.process = subprocess.Popen(
            [*command, "--persistent_worker"],
            cwd=root,
            env=ENVIRONMENT | {"TMPDIR": str(root)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._requests = 0

    def send(
        self, arguments: str, folder: str, inputs: Sequence[str] | None = None
    ) -> int:
        """Sends a request for a folder; returns its number.

        Args:
            arguments: A command line.
            folder: The request's, below the worker's; "" for that.
            inputs: What is declared; all files of the folder if it is None.
        """
        self._requests += 1
        root = self.root / folder
        if inputs is None:
            files = [path for path in root.rglob("*") if path.is_file()]
            inputs = [str(path.relative_to(root)) for path in files]
        stage, *flags = arguments.split()
        self._write(
            {
                "arguments": [stage, *(f"--input={path}" for path in inputs), *flags],
                "inputs": [{"path": path, "digest": "0"} for path in inputs],
                "requestId": self._requests,
            }
            | ({"sandboxDir": folder} if folder else {})
        )
        return self._requests

    def cancel(self, request: int) -> None:
        self._write({"requestId": request, "cancel": True})

    def receive(self) -> dict[str, Any]:
        return json.loads(self.process.stdout.readline())

    def run(
        self, arguments: str, folder: str, inputs: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """Sends a request and waits for its response, with none other under way."""
        request = self.send(arguments, folder, inputs)
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
    source = textwrap.dedent(MODELS).replace("FOLDER", str(folder))
    (folder / "models" / "tiny.py").write_text(source)
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


# ---- What a request sees.

SOURCE = "models/tiny.py"


@pytest.mark.parametrize("sandboxed", [True, False])
def test_what_is_not_declared_is_not_there(sandboxed, worker):
    """Bazel's own sandbox is an option of the user's; the files are there without."""
    folder = "declared" if sandboxed else ""
    root = make_sandbox(worker.root / folder)
    (root / "models/sibling.py").write_text("from torch_aot import Model\n")
    line = EXPORT.format("imports") + " --import_path=models"
    response = worker.run(line, folder, [SOURCE])
    assert response["exitCode"] == 1
    assert response["output"].startswith(
        f"{SOURCE}:47: error: there is no module named 'sibling'\n"
    )
    assert not (root / "imports.json").exists()
    response = worker.run(line, folder, [SOURCE, "models/sibling.py"])
    assert response["exitCode"] == 0, response["output"]
    assert (root / "imports.json").exists()
    # Nor by another way than imports.
    response = worker.run(EXPORT.format("finds"), folder, [SOURCE])
    assert "finds ['tiny.py'] ['models']\n" in response["output"]


def test_links_lead_to_no_undeclared_file(worker, sandbox):
    """A sandbox of Bazel's consists of links to the workspace."""
    workspace = make_sandbox(sandbox / "workspace")
    (workspace / "models/sibling.py").touch()
    (sandbox / SOURCE).unlink()
    (sandbox / SOURCE).symlink_to(workspace / SOURCE)
    response = worker.run(EXPORT.format("finds"), sandbox.name, [SOURCE])
    assert "finds ['tiny.py'] ['models']\n" in response["output"]


def test_large_files_and_packages_are_linked_to(worker, sandbox):
    with (sandbox / "large").open("wb") as file:
        file.truncate(1 << 21)
    package = sandbox / "external/pip/site-packages/package.py"
    package.parent.mkdir(parents=True)
    package.write_text("import os; path = os.path.realpath(__file__)")
    (sandbox / SOURCE).write_text(
        "import os, package\n"
        "print(os.path.getsize('large'), os.path.islink('large'), package.path)\n"
    )
    path = "external/pip/site-packages"
    line = EXPORT.format("mlp") + f" --import_path={path}"
    response = worker.run(line, sandbox.name)
    assert f"{1 << 21} True {package}\n" in response["output"]


def test_an_input_that_is_not_there(worker, sandbox):
    """The stage says so, as it does by hand."""
    response = worker.run(EXPORT.format("mlp"), sandbox.name, ["models/none.py"])
    assert response["exitCode"] == 1
    assert response["output"].startswith("models/tiny.py: error: "), response


def test_nothing_is_left_of_a_request(worker, sandbox):
    before = {*worker.root.iterdir()}
    for model in ("writes", "broken", "killed"):
        worker.run(EXPORT.format(model), sandbox.name)
    unwanted = worker.send(EXPORT.format("waits"), sandbox.name)
    wait_for(sandbox / "waiting")
    assert {*worker.root.iterdir()} > before
    worker.cancel(unwanted)
    worker.receive()
    assert {*worker.root.iterdir()} == before
    left = {path.name for path in sandbox.iterdir()}
    assert left == {"models", "waiting", "writes.json", "writes.pt2"}


def test_what_the_tool_has_itself_is_not_copied(tmp_path):
    for path in ("pip_torch/site-packages/torch/__init__.py", "rules_torch/tools/x.py"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    assert input_tree.own_files(str(tmp_path)) == {
        "external/pip_torch/site-packages/torch/__init__.py",
        "external/rules_torch/tools/x.py",
    }


# ---- The end.


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


# ---- A worker that does not start: Bazel 7 would wait for it for ever.


@pytest.fixture
def program(tmp_path):
    """Writes a program that start_worker.sh starts."""

    def write(text):
        path = tmp_path / "program"
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)
        return path

    return write


@pytest.fixture
def start(tmp_path, program):
    started = []

    def start(text):
        started.append(Worker(tmp_path, [START, str(program(text))]))
        return started[-1]

    yield start
    for worker in started:
        with worker.process:
            worker.process.kill()


SERVES = f'exec {" ".join(PROGRAM)} "$@"\n'


def test_a_worker_that_does_not_start_answers(start, program, tmp_path):
    folder = make_sandbox(tmp_path / "folder")
    worker = start("echo 'no \"torch\" in\t\\here' >&2; exit 7\n")
    for _ in range(2):
        response = worker.run('export --odd=,"requestId":5', "folder")
        assert response["exitCode"] == 1
        said = response["output"].splitlines()
        assert said[:2] == [
            "error: the worker cannot start (exit status 7):",
            'no "torch" in\t\\here',
        ]
        assert said[2].startswith("  fix: ")
    worker.cancel(1)
    program(SERVES)
    # It may have been started again before this; then it is after one more request.
    responses = [worker.run(EXPORT.format("mlp"), "folder") for _ in range(2)]
    assert responses[-1]["exitCode"] == 0, responses
    assert (folder / "mlp.pt2").exists()
    worker.process.stdin.close()
    assert worker.process.wait() == 0
    assert not [*tmp_path.glob("tmp.*")]


def test_a_worker_that_starts_is_bazels(start, tmp_path):
    make_sandbox(tmp_path / "folder")
    worker = start("echo 'seen if it fails' >&2\n" + SERVES)
    assert worker.run(EXPORT.format("mlp"), "folder")["exitCode"] == 0
    assert not [*tmp_path.glob("tmp.*")]
    worker.process.stdin.close()
    assert worker.process.wait() == 0
    assert worker.process.stderr.read() == b""


def test_no_worker_is_asked_for(program, tmp_path):
    path = program('echo "$@"; exit 3\n')
    done = subprocess.run([START, path, "export", "x"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "export x\n")
