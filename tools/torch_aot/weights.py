"""Reads weights files and loads them into modules."""

from __future__ import annotations

import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence, Sized
from typing import Any

import torch

from aot_common.errors import UserError, fail
from aot_common.paths import shorten_path
from torch_aot import archives
from torch_aot.archives import Kind

_SHOWN = 5  # keys shown of each kind; a wrong file misses hundreds
_SAVE_FIX = "save the state dict alone: torch.save(module.state_dict(), path)"
_ENDINGS = (".pth", ".pt", ".bin")


def read(paths: Sequence[str], *, whole: bool = False) -> dict[str, Any]:
    """Reads and merges state dicts.

    Args:
        paths: `.safetensors` files, or `.pth`, `.pt`, `.bin` files that
            torch.save wrote; these are unpickled with weights_only=True.
        whole: Whether to take what dicts hold beside tensors and below other keys, too,
            as training checkpoints do. What is below "state_dict" is taken alone.

    Returns:
        One dict from parameter and buffer names to tensors on the CPU.

    Raises:
        UserError: A file is of no known kind, broken or unsafe, does not hold a
            dict of tensors, or two hold the same key.
    """
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for path in paths:
        for key, tensor in _read_one(path, whole).items():
            if key in merged:
                fail(
                    f"the key {key!r} is in this weights file and in {origin[key]}",
                    where=shorten_path(path),
                    fix="declare only one of them, or the shards of one checkpoint",
                )
            merged[key] = tensor
            origin[key] = shorten_path(path)
    return merged


def _read_one(path: str, whole: bool) -> Mapping[str, Any]:
    where = shorten_path(path)
    if not os.path.isfile(path):
        fail("the weights file does not exist", where=where, fix="check its path")
    if path.endswith(".safetensors"):
        return _read_safetensors(path, where)
    _reject_programs(path, where)
    if not path.endswith(_ENDINGS):
        fail(
            "a weights file of unknown kind",
            where=where,
            fix="give a .safetensors, .pth, .pt or .bin file",
        )
    state = _unpickle(path, where)
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]  # as training loops save it
    if not isinstance(state, Mapping):
        fail(
            f"the file holds no state dict (names to tensors) but a {type(state).__name__}",
            where=where,
            fix=_SAVE_FIX,
        )
    for key, value in state.items():
        if not whole and not isinstance(value, torch.Tensor):
            inner = next((k for k, v in state.items() if isinstance(v, Mapping)), key)
            fail(
                f"the file does not hold a state dict (names to tensors): its key {key!r} "
                f"has the type {type(value).__name__}",
                where=where,
                fix=f'{_SAVE_FIX}, or under the key "state_dict"; or give the entry '
                "function a parameter `weights`, which gets this dict as it is, and load "
                f"weights[{inner!r}] there",
            )
    return state


def _reject_programs(path: str, where: str) -> None:
    """Rejects archives of whole models, whatever they are called."""
    fixes = {
        Kind.COMPILED: _SAVE_FIX,
        Kind.PROGRAM: "make it the torch_model's `program` instead, in the place of `src`; "
        "for its weights alone, save its state dict: "
        "torch.save(torch.export.load(path).state_dict, path)",
        Kind.TORCHSCRIPT: "name it in the torch_model's `data` instead, and return "
        "Model(torch.jit.load(path), ...); for its weights alone, save its state dict: "
        "torch.save(torch.jit.load(path).state_dict(), path)",
    }
    kind = archives.kind(path)
    if kind in fixes:
        fail(
            f"the file is {kind.value}, not a state dict", where=where, fix=fixes[kind]
        )


def _read_safetensors(path: str, where: str) -> Mapping[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, where, "safetensors", str(error)) from error


def _unpickle(path: str, where: str) -> object:
    try:
        with warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        unsafe = unsafe_name(error)
        if not unsafe:
            raise _unreadable(path, where, "torch.save", "it is no pickle") from error
        raise UserError(
            f"the file holds more than tensors ({unsafe}), so unpickling it could run code",
            where=where,
            fix=_SAVE_FIX,
        ) from error
    except EOFError as error:
        raise _unreadable(path, where, "torch.save", "it ends too early") from error
    except (RuntimeError, OSError, ValueError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0].partition(". ")[0]
        raise _unreadable(path, where, "torch.save", reason) from error


def unsafe_name(error: pickle.UnpicklingError) -> str:
    """What torch.load did not unpickle with weights_only: "posix.system", or ""."""
    found = re.search(r"GLOBAL (\S+)", f"{error} {error.__context__}")
    return found[1] if found else ""


def _unreadable(path: str, where: str, kind: str, reason: str) -> UserError:
    if archives.is_lfs_pointer(path):
        return UserError(
            "the file is a Git LFS pointer, not the weights",
            where=where,
            fix="run `git lfs pull`",
        )
    size = os.path.getsize(path)
    return UserError(
        f"not a readable {kind} file: {reason} ({size:,} bytes)",
        where=where,
        fix="fetch it again: it may be cut short, or be another kind of file",
    )


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
            problems.append(f"{_count(keys, 'key')} {title}: {_some(sorted(keys))}")
    shapes = [
        f"{key} ({list(weights[key].shape)} in the weights, "
        f"{list(tensor.shape)} in the module)"
        for key, tensor in expected.items()
        if key in weights and weights[key].shape != tensor.shape
    ]
    if shapes:
        problems.append(f"{_count(shapes, 'wrong shape')}: {_some(shapes)}")
    if problems:
        fail(
            "the weights do not fit the module\n" + "\n".join(problems),
            where=where,
            fix="check that the weights belong to this architecture; to rename keys, "
            "give the entry function a parameter `weights` and load them there",
        )
    module.load_state_dict(weights)


def _count(items: Sized, noun: str) -> str:
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"


def _some(items: Sequence[str]) -> str:
    more = f", and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more
