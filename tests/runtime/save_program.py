"""Saves an exported program, as a script outside of any build does.

It has state, a constant, a dynamic size, nested inputs, a number and an input by name.
"""

import sys

import torch
from torch import nn
from torch.export import Dim


class Scorer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.register_buffer("calls", torch.zeros(1))
        self.register_buffer("fixed", torch.full((3,), 5.0), persistent=False)
        self.constant = torch.tensor([1.0, 2.0, 3.0])

    def forward(self, batch, times, *, scale):
        self.calls.add_(1)
        y = self.layer(batch["rows"][0]) * scale * times
        return {
            "scores": y + self.calls + self.fixed,
            "means": [y.mean(1) * self.constant[2]],
        }


if __name__ == "__main__":
    torch.manual_seed(0)
    program = torch.export.export(
        Scorer().eval(),
        ({"rows": [torch.randn(2, 4)]}, 2),
        {"scale": torch.ones(3)},
        dynamic_shapes={
            "batch": {"rows": [{0: Dim("rows", min=1, max=64)}]},
            "times": None,
            "scale": None,
        },
    )
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it has the path of Bazel's sandbox
    torch.export.save(program, sys.argv[1])
