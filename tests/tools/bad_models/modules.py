"""Modules that torch.export does not take."""

import torch
from torch import nn
from torch.export import Dim

from torch_aot import Model

X = torch.randn(2, 4)
BATCH = {0: Dim("batch", min=1, max=64)}


class Gate(nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            x = x * 2
        return x


class View(nn.Module):
    def forward(self, x):
        return x.view(x.size(0), 2, 2)


class Wide(nn.Module):
    def forward(self, x):
        return x @ torch.ones(5, 4)


class Around(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return self.module(x)  # error: scripted_part_with_an_if


def scripted_if() -> Model:
    return Model(torch.jit.script(Gate()), inputs=(X,))  # error: scripted_if


def scripted_part_with_an_if() -> Model:
    return Model(Around(torch.jit.script(Gate())), inputs=(X,))


def scripted_size() -> Model:
    module = torch.jit.script(View())
    return Model(module, (X,), ({0: BATCH[0]},))  # error: scripted_size


def scripted_failure() -> Model:
    return Model(torch.jit.script(Wide()), inputs=(X,))  # error: scripted_failure


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
