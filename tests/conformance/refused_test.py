"""Whether operators.json still says which of PyTorch's samples are refused, and why.

That the others are right, the tests of the groups say. After a change:

    PYTHONHASHSEED=0 PYTHONPATH=.:tools python tests/conformance/survey.py
"""

import pytest

from tests.conformance import survey, table
from tests.conformance.samples import DTYPES, OPERATORS, samples

TABLE = table.read()

REFUSED = [
    (operator, dtype)
    for operator, dtypes in TABLE.items()
    for dtype, outcomes in dtypes.items()
    if outcomes != [table.RIGHT] * len(outcomes)
]


@pytest.fixture(autouse=True, scope="module")
def quiet():
    survey.quieten()


def test_the_table_has_every_sample():
    assert {
        operator: {dtype: len(outcomes) for dtype, outcomes in dtypes.items()}
        for operator, dtypes in TABLE.items()
    } == {
        operator: {
            dtype: count for dtype in DTYPES if (count := len(samples(operator, dtype)))
        }
        for operator in OPERATORS
    }


@pytest.mark.parametrize(("operator", "dtype"), REFUSED)
def test_refused(operator: str, dtype: str):
    outcomes = TABLE[operator][dtype]
    found = [
        outcome if outcome == table.RIGHT else survey.outcome(sample)
        for sample, outcome in zip(samples(operator, dtype), outcomes, strict=True)
    ]
    assert found == outcomes
