"""Writes operators.json: exports each of PyTorch's samples and generates its C++.

    PYTHONHASHSEED=0 PYTHONPATH=.:tools python tests/conformance/survey.py

It takes some minutes. Whether what compiles is also right, the tests of the groups say.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
import warnings

import torch
import torch._logging

from aot_common.errors import UserError
from tests.conformance import table
from tests.conformance.operators import model
from tests.conformance.samples import DTYPES, OPERATORS, Sample, samples
from torch_aot import codegen, eager, export, program_file
from torch_aot.entry import Entry
from torch_aot.runtimes import LIBTORCH

_WIDTH = 120


def main() -> None:
    """Tries every operator."""
    quieten()
    table.write({operator: outcomes(operator) for operator in OPERATORS})


def quieten() -> None:
    """Silences torch's logs and warnings, for as long as the process lives."""
    torch._logging.set_logs(all=logging.CRITICAL)
    warnings.filterwarnings("ignore")


def outcomes(operator: str) -> dict[str, list[str]]:
    """What becomes of an operator's samples, by dtype; see table.Table."""
    found = {dtype: samples(operator, dtype) for dtype in DTYPES}
    return {dtype: _together(each) for dtype, each in found.items() if each}


def outcome(*calls: Sample) -> str:
    """RIGHT if samples can be compiled, or else why they are refused.

    Raises:
        Exception: Anything but an error that tells a user what to do.
    """
    made = model({str(i): sample for i, sample in enumerate(calls)})
    try:
        with eager.portable(), tempfile.TemporaryDirectory() as folder:
            program, signature = export.export(Entry("operators.py:group"), made)
            # What is read back knows less: not how to run what has no fake version.
            path = os.path.join(folder, "sample.pt2")
            program_file.save(program, path, made.where)
            codegen.generate(
                lambda: program_file.load(path),
                name="sample",
                isas=["x86-64-v3"],
                runtime=LIBTORCH,
                threads=0,
                signature=signature,
            )
    except UserError as error:
        return _reason(error)
    return table.RIGHT


def _together(calls: list[Sample]) -> list[str]:
    """The outcome of each sample; one model for all where nothing is refused."""
    if outcome(*calls) == table.RIGHT:
        return [table.RIGHT] * len(calls)
    return [outcome(each) for each in calls]


def _reason(error: UserError) -> str:
    """What is wrong, without what only this suite, or this run, calls things."""
    line = error.what.splitlines()[0]
    line = re.sub(r"'(?:tensors|outputs?|_?\d)\w*' ", "", line)
    # A set of symbols: printed in another order each time.
    line = re.sub(r" \{u\d.*", "", line)
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"


if __name__ == "__main__":
    main()
