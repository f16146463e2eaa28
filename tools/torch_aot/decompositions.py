"""Operators that the standalone runtime has as compositions of others.

Inductor calls a library for these. Here they are written with what it generates code
for, and what the runtime's own operators compute (sort, scatter, matrix products), so
that they are fused with what is around them. Results are eager's, NaN and ties
included, but for rounding; where eager leaves open which index of equal elements it
returns, it is one of them.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch

_aten = torch.ops.aten
_Tensor = torch.Tensor

# By operator: a function of its arguments. NotImplemented: it stays as it is.
TABLE: dict[Any, Callable[..., Any]] = {}


def _decomposes(*operators: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        TABLE.update(dict.fromkeys(operators, function))
        return function

    return register


# ---- Matrix products.


@_decomposes(_aten.addbmm.default)
def _addbmm(
    bias: _Tensor, a: _Tensor, b: _Tensor, *, beta: Any = 1, alpha: Any = 1
) -> _Tensor:
    # A sum of products is the product of what lies side by side.
    batch, rows, inner = a.shape
    wide = a.permute(1, 0, 2).reshape(rows, batch * inner)
    tall = b.reshape(batch * inner, b.shape[2])
    return torch.addmm(bias, wide, tall, beta=beta, alpha=alpha)


@_decomposes(_aten.baddbmm.default)
def _baddbmm(
    bias: _Tensor, a: _Tensor, b: _Tensor, *, beta: Any = 1, alpha: Any = 1
) -> Any:
    if bias.is_complex():
        return NotImplemented
    product = torch.bmm(a, b)
    if not product.is_floating_point():
        beta, alpha = int(beta), int(alpha)
    if alpha != 1:
        product = product * alpha
    # What beta of 0 multiplies is not looked at: it may be NaN.
    if beta == 0:
        return product
    return product + (bias if beta == 1 else bias * beta)


@_decomposes(_aten._trilinear.default)
def _trilinear(
    first: _Tensor,
    second: _Tensor,
    third: _Tensor,
    expand1: Sequence[int],
    expand2: Sequence[int],
    expand3: Sequence[int],
    sumdim: Sequence[int],
    unroll_dim: int = 1,
) -> _Tensor:
    first, second, third = (
        functools.reduce(torch.unsqueeze, dims, tensor)
        for dims, tensor in ((expand1, first), (expand2, second), (expand3, third))
    )
    product = first * second * third
    return product.sum(list(sumdim), dtype=product.dtype) if sumdim else product


# ---- Distances.


def _distance(difference: _Tensor, p: float) -> _Tensor:
    return torch.linalg.vector_norm(difference, p, dim=-1)


@_decomposes(_aten._cdist_forward.default)
def _cdist(a: _Tensor, b: _Tensor, p: float, compute_mode: int | None) -> _Tensor:
    return _distance(a.unsqueeze(-2) - b.unsqueeze(-3), p)


@_decomposes(_aten._pdist_forward.default)
def _pdist(x: _Tensor, p: float = 2) -> _Tensor:
    # Row i of the triangle begins at pair i * (2 * count - i - 1) / 2.
    count = x.shape[0]
    rows = torch.arange(count, device=x.device)
    begins = rows * (2 * count - rows - 1) // 2
    pairs = torch.arange(count * (count - 1) // 2, device=x.device)
    first = torch.searchsorted(begins, pairs, right=True) - 1
    second = pairs - begins[first] + first + 1
    return _distance(x[first] - x[second], p)


# ---- What sorting tells.


_Found = tuple[_Tensor, _Tensor]


def _along(
    find: Callable[[_Tensor, int], _Found], x: _Tensor, dim: int, keepdim: bool
) -> _Found:
    """Finds values and indices along a dimension, which a number has not.

    Args:
        find: Of a tensor with dimensions and one of them; leaves it, of one element.
        x: The tensor.
        dim: The dimension.
        keepdim: Whether it stays in the results, too.
    """
    is_number = x.dim() == 0
    values, indices = find(x.reshape(1) if is_number else x, dim)
    if keepdim and not is_number:
        return values, indices
    return values.squeeze(dim), indices.squeeze(dim)


@_decomposes(_aten.kthvalue.default)
def _kthvalue(x: _Tensor, k: Any, dim: int = -1, keepdim: bool = False) -> _Found:
    def find(x: _Tensor, dim: int) -> _Found:
        values, indices = torch.sort(x, stable=True, dim=dim)
        return values.narrow(dim, k - 1, 1), indices.narrow(dim, k - 1, 1)

    return _along(find, x, dim, keepdim)


def _is_nan(x: _Tensor) -> _Tensor:
    return x != x


def _middle(x: _Tensor, dim: int, ignores_nan: bool) -> _Found:
    values, indices = torch.sort(x, stable=True, dim=dim)
    # NaN are the last ones.
    nans = _is_nan(values).sum(dim, keepdim=True)
    numbers = x.shape[dim] - nans
    at = (numbers - 1).clamp(min=0) // 2
    if not ignores_nan:
        at = torch.where(nans > 0, numbers, at)
    return values.gather(dim, at), indices.gather(dim, at)


_median_of = functools.partial(_middle, ignores_nan=False)
_nanmedian_of = functools.partial(_middle, ignores_nan=True)


@_decomposes(_aten.median.dim)
def _median_dim(x: _Tensor, dim: int, keepdim: bool = False) -> _Found:
    return _along(_median_of, x, dim, keepdim)


@_decomposes(_aten.nanmedian.dim)
def _nanmedian_dim(x: _Tensor, dim: int, keepdim: bool = False) -> _Found:
    return _along(_nanmedian_of, x, dim, keepdim)


@_decomposes(_aten.median.default)
def _median(x: _Tensor) -> _Tensor:
    return _median_dim(x.reshape(-1), 0)[0]


@_decomposes(_aten.nanmedian.default)
def _nanmedian(x: _Tensor) -> _Tensor:
    return _nanmedian_dim(x.reshape(-1), 0)[0]


@_decomposes(_aten.mode.default)
def _mode(x: _Tensor, dim: int = -1, keepdim: bool = False) -> _Found:
    def find(x: _Tensor, dim: int) -> _Found:
        values, indices = torch.sort(x, stable=True, dim=dim)
        count = x.shape[dim]
        places = torch.arange(count, device=x.device)
        places = places.reshape([-1] + [1] * (x.dim() - 1 - dim % x.dim()))
        begins = torch.cat(
            [
                torch.ones_like(values.narrow(dim, 0, 1), dtype=torch.bool),
                values.narrow(dim, 1, count - 1) != values.narrow(dim, 0, count - 1),
            ],
            dim,
        )
        # How many like it come before: the first that has most ends the longest run.
        begin = torch.where(begins, places, 0).cummax(dim).values
        at = (places - begin).argmax(dim, keepdim=True)
        return values.gather(dim, at), indices.gather(dim, at)

    return _along(find, x, dim, keepdim)


# ---- What is looked up.


@_decomposes(_aten.isin.Tensor_Tensor)
def _isin(
    elements: _Tensor,
    of: _Tensor,
    *,
    assume_unique: bool = False,
    invert: bool = False,
) -> _Tensor:
    dtype = torch.promote_types(elements.dtype, of.dtype)
    elements = elements.to(dtype)
    ordered = torch.sort(of.reshape(-1).to(dtype))[0]
    # Equal ones lie between what is less and what is not greater. NaN equals nothing.
    less = torch.searchsorted(ordered, elements)
    found = (torch.searchsorted(ordered, elements, right=True) > less) & (
        elements == elements
    )
    return ~found if invert else found


def _with_scalar(boundaries: _Tensor, value: Any) -> tuple[_Tensor, _Tensor]:
    dtype = torch.result_type(boundaries, value)
    return boundaries.to(dtype), torch.full((), value, dtype=dtype)


@_decomposes(_aten.searchsorted.Scalar)
def _searchsorted(boundaries: _Tensor, value: Any, **kwargs: Any) -> _Tensor:
    return torch.searchsorted(*_with_scalar(boundaries, value), **kwargs)


@_decomposes(_aten.bucketize.Scalar)
def _bucketize(value: Any, boundaries: _Tensor, **kwargs: Any) -> _Tensor:
    boundaries, values = _with_scalar(boundaries, value)
    return torch.bucketize(values, boundaries, **kwargs)


@_decomposes(_aten.nonzero_static.default)
def _nonzero_static(x: _Tensor, *, size: Any, fill_value: int = -1) -> _Tensor:
    is_set = (x != 0).reshape(-1)
    rank = is_set.to(torch.int64).cumsum(0) - 1
    # What does not fit goes behind, and is cut off.
    row = torch.where(is_set & (rank < size), rank, size)
    flat = torch.arange(is_set.shape[0], device=x.device)
    columns = []
    for extent in reversed(x.shape):
        columns.append(flat % extent)
        flat = flat // extent
    out = torch.full((size + 1, x.dim()), fill_value, dtype=torch.int64)
    if not columns:
        return out[:size]
    coordinates = torch.stack(columns[::-1], 1)
    return torch.index_put(out, [row], coordinates)[:size]


@_decomposes(_aten.grid_sampler_3d.default)
def _grid_sampler_3d(
    image: _Tensor, grid: _Tensor, mode: int, padding: int, align_corners: bool
) -> _Tensor:
    batch, channels, *sizes = image.shape
    # The last coordinate of the grid is that of the first spatial dimension.
    places = [
        _place(grid[..., 2 - i].unsqueeze(1), size, padding, align_corners)
        for i, size in enumerate(sizes)
    ]
    at = torch.arange(batch, device=image.device).reshape(-1, 1, 1, 1, 1)
    channel = torch.arange(channels, device=image.device).reshape(1, -1, 1, 1, 1)

    def pick(corner: Sequence[_Tensor]) -> _Tensor:
        is_inside = functools.reduce(
            torch.logical_and,
            [(x >= 0) & (x < size) for x, size in zip(corner, sizes, strict=True)],
        )
        index = [torch.where(is_inside, x, 0).to(torch.int64) for x in corner]
        return torch.where(is_inside, image[at, channel, *index], 0)

    if mode == 1:
        return pick([place.round() for place in places])
    lows = [place.floor() for place in places]
    result = torch.zeros((), dtype=image.dtype)
    for corner in itertools.product((0, 1), repeat=3):
        weight = torch.ones((), dtype=image.dtype)
        for place, low, upper in zip(places, lows, corner, strict=True):
            weight = weight * (place - low if upper else low + 1 - place)
        low_or_high = [low + upper for low, upper in zip(lows, corner, strict=True)]
        result = result + pick(low_or_high) * weight
    return result


def _place(x: _Tensor, size: Any, padding: int, align_corners: bool) -> _Tensor:
    """Where in an image's dimension a coordinate from -1 to 1 is."""
    place = (x + 1) / 2 * (size - 1) if align_corners else ((x + 1) * size - 1) / 2
    if padding == 0:
        return place
    if padding == 2:
        low, span = (0, size - 1) if align_corners else (-0.5, size)
        if align_corners and size == 1:
            return torch.zeros_like(place)
        distance = (place - low).abs()
        turns = (distance / span).floor()
        rest = distance - turns * span
        place = torch.where(turns % 2 == 0, rest + low, span - rest + low)
    # NaN is at 0.
    place = torch.where(_is_nan(place), 0, place)
    return place.clamp(0, size - 1)


# ---- What is gathered.


@_decomposes(_aten.index_reduce.default)
def _index_reduce(
    x: _Tensor,
    dim: int,
    index: _Tensor,
    source: _Tensor,
    reduce: str,
    *,
    include_self: bool = True,
) -> Any:
    if x.dim() == 0:
        alone = (x.reshape(1), 0, index.reshape(-1), source.reshape(-1), reduce)
        return _index_reduce(*alone, include_self=include_self).reshape(())
    shape = [1] * x.dim()
    shape[dim] = -1
    spread = index.to(torch.int64).reshape(shape).expand(source.shape)
    return torch.scatter_reduce(
        x, dim, spread, source, reduce, include_self=include_self
    )


@_decomposes(_aten.histc.default)
def _histc(x: _Tensor, bins: int = 100, min: Any = 0, max: Any = 0) -> Any:
    # Eager counts halves in halves, which puts numbers into other bins.
    if x.dtype not in (torch.float32, torch.float64):
        return NotImplemented
    x = x.reshape(-1)
    if x.shape == (0,):
        return torch.zeros(bins, dtype=x.dtype)
    if min == max:
        low, high = x.amin(), x.amax()
        same = low == high
        low, high = torch.where(same, low - 1, low), torch.where(same, high + 1, high)
    else:
        low = torch.full((), min, dtype=x.dtype)
        high = torch.full((), max, dtype=x.dtype)
    inside = (x >= low) & (x <= high)
    place = ((x - low) / (high - low) * bins).to(torch.int64)
    # The last bin has its upper edge, too; what is outside goes behind.
    place = torch.where(inside, place.clamp(max=bins - 1), bins)
    counts = torch.zeros(bins + 1, dtype=x.dtype)
    return counts.scatter_add(0, place, torch.ones_like(x))[:bins]


# ---- Complex numbers, as two real ones.


def _parts(x: Any) -> tuple[Any, Any]:
    if not isinstance(x, _Tensor):
        return x.real, x.imag
    if not x.is_complex():
        return x, None
    parts = torch.view_as_real(x)
    return parts.select(-1, 0), parts.select(-1, 1)


def _complex(real: _Tensor, imaginary: _Tensor) -> _Tensor:
    real, imaginary = torch.broadcast_tensors(real, imaginary)
    return torch.view_as_complex(torch.stack([real, imaginary], -1))


def _is_complex(*values: Any) -> bool:
    return any(
        value.is_complex() if isinstance(value, _Tensor) else isinstance(value, complex)
        for value in values
    )


@_decomposes(_aten.mul.Tensor, _aten.mul.Scalar)
def _mul(a: Any, b: Any) -> Any:
    if not _is_complex(a, b):
        return NotImplemented
    (a, ai), (b, bi) = _parts(a), _parts(b)
    if ai is None:
        return _complex(a * b, a * bi)
    if bi is None:
        return _complex(a * b, ai * b)
    return _complex(a * b - ai * bi, a * bi + ai * b)


def _sum(a: Any, b: Any, alpha: Any) -> Any:
    if not _is_complex(a, b) or isinstance(alpha, complex):
        return NotImplemented
    (a, ai), (b, bi) = _parts(a), _parts(b)
    if alpha != 1:
        b, bi = b * alpha, None if bi is None else bi * alpha
    real = a + b
    if ai is None or bi is None:
        only = bi if ai is None else ai
        return _complex(real, only + torch.zeros_like(real))
    return _complex(real, ai + bi)


@_decomposes(_aten.add.Tensor, _aten.add.Scalar)
def _add(a: Any, b: Any, alpha: Any = 1) -> Any:
    return _sum(a, b, alpha)


@_decomposes(_aten.sub.Tensor, _aten.sub.Scalar)
def _sub(a: Any, b: Any, alpha: Any = 1) -> Any:
    return _sum(a, b, -alpha)


@_decomposes(_aten.div.Tensor, _aten.div.Scalar)
def _div(a: Any, b: Any) -> Any:
    if not _is_complex(a, b):
        return NotImplemented
    (a, ai), (b, bi) = _parts(a), _parts(b)
    if bi is None:
        return _complex(a / b, ai / b)
    # Scaled, so that squares neither overflow nor vanish.
    scale = torch.maximum(torch.as_tensor(b).abs(), torch.as_tensor(bi).abs())
    b, bi = b / scale, bi / scale
    square = (b * b + bi * bi) * scale
    if ai is None:
        return _complex(a * b / square, -(a * bi) / square)
    return _complex((a * b + ai * bi) / square, (ai * b - a * bi) / square)


@_decomposes(torch.ops.prims.convert_element_type.default)
def _convert(x: _Tensor, dtype: torch.dtype) -> Any:
    if not _is_complex(x) and not dtype.is_complex:
        return NotImplemented
    real, imaginary = _parts(x)
    if not dtype.is_complex:
        return real.to(dtype)
    real = real.to(dtype.to_real())
    if imaginary is None:
        return _complex(real, torch.zeros_like(real))
    return _complex(real, imaginary.to(dtype.to_real()))


@_decomposes(_aten.neg.default)
def _neg(x: _Tensor) -> Any:
    if not _is_complex(x):
        return NotImplemented
    real, imaginary = _parts(x)
    return _complex(-real, -imaginary)


@_decomposes(_aten._conj.default, _aten.conj_physical.default)
def _conj(x: _Tensor) -> Any:
    if not _is_complex(x):
        return NotImplemented
    real, imaginary = _parts(x)
    return _complex(real, -imaginary)


@_decomposes(_aten.exp.default)
def _exp(x: _Tensor) -> Any:
    if not _is_complex(x):
        return NotImplemented
    real, imaginary = _parts(x)
    length = real.exp()
    return _complex(length * imaginary.cos(), length * imaginary.sin())


@_decomposes(_aten.polar.default)
def _polar(length: _Tensor, angle: _Tensor) -> _Tensor:
    return _complex(length * angle.cos(), length * angle.sin())
