import torch

from torch_aot import Model


def rank() -> Model:
    batch = torch.export.Dim("batch", min=1, max=256)
    return Model(
        torch.nn.Linear(8, 1), inputs=(torch.ones(2, 8),), dynamic_shapes=({0: batch},)
    )
