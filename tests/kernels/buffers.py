"""Tensors with guards around them, and comparisons that know their rounding errors."""

import torch

_GUARD = 64  # elements before and after; keeps 16-byte alignment for every dtype
_MARK = 1234.0


class Matrix:
    """A matrix [rows, columns] whose rows are `stride` elements apart.

    What lies between and around the rows is marked. A kernel that reads it shows in
    the result, and one that writes it in `assert_guards`.

    Attributes:
        tensor: The matrix, as a view.
    """

    def __init__(self, rows, columns, dtype, *, stride=None, shift=0):
        stride = stride or columns
        self._buffer = torch.full(
            (_GUARD + shift + rows * stride + _GUARD,), _MARK, dtype=dtype
        )
        self._outside = torch.ones(self._buffer.shape, dtype=torch.bool)
        place = (rows, columns), (stride, 1), _GUARD + shift
        torch.as_strided(self._outside, *place).fill_(False)
        self.tensor = torch.as_strided(self._buffer, *place)

    @classmethod
    def random(cls, rows, columns, dtype, **options):
        matrix = cls(rows, columns, dtype, **options)
        matrix.tensor.copy_(torch.randn(rows, columns))
        return matrix

    def assert_guards(self):
        assert (self._buffer[self._outside] == _MARK).all(), "written out of bounds"


def half_ulp(values):
    """The error of rounding to the values' dtype, in float64."""
    info = torch.finfo(values.dtype)
    return (values.double().abs() * info.eps / 2).clamp(
        info.smallest_normal * info.eps / 2
    )


def assert_within(actual, expected, bound):
    """Compares with float64, element by element.

    Args:
        actual: What the kernel computed.
        expected: The reference, in float64.
        bound: The error that the computation may have before the result is rounded.
    """
    assert actual.isfinite().all()
    error = (actual.double() - expected).abs()
    # A rounded value can be the next one, which is up to a whole ulp away from
    # its neighbour: where the bound straddles, half an ulp more.
    allowed = bound + half_ulp(actual) * 1.01
    worst = (error / allowed).max().item()
    assert worst <= 1, f"{worst:.2f} times the allowed error"
