"""Operators that the runtime has as compositions of others: decompositions.py."""

import torch

from torch_aot import Model


class Compositions(torch.nn.Module):
    """Each in a few shapes and dtypes, with ties and NaN."""

    def forward(self, x, batches, numbers, places):
        rows = x[:, :4]
        gaps = torch.where(x > 1, torch.nan, x)
        image = batches.reshape(1, 2, 3, 4, 5)
        results = {
            "sum_of_products": torch.addbmm(rows[:4], batches, batches.mT, beta=0.5),
            "products": torch.baddbmm(batches[..., :4], batches, batches.mT, alpha=2),
            "undefined_bias": torch.baddbmm(
                torch.full((4,), torch.nan), batches, batches.mT, beta=0
            ),
            "integer_products": torch.baddbmm(
                numbers[:4, :4], numbers[None, :4], numbers[None, :4].mT
            ),
            "bilinear": torch.nn.functional.bilinear(rows[:4], batches[0], batches),
            "distances": torch.cdist(x, x[:3]),
            "far": torch.cdist(x, x[:3], float("inf")),
            "streets": torch.cdist(batches, batches, 1.0),
            "pairs": torch.nn.functional.pdist(x),
            "in": torch.isin(numbers, numbers[0, :5]),
            "not_in": torch.isin(numbers, numbers[0, :20], invert=True),
            "in_none": torch.isin(numbers, numbers[0, :0]),
            "bins": torch.histc(x, 7),
            "bins_between": torch.histc(x, 5, -1, 2),
            "set": torch.nonzero_static(x > 0, size=9),
            "more_than_set": torch.nonzero_static(
                numbers[:2, :3] > 0, size=20, fill_value=-2
            ),
            "largest": x.index_reduce(1, places, x[:, :3], "amax"),
            "multiplied": x.index_reduce(1, places, x[:, :3], "prod"),
            "mean": x.index_reduce(0, places, x[:3], "mean", include_self=False),
            "median_of_all": x.median(),
            "median_of_missing": gaps.median(),
            "median_of_others": gaps.nanmedian(),
        }
        # Of equal elements eager leaves open which one's index it returns.
        for name, (found, of, dim) in {
            "third": (x.kthvalue(3, keepdim=True), x, 1),
            "median": (x.median(0, keepdim=True), x, 0),
            "missing_median": (gaps.median(1, keepdim=True), gaps, 1),
            "other_median": (gaps.nanmedian(1, keepdim=True), gaps, 1),
            "mode": (numbers.mode(1, keepdim=True), numbers, 1),
            "mode_of_columns": (numbers.mode(0, keepdim=True), numbers, 0),
        }.items():
            results[name] = found.values
            results[name + "_there"] = of.gather(dim, found.indices)
        results["third_alone"] = x.kthvalue(3).values
        for mode in ("bilinear", "nearest"):
            for padding in ("zeros", "border", "reflection"):
                for align in (False, True):
                    results[f"{mode}_{padding}_{align}"] = (
                        torch.nn.functional.grid_sample(
                            image,
                            batches.reshape(1, 5, 4, 2, 3)[..., :3],
                            mode,
                            padding,
                            align,
                        )
                    )
        return results


class ComplexNumbers(torch.nn.Module):
    """Arithmetic, with buffers and real numbers among it."""

    def __init__(self):
        super().__init__()
        angles = torch.outer(torch.arange(6.0), torch.arange(1.0, 5.0))
        self.register_buffer("turns", torch.polar(torch.ones_like(angles), angles))

    def forward(self, x):
        pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], 4, 2))
        real = x[..., :4]
        rotated = pairs * self.turns
        results = {
            "rotated": rotated,
            "sum": rotated + 2 * pairs,
            "difference": torch.sub(rotated, pairs, alpha=3),
            "mixed": real + pairs * real - real,
            "number": pairs * (1 - 2j) + 3j,
            "quotient": rotated / (pairs + 3),
            "real_quotient": real / (pairs + 3),
            "quarter": pairs / 4,
            "conjugate": pairs.conj() * -pairs,
            "waves": torch.exp(pairs * 1j),
            "polar": torch.polar(real, real),
            "doubles": pairs.to(torch.complex128) * real.double(),
        }
        parts = {name: torch.view_as_real(value) for name, value in results.items()}
        return {**parts, "length": rotated.abs(), "angle": rotated.angle()}


def compositions() -> Model:
    x = torch.randn(5, 9)
    return Model(
        Compositions(),
        inputs={
            "x": x,
            "batches": torch.randn(6, 4, 5),
            "numbers": torch.randint(-3, 3, (5, 40)),
            "places": torch.tensor([4, 0, 2]),
        },
    )


def complex_numbers() -> Model:
    batch = torch.export.Dim("batch", max=16)
    return Model(
        ComplexNumbers(),
        inputs={"x": torch.randn(2, 6, 8)},
        dynamic_shapes={"x": {0: batch}},
    )
