"""Reads weights files and loads them into modules."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping, Sequence

import torch

from torch_aot.errors import fail, shorten_path

_SHOWN = 5  # keys shown of each kind; a wrong file misses hundreds


def read(paths: Sequence[str]) -> dict[str, torch.Tensor]:
    """Reads and merges state dicts.

    Args:
        paths: `.safetensors` files, or `.pth`, `.pt`, `.bin` files that
            torch.save wrote; these are unpickled with weights_only=True.

    Returns:
        One dict from parameter and buffer names to tensors on the CPU.

    Raises:
        UserError: A file is of no known kind, broken or unsafe, does not hold a
            dict of tensors, or two hold the same key.
    """
    merged: dict[str, torch.Tensor] = {}
    for path in paths:
        for key, tensor in _read_one(path).items():
            if key in merged:
                fail(
                    f"the key {key!r} is in two weights files",
                    where=shorten_path(path),
                    fix="declare only one of them",
                )
            merged[key] = tensor
    return merged


def _read_one(path: str) -> Mapping[str, torch.Tensor]:
    where = shorten_path(path)
    if path.endswith(".safetensors"):
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            fail(f"not a readable safetensors file: {error}", where=where)
    if not path.endswith((".pth", ".pt", ".bin")):
        fail(
            "a weights file of unknown kind",
            where=where,
            fix="give a .safetensors, .pth, .pt or .bin file",
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        fail(
            "the file holds more than tensors, so unpickling it could run code",
            where=where,
            fix="save the state dict alone: torch.save(module.state_dict(), path)",
        )
    except (RuntimeError, EOFError, OSError, zipfile.BadZipFile) as error:
        fail(f"not a readable torch.save file: {error}", where=where)
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]  # as training loops save it
    if not isinstance(state, Mapping) or not all(
        isinstance(value, torch.Tensor) for value in state.values()
    ):
        fail("the file does not hold a state dict (names to tensors)", where=where)
    return state


def load_strictly(
    module: torch.nn.Module, weights: Mapping[str, torch.Tensor], where: str
) -> None:
    """Loads a state dict that must have exactly the module's keys and shapes.

    Raises:
        UserError: Lists the missing and unexpected keys, and wrong shapes.
    """
    expected = module.state_dict()
    problems = []
    for title, keys in (
        ("missing in the weights", expected.keys() - weights.keys()),
        ("unexpected in the weights", weights.keys() - expected.keys()),
    ):
        if keys:
            problems.append(f"{len(keys)} keys {title}: {_some(sorted(keys))}")
    shapes = [
        f"{key} ({list(weights[key].shape)} in the weights, "
        f"{list(tensor.shape)} in the module)"
        for key, tensor in expected.items()
        if key in weights and weights[key].shape != tensor.shape
    ]
    if shapes:
        problems.append(f"{len(shapes)} wrong shapes: {_some(shapes)}")
    if problems:
        fail(
            "the weights do not fit the module\n  " + "\n  ".join(problems),
            where=where,
            fix="check that the weights belong to this architecture; to rename keys, "
            "give the entry function a parameter `weights` and load them there",
        )
    module.load_state_dict(weights)


def _some(items: Sequence[str]) -> str:
    more = f", and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more
