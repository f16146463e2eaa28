"""The table of what becomes of PyTorch's samples, operators.json."""

import json
import pathlib

# By operator and dtype, what becomes of each sample: RIGHT, or why it is refused.
Table = dict[str, dict[str, list[str]]]

RIGHT = "right"

_FILE = pathlib.Path(__file__).with_name("operators.json")


def read() -> Table:
    """Reads the table."""
    return json.loads(_FILE.read_text(encoding="utf-8"))


def write(table: Table) -> None:
    """Writes the table, an operator a line."""
    lines = [f"{json.dumps(key)}: {json.dumps(table[key])}" for key in sorted(table)]
    _FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
