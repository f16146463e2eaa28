"""A model whose weights and outputs take all kinds of arithmetic to compute."""

import numpy as np
import torch
from torch import nn

from torch_aot import Model


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 32, 3, padding=1)
        self.recurrence = nn.LSTM(32, 16, batch_first=True)
        self.output = nn.Linear(16, 64)
        nn.init.orthogonal_(self.output.weight)
        nn.init.trunc_normal_(self.conv.weight)
        self.register_buffer("torchs", torch.sin(torch.randn(99)) @ torch.randn(99, 40))
        noise = np.random.standard_normal((64, 300)).astype(np.float32)
        numpys = np.sin(noise) @ np.exp(noise.T.astype(np.float64))
        self.register_buffer("numpys", torch.from_numpy(np.linalg.qr(numpys)[0]))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features = torch.tanh(self.conv(x)).flatten(2).transpose(1, 2)
        y, _ = self.recurrence(features)
        return (
            torch.softmax(self.output(y), -1),
            torch.exp(self.torchs),
            self.numpys + 1,
        )


def net() -> Model:
    return Model(Net(), (torch.randn(2, 3, 16, 16),))
