"""Inputs that are made up: integers beyond the example's, sizes that do not take long."""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from modules import Function
from torch import nn
from torch.export import Dim
from torch.nn.utils import weight_norm

from torch_aot import Model, export, samples, torchscript
from torch_aot.cost import Cost
from torch_aot.entry import Entry
from torch_aot.reference import run
from torch_aot.twin import duplicate, widen


@torch.no_grad()
def drawn(module: Any, *inputs: Any, count: int = 8, **given: Any) -> list[set[int]]:
    """The values that each input had in all cases."""
    if not isinstance(module, nn.Module):
        module = Function(module)
    model = Model(module, inputs, **given)
    signature = export.export(Entry("models/m.py:m"), model)[1]
    example = model.bind(inputs, "the example inputs")
    made = list(samples.generate(module, example, signature, count, 1))
    cases = [case.inputs for case in run(model, made)]
    return [
        set(torch.cat([tensor.flatten() for tensor in each]).tolist())
        for each in zip(*cases, strict=True)
    ]


TABLE = torch.randn(50, 2)
BITS = torch.tensor([0, 1, 1, 0])


def test_a_mask_of_zeros_and_ones_is_more_than_that():
    (mask,) = drawn(lambda mask: torch.where(mask == 1, 2, 3), BITS)
    assert mask == set(range(11))


@pytest.mark.parametrize(
    "index",
    [
        lambda i: TABLE[i],
        lambda i: nn.functional.embedding(i, TABLE),
        lambda i: TABLE.index_select(0, i),
        lambda i: TABLE.gather(0, i[:, None]),
        lambda i: torch.zeros(50).index_add(0, i, torch.ones(3)),
        lambda i: torch.zeros(50).scatter(0, i, 1.0),
        lambda i: nn.functional.one_hot(i, 50),
    ],
)
def test_an_index_stays_within_the_example(index):
    (indices,) = drawn(index, torch.tensor([3, 17, 49]))
    assert indices == {3, 17, 49}


def test_each_input_for_itself():
    index, mask = drawn(lambda i, m: TABLE[i] * m, torch.tensor([3, 49]), BITS[:2])
    assert index == {3, 49}
    assert max(mask) > 1


def test_a_divisor_is_not_zero():
    number, divisor = drawn(
        lambda n, d: n // d, torch.tensor([0, 7]), torch.tensor([2, 3])
    )
    assert 0 in number
    assert 0 not in divisor
    assert max(divisor) > 3


def test_negative_numbers_where_the_example_has_some():
    (numbers,) = drawn(lambda n: n + 1, torch.tensor([-5, 2]), count=40)
    assert min(numbers) < -5
    assert max(numbers) > 2


def test_the_dtypes_range():
    (numbers,) = drawn(lambda n: n + 1, torch.tensor([-128, 127], dtype=torch.int8))
    assert -128 <= min(numbers) < max(numbers) <= 127


class Picky(nn.Module):
    """Accepts both ends of what it is asked about, and not all between."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1, dtype=torch.int64))

    def forward(self, n: torch.Tensor) -> torch.Tensor:
        self.calls.add_(1)
        return TABLE[(n == 7) * 100] + self.calls


@torch.no_grad()
def test_a_case_that_fails_is_taken_from_the_example_and_leaves_no_state():
    model = Model(Picky(), (BITS,))
    signature = export.export(Entry("models/m.py:m"), model)[1]
    made = list(samples.generate(model.module, ((BITS,), {}), signature, 20, 1))
    cases = list(run(model, made))
    values = [set(case.inputs[0].tolist()) for case in cases]
    assert not any(7 in each for each in values)
    assert any(max(each) > 1 for each in values)
    assert any(7 in sample.choices[0][0][0] for sample in made)
    for call, case in enumerate(cases, 1):
        assert torch.equal(case.outputs[0][0], TABLE[0] + call)


def test_an_expensive_model_is_tested_at_smaller_sizes():
    sizes = []

    def forward(x):
        sizes.append(x.shape[0])
        return (x @ x.T).sum(0)

    dynamic = ({0: Dim("rows", min=1, max=60000)},)
    drawn(forward, torch.randn(2, 4), count=1, dynamic_shapes=dynamic)
    largest = max(size for size in sizes if isinstance(size, int))
    assert 500 < largest <= 8192


def test_a_size_varies_however_expensive(monkeypatch):
    monkeypatch.setattr(samples, "_BUDGET", 0)
    sizes = []

    def forward(x):
        sizes.append(x.shape[0])
        return x + 1

    dynamic = ({0: Dim("rows", min=4, max=60)},)
    drawn(forward, torch.randn(6, 4), count=5, dynamic_shapes=dynamic)
    assert {size for size in sizes if isinstance(size, int)} >= {4, 5}
    assert max(size for size in sizes if isinstance(size, int)) <= 6


# ---- What a run takes.


def cost(function: Callable[..., Any], *inputs: torch.Tensor) -> int:
    with torch.no_grad(), Cost() as counted:
        function(*inputs)
    return counted.total


SQUARE = torch.randn(64, 64)
BYTES = 4 * 64 * 64


def test_bytes_and_products_are_counted():
    assert cost(torch.sin, SQUARE) == 16 * 2 * BYTES
    assert cost(torch.mm, SQUARE, SQUARE) == 2 * 64**3 + 16 * 3 * BYTES
    half = SQUARE.bfloat16()
    assert cost(torch.mm, half, half) == 16 * 2 * 64**3 + 16 * 3 * BYTES // 2


def test_attention_grows_with_the_square_of_its_length():
    attention = nn.functional.scaled_dot_product_attention
    short, long = (
        cost(attention, *[torch.randn(1, 2, length, 8)] * 3) for length in (512, 1024)
    )
    assert long > 3.5 * short


def test_bodies_of_conditions_are_counted():
    def forward(x):
        return torch.cond(
            x.sum() > 0, torch.square, functools.partial(torch.mul, x), (x,)
        )

    assert cost(forward, SQUARE) > cost(torch.sum, SQUARE) + 2 * 16 * BYTES
    torch.compiler.reset()


# ---- Copies.


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x + self.calls


@torch.no_grad()
def test_a_copy_of_torchscript_has_state_of_its_own():
    module = torchscript.prepare(torch.jit.script(Counting().eval()), "m.py:1")
    duplicate(module)(torch.zeros(1))
    assert module(torch.zeros(1)).item() == 1


def test_a_copy_shares_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, and still in use
        module = weight_norm(nn.Linear(4, 4))
    copied = duplicate(module, widen)
    x = torch.randn(2, 4)
    with torch.no_grad():
        before = module(x)
        assert torch.allclose(copied(x.double()), before.double(), atol=1e-6)
        for parameter in copied.parameters():
            assert parameter.dtype == torch.float64
            parameter.zero_()
        assert torch.equal(module(x), before)
