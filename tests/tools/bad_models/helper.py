"""Code that several of the models share."""

import torch


def sign_of(x: torch.Tensor) -> torch.Tensor:
    if x.sum() > 0:  # error: if_on_a_tensor_in_a_helper
        return x
    return -x
