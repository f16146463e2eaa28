"""State that a compiled model cannot keep."""

import torch
from torch import nn

from torch_aot import Model

X = torch.ones(4)


def tensor_changed_in_place() -> Model:
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.total = torch.zeros(4)

        def forward(self, x):
            self.total += x  # error: tensor_changed_in_place
            return self.total * 2

    return Model(Net(), inputs=(X,))


def tensor_in_a_list() -> Model:
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.states = [torch.zeros(4)]

        def forward(self, x):
            y = self.states[0] + x
            self.states[0] = y  # error: tensor_in_a_list
            return y

    return Model(Net(), inputs=(X,))


class Ring(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.register_buffer("ring", torch.zeros(8))
        self.register_buffer("tail", self.ring[4:])
        self.function = function

    def forward(self, x):
        return self.function(self, x)


def buffer_with_a_view() -> Model:
    def forward(self, x):
        self.ring.add_(1)  # error: buffer_with_a_view
        return self.tail + x

    return Model(Ring(forward), inputs=(X,))


def view_of_a_buffer() -> Model:
    def forward(self, x):
        self.tail[1:] = x[1:]  # error: view_of_a_buffer
        return self.ring * 2

    return Model(Ring(forward), inputs=(X,))


def buffer_of_two_names() -> Model:
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("first", torch.zeros(4))
            self.register_buffer("second", self.first)

        def forward(self, x):
            self.first.add_(x)  # error: buffer_of_two_names
            return self.second * 2

    return Model(Net(), inputs=(X,))


def attribute_of_a_buffer() -> Model:
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("ring", torch.zeros(8))
            self.tail = self.ring[4:]

        def forward(self, x):
            self.ring.add_(1)  # error: attribute_of_a_buffer
            return self.tail + x

    return Model(Net(), inputs=(X,))


class Cache(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.register_buffer("cache", torch.zeros(8, 4))
        self.function = function

    def forward(self, x, position):
        self.function(self.cache, x, position)
        return self.cache.sum(0)


def element_assigned() -> Model:
    def write(cache, x, position):
        cache[position] = x  # error: element_assigned

    return Model(Cache(write), inputs=(X, torch.tensor(1)))


def element_added_to() -> Model:
    def write(cache, x, position):
        cache[position] += x  # error: element_added_to

    return Model(Cache(write), inputs=(X, torch.tensor(1)))


def slice_assigned() -> Model:
    def write(cache, x, position):
        cache[position : position + 2] = x  # error: slice_assigned

    return Model(Cache(write), inputs=(X, torch.tensor(1)))
