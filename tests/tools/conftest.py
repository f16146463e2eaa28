"""What the tests of the Python tool share."""

import dataclasses
import difflib
import importlib
import os
import pathlib
import sys
import textwrap
from collections.abc import Callable

import pytest

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "tools"))

import compile_model  # noqa: E402 (found by the line above)


@dataclasses.dataclass(frozen=True)
class Result:
    """What a run of the tool did.

    Attributes:
        status: The exit status.
        output: What it printed, to both streams.
        files: The names of the files that it left.
    """

    status: int
    output: str
    files: list[str]

    @property
    def text(self) -> str:
        """The output, its lines joined: wrapping is no matter of most tests."""
        return " ".join(self.output.split())


@pytest.fixture
def tool(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """Runs a stage in this process; `OUT/` in an argument is an empty folder."""
    out = tmp_path / "out"
    out.mkdir()

    def run(*arguments: str) -> Result:
        capfd.readouterr()
        status = compile_model.main([a.replace("OUT/", f"{out}/") for a in arguments])
        captured = capfd.readouterr()
        files = sorted(path.name for path in out.rglob("*"))
        return Result(status, captured.out + captured.err, files)

    return run


@pytest.fixture
def write(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], None]:
    """Writes source files into a folder of their own, which is the current one."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    monkeypatch.chdir(folder)
    importlib.invalidate_caches()  # of "." when it was another folder

    def write(name: str, source: str) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source).lstrip("\n"))

    return write


_NET = """
    import torch
    from torch import nn
    from torch._higher_order_ops.while_loop import while_loop
    from torch.nn import functional as F
    from torch_aot import Model

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            {init}

        def forward(self, x):
            {forward}

    def net():
        return Model(Net(), (torch.ones({sizes}),))
"""


@pytest.fixture
def generate_net(
    write: Callable[[str, str], None],
    tool: Callable[..., Result],
    tmp_path: pathlib.Path,
) -> Callable[..., pathlib.Path]:
    """Generates the code of a module of one input, by the texts of its methods.

    Takes __init__'s lines, forward's, the input's sizes and further flags of codegen.
    Returns the folder with "m.h" and the others.
    """
    export = "export model.py:net --program=OUT/m.pt2 --signature=OUT/m.json"
    codegen = "codegen OUT/m.pt2 OUT/m.json --label=//:m --id=m --class=M --out=OUT/m.h"

    def generate(
        init: str, forward: str, sizes: tuple[int, ...], *flags: str
    ) -> pathlib.Path:
        parts = {
            name: textwrap.indent(part, " " * 12).lstrip()
            for name, part in (("init", init), ("forward", forward))
        }
        write("model.py", _NET.format(sizes=sizes, **parts))
        for stage in (export.split(), [*codegen.split(), *flags]):
            result = tool(*stage)
            assert (result.status, result.output) == (0, "")
        return tmp_path / "out"

    return generate


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares a text with `goldens/NAME.golden`, beside the test's file.

    With UPDATE_GOLDENS in the environment it is written to the checkout instead.
    """

    def golden(name: str, text: str) -> None:
        path = request.path.parent / "goldens" / f"{name}.golden"
        if os.environ.get("UPDATE_GOLDENS"):
            # Of what Bazel runs, links lead to the checkout.
            path = request.path.resolve().parent / "goldens" / path.name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            return
        expected = path.read_text() if path.exists() else ""
        if text != expected:
            diff = difflib.unified_diff(
                expected.splitlines(), text.splitlines(), path.name, "now", lineterm=""
            )
            target = f"//tests/{request.path.parent.name}:{request.path.stem}"
            pytest.fail(
                "\n".join(diff) + "\nIf this is what it should be: "
                f"UPDATE_GOLDENS=1 ./bazelw run {target}",
                pytrace=False,
            )

    return golden


@pytest.fixture(autouse=True)
def isolated_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgets the modules that a test's models were, or imported.

    Two tests may well call theirs model.py.
    """
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    roots = (os.sep + "pytest-", str(HERE / "bad_models"))
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file and any(root in os.path.abspath(file) for root in roots):
            del sys.modules[name]
