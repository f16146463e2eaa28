"""Code that depends on the values of tensors."""

import torch
from helper import sign_of
from torch import nn

from torch_aot import Model


def model(module: nn.Module, *inputs: torch.Tensor) -> Model:
    return Model(module, inputs=inputs or (torch.randn(2, 4),))


def if_on_a_tensor() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            if x.sum() > 0:  # error: if_on_a_tensor
                return x * 2
            return x + 1

    return model(Net())


def if_on_a_tensor_in_a_helper() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return sign_of(x)

    return model(Net())


def if_in_a_submodule() -> Model:
    class Inner(nn.Module):
        def forward(self, x):
            return x if x.any() else -x  # error: if_in_a_submodule

    return model(nn.Sequential(nn.Linear(4, 4), Inner()))


def assert_on_a_tensor() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            assert x.min() >= 0, "negative"  # error: assert_on_a_tensor
            return x.sqrt()

    return model(Net())


def loop_over_item() -> Model:
    class Net(nn.Module):
        def forward(self, x, n):
            for _ in range(int(n.item())):  # error: loop_over_item
                x = x * 2
            return x

    return model(Net(), torch.randn(2, 4), torch.tensor(3))


def while_on_a_tensor() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            while x.sum() > 0:  # error: while_on_a_tensor
                x = x - 1
            return x

    return model(Net())


def slice_by_a_tensor() -> Model:
    class Net(nn.Module):
        def forward(self, x, n):
            y = x[: n.item()]
            return y if y.shape[0] > 1 else y + 1  # error: slice_by_a_tensor

    return model(Net(), torch.randn(8, 4), torch.tensor(3))


def list_indexed_by_a_tensor() -> Model:
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

        def forward(self, x, n):
            return self.layers[n](x)  # error: list_indexed_by_a_tensor

    return model(Net(), torch.randn(8, 4), torch.tensor(1))


def nonzero_reshaped() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            found = x.nonzero()
            return found.view(2, -1)  # error: nonzero_reshaped

    return model(Net())


def to_numpy() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return x + float(x.numpy().max())  # error: to_numpy

    return model(Net())


def to_list() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return x * max(x.tolist())  # error: to_list

    return model(Net(), torch.randn(4))


def compared_with_equal() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            if torch.equal(x, x.T):  # error: compared_with_equal
                return x
            return x.T

    return model(Net(), torch.randn(4, 4))


def condition_of_two_lines() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            if (  # error: condition_of_two_lines
                x.shape[0] == 2 and x.sum() > 0
            ):
                return x
            return -x

    return model(Net())


def tensor_kept_between_calls() -> Model:
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = torch.zeros(2, 4)

        def forward(self, x):
            y = x + self.last
            self.last = y  # error: tensor_kept_between_calls
            return y

    return model(Net())


def raises_in_forward() -> Model:
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(5, 4)

        def forward(self, x):
            return self.layer(x)  # error: raises_in_forward

    return model(Net())
