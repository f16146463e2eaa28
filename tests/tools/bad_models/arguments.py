"""Example inputs and outputs that cannot be a compiled model's."""

import dataclasses

import torch
from torch import nn
from torch.export import Dim
from torch.utils import _pytree as pytree

from torch_aot import Model


class Add(nn.Module):
    def forward(self, x, y):
        return x + y


class Returns(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


X = torch.randn(2, 4)


def too_few_inputs() -> Model:
    return Model(Add(), inputs=(X,))  # error: too_few_inputs


def too_many_inputs() -> Model:
    return Model(Add(), inputs=(X, X, X))  # error: too_many_inputs


def unknown_input() -> Model:
    return Model(Add(), inputs={"x": X, "z": X})  # error: unknown_input


def inputs_are_a_tensor() -> Model:
    return Model(Add(), inputs=X)  # error: inputs_are_a_tensor


def numpy_input() -> Model:
    return Model(Add(), inputs=(X, X.numpy()))  # error: numpy_input


@dataclasses.dataclass
class Pair:
    x: torch.Tensor
    y: torch.Tensor


def dataclass_input() -> Model:
    return Model(  # error: dataclass_input
        Returns(lambda pair: pair.x + pair.y), inputs=(Pair(X, X),)
    )


class Keyless:
    """Registered as what has tensors, but not by which keys."""

    def __init__(self, *tensors: torch.Tensor) -> None:
        self.tensors = tensors


pytree.register_pytree_node(
    Keyless, lambda x: ([*x.tensors], None), lambda tensors, _: Keyless(*tensors)
)


def keyless_input() -> Model:
    return Model(  # error: keyless_input
        Returns(lambda x: x.tensors[0] + 1), inputs=(Keyless(X),)
    )


def object_input() -> Model:
    return Model(Add(), inputs=(X, object()))  # error: object_input


def complex_input() -> Model:
    return Model(Add(), inputs=(X, X.to(torch.complex64)))  # error: complex_input


def input_of_rank_9() -> Model:
    return Model(Add(), inputs=(X, torch.zeros([1] * 9)))  # error: input_of_rank_9


def sparse_input() -> Model:
    return Model(Add(), inputs=(X, X.to_sparse()))  # error: sparse_input


def meta_input() -> Model:
    return Model(Add(), inputs=(X, X.to("meta")))  # error: meta_input


def meta_module() -> Model:
    return Model(nn.Linear(4, 4, device="meta"), inputs=(X,))  # error: meta_module


def cuda_module() -> Model:
    return Model(nn.Linear(4, 4, device="cuda"), inputs=(X,))  # error: cuda_module


def cuda_inside() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return x + torch.ones(4, device="cuda")  # error: cuda_inside

    return Model(Net(), inputs=(X,))


def two_devices() -> Model:
    class Net(nn.Module):
        def forward(self, x):
            return x + torch.ones(4, device="meta")  # error: two_devices

    return Model(Net(), inputs=(X,))


def number_output() -> Model:
    return Model(Returns(lambda x: (x, 3)), inputs=(X,))  # error: number_output


def size_output() -> Model:
    return Model(  # error: size_output
        Returns(lambda x: (x, x.shape[0])),
        inputs=(X,),
        dynamic_shapes=({0: Dim.AUTO},),
    )


def string_output() -> Model:
    return Model(Returns(lambda x: (x, "fine")), inputs=(X,))  # error: string_output


def object_output() -> Model:
    return Model(Returns(lambda x: (x, object())), inputs=(X,))  # error: object_output


def no_output() -> Model:
    return Model(Returns(lambda x: None), inputs=(X,))  # error: no_output


def complex_output() -> Model:
    return Model(  # error: complex_output
        Returns(lambda x: torch.fft.fft(x)), inputs=(X,)
    )


def output_of_rank_9() -> Model:
    return Model(  # error: output_of_rank_9
        Returns(lambda x: x.view(1, 1, 1, 1, 1, 1, 1, 2, 4) + 1), inputs=(X,)
    )


def sparse_output() -> Model:
    return Model(Returns(lambda x: x.to_sparse()), inputs=(X,))  # error: sparse_output
