"""Ahead-of-time compilation of PyTorch models, one module a stage.

A model file imports `Model` from here, and nothing else.
"""

from torch_aot.model import Model

__all__ = ["Model"]
