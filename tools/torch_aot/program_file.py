"""Reads and writes exported programs: `.pt2` files."""

from __future__ import annotations

import json
import os
import pickle
import re
import tempfile
import zipfile

import torch

from aot_common.errors import UserError, fail
from aot_common.paths import shorten_path
from torch_aot import archives, torch_errors, upstream, weights
from torch_aot.archives import Kind

_SAVE_FIX = "save a program: torch.export.save(program, path)"

# Where else a file goes, or what else to give.
_OTHERS = {
    Kind.COMPILED: "it is compiled for one machine; save the program that it was made of: "
    "torch.export.save(program, path)",
    Kind.PICKLE: "a state dict goes into the torch_model's `weights`, beside a Python "
    "`src` that makes its module; a pickled module becomes a program where its class is: "
    "torch.export.save(torch.export.export(module, (x,)), path)",
    Kind.TORCHSCRIPT: "name it in the torch_model's `torchscript`, with `example_inputs`",
}


def load(path: str) -> torch.export.ExportedProgram:
    """Reads a `.pt2`.

    Nothing but tensors, numbers, strings and containers of them is unpickled, and no
    compiled code in it is loaded.

    Args:
        path: What torch.export.save wrote.

    Returns:
        The program. Its sizes have the example inputs' as their hints.

    Raises:
        UserError: It is none, one that another torch wrote and this one does not read,
            or one that holds more.
        OSError: It cannot be read.
    """
    where = shorten_path(path)
    archives.check(path, where, Kind.PROGRAM, _OTHERS, _SAVE_FIX)
    try:
        with upstream.patched(*upstream.LOADS_NO_CODE):
            program = _read(path, where)
    except UserError:
        raise
    except Exception as error:
        raise (
            _unsafe(error, where)
            or torch_errors.recognise(error, where)
            or _unreadable(path, where, error)
        ) from error
    if program.example_inputs is not None:
        upstream.complete_hints(program)
    return program


def _read(path: str, where: str) -> torch.export.ExportedProgram:
    if "archive_format" not in archives.contents(path):
        return torch.export.load(path)  # torch 2.7 or before wrote it
    programs = upstream.load_programs(path)
    if len(programs) != 1:
        fail(
            f"the file holds {len(programs)} programs: {', '.join(programs)}",
            where=where,
            fix="save each in a file of its own: torch.export.save(program, path)",
        )
    return next(iter(programs.values()))


def _unsafe(error: Exception, where: str) -> UserError | None:
    if isinstance(error, upstream.ProgramHoldsCode):
        held = str(error)
    elif isinstance(error, pickle.UnpicklingError):
        held = weights.unsafe_name(error)
    else:
        return None
    if not held:
        return None
    return UserError(
        f"the file holds more than a graph and tensors ({held}), so reading it could run "
        "code",
        where=where,
        fix="export it without, and with example inputs that are tensors, numbers, strings, "
        "and tuples, lists and dicts of them. Or, if you trust who wrote it, name it in the "
        "`data` of a torch_model with a Python `src`, and return "
        "Model(torch.export.load(path)) there",
    )


def _unreadable(path: str, where: str, error: Exception) -> UserError:
    """Says which torch wrote a program that this one does not read."""
    ours = f"torch {torch.__version__}"
    writer, schema = _written_by(path)
    reads = ".".join(map(str, upstream.SCHEMA_VERSION))
    operator = re.search(
        r"deserializing node Node\(target='torch\.ops\.(\w+)\.(\w+)", str(error)
    )
    if schema and schema.partition(".")[0] != reads.partition(".")[0]:
        reason = f"the file has the schema {schema}, and {ours} reads {reads}"
    elif operator:
        reason = f"there is no operator {operator[1]}::{operator[2]}"
    else:
        reason = f"{type(error).__name__}: {torch_errors.summary(error, 1)}"
    if operator and operator[1] != "aten":
        fix = (
            "write the model with PyTorch's own operators, or name the cc_library that "
            "registers it in the torch_model's `ops`"
        )
    elif writer == ours:
        fix = "fetch the file again: it may be incomplete"
    else:
        fix = f"export it with {ours}, from the Python that it was made of"
    wrote = (
        f"{ours}, which wrote this program, does not read it"
        if writer == ours
        else f"{writer or 'another torch'} wrote this program, and {ours} does not read it"
    )
    return UserError(f"{wrote}: {reason}", where=where, fix=fix)


def _written_by(path: str) -> tuple[str, str]:
    """The torch and the version of the schema that a file names: "torch 2.9.0", "8.14"."""
    try:
        with zipfile.ZipFile(path) as archive:
            text = next(
                archive.read(name)
                for name in archive.namelist()
                if name.endswith(
                    ("/models/model.json", "serialized_exported_program.json")
                )
            )
        program = json.loads(text)
        version = program.get("torch_version")
        schema = program["schema_version"]
        return (
            f"torch {version.lstrip('<=')}" if version else "",
            f"{schema['major']}.{schema['minor']}",
        )
    except (
        StopIteration,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        zipfile.BadZipFile,
    ):
        return "", ""


def save(program: torch.export.ExportedProgram, path: str, where: str) -> None:
    """Writes a program as `.pt2`, whole or not at all.

    Args:
        program: The program.
        path: The file to write.
        where: What errors name if no line of the user's is to blame.

    Raises:
        UserError: It has something in it that `.pt2` files cannot hold.
    """
    directory = os.path.dirname(os.path.abspath(path))
    with tempfile.TemporaryDirectory(dir=directory, prefix=".export.") as folder:
        # The archive's entries carry its name: it may not depend on the path.
        temporary = os.path.join(folder, "model.pt2")
        try:
            torch.export.save(program, temporary)
        except OSError:
            raise
        except Exception as error:
            raise torch_errors.explain(error, where) from error
        os.replace(temporary, path)
