"""Reference cases: which inputs they have, and what eager PyTorch makes of them."""

import dataclasses
import struct
from typing import Any

import pytest
import torch
from modules import Function
from torch import nn
from torch.export import Dim

from aot_common.errors import UserError
from torch_aot import Model, export, reference
from torch_aot.entry import Entry

ENTRY = Entry("models/m.py:m")

# RTorchDType, as runtime/rules_torch/c_api.h numbers them.
DTYPES = {
    0: torch.uint8,
    1: torch.int8,
    2: torch.int16,
    3: torch.int32,
    4: torch.int64,
    5: torch.float16,
    6: torch.float32,
    7: torch.float64,
    11: torch.bool,
    15: torch.bfloat16,
}


@dataclasses.dataclass
class Case:
    inputs: list[torch.Tensor]
    outputs: list[torch.Tensor]
    float64: list[torch.Tensor]
    why: str


class Reader:
    """Reads the file format on its own, from its description."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        self.at += size
        assert self.at <= len(self.data)
        return self.data[self.at - size : self.at]

    def numbers(self, kind: str, count: int) -> tuple[int, ...]:
        form = f"<{count}{kind}"
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def tensor(self) -> torch.Tensor:
        dtype, rank = self.numbers("i", 2)
        sizes = self.numbers("q", rank)
        tensor = torch.empty(sizes, dtype=DTYPES[dtype])
        data = self.take(tensor.numel() * tensor.element_size())
        if data:
            flat = torch.frombuffer(bytearray(data), dtype=DTYPES[dtype])
            tensor = flat.reshape(sizes)
        return tensor

    def tensors(self) -> list[torch.Tensor]:
        (count,) = self.numbers("i", 1)
        return [self.tensor() for _ in range(count)]

    def text(self) -> str:
        (size,) = self.numbers("i", 1)
        return self.take(size).decode()

    def cases(self) -> list[Case]:
        assert self.take(8) == b"RTCASES2"
        (count,) = self.numbers("i", 1)
        cases = [
            Case(self.tensors(), self.tensors(), self.tensors(), self.text())
            for _ in range(count)
        ]
        assert self.at == len(self.data)
        return cases


def make(model: Model, count: int | None = 3, seed: int = 1) -> bytes:
    signature = export.export(ENTRY, model)[1]
    return reference.make_cases(ENTRY, model, signature, count, seed)


def cases(
    module: Any, *inputs: Any, count: int | None = 3, seed: int = 1, **given: Any
):
    if not isinstance(module, nn.Module):
        module = Function(module)
    model = Model(module, given.pop("inputs", inputs), **given)
    return Reader(make(model, count, seed)).cases()


def rows(found: list[Case]) -> list[int]:
    return [case.inputs[0].shape[0] for case in found]


X = torch.randn(3, 4)


def test_outputs_are_those_of_eager_pytorch():
    for case in cases(lambda x, y: (x @ y, {"d": x - 1}), X, torch.randn(4, 2)):
        x, y = case.inputs
        assert torch.equal(case.outputs[0], x @ y)
        assert torch.equal(case.outputs[1], x - 1)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_the_number_of_cases(count):
    # Smallest, largest, zeros, large values, and `count` random ones.
    assert len(cases(lambda x: x + 1, X, count=count)) == 4 + count


def test_sizes():
    batch = Dim("batch", min=2, max=9)
    found = cases(lambda x: x + 1, X, count=20, dynamic_shapes=({0: batch},))
    assert rows(found)[:2] == [2, 9]
    assert all(2 <= size <= 9 for size in rows(found))
    assert len(set(rows(found))) > 4
    assert {case.inputs[0].shape[1] for case in found} == {4}
    assert [case.outputs[0].shape for case in found] == [
        c.inputs[0].shape for c in found
    ]


def test_sizes_of_derived_and_shared_dimensions():
    half = Dim("half", min=2, max=5)
    found = cases(
        lambda x, y, z: x.sum() + y.sum() + z.sum(),
        torch.randn(6),
        torch.randn(3),
        torch.randn(4),
        count=9,
        dynamic_shapes=({0: 2 * half}, {0: half}, {0: half + 1}),
    )
    for case in found:
        x, y, z = (tensor.shape[0] for tensor in case.inputs)
        assert (x, z) == (2 * y, y + 1)
    assert [case.inputs[1].shape[0] for case in found][:2] == [2, 5]


def test_unbounded_and_large_sizes_are_kept_quick():
    unbounded = cases(lambda x: x + 1, X, dynamic_shapes=({0: Dim("rows")},))
    assert rows(unbounded)[:2] == [0, 64]
    large = cases(
        lambda x: x.sum(0),
        torch.randn(2, 1000),
        count=1,
        dynamic_shapes=({0: Dim("rows", min=1, max=10**9)},),
    )
    assert rows(large)[0] == 1
    assert 2000 <= rows(large)[1] <= 1 << 22
    assert max(case.inputs[0].numel() for case in large) <= 1 << 22


def test_values():
    found = cases(lambda x: x + 1, torch.full((64,), 7.0))
    spread = [case.inputs[0].abs().max().item() for case in found]
    assert spread[2] == 0
    assert spread[3] > 50
    for i in (0, 1, 4, 5, 6):
        assert 0.5 < spread[i] < 10


def test_integers_are_taken_from_the_example():
    table = torch.randn(50, 2)
    example = torch.tensor([3, 17, 49])
    found = cases(lambda i: table[i], example, count=5)
    seen = set(torch.cat([case.inputs[0] for case in found]).tolist())
    assert seen <= {3, 17, 49}
    assert len(seen) > 1


def test_booleans_are_both():
    found = cases(lambda x: ~x, torch.zeros(64, dtype=torch.bool))
    assert set(torch.cat([case.inputs[0] for case in found]).tolist()) == {True, False}


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_dtypes_and_their_bytes(dtype):
    example = torch.tensor([[0, 1, 1], [1, 0, 1]], dtype=dtype)
    for case in cases(lambda x: x.T, example, count=1):
        (given,), (output,) = case.inputs, case.outputs
        assert given.dtype == output.dtype == dtype
        assert torch.equal(output, given.T)


def test_scalars_and_empty_tensors():
    found = cases(lambda s, e: (s * 2, e + 1), torch.tensor(1.5), torch.zeros(0, 3))
    for case in found:
        assert [tensor.shape for tensor in case.inputs] == [(), (0, 3)]
        assert torch.equal(case.outputs[0], case.inputs[0] * 2)


def test_outputs_without_inputs():
    found = cases(lambda: torch.arange(3), count=1)
    assert [case.inputs for case in found] == [[]] * 5
    assert found[0].outputs[0].tolist() == [0, 1, 2]


def test_constants_are_passed_and_not_written():
    found = cases(lambda x, n, flag: x * n if flag else x, X, 3, True)
    for case in found:
        assert len(case.inputs) == 1
        assert torch.equal(case.outputs[0], case.inputs[0] * 3)


def test_none_outputs_are_not_written():
    found = cases(lambda x: (None, x + 1), X)
    assert all(len(case.outputs) == 1 for case in found)


def test_named_inputs_come_in_the_order_of_the_parameters():
    inputs = {"y": torch.ones(2, dtype=torch.float64), "x": torch.ones(3)}
    for case in cases(lambda x, y: (x + 1, y + 1), inputs=inputs):
        assert [tensor.dtype for tensor in case.inputs] == [
            torch.float32,
            torch.float64,
        ]
        assert [tensor.shape[0] for tensor in case.outputs] == [3, 2]


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(2))

    def forward(self, x):
        self.total.add_(x)
        return self.total


def test_state_goes_from_case_to_case():
    model = Model(
        Counter(),
        inputs=(torch.ones(2),),
        test_inputs=lambda: [(torch.full((2,), 100.0),), (torch.full((2,), 10.0),)],
    )
    found = Reader(make(model)).cases()
    assert found[0].outputs[0].tolist() == [100, 100]
    assert found[1].outputs[0].tolist() == [110, 110]
    total = torch.zeros(2)
    for case in found:
        total = total + case.inputs[0]
        assert torch.equal(case.outputs[0], total)


def test_cases_are_as_they_were_when_they_were_run():
    module = Counter()
    module.total.fill_(5)
    model = Model(
        module,
        inputs=(torch.ones(2),),
        test_inputs=lambda: [(torch.ones(2),), (module.total,), (torch.ones(2),)],
    )
    found = Reader(make(model)).cases()[:3]
    assert [case.inputs[0].tolist() for case in found] == [[1, 1], [6, 6], [1, 1]]
    assert [case.outputs[0].tolist() for case in found] == [[6, 6], [12, 12], [13, 13]]


def test_the_models_own_cases_come_first():
    model = Model(
        Function(lambda state: state["a"] - state["b"]),
        inputs=({"a": torch.ones(2), "b": torch.ones(2)},),
        # The other order of keys, which is the same inputs.
        test_inputs=lambda: iter(
            [({"b": torch.full((2,), 5.0), "a": torch.zeros(2)},)]
        ),
    )
    found = Reader(make(model, count=0)).cases()
    assert len(found) == 5
    assert [tensor.tolist() for tensor in found[0].inputs] == [[0, 0], [5, 5]]
    assert found[0].outputs[0].tolist() == [-5, -5]


def test_the_models_own_cases_alone():
    def found(**given: Any):
        return cases(lambda x: x + 1, torch.ones(2), count=None, **given)

    own = found(test_inputs=lambda: [(torch.full((2,), 5.0),), (torch.zeros(2),)])
    assert [case.inputs[0].tolist() for case in own] == [[5, 5], [0, 0]]
    for empty in ({}, {"test_inputs": lambda: []}):
        with pytest.raises(UserError, match="no test_inputs, and nothing else") as e:
            found(**empty)
        assert "drop test_inputs_only" in e.value.fix


def test_an_element_that_is_expanded():
    (case, *_) = cases(lambda x: x.sum().expand(1), torch.ones(2), count=0)
    assert case.outputs[0].shape == (1,)


def test_the_bytes_are_the_same_twice():
    def model():
        return Model(
            Function(lambda x, i: x[i] * 2),
            inputs=(X, torch.tensor([0, 2])),
            dynamic_shapes=({0: Dim("rows", min=3, max=9)}, None),
        )

    first = make(model(), seed=5)
    torch.randn(3)  # the global generator does not matter
    assert make(model(), seed=5) == first
    assert make(model(), seed=6) != first


# ---- Float64.


def test_float64_is_beside_each_floating_point_output():
    def forward(x, half):
        return {"n": (x > 0).sum(), "sum": x.sum(0), "cos": half.cos()}

    half = torch.randn(5).bfloat16()
    for case in cases(forward, X, half):
        x, half = (tensor.double() for tensor in case.inputs)
        assert not case.why
        assert [tensor.dtype for tensor in case.float64] == [torch.float64] * 2
        assert torch.equal(case.float64[0], x.sum(0))
        assert torch.equal(case.float64[1], half.cos())
        assert torch.allclose(case.outputs[1], x.sum(0).float(), atol=1e-4)


class Scaled(Counter):
    """Has a parameter, a buffer, and a tensor that is neither."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.scale = torch.tensor(0.1)

    def forward(self, x):
        return super().forward(self.linear(x)) * self.scale + torch.zeros(2)


def test_float64_has_weights_and_state_of_its_own():
    module = Scaled()
    weight, bias = (tensor.detach().double() for tensor in module.linear.parameters())
    total = torch.zeros(2, dtype=torch.float64)
    for case in cases(module, torch.ones(2)):
        total += torch.nn.functional.linear(case.inputs[0].double(), weight, bias)
        exact = total * torch.tensor(0.1).double()
        assert torch.allclose(case.float64[0], exact, rtol=1e-14, atol=1e-14)
        assert not torch.equal(case.outputs[0].double(), case.float64[0])


def test_a_model_that_does_not_run_in_float64():
    weight = torch.randn(4, 4)
    forward = lambda x: x @ weight  # noqa: E731 (its line is in the message)
    for case in cases(forward, X):
        assert case.float64 == []
        assert case.why.startswith(
            "the model does not run in float64: tests/tools/reference_test.py:"
            f"{forward.__code__.co_firstlineno}: RuntimeError: "
        )
        assert torch.equal(case.outputs[0], case.inputs[0] @ weight)


@pytest.mark.parametrize(
    "forward",
    [
        lambda x: (x, x + 1 > x),
        lambda x: (x, torch.nonzero(x + 1 > x)),
        lambda x: (x, torch.where(x + 1 > x, x, -x)),
    ],
)
def test_where_float64_takes_another_way_it_is_no_judge(forward):
    at_the_limit = torch.full((2,), 2.0**24)
    found = cases(forward, torch.ones(2), test_inputs=lambda: [(at_the_limit,)])
    assert found[0].why == "float64 went another way: output 1 is something else"
    assert found[0].float64 == []
    assert [case.why for case in found[1:]] == [""] * 7


def test_rounding_of_differences_is_no_other_way():
    def forward(x):
        return x.sum() - x.flip(0).sum()

    found = cases(forward, torch.ones(1000), count=9)
    assert [case.why for case in found] == [""] * 13


def test_eager_computes_what_is_padded():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    module = nn.TransformerEncoder(layer, 1).eval()
    padding = torch.tensor([[False, False], [False, True]])
    found = cases(
        lambda x, padding: module(x, src_key_padding_mask=padding),
        torch.randn(2, 2, 8),
        padding,
        test_inputs=lambda: [(torch.randn(2, 2, 8), padding)],
        count=None,
    )
    assert found[0].outputs[0][1, 1].abs().min() > 0
    assert torch.backends.mha.get_fastpath_enabled()


# ---- Errors.


def error(module: Any, *inputs: Any, **given: Any) -> UserError:
    with pytest.raises(UserError) as caught:
        cases(module, *inputs, **given)
    assert caught.value.fix
    return caught.value


def error_of_own_case(*case: Any) -> UserError:
    return error(lambda x, n: x * n, X, 3, test_inputs=lambda: [(X, 3), case])


def test_a_case_of_another_form():
    assert error_of_own_case(X).what.startswith(
        "test_inputs()[1] do not fit forward(x, n): missing a required argument: 'n'"
    )
    assert error_of_own_case((X, X), 3).what == (
        "test_inputs()[1] has 3 values, not nested like the 2 of the example inputs"
    )


def test_a_case_of_other_sizes():
    assert error_of_own_case(torch.zeros(3, 5), 3).what == (
        "test_inputs()[1] has float32[3, 5] for 'x', which is float32[3, 4]"
    )
    assert error_of_own_case(X.double(), 3).what == (
        "test_inputs()[1] has float64[3, 4] for 'x', which is float32[3, 4]"
    )
    assert error_of_own_case(X[0], 3).what == (
        "test_inputs()[1] has float32[4] for 'x', which is float32[3, 4]"
    )


def test_a_case_of_another_constant():
    assert error_of_own_case(X, 4).what.startswith(
        "test_inputs()[1] has another constant than the example inputs: 4 instead of 3"
    )


def test_test_inputs_that_raise():
    def test_inputs():
        raise KeyError("gone")

    found = error(lambda x: x, X, test_inputs=test_inputs)
    assert found.what == "test_inputs() raised KeyError: 'gone'"
    assert found.where.startswith("tests/tools/reference_test.py:")


def test_a_model_that_fails_on_sizes_it_declares():
    def forward(x):
        if not torch.compiler.is_compiling() and x.shape[0] > 8:
            raise ValueError("too many")
        return x + 1

    found = error(forward, X, dynamic_shapes=({0: Dim("batch", min=1, max=64)},))
    assert found.what == (
        "the model, run by plain PyTorch, fails on generated inputs with batch = 16: "
        "ValueError: too many"
    )
    line = forward.__code__.co_firstlineno + 2
    assert found.where == f"tests/tools/reference_test.py:{line}"
