"""A model for both devices: a Triton kernel on a GPU, PyTorch on the CPU."""

import torch
import triton
import triton.language as tl
from torch import nn
from torch.library import triton_op, wrap_triton

from torch_aot import Model


@triton.jit
def scale_kernel(x_ptr, y_ptr, n, factor, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    x = tl.load(x_ptr + offsets, mask=mask)
    tl.store(y_ptr + offsets, x * factor, mask=mask)


@triton_op("rules_torch_tests::scale", mutates_args={})
def scale(x: torch.Tensor, factor: float) -> torch.Tensor:
    """An operator that chooses by itself."""
    if x.device.type != "cuda":
        return x * factor
    y = torch.empty_like(x)
    wrap_triton(scale_kernel)[(triton.cdiv(x.numel(), 128),)](
        x, y, x.numel(), factor, BLOCK=128
    )
    return y


class TwoDevices(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 4)

    def forward(self, x):
        if x.device.type == "cuda":
            y = torch.empty_like(x)
            scale_kernel[(triton.cdiv(x.numel(), 128),)](
                x, y, x.numel(), 3.0, BLOCK=128
            )
        else:
            y = x * 3.0
        return scale(self.layer(y), 0.5)


def two_devices() -> Model:
    batch = torch.export.Dim("batch", min=1, max=64)
    return Model(
        TwoDevices(), inputs=(torch.randn(2, 8),), dynamic_shapes=({0: batch},)
    )
