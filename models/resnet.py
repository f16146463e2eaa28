"""ResNet-18 and ResNet-50 with a dynamic batch, from one class.

Parameter names are those of torchvision's implementation, so its published
checkpoints load strictly. Without a checkpoint the weights are random, but scaled so
that activations neither vanish nor explode and the logits depend on the image.

Architecture: "Deep Residual Learning for Image Recognition",
https://arxiv.org/abs/1512.03385. As in torchvision, a bottleneck strides in its
3x3 convolution.
"""

import torch
from torch import nn
from torch.export import Dim

from torch_aot import Model


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)


def conv1x1(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(
        self, in_channels: int, width: int, stride: int, downsample: nn.Module | None
    ) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, width, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = downsample
        self.last_bn = "bn2"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        return torch.relu(x + shortcut)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut."""

    expansion = 4

    def __init__(
        self, in_channels: int, width: int, stride: int, downsample: nn.Module | None
    ) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = conv1x1(in_channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv1x1(width, out_channels)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = downsample
        self.last_bn = "bn3"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        return torch.relu(x + shortcut)


class ResNet(nn.Module):
    """float32[batch, 3, height, width] to logits float32[batch, num_classes]."""

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: tuple[int, int, int, int],
        num_classes: int = 1000,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = 64
        for index, depth in enumerate(depths):
            width = 64 * 2**index
            blocks = []
            for position in range(depth):
                stride = 2 if index > 0 and position == 0 else 1
                out_channels = width * block.expansion
                downsample = None
                if stride != 1 or channels != out_channels:
                    downsample = nn.Sequential(
                        conv1x1(channels, out_channels, stride),
                        nn.BatchNorm2d(out_channels),
                    )
                blocks.append(block(channels, width, stride, downsample))
                channels = out_channels
            self.add_module(f"layer{index + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, num_classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """He initialisation, each residual branch damped to keep the variance level."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            elif isinstance(module, BasicBlock | Bottleneck):
                nn.init.constant_(module.get_submodule(module.last_bn).weight, 0.25)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(image))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean(dim=(2, 3)))


def _model(module: ResNet) -> Model:
    return Model(
        module=module,
        inputs=(torch.randn(2, 3, 224, 224),),
        dynamic_shapes={"image": {0: Dim("batch", min=1, max=64)}},
        output_names=["logits"],
    )


def resnet18() -> Model:
    """Input `image` float32[batch, 3, 224, 224]; output `logits` float32[batch, 1000].

    1 <= batch <= 64. Images are RGB in [0, 1], then normalised with mean
    (0.485, 0.456, 0.406) and standard deviation (0.229, 0.224, 0.225).
    """
    return _model(ResNet(BasicBlock, (2, 2, 2, 2)))


def resnet50() -> Model:
    """Input `image` float32[batch, 3, 224, 224]; output `logits` float32[batch, 1000].

    1 <= batch <= 64; images as in `resnet18`.
    """
    return _model(ResNet(Bottleneck, (3, 4, 6, 3)))
