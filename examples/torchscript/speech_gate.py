"""Saves a scripted model with state and control flow, as a team has one in production."""

import sys

import torch
from torch import nn


class SpeechGate(nn.Module):
    """Says of each piece of a recording how probably somebody speaks in it.

    It keeps the level of the noise, and what was heard so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Conv1d(1, 8, 16, stride=8)
        self.cell = nn.GRUCell(8, 16)
        self.score = nn.Linear(16, 1)
        self.register_buffer("noise", torch.tensor(1e-4))
        self.register_buffer("heard", torch.zeros(1, 16))
        self.pieces = 0

    def forward(
        self, samples: torch.Tensor, gain: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        if gain is not None:
            samples = samples * gain
        halvings = 0
        while bool(samples.abs().max() > 1) and halvings < 16:
            samples = samples / 2
            halvings += 1
        level = samples.square().mean()
        if level > 4 * self.noise:
            features = self.filters(samples.view(1, 1, -1)).relu().mean(2)
            self.heard = self.cell(features, self.heard)
        else:
            self.noise.mul_(0.9).add_(0.1 * level)
            self.heard = self.heard * 0.5
        self.pieces += 1
        return {
            "speech": self.score(self.heard).sigmoid().flatten(),
            "halvings": torch.tensor(halvings),
            "pieces": torch.tensor(self.pieces),
        }


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.jit.script(SpeechGate().eval()).save(sys.argv[1])
