"""Models that draw random numbers."""

import torch
from torch import nn
from torch.nn import functional as F

from torch_aot import Model

X = torch.rand(2, 3, 4, 4)
ROW = torch.rand(4)


def dropout() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return F.dropout(x, 0.5)  # error: dropout

    return Model(Net(), inputs=(X,))


def dropout_of_channels() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return F.dropout2d(x, 0.5)  # error: dropout_of_channels

    return Model(Net(), inputs=(X,))


def native_dropout() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return torch.native_dropout(x, 0.5, True)[0]  # error: native_dropout

    return Model(Net(), inputs=(X,))


def rrelu_in_training() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return F.rrelu(x, training=True)  # error: rrelu_in_training

    return Model(Net(), inputs=(X,))


def rand_like() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return x + torch.rand_like(x)  # error: rand_like

    return Model(Net(), inputs=(X,))


def randn() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return x + torch.randn(4)  # error: randn

    return Model(Net(), inputs=(X,))


def randint() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return x + torch.randint(0, 9, (4,))  # error: randint

    return Model(Net(), inputs=(X,))


def randperm() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return x[:, torch.randperm(3)]  # error: randperm

    return Model(Net(), inputs=(X,))


def bernoulli() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return torch.bernoulli(x)  # error: bernoulli

    return Model(Net(), inputs=(X,))


def bernoulli_in_place() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return torch.empty(4).bernoulli_(0.5) + x  # error: bernoulli_in_place

    return Model(Net(), inputs=(X,))


def multinomial() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return torch.multinomial(x, 1)  # error: multinomial

    return Model(Net(), inputs=(ROW,))


def normal_in_place() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return torch.empty(4).normal_() + x  # error: normal_in_place

    return Model(Net(), inputs=(X,))


def uniform_in_place() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return torch.empty(4).uniform_() + x  # error: uniform_in_place

    return Model(Net(), inputs=(X,))


def exponential() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return F.gumbel_softmax(x)  # error: exponential

    return Model(Net(), inputs=(X,))


def attention_dropout() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return F.scaled_dot_product_attention(  # error: attention_dropout
                x, x, x, dropout_p=0.1
            )

    return Model(Net(), inputs=(X,))


def with_a_generator() -> Model:
    generator = torch.Generator().manual_seed(1)

    class Net(nn.Module):
        def forward(self, x):
            return torch.randn(4, generator=generator) + x  # error: with_a_generator

    return Model(Net(), inputs=(X,))


def under_autocast() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return x + torch.rand_like(x)  # error: under_autocast

    return Model(Net(), inputs=(X,))


def lstm_in_training() -> Model:
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(4, 4, 2, dropout=0.5)

        def forward(self, x):
            self.lstm.train()
            return self.lstm(x)[0]  # error: lstm_in_training

    return Model(Net(), inputs=(torch.rand(3, 1, 4),))


def in_a_branch() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return torch.cond(  # error: in_a_branch
                x.sum() > 0, lambda x: torch.rand_like(x), lambda x: x + 1, (x,)
            )

    return Model(Net(), inputs=(torch.rand(4),))


def in_a_loop() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return torch.while_loop(  # error: in_a_loop
                lambda x: x.sum() < 9, lambda x: (x + torch.rand_like(x),), (x,)
            )

    return Model(Net(), inputs=(torch.rand(4),))
