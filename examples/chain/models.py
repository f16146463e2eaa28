"""Three models, each of which goes on where the one before it ends."""

import torch
from torch import nn
from torch.export import Dim

from torch_aot import Model

BATCH = Dim("batch", min=1, max=16)


class Normalise(nn.Module):
    """An image as a camera has it becomes what networks want."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        # Without contiguous() the result would lie as the image does, and be copied.
        return ((image.permute(0, 3, 1, 2) / 255 - 0.5) / 0.25).contiguous()


def normalise() -> Model:
    """Image uint8[batch, 32, 32, 3]; pixels float32[batch, 3, 32, 32]."""
    image = torch.randint(256, (2, 32, 32, 3), dtype=torch.uint8)
    return Model(Normalise(), (image,), {"image": {0: BATCH}}, output_names=["pixels"])


def embed() -> Model:
    """Pixels float32[batch, 3, 32, 32]; embedding float32[batch, 64]."""
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 64),
        nn.Tanh(),
    )
    return Model(
        net,
        (torch.randn(2, 3, 32, 32),),
        ({0: BATCH},),
        input_names=["pixels"],
        output_names=["embedding"],
    )


def score() -> Model:
    """Embedding float32[batch, 64]; probabilities float32[batch, 10]."""
    return Model(
        nn.Sequential(nn.Linear(64, 10), nn.Softmax(dim=1)),
        (torch.randn(2, 64),),
        ({0: BATCH},),
        input_names=["embedding"],
        output_names=["probabilities"],
    )
