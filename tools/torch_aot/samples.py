"""Inputs that are made up: sizes within their ranges, values of each dtype."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from torch_aot import signature as sig
from torch_aot.cost import Cost, bytes_of
from torch_aot.twin import duplicate, tensors_of
from torch_aot.upstream import pytree

# forward's positional and keyword arguments.
Arguments = tuple[tuple[Any, ...], dict[str, Any]]
Sizes = dict[str, int]

# What a case may take, as cost.Cost counts: three seconds, and thrice that in float64.
# Each byte of a case that is stored counts too, which ends at 16 MB.
_BUDGET = 1 << 35
_STORED = 1 << 11

# The largest size to try where there is no bound or no sensible one.
_UNBOUNDED = 64
_MAX_SIZE = 1 << 16


@dataclasses.dataclass(frozen=True)
class Sample:
    """A case to run.

    Attributes:
        what: What errors call it.
        choices: The arguments; where there are several, the first of them that the
            model accepts.
    """

    what: str
    choices: tuple[Arguments, ...]


def generate(
    module: nn.Module,
    example: Arguments,
    signature: sig.Signature,
    count: int,
    seed: int,
) -> Iterator[Sample]:
    """Makes a model's inputs up.

    The sizes: once all of the smallest, once the largest, then random ones. Largest
    are the declared ones or what `largest_sizes` makes of them.

    The values: floats from a normal distribution, in the third case all zero and in
    the fourth a hundred times as large; booleans; integers from `IntegerRange`s.

    Args:
        module: In its initial state, and left in it.
        example: The example inputs.
        signature: The exported signature.
        count: Number of random cases after the first four.
        seed: Seeds sizes and values.
    """
    generator = torch.Generator().manual_seed(seed)
    chance = random.Random(seed)
    maker = _Maker(example, signature, generator)
    ranges = maker.integer_ranges(module)
    low = {name: bounds[0] for name, bounds in signature.symbols.items()}
    high = largest_sizes(module, signature, lambda sizes: maker.make(sizes, 1.0))
    middle = [
        {name: chance.randint(low[name], high[name]) for name in low}
        for _ in range(count + 2)
    ]
    plans = [(low, 1.0), (high, 1.0), (middle[0], 0.0), (middle[1], 100.0)]
    plans += [(sizes, 1.0) for sizes in middle[2:]]
    for sizes, scale in plans:
        text = ", ".join(f"{name} = {size}" for name, size in sizes.items())
        wide = [maker.make(sizes, scale, ranges)] if any(ranges) else []
        yield Sample(
            f"generated inputs{' with ' if text else ''}{text}",
            (*wide, maker.make(sizes, scale)),
        )


def largest_sizes(
    module: nn.Module, signature: sig.Signature, make: Callable[[Sizes], Arguments]
) -> Sizes:
    """The largest sizes to test: the declared ones, unless they take too long.

    From the smallest sizes on all are doubled, and what a run takes is counted, until
    the next step would take more than a case may. One more than the smallest is tested
    in any case, as a size that varies.

    Args:
        module: Left as it is.
        signature: Has the declared ranges.
        make: Makes inputs of some sizes.
    """
    low = {name: bounds[0] for name, bounds in signature.symbols.items()}
    high = {
        name: low[name] + _UNBOUNDED if bound is None else min(bound, _MAX_SIZE)
        for name, (_, bound) in signature.symbols.items()
    }
    high = {name: max(low[name], size) for name, size in high.items()}
    # Nothing is learnt from a size of zero.
    sizes = {name: min(high[name], max(size, 1)) for name, size in low.items()}
    before = 0
    while sizes != high:
        try:
            cost = _cost_of(module, make(sizes))
        except Exception:
            return sizes  # which fail likewise as a case, and are explained there
        growth = max(2, -(-cost // before)) if before else 2
        if cost * growth > _BUDGET:
            break
        before = cost
        sizes = {name: min(high[name], 2 * size) for name, size in sizes.items()}
    return {
        name: max(size, min(high[name], low[name] + 1)) for name, size in sizes.items()
    }


def _cost_of(module: nn.Module, arguments: Arguments) -> int:
    args, kwargs = arguments
    stored = sum(map(bytes_of, tensors_of(arguments)))
    with Cost() as cost:
        outputs = duplicate(module)(*args, **kwargs)
    # TorchDynamo, which runs loops, would go on with what it compiled for counting.
    torch.compiler.reset()
    # Of each output there is float64 too.
    stored += sum(3 * bytes_of(tensor) for tensor in tensors_of(outputs))
    return cost.total + _STORED * stored


@dataclasses.dataclass(frozen=True)
class IntegerRange:
    """From where the values of an integer input are drawn: low to high, both drawn."""

    low: int
    high: int


class _Maker:
    """Makes arguments like the example's."""

    def __init__(
        self, example: Arguments, signature: sig.Signature, generator: torch.Generator
    ) -> None:
        self._example = example
        self._signature = signature
        self._generator = generator

    def make(
        self,
        sizes: Sizes,
        scale: float,
        ranges: list[IntegerRange | None] | None = None,
        fill: Callable[[IntegerRange], int] | None = None,
    ) -> Arguments:
        """Makes arguments.

        Args:
            sizes: Of the dynamic dimensions.
            scale: Of floating-point values.
            ranges: For each tensor where its integers are from; None for those of
                the example.
            fill: Gives the one value that all integers of a range get.
        """
        specs = iter(self._signature.inputs)
        given = iter(ranges or [None] * len(self._signature.inputs))

        def sample(example: torch.Tensor) -> torch.Tensor:
            shape = [
                dim.scale * sizes[dim.symbol] + dim.offset if dim.symbol else size
                for dim, size in zip(next(specs).dims, example.shape, strict=True)
            ]
            integers = next(given)
            if integers is not None and fill is not None:
                return torch.full(shape, fill(integers), dtype=example.dtype)
            return self._values(example, shape, scale, integers)

        return pytree.tree_map_only(torch.Tensor, sample, self._example)

    def _values(
        self,
        example: torch.Tensor,
        shape: list[int],
        scale: float,
        integers: IntegerRange | None,
    ) -> torch.Tensor:
        def draw(low: int, high: int) -> torch.Tensor:
            return torch.randint(low, high + 1, shape, generator=self._generator)

        if example.is_floating_point():
            noise = torch.randn(shape, generator=self._generator)
            return (noise * scale).to(example.dtype)
        if integers is not None:
            return draw(integers.low, integers.high).to(example.dtype)
        if example.dtype == torch.bool or not example.numel():
            return draw(0, 1).to(example.dtype)
        return example.flatten()[draw(0, example.numel() - 1)]

    def integer_ranges(self, module: nn.Module) -> list[IntegerRange | None]:
        """Where each input's integers may come from, beyond the example's values.

        Whether an input indexes only the model knows, so it is asked: PyTorch raises
        an error for an index, a divisor or a count that cannot be. An input has the
        first of its `_candidates` whose both ends it accepts, everywhere in it, with
        the others as in the example; it has None if it accepts none, or if all
        together are not accepted.
        """
        sizes = {
            name: max(low, 2) if high is None else min(max(low, 2), high)
            for name, (low, high) in self._signature.symbols.items()
        }

        def accepts(ranges: list[IntegerRange | None]) -> bool:
            try:
                for end in ("low", "high"):
                    args, kwargs = self.make(
                        sizes, 1.0, ranges, lambda each, end=end: getattr(each, end)
                    )
                    duplicate(module)(*args, **kwargs)
            except Exception:
                return False
            return True

        examples = tensors_of(self._example)
        found: list[IntegerRange | None] = [None] * len(examples)
        for i, example in enumerate(examples):
            for candidate in _candidates(example):
                alone: list[IntegerRange | None] = [None] * len(examples)
                alone[i] = candidate
                if accepts(alone):
                    found[i] = candidate
                    break
        return found if accepts(found) else [None] * len(examples)


def _candidates(example: torch.Tensor) -> Iterator[IntegerRange]:
    """From zero, or from one, to beyond the example; below zero only if it goes there."""
    if example.is_floating_point() or example.dtype == torch.bool:
        return
    if not example.numel():
        return
    least, most = int(example.min()), int(example.max())
    info = torch.iinfo(example.dtype)
    # torch.randint wants one more, and takes it as an int64.
    high = min(info.max, 2**63 - 2, 2 * max(most, 0) + 8)
    if least < 0:
        yield IntegerRange(max(info.min, 2 * least - 8), high)
    else:
        yield IntegerRange(0, high)
        yield IntegerRange(1, high)
