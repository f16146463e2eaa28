"""Integer expressions in Python's syntax: conditions and grids of kernels."""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Callable, Mapping

_BINARY: dict[type[ast.operator], tuple[Callable[[int, int], int], str]] = {
    ast.Add: (operator.add, "+"),
    ast.Sub: (operator.sub, "-"),
    ast.Mult: (operator.mul, "*"),
    ast.FloorDiv: (operator.floordiv, "/"),
    ast.Mod: (operator.mod, "%"),
}
_COMPARISONS: dict[type[ast.cmpop], tuple[Callable[[int, int], bool], str]] = {
    ast.Eq: (operator.eq, "=="),
    ast.NotEq: (operator.ne, "!="),
    ast.Lt: (operator.lt, "<"),
    ast.LtE: (operator.le, "<="),
    ast.Gt: (operator.gt, ">"),
    ast.GtE: (operator.ge, ">="),
}
_FUNCTIONS: dict[str, tuple[Callable[[int, int], int], str]] = {
    "cdiv": (lambda a, b: -(-a // b), "rules_torch::CeilDiv"),
    "max": (max, "std::max<std::int64_t>"),
    "min": (min, "std::min<std::int64_t>"),
}
_ALLOWED = (
    "integers, names, + - * // %, comparisons, and, or, not, and the functions "
    "cdiv(a, b), min(a, b) and max(a, b)"
)


class Expression:
    """An expression over integers, for Python to evaluate and for C++ to compile.

    Args:
        text: `columns <= BLOCK and rows % 8 == 0`, `cdiv(n, BLOCK)`.

    Raises:
        ValueError: It is not Python, or uses more than what is allowed.

    Attributes:
        text: As given.
        names: The variables in it, each once, in the order of their appearance.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._root = ast.parse(text.strip(), mode="eval").body
        except SyntaxError as error:
            raise ValueError(f"{text!r} is no Python expression: {error.msg}") from None
        names: dict[str, None] = {}
        self._check(self._root, names)
        self.names = tuple(names)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    @property
    def divisors(self) -> frozenset[str]:
        """The variables that something is divided by."""
        found: set[str] = set()
        for node in ast.walk(self._root):
            match node:
                case ast.BinOp(op=ast.FloorDiv() | ast.Mod(), right=divisor):
                    pass
                case ast.Call(func=ast.Name(id="cdiv"), args=[_, divisor]):
                    pass
                case _:
                    continue
            found |= {n.id for n in ast.walk(divisor) if isinstance(n, ast.Name)}
        return frozenset(found & set(self.names))

    def evaluate(self, values: Mapping[str, int]) -> int | bool:
        """Computes the value.

        Args:
            values: Of all names, and maybe of others.

        Raises:
            ValueError: A name has no value, or something is divided by zero.
        """
        missing = [name for name in self.names if name not in values]
        if missing:
            raise ValueError(f"{self.text!r} needs a value for {', '.join(missing)}")
        try:
            return _evaluate(self._root, values)
        except ZeroDivisionError:
            raise ValueError(f"{self.text!r} divides by zero") from None

    def to_cpp(self, rename: Mapping[str, str] | None = None) -> str:
        """Writes it in C++, computed in std::int64_t.

        `//` and `%` become C++'s, which are the same for operands that are not
        negative. Wants <algorithm>, <cstdint> and "rules_torch/kernel.h".

        Args:
            rename: C++ expressions, of integers or booleans, for names.
        """
        return _to_cpp(self._root, rename or {})

    def _check(self, node: ast.expr, names: dict[str, None]) -> None:
        """Collects names, and refuses what is not allowed."""
        match node:
            case ast.Constant(value=int()):
                return
            case ast.Name(id=name):
                names[name] = None
                return
            case ast.BinOp(op=op) if type(op) in _BINARY:
                operands = [node.left, node.right]
            case ast.UnaryOp(op=ast.USub() | ast.Not()):
                operands = [node.operand]
            case ast.BoolOp():
                operands = node.values
            case ast.Compare(ops=ops) if all(type(op) in _COMPARISONS for op in ops):
                operands = [node.left, *node.comparators]
            case ast.Call(func=ast.Name(id=name), keywords=[]) if name in _FUNCTIONS:
                operands = node.args
                if len(operands) < 2 or (name == "cdiv" and len(operands) > 2):
                    raise ValueError(
                        f"{self.text!r} gives {name} {len(operands)} argument"
                        f"{'s' * (len(operands) != 1)}; it takes two"
                    )
            case _:
                raise ValueError(
                    f"{self.text!r} has {ast.unparse(node)!r} in it; allowed are {_ALLOWED}"
                )
        for operand in operands:
            self._check(operand, names)


def _evaluate(node: ast.expr, values: Mapping[str, int]) -> int | bool:
    def value(operand: ast.expr) -> int | bool:
        return _evaluate(operand, values)

    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return values[node.id]
        case ast.BinOp():
            return _BINARY[type(node.op)][0](value(node.left), value(node.right))
        case ast.UnaryOp(op=ast.Not()):
            return not value(node.operand)
        case ast.UnaryOp():
            return -value(node.operand)
        case ast.BoolOp(op=ast.And()):
            return all(value(each) for each in node.values)
        case ast.BoolOp():
            return any(value(each) for each in node.values)
        case ast.Compare():
            chain = [node.left, *node.comparators]
            return all(
                _COMPARISONS[type(op)][0](value(left), value(right))
                for left, op, right in zip(chain, node.ops, chain[1:], strict=False)
            )
        case ast.Call(func=ast.Name(id=name)):
            return functools.reduce(_FUNCTIONS[name][0], map(value, node.args))
    raise AssertionError(ast.dump(node))


def _to_cpp(node: ast.expr, rename: Mapping[str, str]) -> str:
    # Numbers are folded: C++ would compute with them in int.
    if not any(
        isinstance(each, ast.Name) and each.id not in _FUNCTIONS
        for each in ast.walk(node)
    ):
        return str(int(_evaluate(node, {})))

    def cpp(operand: ast.expr) -> str:
        return _to_cpp(operand, rename)

    match node:
        case ast.Name():
            return f"std::int64_t({rename.get(node.id, node.id)})"
        case ast.BinOp():
            return f"({cpp(node.left)} {_BINARY[type(node.op)][1]} {cpp(node.right)})"
        case ast.UnaryOp(op=ast.Not()):
            return f"!({cpp(node.operand)})"
        case ast.UnaryOp():
            return f"(-{cpp(node.operand)})"
        case ast.BoolOp():
            sign = " && " if isinstance(node.op, ast.And) else " || "
            return f"({sign.join(cpp(each) for each in node.values)})"
        case ast.Compare():
            chain = [node.left, *node.comparators]
            pairs = [
                f"({cpp(left)} {_COMPARISONS[type(op)][1]} {cpp(right)})"
                for left, op, right in zip(chain, node.ops, chain[1:], strict=False)
            ]
            return pairs[0] if len(pairs) == 1 else f"({' && '.join(pairs)})"
        case ast.Call(func=ast.Name(id=name)):
            call = _FUNCTIONS[name][1]
            return functools.reduce(
                lambda a, b: f"{call}({a}, {b})", map(cpp, node.args)
            )
    raise AssertionError(ast.dump(node))
