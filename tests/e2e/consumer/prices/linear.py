import torch

from torch_aot import Model


def linear() -> Model:
    batch = torch.export.Dim("batch", min=1, max=256)
    return Model(
        torch.nn.Linear(3, 1),
        inputs=(torch.ones(2, 3),),
        dynamic_shapes=({0: batch},),
        output_names=["price"],
    )
