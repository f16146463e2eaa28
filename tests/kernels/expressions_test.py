"""Conditions and grids: in Python, and the same in C++."""

import pytest

from triton_aot.expressions import Expression


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7),
        ("n", 100),
        ("n + 2 * m - 1", 113),
        ("n // m", 14),
        ("n % m", 2),
        ("-n + 1", -99),
        ("cdiv(n, m)", 15),
        ("cdiv(98, m)", 14),
        ("cdiv(0, m)", 0),
        ("min(n, m) * max(n, m, 1000)", 7000),
        ("n <= 100", True),
        ("n < 100", False),
        ("0 < m <= 7 < n", True),
        ("0 < m < 7", False),
        ("n == 100 and not m == 7", False),
        ("n != 100 or m >= 7", True),
        ("n % 16 == 0 or (m > 5 and n > m)", True),
        ("True", 1),
    ],
)
def test_evaluate(text, expected):
    assert Expression(text).evaluate({"n": 100, "m": 7, "unused": 1}) == expected


def test_names_in_order():
    expression = Expression("cdiv(rows, BLOCK) * min(rows, multiprocessors)")
    assert expression.names == ("rows", "BLOCK", "multiprocessors")
    assert Expression("8 * 4").names == ()


@pytest.mark.parametrize(
    ("text", "cpp"),
    [
        ("n", "std::int64_t(n)"),
        ("columns <= BLOCK", "(std::int64_t(columns) <= std::int64_t(1024))"),
        ("n * 2 + 1", "((std::int64_t(n) * 2) + 1)"),
        ("n // 4 % 3", "((std::int64_t(n) / 4) % 3)"),
        ("cdiv(n, 8)", "rules_torch::CeilDiv(std::int64_t(n), 8)"),
        (
            "max(n, m, 1)",
            "std::max<std::int64_t>(std::max<std::int64_t>(std::int64_t(n), "
            "std::int64_t(m)), 1)",
        ),
        (
            "n > 1 and not m == 2",
            "((std::int64_t(n) > 1) && !((std::int64_t(m) == 2)))",
        ),
        (
            "1 < n < m",
            "((1 < std::int64_t(n)) && (std::int64_t(n) < std::int64_t(m)))",
        ),
        # Folded: in C++ this would overflow int.
        ("n < 1024 * 1024 * 4096", "(std::int64_t(n) < 4294967296)"),
        ("min(3, 4) == 3 and True", "1"),
    ],
)
def test_to_cpp(text, cpp):
    assert Expression(text).to_cpp({"BLOCK": "1024"}) == cpp


@pytest.mark.parametrize(
    "text",
    [
        "n / 2",
        "n ** 2",
        "1.5 * n",
        "'n'",
        "n[0]",
        "n.real",
        "abs(n)",
        "min(n)",
        "cdiv(n, 2, 3)",
        "min(*n)",
        "max(n, m, key=m)",
        "n if m else 1",
        "(n := 3)",
        "n in (1, 2)",
        "n is m",
        "lambda: n",
        "__import__('os')",
        "n & 15",
        "",
        "n <=",
    ],
)
def test_what_is_not_allowed(text):
    with pytest.raises(ValueError) as error:
        Expression(text)
    assert repr(text) in str(error.value)


def test_errors_say_what_is_allowed():
    with pytest.raises(ValueError, match=r"'n / 2' in it; allowed are integers, names"):
        Expression("n / 2 > m")


def test_values():
    with pytest.raises(ValueError, match="'n // m' needs a value for m"):
        Expression("n // m").evaluate({"n": 1})
    with pytest.raises(ValueError, match="'n // m' divides by zero"):
        Expression("n // m").evaluate({"n": 1, "m": 0})


def test_equality():
    assert Expression("n + 1") == Expression("n + 1") != Expression("n + 2")
    assert str(Expression("n+1")) == "n+1"
