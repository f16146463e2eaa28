"""Writes the page of docs/ that says what becomes of PyTorch's operators.

Usage: page.py OPERATORS.json PAGE.md
"""

import json
import pathlib
import sys
from collections.abc import Sequence

from tests.conformance.table import RIGHT, Table

_DTYPES = ("float32", "int64", "bool")

_HEAD = """\
# Operators

```sh
./bazelw test //tests/conformance/...    # each operator below, against eager PyTorch
```

PyTorch tests itself on samples of its operators: `op_db`, {operators} of them, variants
counted apart. A few small samples of each are exported, compiled and run here, with
`runtime = "libtorch"`, in float32, int64 and bool where the operator takes them.
{right} of {samples} samples give what eager PyTorch gives;
the others fail the build, and the last column says why. Of the operators,
{all} are right in all samples, {some} in some and {none} in none.

Complex results are compared as `torch.view_as_real` gives them, and an operator that
changes its arguments gets copies. Of `empty` and its like the shapes are compared. A cell
is empty where PyTorch has no samples, or only sparse, complex or large ones; so it is with
all three of {missing}.

| operator | {dtypes} | refused, since |
|---|{rule}---|
"""


def page(table: Table) -> str:
    """The page's text.

    Args:
        table: What operators.json holds.
    """
    by_operator = {
        operator: [outcome for outcomes in dtypes.values() for outcome in outcomes]
        for operator, dtypes in sorted(table.items())
        if dtypes
    }
    rights = [
        outcomes.count(RIGHT) / len(outcomes) for outcomes in by_operator.values()
    ]
    head = _HEAD.format(
        operators=len(by_operator),
        right=sum(outcomes.count(RIGHT) for outcomes in by_operator.values()),
        samples=sum(map(len, by_operator.values())),
        all=sum(right == 1 for right in rights),
        some=sum(0 < right < 1 for right in rights),
        none=sum(right == 0 for right in rights),
        missing=", ".join(f"`{each}`" for each in sorted(table) if not table[each]),
        dtypes=" | ".join(_DTYPES),
        rule="---|" * len(_DTYPES),
    )
    return head + "".join(
        _row(
            f"`{operator}`",
            *(_cell(table[operator].get(dtype, ())) for dtype in _DTYPES),
            "; ".join(dict.fromkeys(each for each in outcomes if each != RIGHT)),
        )
        for operator, outcomes in by_operator.items()
    )


def _cell(outcomes: Sequence[str]) -> str:
    right = outcomes.count(RIGHT)
    if right == len(outcomes):
        return "right" if outcomes else ""
    return f"{right} of {len(outcomes)}" if right else "refused"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |\n"


def main() -> None:
    """Reads the table and writes the page."""
    table, target = map(pathlib.Path, sys.argv[1:])
    text = page(json.loads(table.read_text(encoding="utf-8")))
    target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
