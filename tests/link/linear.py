"""A model small enough to be compiled many times."""

import torch
from torch import nn

from torch_aot import Model


def linear() -> Model:
    """Input `x` float32[4]; output `y` float32[2]."""
    return Model(nn.Linear(4, 2), inputs=(torch.ones(4),), output_names=["y"])
