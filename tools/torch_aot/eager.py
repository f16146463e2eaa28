"""Eager PyTorch that gives the same bits on every build machine.

Weights are computed when a model is made, and reference outputs when it is tested.
oneDNN and NNPACK choose algorithms by the CPU and its caches; what is left is ATen's own
loops and MKL. rules/private/actions.bzl pins these, and libm, by environment variables,
which are read too early to be set here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def portable() -> Iterator[None]:
    """Computes without what depends on the CPU, for a while."""
    # torch.backends.mkldnn.flags() also sets TF32, and warns of that.
    before = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = False
    try:
        with torch.backends.nnpack.flags(enabled=False):
            yield
    finally:
        torch.backends.mkldnn.enabled = before


@contextlib.contextmanager
def as_written() -> Iterator[None]:
    """Computes what a module's forward says, for a while.

    Outside of training nn.TransformerEncoder and nn.MultiheadAttention have a path of
    their own, which leaves out what is padded and gives zeros for it. No exported
    program has it.
    """
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
