"""The checked-in tables of tile and warp choices.

A table is JSON: the C++ function, the instantiation, the architecture, and what was
chosen for it; `triton_tuner` writes it:

    {"matmul": {"T=fp16, m > 64": {"sm_90": {"BLOCK_M": 128, "num_warps": 8}}}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aot_common.errors import fail
from aot_common.paths import shorten_path
from triton_aot.declaration import Instantiation
from triton_aot.source import OPTIONS, Choice

Table = Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]]


def read(path: str) -> Table:
    """Reads a table, whose shape is checked."""
    where = shorten_path(path)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    try:
        table = json.loads(text or "{}")
    except ValueError as error:
        fail(f"the tuning table is no JSON: {error}", where=where)
    level = [table]
    for _ in range(4):
        if not all(isinstance(each, dict) for each in level):
            fail(
                "the tuning table is not of the form "
                "{function: {instantiation: {architecture: {constexpr: value}}}}",
                where=where,
                fix="let a triton_tuner write it, or start with {}",
            )
        level = [value for each in level for value in each.values()]
    return table


def choose(
    table: Table,
    instantiation: Instantiation,
    architecture: str,
    candidates: list[Choice],
    where: str,
) -> tuple[Choice, bool]:
    """Picks what an instantiation is compiled with.

    Args:
        table: From read; may be empty.
        instantiation: The instantiation.
        architecture: "sm_90"; PTX takes the row of its architecture's cubin.
        candidates: From source.choices.
        where: The table's path, for errors.

    Returns:
        The table's choice, or the first candidate; and whether it is the table's.
    """
    rows = table.get(instantiation.name, {}).get(instantiation.id or "default", {})
    row = rows.get(architecture.replace("compute_", "sm_"))
    if row is None or not candidates[0].constexprs | candidates[0].options:
        return candidates[0], False
    options = {name: value for name, value in row.items() if name in OPTIONS}
    constexprs = {name: value for name, value in row.items() if name not in OPTIONS}
    for name, value in options.items():
        if not isinstance(value, int):
            fail(
                f"the row of {instantiation.name!r}, {instantiation.id or 'default'!r}, "
                f"{architecture} sets {name} to {value!r}, no number",
                where=where,
                fix="run the tuner again",
            )
    wanted = candidates[0].constexprs.keys()
    if constexprs.keys() != wanted:
        fail(
            f"the row of {instantiation.name!r}, {instantiation.id or 'default'!r}, "
            f"{architecture} sets {', '.join(constexprs) or 'nothing'}, but "
            f"@triton.autotune chooses {', '.join(wanted) or 'nothing'}",
            where=where,
            fix="run the tuner again",
        )
    return Choice(constexprs, {**options, **instantiation.options}), True
