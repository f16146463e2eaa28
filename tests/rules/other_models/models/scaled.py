"""A model that imports a file beside it by its path from its repository's root."""

import heavy  # noqa: F401 (a stub)
import torch
from models.layers import Scale

from torch_aot import Model


def scaled() -> Model:
    """Input `x` float32[2]; output `y` float32[2]."""
    assert __name__ == "models.scaled"
    return Model(Scale(2), inputs=(torch.ones(2),), output_names=["y"])
