"""Models that are right and yet differ from eager PyTorch by more than a tolerance.

Float64 tells that apart from mistakes: see runtime/testing/judge.h.
"""

import torch
import torch.nn.functional as F
from torch import nn
from torch.export import Dim

from torch_aot import Model


class Rotary(nn.Module):
    """A rotary embedding in bfloat16: fused, its steps round once and not each."""

    def __init__(self, width: int = 32, length: int = 64) -> None:
        super().__init__()
        turns = torch.arange(length)[:, None] / 100 ** torch.linspace(0, 1, width // 2)
        angles = torch.cat([turns, turns], dim=-1)
        self.register_buffer("cos", angles.cos().bfloat16())
        self.register_buffer("sin", angles.sin().bfloat16())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = x.chunk(2, dim=-1)
        turned = torch.cat([-b, a], dim=-1)
        return x * self.cos[: x.shape[1]] + turned * self.sin[: x.shape[1]]


def rotary() -> Model:
    """Input and output x bfloat16[4, length, 32], 1 <= length <= 64."""
    return Model(
        Rotary(),
        inputs=(torch.randn(4, 8, 32).bfloat16(),),
        dynamic_shapes=({1: Dim("length", min=1, max=64)},),
    )


class Phase(nn.Module):
    """The phase of each band: pi or minus pi where a sum of products is nearly real."""

    def __init__(self, size: int = 64) -> None:
        super().__init__()
        angle = 2 * torch.pi / size * torch.outer(torch.arange(33), torch.arange(size))
        window = torch.hann_window(size)
        self.register_buffer("real", (angle.cos() * window)[:, None])
        self.register_buffer("imaginary", (-angle.sin() * window)[:, None])

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        real, imaginary = (
            F.conv1d(wave, weight, stride=16) for weight in (self.real, self.imaginary)
        )
        return torch.atan2(imaginary, real)


def phase() -> Model:
    """Input wave float32[2, 1, 1024], output phase float32[2, 33, 61]."""
    return Model(Phase(), inputs=(torch.randn(2, 1, 1024),))


def style() -> Model:
    """Convolutions and norms over large planes: image float32[1, 1, 512, 512]."""
    module = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1),
        nn.InstanceNorm2d(2, affine=True),
        nn.ReLU(),
        nn.Conv2d(2, 1, 3, padding=1),
        nn.InstanceNorm2d(1),
    )
    return Model(module, inputs=(torch.randn(1, 1, 512, 512),))


class Padded(nn.Module):
    """PyTorch's own encoder, of which eager has a path that zeroes what is padded."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)

    def forward(self, x: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        return self.encoder(x, src_key_padding_mask=padding)


def padded() -> Model:
    """Inputs x float32[3, 8, 32], padding bool[3, 8]; output like x."""
    lengths = torch.tensor([8, 5, 1])
    padding = torch.arange(8) >= lengths[:, None]
    x = torch.randn(3, 8, 32)
    return Model(
        Padded(),
        inputs=(x, padding),
        test_inputs=lambda: [(x, padding), (100 * x, padding)],
    )


def pixels() -> Model:
    """A deep net of few outputs: image float32[batch, 3, 32, 32] to float32[batch, 10]."""
    layers: list[nn.Module] = []
    channels = 3
    for width in (32, 64, 64, 128, 128):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        channels = width
    for layer in layers[::2]:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    module = nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10, bias=False)
    )
    return Model(
        module,
        inputs=(torch.randn(2, 3, 32, 32),),
        dynamic_shapes=({0: Dim("batch", min=1, max=8)},),
    )
