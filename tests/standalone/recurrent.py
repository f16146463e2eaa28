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
        self.projected = lstm(7, 11, 2, proj_size=3, bidirectional=True)
        self.doubles = lstm(7, 5, bidirectional=True).to(torch.float64)

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
            "doubles": self.doubles(x.to(torch.float64))[0],
            "projected": self.projected(turned.transpose(0, 1))[0],
            "projected_last": self.projected(x)[1][0],
            "far": self.plain(10 * x)[0],
        }


class Halves(torch.nn.Module):
    """Layers whose steps eager rounds, each of them; here the state is of float32."""

    def __init__(self) -> None:
        super().__init__()
        self.halfs = torch.nn.LSTM(7, 5).to(torch.float16)
        self.brains = torch.nn.LSTM(7, 5).to(torch.bfloat16)

    def forward(self, x):
        return {
            "halfs": self.halfs(x.to(torch.float16))[0].float(),
            "brains": self.brains(x.to(torch.bfloat16))[0].float(),
        }


class Others(torch.nn.Module):
    """GRUs and plain RNNs."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = torch.nn.GRU(7, 5, 2, bidirectional=True)
        self.bare = torch.nn.GRU(7, 19, bias=False, batch_first=True)
        self.doubles = torch.nn.GRU(7, 5).to(torch.float64)
        self.tanh = torch.nn.RNN(7, 5, bidirectional=True)
        self.relu = torch.nn.RNN(7, 17, 2, nonlinearity="relu")

    def forward(self, x, state):
        first, last = self.gru(x, state)
        return {
            "gru": first,
            "gru_last": last,
            "bare": self.bare(x.transpose(0, 1))[0],
            "doubles": self.doubles(x.to(torch.float64))[0],
            "tanh": self.tanh(x)[0],
            "relu": self.relu(x)[0],
            "missing": self.gru(torch.where(x > 1, torch.nan, x))[0],
        }


def _lengths_and_batches() -> tuple[torch.export.Dim, torch.export.Dim]:
    return (
        torch.export.Dim("length", min=1, max=300),
        torch.export.Dim("batch", min=1, max=40),
    )


def lstms() -> Model:
    length, batch = _lengths_and_batches()
    return Model(
        Lstms(),
        inputs={
            "x": torch.randn(6, 3, 7),
            "state": torch.randn(1, 3, 5),
            "cells": torch.randn(1, 3, 5),
        },
        dynamic_shapes={
            "x": {0: length, 1: batch},
            "state": {1: batch},
            "cells": {1: batch},
        },
    )


def half_lstms() -> Model:
    length, batch = _lengths_and_batches()
    return Model(
        Halves(),
        inputs={"x": torch.randn(6, 3, 7)},
        dynamic_shapes={"x": {0: length, 1: batch}},
    )


def other_recurrent_layers() -> Model:
    length, batch = _lengths_and_batches()
    return Model(
        Others(),
        inputs={"x": torch.randn(6, 3, 7), "state": torch.randn(4, 3, 5)},
        dynamic_shapes={"x": {0: length, 1: batch}, "state": {1: batch}},
    )
