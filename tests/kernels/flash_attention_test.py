"""Attention, run by Triton's interpreter."""

import pytest
import torch
from buffers import Matrix, assert_within

from triton_aot.testing import instantiations

MANIFEST = "kernels/flash_attention.manifest.json"
ATTENTION = pytest.mark.parametrize("attention", instantiations(MANIFEST), ids=str)


def make(attention, heads, sequence, head_size):
    dtype = attention.dtype("q")
    q, k, v = (Matrix.random(heads * sequence, head_size, dtype) for _ in range(3))
    return q, k, v, Matrix(heads * sequence, head_size, dtype)


def run(attention, q, k, v, out, heads, scale):
    rows, head_size = q.tensor.shape
    attention(
        out=out.tensor,
        q=q.tensor,
        k=k.tensor,
        v=v.tensor,
        heads=heads,
        sequence=rows // heads,
        head_size=head_size,
        scale=scale,
    )
    out.assert_guards()


def reference(q, k, v, scale, causal):
    """Attention in float64, and how large the rounding errors may be."""
    scores = q @ k.transpose(1, 2) * scale
    if causal:
        mask = torch.ones(scores.shape[1:], dtype=torch.bool).tril()
        scores = scores.masked_fill(~mask, float("-inf"))
    weights = torch.softmax(scores, dim=2)
    return weights @ v, weights @ v.abs()


def cases(*sequences):
    """All instantiations with the lengths that they take."""
    return pytest.mark.parametrize(
        ("attention", "sequence"),
        [
            pytest.param(each, sequence, id=f"{each}-{sequence}")
            for each in instantiations(MANIFEST)
            for sequence in sequences
            if each.fits(sequence=sequence, head_size=each.constexprs["HEAD"])
        ],
    )


@cases(1, 128, 150)
def test_attention(attention, sequence):
    head = attention.constexprs["HEAD"]
    for heads, head_size in ((1, head), (2, head - 16)):
        q, k, v, out = make(attention, heads, sequence, head_size)
        scale = head_size**-0.5
        run(attention, q, k, v, out, heads, scale)
        split = heads, sequence, head_size
        expected, magnitude = reference(
            *(m.tensor.double().reshape(split) for m in (q, k, v)),
            scale,
            attention.constexprs["CAUSAL"],
        )
        # Weights are rounded to the inputs' dtype before they are multiplied with v.
        # In fp32, errors of scores, sums and products are some ulps of 2^-23.
        epsilon = torch.finfo(out.tensor.dtype).eps / 2 + 2**-17
        assert_within(out.tensor.reshape(split), expected, epsilon * magnitude)


@cases(40, 64)
def test_heads_do_not_see_each_other(attention, sequence):
    # Tiles reach beyond the end of a sequence, where the next head begins.
    q, k, v, out = make(attention, 2, sequence, 64)
    for matrix in (q, k, v):
        matrix.tensor[sequence:] = float("nan")
    run(attention, q, k, v, out, 2, 0.125)
    assert out.tensor[:sequence].isfinite().all()
    assert out.tensor[sequence:].isnan().all()


@cases(70, 128)
def test_scores_may_be_large(attention, sequence):
    q, k, v, out = make(attention, 1, sequence, 64)
    q.tensor.mul_(20)
    k.tensor.mul_(20)
    run(attention, q, k, v, out, 1, 1.0)
    assert out.tensor.isfinite().all()


@ATTENTION
def test_head_sizes(attention):
    head = attention.constexprs["HEAD"]
    assert attention.fits(head_size=head, sequence=128)
    assert not attention.fits(head_size=head + 16, sequence=128)
    assert not attention.fits(head_size=head - 8)


@pytest.mark.parametrize("kernel", ["flash_attention", "flash_attention_causal"])
@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_every_length_fits_some_instantiation(kernel, dtype):
    all_ = [i for i in instantiations(MANIFEST, kernel) if f"T={dtype}" in i.id]
    for sequence in (1, 63, 64, 4096):
        for head_size in (16, 64, 80, 128):
            assert any(i.fits(sequence=sequence, head_size=head_size) for i in all_)
