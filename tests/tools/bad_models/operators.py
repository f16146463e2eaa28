"""Models that export, but that the runtime cannot run."""

import torch
from torch import nn

from torch_aot import Model


@torch.library.custom_op("bad_models::triple", mutates_args=())
def triple(x: torch.Tensor) -> torch.Tensor:
    return x * 3


@triple.register_fake
def _(x):
    return torch.empty_like(x)


@torch.library.custom_op("bad_models::quadruple", mutates_args=())
def quadruple(x: torch.Tensor) -> torch.Tensor:
    return x * 4


def custom_operator() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return triple(x) + 1  # error: custom_operator

    return Model(Net(), inputs=(torch.randn(2, 4),))


def operator_without_kernel() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return torch.bincount(x)  # error: operator_without_kernel

    return Model(Net(), inputs=(torch.tensor([1, 2, 3]),))


def operator_of_a_decomposition() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return torch.linalg.svd(x)[1]  # error: operator_of_a_decomposition

    return Model(Net(), inputs=(torch.randn(2, 4),))


def operator_without_fake() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return quadruple(x)  # error: operator_without_fake

    return Model(Net(), inputs=(torch.randn(2, 4),))


def view_too_long() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            inside = x.as_strided((2, 2), (4, 1), 2)
            outside = x.as_strided((2, 2), (4, 2), 3)  # error: view_too_long
            return inside + outside

    return Model(Net(), inputs=(torch.randn(2, 4),))


def mask_that_stretches() -> Model:
    class Net(nn.Module):
        def forward(self, x, mask):
            return x.masked_select(mask)  # error: mask_that_stretches

    return Model(Net(), inputs=(torch.randn(4), torch.ones(2, 4) > 0))


def mutated_input() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            x.add_(1)  # error: mutated_input
            return x * 2

    return Model(Net(), inputs=(torch.randn(2, 4),))


def mutated_view_of_an_input() -> Model:
    class Net(nn.Module):
        def forward(self, state):
            row = state["hidden"].view(8)[2:]
            row += 1  # error: mutated_view_of_an_input
            return row.sum()

    return Model(Net(), inputs=({"hidden": torch.randn(2, 4)},))


def mutated_part_of_an_input() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            first, _ = x.split(1)
            first.mul_(2)  # error: mutated_part_of_an_input
            return x + 1

    return Model(Net(), inputs=(torch.randn(2, 4),))


def mutated_in_a_branch() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            def grow(x):
                x.add_(1)
                return x * 2

            return torch.cond(  # error: mutated_in_a_branch
                x.sum() > 0, grow, lambda x: x - 1, (x,)
            )

    return Model(Net(), inputs=(torch.randn(2, 4),))


def complex_operator() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            y = torch.tanh(torch.fft.rfft(x))  # error: complex_operator
            return torch.view_as_real(y)

    return Model(Net(), inputs=(torch.randn(2, 4),))


def operator_of_half_precision() -> Model:
    class Net(nn.Module):
        def forward(self, x, i, y):
            return torch.index_add(x, 0, i, y)  # error: operator_of_half_precision

    x = torch.zeros(4, 4, dtype=torch.bfloat16)
    return Model(Net(), inputs=(x, torch.tensor([0, 1]), x[:2]))
