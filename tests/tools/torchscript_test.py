"""Scripted and traced modules: exported, they compute what TorchScript computes."""

import copy
import importlib.util
import io
import linecache
import textwrap
import types
from typing import NamedTuple, Optional

import pytest
import torch
from torch import nn
from torch.export import Dim

from aot_common.errors import UserError
from torch_aot import Model, export
from torch_aot.entry import Entry

torch.manual_seed(0)
X = torch.randn(4, 8)
# Ways through conditions on sums, means and largest values.
INPUTS = [X, -X, 3 * X, X.abs(), -X.abs(), X.abs() / 10, X / 10, 10 * X.abs()]


def exported(module, *inputs, **arguments):
    """A model as an entry's is, exported."""
    entry = Entry("models/m.py:m")
    entry.import_file = lambda: types.SimpleNamespace(
        m=lambda: Model(module, inputs or (X,), **arguments)
    )
    return export.export(entry, entry.load([], seed=0))


def check(module, *more, inputs=INPUTS, **arguments):
    """Calls the exported program and TorchScript one after the other, with their state."""
    script = torch.jit.script(module.eval())
    program, signature = exported(
        torch.jit.script(copy.deepcopy(module)), X, *more, **arguments
    )
    ours = program.module(check_guards=False)
    with torch.no_grad():
        for x in inputs:
            expected = script(x.clone(), *more)
            torch.testing.assert_close(ours(x.clone(), *more), expected)
    return signature


# ---- `if` on data.


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.positive, self.negative = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x):
        if x.sum() > 0:
            return self.positive(x)
        return self.negative(x) * 2


class EarlyReturns(nn.Module):
    def forward(self, x):
        if bool(x.sum() > 0):
            return x * 2
        if bool(x.max() > -1) and not bool(x.min() < -5):
            return x - 1
        return x + 5


class Weights(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(8)), nn.Parameter(torch.randn(8))

    def forward(self, x):
        weight = self.a
        if x.sum() > 0:
            weight = self.b
        return x * weight


class Pair(NamedTuple):
    tensor: torch.Tensor
    number: int


class Containers(nn.Module):
    def forward(self, x):
        pair = Pair(x, 3)
        found: dict[str, torch.Tensor] = {"a": x}
        parts = [x]
        if x.sum() > 0:
            pair = Pair(x * 2, 4)
            found["b"] = x * 2
            parts.append(x * 2)
        else:
            found["b"] = x * 3
            parts.append(x * 3)
        return pair.tensor * pair.number, found["a"] + found["b"], torch.cat(parts)


class Views(nn.Module):
    def forward(self, x):
        left, turned = x[:, :4], x.t()
        if x.sum() > 0:
            left = left + turned[:4].t()
        else:
            left = left * 2
        return left, turned


class Dropped(nn.Module):
    """Dropout returns what it gets, in eval mode."""

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout()

    def forward(self, x):
        y = x * 1
        if x.sum() > 0:
            z = self.dropout(y)
            z += 1
        return y


class Checked(nn.Module):
    def forward(self, x):
        if x.sum() > 1e9:
            raise RuntimeError("too large")
        assert not bool(x.isnan().any()), "not a number"
        return x + 1


@pytest.mark.parametrize(
    "kind", [Gate, EarlyReturns, Weights, Containers, Views, Dropped, Checked]
)
def test_an_if_on_data(kind):
    check(kind())


def test_an_error_of_the_scripted_code():
    program, _ = exported(torch.jit.script(Checked()))
    with pytest.raises(RuntimeError, match="too large"):
        program.module(check_guards=False)(X + 1e9)


def test_an_if_on_data_for_all_sizes():
    signature = check(
        Gate(),
        dynamic_shapes=({0: Dim("batch", min=2, max=64)},),
        inputs=[X, -X, torch.randn(9, 8), torch.randn(7, 8)],
    )
    assert signature.text == "(x: float32[batch, 8]) -> (output: float32[batch, 8])"


# ---- Loops.


class While(nn.Module):
    def forward(self, x):
        steps = 0
        while bool(x.abs().max() > 0.5) and steps < 20:
            x = x * 0.5
            steps += 1
        return x + steps


class InPlace(nn.Module):
    def forward(self, x):
        y = x.clone()
        steps = 0
        while bool(y.abs().max() > 0.3) and steps < 30:
            y.mul_(0.8)
            y[0] += 0.01
            steps += 1
        return y * steps


class Leaving(nn.Module):
    def forward(self, x):
        total = 0
        for i in range(10):
            if i == 1:
                continue
            x = x * 0.7
            total += i
            if x.abs().max() < 0.5:
                break
        return x, torch.tensor(total), torch.tensor([total, 2])


class Returning(nn.Module):
    def forward(self, x):
        for i in range(10):
            x = x * 0.7
            if x.abs().max() < 0.5:
                return x + i
        return x - 1


class Nested(nn.Module):
    def forward(self, x):
        steps = 0
        while bool(x.sum() < 50) and steps < 6:
            if x.mean() > 0:
                x = x * 2
                if steps > 2:
                    x = x + 1
            else:
                x = x.abs()
            steps += 1
            for i in range(steps):
                x = x + 0.01 * i
        return x


class Swapped(nn.Module):
    def forward(self, x):
        a, b = x, x + 1
        steps = 0
        while bool(a.sum() < 30) and steps < 8:
            a, b = b, a + b
            steps += 1
        return a, b


class Best(nn.Module):
    def forward(self, x):
        best, most = -1, float("-inf")
        for i in range(x.size(0)):
            value = float(x[i].sum())
            if value > most:
                best, most = i, value
        return x[best], torch.tensor(best), torch.tensor(most)


class Rows(nn.Module):
    def forward(self, x):
        out = torch.zeros_like(x)
        for i in range(x.size(0)):
            out[i] = x[i] * i
            out[i, 0] = 7.0
        return out


@pytest.mark.parametrize(
    "kind", [While, InPlace, Leaving, Returning, Nested, Swapped, Best, Rows]
)
def test_a_loop(kind):
    check(kind())


@pytest.mark.parametrize("kind", [Best, Rows])
def test_a_loop_over_a_dynamic_size(kind):
    sizes = [X, torch.randn(9, 8), torch.randn(2, 8)]
    check(kind(), dynamic_shapes=({0: Dim("batch", min=2, max=64)},), inputs=[*sizes])


class Columns(nn.Module):
    def forward(self, x):
        columns = []
        for i in range(x.size(1)):
            columns.append(x[:, i] * i)
        return torch.stack(columns, 1)


def test_a_list_that_a_loop_of_a_fixed_size_makes():
    signature = check(Columns(), dynamic_shapes=({0: Dim("batch", min=2, max=64)},))
    assert signature.text == "(x: float32[batch, 8]) -> (output: float32[batch, 8])"


# ---- Numbers that are data.


class Integers(nn.Module):
    def forward(self, x):
        n = int(x.abs().sum())
        total = 0
        for i in range(2, n // 3, 3):
            total += i * (n % 5)
        return torch.tensor(total) + x, -n + x, x[n % 4], abs(n - 100) * x


class Floats(nn.Module):
    def forward(self, x):
        a, b = float(x.mean()), x.max().item()
        if a > 0.0 or b < 0.1:
            c = a * b
        else:
            c = a / (b + 3)
        return x * c, x.double() * a, torch.full([2], a), max(a, float(b)) * x


class Large(nn.Module):
    """torch's own converter makes an int32 of it."""

    def forward(self, x):
        n = int(x.abs().sum()) + 2**40
        return x.long() + n


@pytest.mark.parametrize("kind", [Integers, Floats, Large])
def test_numbers_from_data(kind):
    check(kind())


def test_the_number_of_iterations_is_an_input():
    class Net(nn.Module):
        def forward(self, x, n: torch.Tensor):
            for i in range(int(n)):
                x = x * 2 + i
            return x

    script = torch.jit.script(Net())
    program, _ = exported(torch.jit.script(Net()), X, torch.tensor(3))
    for n in (0, 1, 5):
        ours = program.module(check_guards=False)(X, torch.tensor(n))
        assert torch.equal(ours, script(X, torch.tensor(n)))


# ---- Optional values.


class Masked(nn.Module):
    def forward(self, x, mask: Optional[torch.Tensor] = None):  # noqa: UP045 (TorchScript)
        if x.sum() > 0:
            x = x + 1
        if mask is not None:
            x = x * mask
        return x


def test_an_optional_input():
    assert check(Masked()).text.startswith("(x: float32[4, 8]) ->")
    assert check(Masked(), torch.ones(8)).text.startswith("(x: float32[4, 8], mask: ")


# ---- State.


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(8, 8)
        self.register_buffer("hidden", torch.zeros(4, 8))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        hidden = self.cell(x, self.hidden)
        self.hidden.copy_(hidden)
        self.calls += 1
        return hidden + self.calls


class Replaced(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("hidden", torch.zeros(4, 8))

    def forward(self, x):
        before = self.hidden
        self.hidden = self.hidden + x
        return self.hidden * 2, before


class Plain(nn.Module):
    """State in plain attributes, which TorchScript keeps as well."""

    count: int

    def __init__(self):
        super().__init__()
        self.count = 0
        self.hidden = torch.zeros(4, 8)

    def forward(self, x):
        if x.sum() > 0:
            self.count += 1
            self.hidden = self.hidden + x
        return self.hidden * self.count


class InOneBranch(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.register_buffer("hidden", torch.zeros(4, 8))

    def forward(self, x):
        if x.mean() > 0:
            self.hidden.add_(self.layer(x))
        else:
            self.hidden[1] = x[0]
        return x + self.hidden


class InALoop(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.register_buffer("hidden", torch.zeros(4, 8))

    def forward(self, x):
        hidden = self.hidden
        steps = 0
        while bool(hidden.norm() < 2) and steps < 5:
            hidden = torch.tanh(self.layer(x) + hidden) + 0.1
            steps += 1
        self.hidden.copy_(hidden)
        return hidden


class InPlaceInALoop(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("hidden", torch.ones(4, 8))

    def forward(self, x):
        hidden = self.hidden
        steps = 0
        while bool(hidden.norm() < 20) and steps < 5:
            hidden *= 1.5
            steps += 1
        return hidden + x


class Together(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate, self.loop, self.recurrent = Gate(), While(), Recurrent()

    def forward(self, x):
        return self.recurrent(self.loop(self.gate(x)))


@pytest.mark.parametrize(
    "kind",
    [Recurrent, Replaced, Plain, InOneBranch, InALoop, InPlaceInALoop, Together],
)
def test_state(kind):
    check(kind())


def test_state_of_a_part():
    class Around(nn.Module):
        def __init__(self, part):
            super().__init__()
            self.part = part

        def forward(self, x):
            return self.part(x) + 1

    script = torch.jit.script(Together().eval())
    program, _ = exported(Around(copy.deepcopy(script)))
    ours = program.module(check_guards=False)
    with torch.no_grad():
        for x in INPUTS:
            torch.testing.assert_close(ours(x), script(x) + 1)


# ---- Files.


def test_a_file_whose_source_is_not_here(tmp_path):
    """The file has the lines of the scripted code."""
    path = tmp_path / "net.py"
    path.write_text(
        textwrap.dedent(
            """
            import torch

            class Net(torch.nn.Module):
                def forward(self, x):
                    parts = [x]
                    if x.sum() > 0:
                        parts.append(x)
                    return torch.cat(parts)
            """
        )
    )
    spec = importlib.util.spec_from_file_location("net", path)
    net = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(net)
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(net.Net()), file)
    path.unlink()
    linecache.clearcache()
    file.seek(0)
    with pytest.raises(UserError) as caught:
        exported(torch.jit.load(file))
    assert caught.value.where == f"{path}:7"
    assert "\n  7 | if x.sum() > 0:\n" in str(caught.value)


def test_a_traced_network():
    module = nn.Sequential(
        *(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(36, 5)),
    ).eval()
    image = torch.randn(2, 3, 8, 8)
    program, signature = exported(
        torch.jit.trace(module, image),
        image,
        dynamic_shapes=({0: Dim("batch", min=1, max=8)},),
    )
    assert signature.text.endswith("float32[batch, 5])")
    larger = torch.randn(5, 3, 8, 8)
    assert torch.equal(program.module()(larger), module(larger))


class Detections(nn.Module):
    """What comes behind a detector: boxes above a threshold, the best first."""

    def forward(self, boxes, scores):
        best = scores.max(dim=1)
        order = best.values.argsort(descending=True)[:3]
        boxes, top = boxes[order], best.values[order]
        if top[0] < 0.5:
            boxes = torch.zeros_like(boxes)
        return boxes.clamp(0, 1), top, best.indices[order]


def test_detections():
    script = torch.jit.script(Detections())
    boxes = torch.rand(6, 4) * 2 - 0.5
    program, _ = exported(torch.jit.script(Detections()), boxes, torch.rand(6, 5))
    for scores in (torch.rand(6, 5), torch.rand(6, 5) / 3):
        ours = program.module(check_guards=False)(boxes, scores)
        torch.testing.assert_close(ours, script(boxes, scores))


class Reshaped(nn.Module):
    def forward(self, x):
        rows = x.size(0) * 2
        return x.view(rows, -1).reshape(x.shape[0] // 2, -1, 4), x.new_zeros(rows - 1)


@pytest.mark.parametrize("make", [lambda m: torch.jit.trace(m, X), torch.jit.script])
def test_sizes_that_are_computed(make):
    program, signature = exported(
        make(Reshaped()), dynamic_shapes=({0: 2 * Dim("pairs", min=1, max=32)},)
    )
    assert signature.text == (
        "(x: float32[2*pairs, 8]) -> "
        "(output_0: float32[pairs, 4, 4], output_1: float32[4*pairs - 1])"
    )
    for found, wanted in zip(
        program.module()(torch.ones(12, 8)), Reshaped()(torch.ones(12, 8)), strict=True
    ):
        assert torch.equal(found, wanted)


class Sliced(nn.Module):
    def forward(self, x):
        n = int(x[0, 0])
        return x[:n] * 2, x[n:].sum(), x[:, 1:n].sum()


def test_slices_from_data():
    check(Sliced(), inputs=[torch.full((4, 8), n) for n in (3.0, 0.0, 9.0, -2.0, 1.0)])


class BySize(nn.Module):
    def forward(self, x):
        rows = x.size(0)
        if rows > 6:
            rows = rows * 2
        if x.size(0) > 4:
            y = x * 2
        else:
            y = x + 1
        return y, torch.tensor(rows)


def test_an_if_on_a_dynamic_size():
    sizes = [torch.randn(n, 8) for n in (2, 5, 9)]
    check(
        BySize(), dynamic_shapes=({0: Dim("batch", min=2, max=64)},), inputs=[X, *sizes]
    )
