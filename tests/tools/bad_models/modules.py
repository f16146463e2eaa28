"""Modules that torch.export does not take."""

import torch
from torch import nn
from torch.export import Dim

from torch_aot import Model

X = torch.randn(2, 4)
BATCH = {0: Dim("batch", min=1, max=64)}


class Sides(nn.Module):
    def forward(self, x):
        parts = [x]
        if x.sum() > 0:  # error: scripted_if
            parts.append(x)
        return torch.cat(parts)


class Growing(nn.Module):
    def forward(self, x):
        parts = [x]
        while parts[-1].sum() < 9:  # error: scripted_part_with_a_loop
            parts.append(parts[-1] + 1)
        return torch.cat(parts)


class Rows(nn.Module):
    def forward(self, x):
        rows = []
        for i in range(x.size(0)):  # error: scripted_size
            rows.append(x[i] * i)
        return torch.stack(rows)


class Aliases(nn.Module):
    def forward(self, x):
        y, z = x + 1, x + 2
        if x.sum() > 0:
            z = y
        y += 1  # error: scripted_change
        return z


class History(nn.Module):
    seen: list[torch.Tensor]

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x):
        self.seen.append(x)  # error: scripted_list
        return torch.stack(self.seen).sum(0)


class Resized(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(2, 4))

    def forward(self, x):
        self.seen = torch.cat([self.seen, x])  # error: scripted_buffer
        return self.seen.sum(0)


class Wide(nn.Module):
    def forward(self, x):
        return x @ torch.ones(5, 4)  # error: scripted_failure


class Around(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return self.module(x)


def scripted_if() -> Model:
    return Model(torch.jit.script(Sides()), inputs=(X,))


def scripted_part_with_a_loop() -> Model:
    return Model(Around(torch.jit.script(Growing())), inputs=(X,))


def scripted_size() -> Model:
    return Model(torch.jit.script(Rows()), (X,), ({0: BATCH[0]},))


def scripted_change() -> Model:
    return Model(torch.jit.script(Aliases()), inputs=(X,))


def scripted_list() -> Model:
    return Model(torch.jit.script(History()), inputs=(X,))


def scripted_buffer() -> Model:
    return Model(torch.jit.script(Resized()), inputs=(X,))


def scripted_failure() -> Model:
    return Model(torch.jit.script(Wide()), inputs=(X,))


def program_and_inputs() -> Model:
    program = torch.export.export(nn.ReLU(), (X,))
    return Model(program, inputs=(X,))  # error: program_and_inputs


def program_and_shapes() -> Model:
    program = torch.export.export(nn.ReLU(), (X,))
    return Model(program, dynamic_shapes=(BATCH,))  # error: program_and_shapes


def program_without_example() -> Model:
    program = torch.export.export(nn.ReLU(), (X,))
    program.example_inputs = None
    return Model(program)  # error: program_without_example


def no_example() -> Model:
    return Model(nn.ReLU())  # error: no_example


def lazy() -> Model:
    return Model(nn.LazyLinear(4), inputs=(X,))  # error: lazy


def quantised() -> Model:
    module = torch.ao.quantization.quantize_dynamic(
        nn.Sequential(nn.Linear(4, 4)), {nn.Linear}
    )
    return Model(module, inputs=(X,))  # error: quantised


def quantised_tensor() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return torch.quantize_per_tensor(  # error: quantised_tensor
                x, 0.1, 0, torch.qint8
            ).dequantize()

    return Model(Net(), inputs=(X,))


def packed_sequence() -> Model:
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(4, 4, batch_first=True)

        def forward(self, x, lengths):
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
            return self.lstm(packed)[1][0]  # error: packed_sequence

    return Model(Net(), inputs=(torch.randn(2, 3, 4), torch.tensor([3, 2])))


def packed_sequences() -> Model:
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = nn.GRU(4, 4)

        def forward(self, x, y):
            packed = nn.utils.rnn.pack_sequence([x, y])
            return self.gru(packed)[1]  # error: packed_sequences

    return Model(Net(), inputs=(torch.randn(3, 4), torch.randn(2, 4)))


def packed_input() -> Model:
    packed = nn.utils.rnn.pack_padded_sequence(
        torch.randn(3, 2, 4), torch.tensor([3, 2])
    )
    return Model(nn.LSTM(4, 4), inputs=(packed,))  # error: packed_input


def gradient() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return torch.func.grad(lambda x: (x**2).sum())(x)

    return Model(Net(), inputs=(X,))  # error: gradient


def distribution() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return torch.distributions.Normal(  # error: distribution
                x, 1.0, validate_args=True
            ).log_prob(x)

    return Model(Net(), inputs=(X,))
