"""Saves a scripted module that calls a compiled model: scripted.py FILE."""

import sys

import torch
from mlp_op import mlp


class Around(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:
            return torch.ops.models.mlp(x) + 1
        return torch.ops.models.mlp(x) - 1


assert mlp is torch.ops.models.mlp
torch.jit.script(Around()).save(sys.argv[1])
