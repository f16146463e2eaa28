"""A model of what Inductor's FX passes rewrite, at the edges of what they assume.

A pass replaces a part of a graph by what gives the same for most values, dtypes, shapes
and strides. Each call here is such a part, of a pass that is on for a CPU, with inputs
that others would not try. Passes that only move calls or memory have none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.ao.quantization.fx._decomposed
from torch.nn import functional as F
from torch.utils import _pytree as pytree

from tests.conformance.calls import model
from torch_aot import Model

INF, NAN = math.inf, math.nan
_GENERATOR = torch.Generator().manual_seed(0)
# What a function is called with.
Call = tuple[Callable[..., Any], tuple[torch.Tensor, ...]]


def _randn(*sizes: int) -> torch.Tensor:
    return torch.randn(sizes, generator=_GENERATOR)


def _bytes(*sizes: int, dtype: torch.dtype = torch.uint8) -> torch.Tensor:
    info = torch.iinfo(dtype)
    return torch.randint(
        info.min, info.max + 1, sizes, dtype=dtype, generator=_GENERATOR
    )


def _below_maximum(scaled: torch.Tensor, alpha: int = 1) -> torch.Tensor:
    return torch.sub(scaled, scaled.amax(-1, keepdim=True), alpha=alpha)


def softmax() -> dict[str, Call]:
    """mul_softmax_pattern, div_softmax_pattern."""
    steps = torch.arange(0, 256, 36)[None]
    large = torch.tensor([[3e38, -3e38, 1.0]])
    factors = [0.0, -0.0, -1.0, INF, -INF, NAN, 1e38, 1e-45]
    found = _randn(8, 4)
    found[0], found[1, 1], found[2, 2], found[3, 0] = -INF, NAN, INF, -INF
    return {
        "softmax uint8": (lambda x: F.softmax(x * 0.05, -1), (steps.to(torch.uint8),)),
        "softmax uint8 div": (
            lambda x: F.softmax(x / 20, -1),
            (steps.to(torch.uint8),),
        ),
        "softmax int8": (
            lambda x: F.softmax(x * 0.05, -1),
            ((steps - 128).to(torch.int8),),
        ),
        "softmax int32": (
            lambda x: _below_maximum(x * 0.5),
            (torch.tensor([[2**31 - 1, -(2**31), 5]], dtype=torch.int32),),
        ),
        "softmax bool": (
            lambda x: _below_maximum(x * 0.5),
            (torch.tensor([[True, False]]),),
        ),
        "softmax to int32": (
            lambda x: _below_maximum((x * 10).to(torch.int32)),
            (torch.tensor([[0.31, 0.62, -0.99]]),),
        ),
        "softmax to float16": (
            lambda x: _below_maximum((x * 2**-10).to(torch.float16)),
            (torch.tensor([[1.0, -2.0, 4.0]]) * 2**17,),
        ),
        "softmax from float16": (
            lambda x: _below_maximum((x * 0.5).float()),
            (_randn(2, 4).half(),),
        ),
        "softmax large": (lambda x: _below_maximum(x * 1e-38), (large,)),
        "softmax large div": (lambda x: _below_maximum(x / 1e38), (large,)),
        "softmax factors": (
            lambda x, y: _below_maximum(x * y),
            (found, torch.tensor(factors)[:, None]),
        ),
        "softmax divisors": (
            lambda x, y: _below_maximum(x / y),
            (found, torch.tensor(factors)[:, None]),
        ),
        "softmax float64": (
            lambda x, y: _below_maximum(x * y),
            (_randn(2, 4).exp(), _randn(2, 1).double()),
        ),
        "softmax minus twice": (
            lambda x: _below_maximum(2 * x, alpha=2),
            (_randn(4, 4),),
        ),
    }


def scatter() -> dict[str, Call]:
    """scatter_upon_const_tensor."""
    index = torch.tensor([[0], [4], [2]])

    def put(value: Any, new: Any, dtype: torch.dtype) -> Call:
        return (
            lambda i: torch.full((3, 5), value, dtype=dtype).scatter(1, i, new),
            (index,),
        )

    return {
        "scatter float64": put(0.1, 0.2, torch.float64),
        "scatter float16": put(0.1, 1e-7, torch.float16),
        "scatter int64": put(2**53 + 1, 2.0, torch.int64),
        "scatter uint8": put(0, 255, torch.uint8),
        "scatter bool": put(False, True, torch.bool),
        "scatter nan": put(NAN, INF, torch.float32),
        "scatter one_hot": (lambda i: F.one_hot(i, 5), (index,)),
        "scatter none": (
            lambda i: torch.ones(3, 5).scatter(1, i, 2.0),
            (torch.zeros(3, 0, dtype=torch.int64),),
        ),
    }


def cumsum() -> dict[str, Call]:
    """pointless_cumsum_replacement."""

    def fill(
        value: Any,
        dtype: torch.dtype,
        sizes: tuple[int, ...] = (5,),
        result: torch.dtype | None = None,
    ) -> Call:
        return (
            lambda x: (
                x + torch.full(sizes, value, dtype=dtype).cumsum(-1, dtype=result)
            ),
            (torch.zeros(1, dtype=result or dtype),),
        )

    return {
        "cumsum bool": fill(2, torch.bool),
        "cumsum int64": fill(1.5, torch.int64),
        "cumsum int64 of 1.0": fill(1.0, torch.int64),
        "cumsum int8": fill(100, torch.int8),
        "cumsum uint8": fill(200, torch.uint8),
        "cumsum int64 large": fill(2**53 + 1, torch.int64),
        "cumsum as float64": fill(1, torch.int64, result=torch.float64),
        "cumsum float32": fill(True, torch.float32),
        "cumsum float32 inf": fill(INF, torch.float32),
        "cumsum float64": fill(0.1, torch.float64),
        "cumsum float16 many": (
            lambda x: x + torch.full((70000,), 1e-3, dtype=x.dtype).cumsum(0)[-3:],
            (torch.zeros(3, dtype=torch.float16),),
        ),
        "cumsum bfloat16": fill(1.0, torch.bfloat16, (300,)),
        "cumsum no dimension": fill(1.0, torch.float32, ()),
        "cumsum rows": fill(1.0, torch.float32, (2, 3)),
        "cumsum none": fill(1.0, torch.float32, (3, 0)),
    }


def products() -> dict[str, Call]:
    """addmm, woq_int8."""
    a, b = _randn(4, 8), _randn(8, 5)
    special = torch.tensor([[NAN], [INF], [0.0], [-INF]])
    half = torch.bfloat16
    x, weight = _randn(2, 4, 64).to(half), _bytes(32, 64, dtype=torch.int8)

    def scaled(*sizes: int, x: torch.Tensor = x) -> Call:
        return (
            lambda x, w, s: F.linear(x, w.to(x.dtype)) * s,
            (x, weight, _randn(*sizes).to(half)),
        )

    return {
        "addmm alpha": (
            lambda a, b, c: torch.add(a @ b, c, alpha=2),
            (a, b, _randn(5)),
        ),
        "addmm alpha of product": (
            lambda a, b, c: torch.add(c, a @ b, alpha=2),
            (a, b, _randn(4, 5)),
        ),
        "addmm int64": (
            lambda a, b, c: a @ b + c,
            (torch.arange(32).view(4, 8), torch.arange(40).view(8, 5), torch.arange(5)),
        ),
        "addmm column": (lambda a, b, c: a @ b + c, (a, b, special)),
        "addmm number": (lambda a, b, c: a @ b + c, (a, b, torch.tensor(3.0))),
        "addmm stretched": (
            lambda a, b, c: a @ b + c,
            (a[:1].clone(), b, _randn(4, 5)),
        ),
        "addmm transposed": (lambda a, b, c: a @ b + c.t(), (a, b, _randn(5, 4))),
        "addmm nothing": (
            lambda a, b, c: a @ b + c,
            (_randn(4, 0), _randn(0, 5), _randn(5)),
        ),
        "addmm beta 0": (
            lambda a, b, c: torch.addmm(c, a, b, beta=0, alpha=2),
            (a, b, torch.full((5,), NAN)),
        ),
        "woq rows": scaled(32),
        "woq columns": (
            lambda x, w, s: F.linear(x, w.to(x.dtype)) * s,
            (
                _randn(1, 3, 7).to(half),
                _bytes(5, 7, dtype=torch.int8),
                _randn(5).to(half),
            ),
        ),
        "woq one": scaled(1),
        "woq number": scaled(),
        "woq tokens": scaled(4, 1),
        "woq elements": scaled(2, 4, 32),
        "woq extended": (
            lambda x, w, s: (x @ w.t().to(x.dtype)) * s,
            (x[0].clone(), weight, torch.tensor(0.5, dtype=half)),
        ),
        "woq reshaped": (
            lambda x, w, s: F.linear(x, w.to(x.dtype)).view(2, 2, 32) * s,
            (x[0].clone(), weight, _randn(32).to(half)),
        ),
        "woq regrouped": (
            lambda x, w, s: (x.view(16, 32) @ w.to(x.dtype).t()).view(2, 8, 64) * s,
            (x, weight.t().contiguous(), _randn(64).to(half)),
        ),
        "woq expanded": (
            lambda x, w, s: (
                torch.bmm(x.expand(2, 4, 64), w.to(x.dtype).t().expand(2, 64, 32)) * s
            ),
            (x[:1].clone(), weight, _randn(32).to(half)),
        ),
        "woq batch": (
            lambda x, w, s: x @ w.to(x.dtype).transpose(1, 2) * s,
            (x, _bytes(2, 32, 64, dtype=torch.int8), _randn(32).to(half)),
        ),
        "woq square": (
            lambda x, w, s: (x @ w.permute(0, 1).to(x.dtype)) * s,
            (x[0].clone(), _bytes(64, 64, dtype=torch.int8), _randn(64).to(half)),
        ),
    }


def quantized() -> dict[str, Call]:
    """qmaxpool2d, qcat, qreshape, quant_lift_up."""
    operators = torch.ops.quantized_decomposed
    unsigned = (0, 255, torch.uint8)
    signed = (-128, 127, torch.int8)
    x, y = _bytes(1, 4, 8, 8), _bytes(1, 4, 8, 8)

    def given(
        x: torch.Tensor, scale: float = 0.1, kind: Any = unsigned
    ) -> torch.Tensor:
        return operators.dequantize_per_tensor(x, scale, 3, *kind)

    def taken(
        x: torch.Tensor, scale: float = 0.1, kind: Any = unsigned
    ) -> torch.Tensor:
        return operators.quantize_per_tensor(x, scale, 3, *kind)

    def joined(*outputs: Any, inputs: Any = unsigned) -> Call:
        return (
            lambda x, y: taken(
                torch.cat([given(x), given(y, kind=inputs)], 1), *outputs
            ),
            (x, y.view(inputs[2]).clone()),
        )

    return {
        "quantized pool": (lambda x: taken(F.max_pool2d(given(x), 2)), (x,)),
        "quantized pool scale": (
            lambda x: taken(F.max_pool2d(given(x), 2), 0.3),
            (x,),
        ),
        "quantized pool dtype": (
            lambda x: taken(F.max_pool2d(given(x), 3, 2, 1), 0.1, signed),
            (x,),
        ),
        "quantized cat": joined(),
        "quantized cat scale": joined(0.2),
        "quantized cat range": joined(0.1, (0, 127, torch.uint8)),
        "quantized cat dtype": joined(0.1, (0, 127, torch.int8)),
        "quantized cat dtypes": joined(inputs=signed),
        "quantized reshape": (
            lambda x: taken(
                given(x).permute(0, 2, 3, 1).reshape(4, -1), 0.1, (0, 127, torch.int8)
            ),
            (x,),
        ),
        "quantized view": (
            lambda x: given(taken((x @ x.mT).view(2, 4, 4).permute(0, 2, 1))),
            (_randn(2, 4, 6),),
        ),
    }


def views() -> dict[str, Call]:
    """splitwithsizes_cat_replace, cat_splitwithsizes_replace, cat_slice_cat, pointless_*.

    And remove_noop_ops.
    """
    few, some = _bytes(2, 3), torch.arange(8).view(2, 4)
    cube = _randn(2, 3, 4)

    def split(x: torch.Tensor, y: torch.Tensor) -> Any:
        first, second = torch.split(torch.cat([x, y], 1), [3, 4], 1)
        return first * 2, second

    def repeat(size: int) -> Callable[..., Any]:
        def repeated(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            both = torch.cat([x, y], 1)
            return torch.cat([both, both[:, :size]], 1)

        return repeated

    return {
        "cat split": (split, (_randn(2, 3), _randn(2, 4))),
        "cat split int64": (split, (few, some)),
        "cat split float16": (split, (few, _randn(2, 4).half())),
        "split cat": (
            lambda x: torch.cat(torch.split(x.mT, [1, 2], 1), 1),
            (_randn(3, 2),),
        ),
        "split cat swapped": (
            lambda x: torch.cat(torch.split(x, [1, 2], 1)[::-1], 1),
            (_randn(2, 3),),
        ),
        "split cat twice": (
            lambda x: torch.cat(torch.split(x, [1, 2], 1) * 2, 1),
            (_randn(2, 3),),
        ),
        **{
            f"cat slice {size % 8}": (repeat(size), (few, _randn(2, 4)))
            for size in (0, 2, 5, -2)
        },
        "permute twice": (
            lambda x: (
                x.permute(2, 0, 1).permute(1, 2, 0) + 1,
                x.permute(2, 0, 1).permute(2, 0, 1) + 1,
                x.permute(-1, 0, -2).permute(-1, -3, -2) + 1,
            ),
            (cube,),
        ),
        "view twice": (
            lambda x: (x.view(3, 8).view(2, 3, 4) + 1, x.view(-1).view(4, 6) + 1),
            (cube,),
        ),
        "noops": (
            lambda x: (
                *(x**1, x.clone(), x.repeat(1, 1, 1), torch.cat([x]), x[0:]),
                *(F.pad(x, (0, 0)), x.mT.contiguous(), x.mT.clone()),
                *(torch.slice_scatter(x, x + 1, 0, 0, 2), x.ceil().trunc()),
            ),
            (cube,),
        ),
        "noops of zero": (
            lambda x: (x + 0, x - 0, 0 * x, x * 0.0, x / 1, x / x, x - x, x + x * 0),
            (torch.tensor([0.0, -0.0, NAN, INF, -INF, 2.0]),),
        ),
    }


def reductions() -> dict[str, Call]:
    """reuse_partial; index_put and views that change what has other uses."""
    x = _randn(64, 80)
    x[3, 4] = NAN

    def changed(x: torch.Tensor, y: torch.Tensor) -> Any:
        z = x.relu()
        rows = z[1:]
        rows[:, 0] = y
        sums = z.sum(0)
        rows.mul_(2)
        z.diagonal().fill_(7)
        return z, sums, rows, x

    def put(x: torch.Tensor, i: torch.Tensor) -> Any:
        y = x.exp()
        v = y.view(2, -1)
        return y.index_put((i,), x.new_zeros(2)), v + 1, y

    return {
        "amax": (
            lambda x: (x.amax(1, True), x.amax(), x.amin(0, True), x.min()),
            (x,),
        ),
        "amax of nothing": (
            lambda x: (x.amax(1, True), x.max()),
            (torch.full((64, 80), -INF),),
        ),
        "amax uint8": (lambda x: (x.amax(1, True), x.max()), (_bytes(64, 80),)),
        "change": (changed, (_randn(4, 4), _randn(3))),
        "index_put": (put, (_randn(6), torch.tensor([1, 4]))),
    }


def calls() -> dict[str, Call]:
    """All calls, by what their results are called."""
    groups = (softmax, scatter, cumsum, products, quantized, views, reductions)
    return {name: call for group in groups for name, call in group().items()}


def passes() -> Model:
    """The model of all calls."""
    return model(
        {
            name: (_listed(function), inputs)
            for name, (function, inputs) in calls().items()
        }
    )


def _listed(function: Callable[..., Any]) -> Callable[..., list[Any]]:
    """Takes its arguments, and gives its results, as a list."""
    return lambda tensors: pytree.tree_leaves(function(*tensors))
