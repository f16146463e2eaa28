"""Signatures: names, dtypes and sizes; and the bytes of what is exported."""

import collections
import copy
import dataclasses
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import types
import zipfile
from typing import Any

import pytest
import torch
from modules import Function
from torch import nn
from torch.export import Dim
from torch.nn import functional as F
from torch.nn.utils import prune
from torch.utils import _pytree as pytree

import compile_model
from aot_common.errors import UserError
from torch_aot import Model, export, program_file
from torch_aot.entry import Entry
from torch_aot.signature import Signature

X = torch.randn(2, 4)


def run(module: Any, *inputs: Any, **arguments: Any) -> tuple[Any, Signature]:
    """Exports a module or function; returns the program and its signature."""
    if not isinstance(module, nn.Module):
        module = Function(module)
    given = arguments.pop("inputs", inputs)
    return export.export(Entry("models/m.py:m"), Model(module, given, **arguments))


def text(module: Any, *inputs: Any, **arguments: Any) -> str:
    return run(module, *inputs, **arguments)[1].text


# ---- Names.


def test_inputs_are_called_like_parameters():
    assert text(lambda image, mask: image + mask, X, X) == (
        "(image: float32[2, 4], mask: float32[2, 4]) -> (output: float32[2, 4])"
    )


def names(specs):
    return [spec.name for spec in specs]


def test_names_of_nested_inputs():
    def forward(state, pair, rest):
        return state["h"][0] + state["h"][1] + state["c"] + pair[0] + rest[0]["x"]

    inputs = ({"h": (X, X), "c": X}, [X], ({"x": X},))
    assert names(run(forward, *inputs)[1].inputs) == [
        "state_h_0",
        "state_h_1",
        "state_c",
        "pair_0",
        "rest_0_x",
    ]


def test_names_of_a_named_tuple():
    Point = collections.namedtuple("Point", "x y")
    signature = run(lambda p: p.x + p.y, Point(X, X))[1]
    assert names(signature.inputs) == ["p_x", "p_y"]


def test_what_torch_max_returns():
    assert text(lambda x: x.max(1), X) == (
        "(x: float32[2, 4]) -> (output_0: float32[2], output_1: int64[2])"
    )


@dataclasses.dataclass
class State:
    hidden: torch.Tensor
    cell: torch.Tensor


torch.export.register_dataclass(State)


def test_names_of_a_dataclass():
    def forward(state):
        return State(state.cell, state.hidden * 2)

    signature = run(forward, State(X, X))[1]
    assert names(signature.inputs) == ["state_hidden", "state_cell"]
    assert names(signature.outputs) == ["hidden", "cell"]


class Outputs(collections.OrderedDict):
    """As older versions of Hugging Face's transformers have them."""


class Pair:
    """Of tensors, with nothing to call them by."""

    def __init__(self, *tensors):
        self.tensors = tensors


pytree.register_pytree_node(
    Outputs,
    lambda outputs: ([*outputs.values()], [*outputs]),
    lambda values, keys: Outputs(zip(keys, values, strict=True)),
    serialized_type_name="Outputs",
)
pytree.register_pytree_node(
    Pair,
    lambda pair: ([*pair.tensors], None),
    lambda tensors, _: Pair(*tensors),
    serialized_type_name="Pair",
)


def test_names_in_containers_that_pytree_has_no_keys_of():
    def forward(x, y):
        return Outputs(hidden=[x + 1, y + 1], pooled=Pair(x * y, {"sum": x + y}))

    assert names(run(forward, X, X)[1].outputs) == [
        "hidden_0",
        "hidden_1",
        "pooled_0",
        "pooled_1_sum",
    ]
    pair = run(lambda x: Pair(x + 1, x * 2), X)[1]
    assert names(pair.outputs) == ["output_0", "output_1"]


def test_names_of_variable_arguments():
    signature = run(lambda first, *others: first + others[0] + others[1], X, X, X)[1]
    assert names(signature.inputs) == ["first", "others_0", "others_1"]
    signature = run(
        lambda first, *, scale, **more: first * scale + more["bias"],
        inputs={"first": X, "bias": X, "scale": X},
    )[1]
    assert names(signature.inputs) == ["first", "scale", "bias"]


def test_named_inputs_come_in_the_order_of_the_parameters():
    program, signature = run(
        lambda x, y: x - y, inputs={"y": torch.zeros(3), "x": torch.ones(3)}
    )
    assert names(signature.inputs) == ["x", "y"]
    assert program.module()(torch.ones(3), torch.zeros(3)).tolist() == [1, 1, 1]


def test_optional_inputs_may_be_left_out():
    def forward(x, mask=None, scale=2.0):
        return x * scale if mask is None else x * mask

    assert names(run(forward, X)[1].inputs) == ["x"]
    assert names(run(forward, X, None, 3.0)[1].inputs) == ["x"]
    assert names(run(forward, inputs={"mask": X, "x": X})[1].inputs) == ["x", "mask"]


def test_names_that_cpp_cannot_have_are_mended():
    def forward(inputs):
        return sum(inputs.values())

    keys = ["class", "top-1", "2nd", "_private", "top_1", "größe"]
    signature = run(forward, dict.fromkeys(keys, X))[1]
    assert names(signature.inputs) == [
        "inputs_class",
        "inputs_top_1",
        "inputs_2nd",
        "inputs__private",
        "inputs_top_1_",
        "inputs_gr__e",
    ]
    signature = run(lambda x: {key: x + i for i, key in enumerate(keys)}, X)[1]
    assert names(signature.outputs) == [
        "class_",
        "top_1",
        "output_2nd",
        "output_private",
        "top_1_",
        "gr__e",
    ]


def test_names_that_are_taken_are_mended():
    def forward(linux, co_await, Inputs, InputShapes, Outputs):
        names = "errno char8_t Inputs Outputs OutputShapes Buffers".split()
        return {
            name: linux + co_await + Inputs * InputShapes * Outputs + i
            for i, name in enumerate(names)
        }

    signature = run(forward, X, X, X, X, X)[1]
    assert names(signature.inputs) == [
        "linux_",
        "co_await_",
        "Inputs_",
        "InputShapes_",
        "Outputs",
    ]
    assert names(signature.outputs) == [
        "errno_",
        "char8_t_",
        "Inputs",
        "Outputs_",
        "OutputShapes_",
        "Buffers_",
    ]


def test_names_that_python_cannot_have_are_mended():
    def forward(out):
        return {"from": out + 1, "out": out - 1}

    signature = run(forward, X)[1]
    assert names(signature.inputs) == ["out_"]
    assert names(signature.outputs) == ["from_", "out"]


def test_names_of_outputs():
    assert names(run(lambda x: x + 1, X)[1].outputs) == ["output"]
    assert names(run(lambda x: (x + 1, [x, x - 1]), X)[1].outputs) == [
        "output_0",
        "output_1_0",
        "output_1_1",
    ]
    assert names(run(lambda x: {"a": x + 1, "b": {"c": x}}, X)[1].outputs) == [
        "a",
        "b_c",
    ]


def test_given_names():
    signature = run(
        lambda x, y: (x + y, x - y),
        X,
        X,
        input_names=["a", "b"],
        output_names=("s", "d"),
    )[1]
    assert names(signature.inputs) == ["a", "b"]
    assert names(signature.outputs) == ["s", "d"]


def test_programs_need_none_of_the_users_classes(tmp_path):
    Point = collections.namedtuple("Point", "x y")

    def forward(state, point, x):
        return Point(state.cell + point.x, {"m": x.max(1), "s": State(x, -x)})

    program, _ = run(forward, State(X, X), Point(X, X), X)
    program_file.save(program, str(tmp_path / "m.pt2"), "model.py:1")
    script = f"""
import torch
program = torch.export.load({str(tmp_path / "m.pt2")!r})
args, kwargs = program.example_inputs
x, rest = program.module()(*args, **kwargs)
assert type(x) is torch.Tensor and type(rest["m"]) is type(rest["s"]) is tuple
"""
    subprocess.run([sys.executable, "-c", script], check=True, env=environment())


# ---- Constants among inputs and outputs.


def test_constants_are_compiled_in():
    def forward(x, times, negate, mode, nothing, offset):
        assert nothing is None and mode == "fast"
        x = x * times + offset
        return -x if negate else x

    program, signature = run(forward, X, 3, True, "fast", None, 0.5)
    assert signature.text == "(x: float32[2, 4]) -> (output: float32[2, 4])"
    expected = -(X * 3 + 0.5)
    found = program.module(check_guards=False)(X, 3, True, "fast", None, 0.5)
    assert torch.equal(found, expected)


def test_none_among_outputs_is_left_out():
    signature = run(lambda x: {"a": None, "b": x + 1}, X)[1]
    assert names(signature.outputs) == ["b"]


def test_a_model_without_inputs():
    assert text(lambda: torch.arange(3)) == "() -> (output: int64[3])"


def test_outputs_that_are_inputs_or_parameters():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

        def forward(self, x):
            return x, self.weight, x

    assert text(Net(), X) == (
        "(x: float32[2, 4]) -> "
        "(output_0: float32[2, 4], output_1: float32[3], output_2: float32[2, 4])"
    )


# ---- Dtypes and sizes.


@pytest.mark.parametrize(
    "dtype",
    "uint8 int8 int16 int32 int64 float16 float32 float64 bool bfloat16".split(),
)
def test_dtypes(dtype):
    tensor = torch.zeros(3, dtype=getattr(torch, dtype))
    assert (
        text(lambda x: x.clone(), tensor) == f"(x: {dtype}[3]) -> (output: {dtype}[3])"
    )


def test_ranks_from_0_to_8():
    for rank in (0, 1, 8):
        sizes = ", ".join(["1"] * rank)
        assert text(lambda x: x + 1, torch.ones([1] * rank)) == (
            f"(x: float32[{sizes}]) -> (output: float32[{sizes}])"
        )


BATCH = Dim("batch", min=1, max=64)


def test_a_named_dimension():
    signature = run(lambda x: x.sum(1), X, dynamic_shapes=({0: BATCH},))[1]
    assert signature.text == "(x: float32[batch, 4]) -> (output: float32[batch])"
    assert signature.symbols == {"batch": (1, 64)}
    dim, fixed = signature.inputs[0].dims
    assert (dim.min, dim.max, dim.symbol, dim.scale, dim.offset) == (
        1,
        64,
        "batch",
        1,
        0,
    )
    assert (fixed.min, fixed.max, fixed.symbol, fixed.known) == (4, 4, None, True)


def test_shapes_by_name_list_and_tuple_are_the_same():
    expected = "(x: float32[batch, 4]) -> (output: float32[batch, 4])"
    for shapes in (
        {"x": {0: BATCH}},
        {"x": (BATCH, None)},
        {"x": [BATCH, 4]},
        ({0: BATCH},),
        [{0: BATCH, 1: Dim.STATIC}],
    ):
        assert text(lambda x: x + 1, X, dynamic_shapes=shapes) == expected


def test_a_shared_dimension():
    signature = run(lambda x, y: x + y, X, X, dynamic_shapes=({0: BATCH}, {0: BATCH}))[
        1
    ]
    assert signature.text == (
        "(x: float32[batch, 4], y: float32[batch, 4]) -> (output: float32[batch, 4])"
    )
    assert list(signature.symbols) == ["batch"]


def test_derived_dimensions():
    half = Dim("half", min=2, max=8)
    signature = run(
        lambda x, y: (x[::2], torch.cat([y, y])),
        torch.randn(6),
        torch.randn(4),
        dynamic_shapes=({0: 2 * half}, {0: half + 1}),
    )[1]
    assert [spec.type for spec in (*signature.inputs, *signature.outputs)] == [
        "float32[2*half]",
        "float32[half + 1]",
        "float32[half]",
        "float32[2*half + 2]",
    ]
    assert signature.symbols == {"half": (2, 8)}
    double, plus = (spec.dims[0] for spec in signature.inputs)
    assert (double.scale, double.offset, double.min, double.max) == (2, 0, 4, 16)
    assert (plus.scale, plus.offset, plus.min, plus.max) == (1, 1, 3, 9)


def test_unbounded_dimensions():
    signature = run(
        lambda x: x + 1, X, dynamic_shapes=({0: Dim("rows"), 1: Dim("columns", max=9)},)
    )[1]
    assert signature.symbols == {"rows": (0, None), "columns": (0, 9)}
    assert signature.ranges == "0 <= rows, 0 <= columns <= 9"
    assert signature.inputs[0].dims[0].max is None


def test_automatic_dimensions():
    shapes = ({0: Dim.AUTO, 1: Dim.AUTO}, {0: Dim.DYNAMIC})
    signature = run(
        lambda x, y: (x @ torch.ones(4, 3), y + 1), X, X, dynamic_shapes=shapes
    )[1]
    # The second dimension has to be 4, and AUTO lets it.
    assert signature.text == (
        "(x: float32[x_size0, 4], y: float32[y_size0, 4]) -> "
        "(output_0: float32[x_size0, 3], output_1: float32[y_size0, 4])"
    )
    assert signature.symbols == {"x_size0": (2, None), "y_size0": (2, None)}


def test_automatic_dimensions_that_turn_out_equal():
    shapes = ({0: Dim.AUTO}, {0: Dim.AUTO})
    signature = run(lambda x, y: x + y, X, X, dynamic_shapes=shapes)[1]
    assert signature.text == (
        "(x: float32[x_size0, 4], y: float32[x_size0, 4]) -> (output: float32[x_size0, 4])"
    )


def test_bounded_automatic_dimensions():
    shapes = ({0: Dim.DYNAMIC(min=2, max=32)},)
    weight = torch.randn(16, 4)
    signature = run(lambda x: x + weight[: x.shape[0]], X, dynamic_shapes=shapes)[1]
    assert signature.symbols == {"x_size0": (2, 16)}


def test_sizes_that_are_expressions():
    length = Dim("length", min=3, max=16)
    signature = run(
        lambda x: (x.flatten(0, 1), torch.cat([x, x[:, :1]], 1), x[:, 1:]),
        torch.randn(3, 5, 7),
        dynamic_shapes=({0: BATCH, 1: length},),
    )[1]
    assert [spec.type for spec in signature.outputs] == [
        "float32[batch*length, 7]",
        "float32[batch, length + 1, 7]",
        "float32[batch, length - 1, 7]",
    ]
    product = signature.outputs[0].dims[0]
    assert (product.known, product.symbol, product.min, product.max) == (
        False,
        None,
        0,
        None,
    )
    minus = signature.outputs[2].dims[1]
    assert (minus.symbol, minus.offset, minus.min, minus.max) == ("length", -1, 2, 15)


def test_sizes_that_depend_on_data():
    signature = run(lambda x: x.nonzero(), X)[1]
    assert signature.text == "(x: float32[2, 4]) -> (output: int64[?, 2])"
    assert signature.outputs[0].dims[0].known is False
    assert signature.symbols == {}


def test_branches_of_different_sizes():
    def forward(x):
        return torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x[:1] * 2, (x,))

    assert text(forward, X) == "(x: float32[2, 4]) -> (output: float32[?, 4])"


def test_nested_dynamic_shapes():
    signature = run(
        lambda pair: pair["a"][0] + pair["b"],
        {"a": [X], "b": X},
        dynamic_shapes=({"a": [{0: BATCH}], "b": {0: BATCH}},),
    )[1]
    assert signature.text == (
        "(pair_a_0: float32[batch, 4], pair_b: float32[batch, 4]) -> "
        "(output: float32[batch, 4])"
    )


def test_shapes_beside_constants():
    signature = run(
        lambda x, n, y: x * n + y,
        X,
        3,
        X,
        dynamic_shapes=({0: BATCH}, None, {0: BATCH}),
    )[1]
    assert names(signature.inputs) == ["x", "y"]
    assert list(signature.symbols) == ["batch"]


# ---- What may be done in a model, though it looks like what may not.


def test_a_branch_may_change_a_copy_in_place():
    def forward(x):
        def grow(x):
            x.add_(1)
            return x * 2

        x = x.clone()
        return torch.cond(x.sum() > 0, grow, lambda x: x - 1, (x,))

    assert text(forward, X) == "(x: float32[2, 4]) -> (output: float32[2, 4])"


def test_a_branch_may_return_what_is_a_copy():
    def forward(x):
        return torch.cond(
            x.sum() > 0,
            lambda x: (x.to(torch.float64), x.contiguous().clone()),
            lambda x: (x.double() * 2, x * 2),
            (x,),
        )

    text(forward, X)


def test_a_copy_of_an_input_may_be_changed_in_place():
    def forward(x):
        y = x.clone()
        y[0] = 1
        y += x.view(-1)[0]
        z = x.double()
        z.mul_(2)
        return y, z

    text(forward, X)


def test_modules_that_list_their_parameters_again(recwarn):
    """nn.LSTM does, and export puts others into the list for a while."""
    lstm = nn.LSTM(4, 3, batch_first=True)
    program, signature = run(lstm, torch.randn(2, 5, 4))
    assert [output.type for output in signature.outputs] == [
        "float32[2, 5, 3]",
        "float32[1, 2, 3]",
        "float32[1, 2, 3]",
    ]
    assert sorted(program.state_dict) == sorted(lstm.state_dict())
    assert not [w for w in recwarn if "_flat_weights" in str(w.message)]


def test_buffers_may_be_changed_in_place():
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("steps", torch.zeros(1))

        def forward(self, x):
            self.steps += 1
            return x * self.steps

    text(Counter(), X)


def test_an_assert_may_be_skipped_when_compiling():
    def forward(x):
        if not torch.compiler.is_compiling():
            assert x.sum() > 0
        return x * 2

    text(forward, X)


def test_examples_need_not_be_contiguous():
    program, _ = run(lambda x: x + 1, torch.randn(4, 2).T)
    (args, _) = program.example_inputs
    assert args[0].is_contiguous()


# ---- Modules of other kinds.


class Classifier(nn.Module):
    """Has parameters, a branch on sizes, state, and a method beside forward."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x, scale: float = 2.0):
        self.calls += 1
        y = self.drop(self.norm(self.layer(x)))
        for _ in range(2):
            y = y * scale
        if y.dim() == 2:
            y = y.relu()
        return y * self.calls

    @torch.jit.export
    def logits(self, x):
        return self.layer(x)


class Around(nn.Module):
    def __init__(self, *modules):
        super().__init__()
        self.inner = nn.ModuleList(modules)

    def forward(self, x):
        for module in self.inner:
            x = module(x)
        return x


def saved(module):
    """A ScriptModule as torch.jit.load gives it."""
    file = io.BytesIO()
    torch.jit.save(module, file)
    file.seek(0)
    return torch.jit.load(file)


def prepared(module, **arguments):
    """A model as an entry's is, when it comes to be exported."""
    inputs = arguments.pop("inputs", (X,))
    entry = Entry("models/m.py:m")
    entry.import_file = lambda: types.SimpleNamespace(
        m=lambda: Model(module, inputs, **arguments)
    )
    model = entry.load([], seed=0)
    return export.export(entry, model)


def outputs_of(program, *inputs, calls=3):
    module = copy.deepcopy(program.module(check_guards=False))
    with torch.no_grad():
        return [module(*inputs) for _ in range(calls)]


SCRIPTED = {
    "scripted": lambda m: torch.jit.script(m),
    "loaded": lambda m: saved(torch.jit.script(m)),
    "scripted in training mode": lambda m: torch.jit.script(m.train()),
    "frozen": lambda m: torch.jit.freeze(torch.jit.script(m)),
    "frozen and loaded": lambda m: saved(torch.jit.freeze(torch.jit.script(m))),
    "a part": lambda m: Around(nn.Identity(), torch.jit.script(m)),
    "a loaded part": lambda m: Around(saved(torch.jit.script(m)), nn.Identity()),
}


@pytest.mark.parametrize("wrap", SCRIPTED.values(), ids=SCRIPTED)
def test_torchscript(wrap):
    module = Classifier().eval()
    larger = torch.randn(9, 4)
    with torch.no_grad():
        expected = [copy.deepcopy(module)(X) * (i + 1) for i in range(3)]
        expected_of_larger = copy.deepcopy(module)(larger)
    program, signature = prepared(wrap(module), dynamic_shapes=({0: BATCH},))
    assert signature.text.startswith("(x: float32[batch, 4]) -> (output: float32[batch")
    for found, wanted in zip(outputs_of(program, X), expected, strict=True):
        torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(outputs_of(program, larger)[0], expected_of_larger)


def test_a_traced_module():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, image):
            return self.layer(image).relu()

    for wrap in (lambda m: m, saved):
        module = Net().eval()
        traced = wrap(torch.jit.trace(module, X))
        program, signature = prepared(traced, dynamic_shapes=({0: BATCH},))
        assert names(signature.inputs) == ["image"]
        assert torch.equal(outputs_of(program, X, calls=1)[0], module(X))


def test_a_scripted_part_in_two_places():
    layer = nn.Linear(4, 4)
    part = torch.jit.script(layer)
    program, _ = prepared(Around(part, part))
    torch.testing.assert_close(outputs_of(program, X)[0], layer(layer(X)))
    part = torch.jit.script(Classifier())
    with pytest.raises(UserError, match=r"'inner.1', which has state"):
        prepared(Around(part, part))


def test_other_methods_of_a_scripted_part():
    class Net(nn.Module):
        def __init__(self, part):
            super().__init__()
            self.part = part

        def forward(self, x):
            return self.part.logits(x)

    module = Classifier().eval()
    program, _ = prepared(Net(torch.jit.script(module)))
    assert torch.equal(outputs_of(program, X)[0], module.logits(X))


def test_weights_are_loaded_into_torchscript(write, tool, tmp_path):
    write(
        "model.py",
        """
        import torch
        from torch import nn
        from torch_aot import Model

        def net():
            return Model(torch.jit.script(nn.Linear(3, 2)), (torch.ones(1, 3),))
        """,
    )
    torch.save({"weight": torch.ones(2, 3), "bias": torch.zeros(2)}, "w.pt")
    result = tool(
        *("export", "model.py:net", "--weights=w.pt"),
        *("--program=OUT/m.pt2", "--signature=OUT/m.json"),
    )
    assert (result.status, result.output) == (0, "")
    program = program_file.load(str(tmp_path / "out" / "m.pt2"))
    assert program.module()(torch.ones(1, 3)).tolist() == [[3, 3]]


# What the message about TorchScript's own `if` and sizes says to do.
def test_the_weights_of_torchscript_fit_the_python_module(tmp_path):
    path = str(tmp_path / "m.pt")
    original = Classifier()
    torch.jit.script(original).save(path)
    module = Classifier()
    module.load_state_dict(torch.jit.load(path).state_dict())
    assert torch.equal(module.layer.weight, original.layer.weight)


PROGRAMS = {
    "as it is": lambda p: p,
    "decomposed": lambda p: p.run_decompositions(),
    "saved and loaded": lambda p: reloaded(p),
}


def reloaded(program):
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    return torch.export.load(file)


@pytest.mark.parametrize("wrap", PROGRAMS.values(), ids=PROGRAMS)
def test_an_exported_program(wrap):
    module = Classifier().eval()
    with torch.no_grad():
        expected = [copy.deepcopy(module)(X) * (i + 1) for i in range(3)]
    given = torch.export.export(module, (X,), dynamic_shapes=({0: BATCH},))
    program, signature = prepared(wrap(given), inputs=None)
    assert signature.text == (
        "(x: float32[x_size0, 4]) -> (output: float32[x_size0, 4])"
    )
    assert signature.symbols == {"x_size0": (1, 64)}
    for found, wanted in zip(outputs_of(program, X), expected, strict=True):
        torch.testing.assert_close(found, wanted)


def test_an_exported_program_with_arguments_of_all_kinds():
    class Net(nn.Module):
        def forward(self, x, *rest, scale, state, **more):
            return {"y": x * rest[0] - scale, "z": state["h"] / more["divisor"]}

    values = [torch.full((2,), float(i)) for i in range(1, 6)]
    given = torch.export.export(
        Net(),
        tuple(values[:2]),
        {"scale": values[2], "state": {"h": values[3]}, "divisor": values[4]},
    )
    entry = Entry("models/m.py:m")
    model = Model(given)
    model.unpack_program()
    signature = export.export(entry, model)[1]
    assert len(signature.inputs) == 5 and names(signature.outputs) == ["y", "z"]
    assert names(signature.inputs)[0] == "x"
    assert names(signature.inputs)[3] == "state_h"
    args, kwargs = model.bind(model.inputs, "")
    found = model.module(*args, **kwargs)  # as torch_model_test runs it
    assert found["y"].tolist() == [-1, -1] and found["z"].tolist() == pytest.approx(
        [0.8] * 2
    )


def test_modules_of_exported_programs():
    def module():
        program = torch.export.export(
            nn.Linear(4, 4).eval(), (X,), dynamic_shapes=({0: BATCH},)
        )
        return program.module()

    for given in (module(), Around(module(), module())):
        program, signature = prepared(given, dynamic_shapes=({0: BATCH},))
        assert "float32[batch, 4]" in signature.text
        assert torch.equal(outputs_of(program, X)[0], given(X))


@pytest.mark.parametrize(
    "wrap",
    [
        torch.compile,
        lambda m: Around(torch.compile(m)),
        nn.DataParallel,
        torch.fx.symbolic_trace,
        torch.optim.swa_utils.AveragedModel,
        lambda m: torch.jit.script(m),
    ],
)
def test_wrapped_modules(wrap):
    module = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU()).eval()
    program, _ = prepared(wrap(module))
    torch.testing.assert_close(outputs_of(program, X)[0], module(X))


# ---- State that is none.


def _pruned():
    layer = nn.Linear(4, 4)
    prune.l1_unstructured(layer, "weight", 0.5)
    return layer


NORMALISED = {
    "weight_norm": lambda: nn.utils.weight_norm(nn.Linear(4, 4)),
    "spectral_norm": lambda: nn.utils.spectral_norm(nn.Linear(4, 4)),
    "parametrizations.weight_norm": lambda: nn.utils.parametrizations.weight_norm(
        nn.Linear(4, 4)
    ),
    "parametrizations.spectral_norm": lambda: nn.utils.parametrizations.spectral_norm(
        nn.Linear(4, 4)
    ),
    "parametrizations.orthogonal": lambda: nn.utils.parametrizations.orthogonal(
        nn.Linear(4, 4)
    ),
    "prune": _pruned,
    "a part": lambda: nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 4)), nn.ReLU()),
}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("make", NORMALISED.values(), ids=NORMALISED)
def test_weights_computed_in_each_call(make, recwarn):
    module = make().eval()
    program, _ = run(module, X)
    assert not [w for w in recwarn if "forward() assigns" in str(w.message)]
    torch.testing.assert_close(outputs_of(program, X)[0], module(X))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_computed_weight_of_an_lstm():
    lstm = nn.utils.weight_norm(nn.LSTM(4, 3, batch_first=True), "weight_hh_l0").eval()
    x = torch.randn(2, 5, 4)
    program, _ = run(lstm, x)
    torch.testing.assert_close(outputs_of(program, x)[0][0], lstm(x)[0])


def test_attributes_assigned_before_they_are_read():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = torch.zeros(2, 4)
            self.parts = {"a": torch.zeros(2, 4)}
            self.seen = torch.zeros(2, 4)

        def forward(self, x):
            self.hidden = x * 2
            self.parts["a"] = self.hidden + 1
            self.seen = x
            return self.parts["a"] * self.hidden

    program, _ = run(Net(), X)
    assert torch.equal(outputs_of(program, X)[0], (X * 2 + 1) * X * 2)


def test_buffers_side_by_side_in_one_memory():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            keys, values = torch.zeros(2, 4).unbind()
            self.register_buffer("keys", keys)
            self.register_buffer("values", values)

        def forward(self, x):
            self.keys.add_(x[0])
            self.values.sub_(x[0])
            return self.keys - self.values

    program, _ = run(Net(), X)
    assert torch.equal(outputs_of(program, X)[2], X[0] * 6)


# What the messages about state say to do.
@pytest.mark.parametrize("write_at", ["element", "sum", "slice"])
def test_writing_at_an_index_of_rank_1(write_at):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("cache", torch.zeros(4, 4))

        def forward(self, x, i):
            if write_at == "element":
                self.cache[i.reshape(1)] = x
            elif write_at == "sum":
                self.cache[i.reshape(1)] += x
            else:
                self.cache[i + torch.arange(2)] = x
            return self.cache.clone()

    i = torch.tensor(1)
    program, _ = run(Net(), X[0], i)
    expected = torch.zeros(4, 4)
    expected[1] = X[0]
    if write_at == "slice":
        expected[2] = X[0]
    assert torch.equal(outputs_of(program, X[0], i, calls=1)[0], expected)


def test_a_view_taken_in_forward():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("ring", torch.zeros(8))

        def forward(self, x):
            self.ring.add_(x)
            return self.ring[4:] * 2

    one = torch.tensor(1.0)
    program, _ = run(Net(), one)
    assert outputs_of(program, one)[1].tolist() == [4] * 4


# ---- Operators that could draw random numbers, and do not; and other fixes.


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.dropout(x, 0.0),
        lambda x: F.dropout(x, 0.5, training=False),
        lambda x: F.dropout2d(x, 0.5, training=False),
        lambda x: torch.native_dropout(x, 0.5, False)[0],
        lambda x: F.alpha_dropout(x, 0.5, training=False),
        lambda x: F.rrelu(x, training=False),
        lambda x: F.scaled_dot_product_attention(x, x, x),
        lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.0),
    ],
)
def test_operators_that_draw_nothing(function):
    x = torch.randn(1, 2, 3, 4)
    program, _ = run(function, x)
    torch.testing.assert_close(outputs_of(program, x)[0], function(x))


@pytest.mark.parametrize(
    "module",
    [
        nn.LSTM(4, 4, 2, dropout=0.5),
        nn.GRU(4, 4, 2, dropout=0.5, bidirectional=True),
        nn.TransformerEncoderLayer(4, 2, 8, dropout=0.5),
    ],
)
def test_dropout_in_eval_mode(module):
    prepared(module, inputs=(torch.randn(3, 1, 4),))


def test_the_last_output_of_padded_sequences():
    lstm = nn.LSTM(4, 3, batch_first=True)
    x, lengths = torch.randn(2, 5, 4), torch.tensor([5, 2])

    def forward(x, lengths):
        y, _ = lstm(x)
        return y[torch.arange(len(x)), lengths - 1]

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = lstm

        def forward(self, x, lengths):
            return forward(x, lengths)

    program, _ = run(Net(), x, lengths)
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
    expected = lstm(packed)[1][0][0]
    torch.testing.assert_close(outputs_of(program, x, lengths)[0], expected)


def test_rounding_in_float_is_quantising():
    def forward(x):
        q = (torch.round(x / 0.1) + 3).clamp(-128, 127)
        return (q - 3) * 0.1

    program, _ = run(forward, X * 20)
    expected = torch.quantize_per_tensor(X * 20, 0.1, 3, torch.qint8).dequantize()
    torch.testing.assert_close(outputs_of(program, X * 20)[0], expected)


def test_a_gradient_by_autograd():
    def forward(x):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad((x**3).sum(), x)[0]

    program, _ = run(forward, X)
    torch.testing.assert_close(outputs_of(program, X)[0], 3 * X**2)


def test_a_distribution_that_checks_nothing():
    def forward(x):
        return torch.distributions.Normal(x, 1.0, validate_args=False).log_prob(x + 1)

    text(forward, X)


def test_an_initialised_lazy_module():
    module = nn.LazyLinear(3)
    module(X)
    assert text(module, X).endswith("(output: float32[2, 3])")


# ---- What the files hold.

SOURCE = """
import random

import numpy as np
import torch
from torch import nn
from torch.export import Dim

from torch_aot import Model


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x, extra):
        y = self.norm(self.layer(x))
        y = torch.cond(y.sum() > 0, lambda y: y + 1, lambda y: y - 1, (y,))
        noise = (y + NOISE).max(1)
        return {name: y + value for name, value in extra.items()}, noise


NOISE = torch.tensor([*np.random.randn(2), random.random(), random.random()])


def net():
    batch = Dim("batch", min=1, max=64)
    extra = {name: torch.randn(4) for name in sorted({"a", "b", "c"})}
    extra["d"] = torch.tensor(np.random.randn(4) * random.random())
    return Model(
        Net(),
        inputs=(torch.randn(2, 4), extra),
        dynamic_shapes=({0: batch}, dict.fromkeys(extra)),
    )
"""


def environment(**changes: str) -> dict[str, str]:
    path = os.pathsep.join(filter(None, sys.path))
    return {**os.environ, "PYTHONPATH": path, **changes}


def export_in(folder: pathlib.Path, hash_seed: int, *flags: str) -> dict[str, bytes]:
    """Exports SOURCE in a folder and process of its own; returns the files."""
    folder.mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "models" / "net.py").write_text(SOURCE)
    subprocess.run(
        [
            *(sys.executable, compile_model.__file__, "export", "models/net.py:net"),
            *("--program=net.pt2", "--signature=net.json", *flags),
        ],
        cwd=folder,
        env=environment(PYTHONHASHSEED=str(hash_seed), HOME=str(folder)),
        check=True,
        timeout=300,
    )
    return {name: (folder / name).read_bytes() for name in ("net.pt2", "net.json")}


def test_the_bytes_depend_on_nothing_of_the_machine(tmp_path):
    first = export_in(tmp_path / "one", 1)
    second = export_in(tmp_path / "two" / "deeper", 12345)
    assert first["net.json"] == second["net.json"]
    assert first["net.pt2"] == second["net.pt2"]

    found = set()
    with zipfile.ZipFile(tmp_path / "one" / "net.pt2") as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {"model"}
        for name in archive.namelist():
            data = archive.read(name)
            assert str(tmp_path).encode() not in data
            found |= set(re.findall(rb'(?<![\w.])/(?:root|home|tmp|usr)/[^"\s]*', data))
            found |= set(re.findall(rb'File \\"(/[^"\\]+)', data))
    assert not found


def test_lines_of_the_model_survive(write, tool):
    write("models/net.py", SOURCE)
    result = tool(
        *("export", "models/net.py:net"),
        *("--program=OUT/net.pt2", "--signature=OUT/net.json"),
    )
    assert result.status == 0


def test_the_bytes_are_the_same_twice(write, tool, tmp_path):
    write("models/net.py", SOURCE)
    made = []
    for name in ("first", "second", "elsewhere/third"):
        (tmp_path / "out" / name).parent.mkdir(exist_ok=True)
        result = tool(
            *("export", "models/net.py:net", "--seed=7"),
            *(f"--program=OUT/{name}.pt2", f"--signature=OUT/{name}.json"),
        )
        assert result.status == 0
        path = tmp_path / "out" / f"{name}.pt2"
        made.append((path.read_bytes(), path.with_suffix(".json").read_bytes()))
    assert made[0] == made[1] == made[2]

    # And the traces in the program name the model's file and line.
    program = program_file.load(str(tmp_path / "out" / "first.pt2"))
    traces = "".join(node.meta.get("stack_trace", "") for node in program.graph.nodes)
    line = SOURCE.splitlines().index("        y = self.norm(self.layer(x))")
    assert f'File "models/net.py", line {line}' in traces
    assert "site-packages/torch/nn/modules/linear.py" in traces


def test_seeds(write, tool, tmp_path):
    write("models/net.py", SOURCE)
    weights = []
    for seed in (0, 1):
        result = tool(
            *("export", "models/net.py:net", f"--seed={seed}"),
            *("--program=OUT/net.pt2", "--signature=OUT/net.json"),
        )
        assert result.status == 0
        program = program_file.load(str(tmp_path / "out" / "net.pt2"))
        weights.append(program.state_dict["layer.weight"])
    assert not torch.equal(*weights)
    torch.manual_seed(0)
    torch.randn(3, 4)  # as `extra`
    assert torch.equal(weights[0], nn.Linear(4, 4).weight)


def test_the_signature_in_the_file(write, tool, tmp_path):
    write("models/net.py", SOURCE)
    tool(
        *("export", "models/net.py:net"),
        *("--program=OUT/net.pt2", "--signature=OUT/net.json"),
    )
    data = json.loads((tmp_path / "out" / "net.json").read_text())
    assert data["source"] == "models/net.py:net"
    assert data["symbols"] == {"batch": [1, 64]}


def test_a_path_elsewhere_stays_out_of_the_files(write, tool, tmp_path):
    write("model.py", SOURCE)
    elsewhere = tmp_path / "workspace" / "elsewhere"
    elsewhere.mkdir()
    os.chdir(elsewhere)
    result = tool(
        *("export", str(tmp_path / "workspace" / "model.py") + ":net"),
        *("--program=OUT/net.pt2", "--signature=OUT/net.json"),
    )
    assert result.status == 0
    signature = Signature.from_json((tmp_path / "out" / "net.json").read_text())
    assert signature.source == "model.py:net"
    with zipfile.ZipFile(tmp_path / "out" / "net.pt2") as archive:
        for name in archive.namelist():
            assert b"workspace" not in archive.read(name)


def test_modules_are_put_into_eval_mode(write, tool, tmp_path):
    write(
        "model.py",
        """
        import torch
        from torch import nn
        from torch_aot import Model

        def net():
            return Model(nn.Sequential(nn.Dropout(0.5)).train(), (torch.ones(8),))
        """,
    )
    tool("export", "model.py:net", "--program=OUT/m.pt2", "--signature=OUT/m.json")
    program = program_file.load(str(tmp_path / "out" / "m.pt2"))
    assert program.module()(torch.ones(8)).tolist() == [1] * 8
