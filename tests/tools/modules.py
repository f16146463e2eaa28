"""Modules that tests make of functions."""

from collections.abc import Callable
from typing import Any

from torch import nn


class Function(nn.Module):
    """A module whose forward is a function, with its signature."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.forward = function
