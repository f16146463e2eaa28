"""Names that C++ or Python cannot have."""

import torch
from torch import nn

from torch_aot import Model


class Add(nn.Module):
    def forward(self, x, y):
        return x + y, x - y


PAIR = (torch.ones(2), torch.ones(2))


def too_few() -> Model:
    return Model(Add(), inputs=PAIR, input_names=["a"])  # error: too_few


def too_many() -> Model:
    names = ["a", "b", "c"]
    return Model(Add(), inputs=PAIR, output_names=names)  # error: too_many


def duplicate() -> Model:
    return Model(Add(), inputs=PAIR, input_names=["a", "a"])  # error: duplicate


def keyword() -> Model:
    return Model(Add(), inputs=PAIR, output_names=["class", "b"])  # error: keyword


def python_keyword() -> Model:
    names = ["lambda", "b"]
    return Model(Add(), inputs=PAIR, output_names=names)  # error: python_keyword


def argument() -> Model:
    return Model(Add(), inputs=PAIR, input_names=["out", "b"])  # error: argument


def macro() -> Model:
    return Model(Add(), inputs=PAIR, input_names=["unix", "b"])  # error: macro


def own_struct() -> Model:
    return Model(Add(), inputs=PAIR, output_names=["Buffers", "b"])  # error: own_struct


def not_an_identifier() -> Model:
    names = ["top-1", "b"]
    return Model(Add(), inputs=PAIR, output_names=names)  # error: not_an_identifier


def not_a_string() -> Model:
    return Model(Add(), inputs=PAIR, output_names=[1, "b"])  # error: not_a_string


def a_bare_string() -> Model:
    return Model(Add(), inputs=PAIR, input_names="ab")  # error: a_bare_string
