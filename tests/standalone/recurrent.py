"""Recurrent layers over whole sequences."""

import torch

from torch_aot import Model


class Lstms(torch.nn.Module):
    """Of one to three layers, one and two directions, with and without biases."""

    def __init__(self) -> None:
        super().__init__()
        lstm = torch.nn.LSTM
        self.plain = lstm(7, 5)
        self.deep = lstm(7, 16, 3, batch_first=True)
        self.both = lstm(7, 33, 2, bidirectional=True)
        self.bare = lstm(7, 8, bias=False, bidirectional=True, batch_first=True)
        self.brains = lstm(7, 5).to(torch.bfloat16)

    def forward(self, x, state, cells):
        turned = x.transpose(0, 1)
        first, (last, last_cells) = self.plain(x, (state, cells))
        return {
            "plain": first,
            "last": last,
            "cells": last_cells,
            "deep": self.deep(turned)[0],
            "both": self.both(x)[0],
            "both_last": self.both(x)[1][1],
            "bare": self.bare(turned)[0],
            "one": self.plain(x[:, 0])[0],
            # Eager rounds at each step: what is near 0 differs by more than its digits.
            "brains": 1 + self.brains(x.to(torch.bfloat16))[0],
            "far": self.plain(1000 * x)[0],
        }


def lstms() -> Model:
    batch = torch.export.Dim("batch", min=1, max=40)
    return Model(
        Lstms(),
        inputs={
            "x": torch.randn(6, 3, 7),
            "state": torch.randn(1, 3, 5),
            "cells": torch.randn(1, 3, 5),
        },
        dynamic_shapes={"x": {1: batch}, "state": {1: batch}, "cells": {1: batch}},
    )
