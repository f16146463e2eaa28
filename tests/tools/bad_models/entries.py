"""Entry functions that are none."""

import torch
from torch import nn

from torch_aot import Model

NOT_A_FUNCTION = 3


def returns_none():  # error: returns_none
    Model(nn.ReLU(), inputs=(torch.ones(2),))


def returns_a_module():  # error: returns_a_module
    return nn.ReLU()


def returns_a_tuple():  # error: returns_a_tuple
    return nn.ReLU(), (torch.ones(2),)


def module_is_a_class() -> Model:
    return Model(nn.ReLU, inputs=(torch.ones(2),))  # error: module_is_a_class


def module_is_a_function() -> Model:
    return Model(torch.relu, inputs=(torch.ones(2),))  # error: module_is_a_function


def raises() -> Model:
    return Model(nn.Linear(4), inputs=(torch.ones(2),))  # error: raises


def exits() -> Model:
    raise SystemExit(0)  # error: exits


def unknown_field() -> Model:
    return Model(nn.ReLU(), input=(torch.ones(2),))  # error: unknown_field


def needs_an_argument(size) -> Model:  # error: needs_an_argument
    return Model(nn.ReLU(), inputs=(torch.ones(size),))


def reads_a_missing_file() -> Model:
    with open("no/such/file.txt") as file:  # error: reads_a_missing_file
        size = int(file.read())
    return Model(nn.ReLU(), inputs=(torch.ones(size),))


def raises_its_own_error() -> Model:
    try:
        return Model(nn.ReLU(), inputs=({}["missing"],))
    except KeyError as error:
        raise ValueError("no input") from error  # error: raises_its_own_error


class NotAModel(nn.Module):  # error: NotAModel
    def forward(self, x):
        return x
