"""What a cc_triton_library declares: kernels, and what each is instantiated with."""

from __future__ import annotations

import ast
import dataclasses
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from aot_common.errors import fail
from aot_common.frames import Frame
from triton_aot.expressions import Expression

# Triton's scalar types: the C++ type, and the bytes of a kernel's parameter.
SCALARS = {
    "i1": ("bool", 1),
    "i8": ("std::int8_t", 1),
    "i16": ("std::int16_t", 2),
    "i32": ("std::int32_t", 4),
    "i64": ("std::int64_t", 8),
    "u8": ("std::uint8_t", 1),
    "u16": ("std::uint16_t", 2),
    "u32": ("std::uint32_t", 4),
    "u64": ("std::uint64_t", 8),
    "fp16": ("rules_torch::float16", 2),
    "bf16": ("rules_torch::bfloat16", 2),
    "fp32": ("float", 4),
    "fp64": ("double", 8),
    "fp8e4nv": ("rules_torch::float8_e4m3fn", 1),
    "fp8e5": ("rules_torch::float8_e5m2", 1),
}


@dataclasses.dataclass(frozen=True)
class Type:
    """A parameter's type, and what is promised of its value.

    Attributes:
        name: Triton's: "i32", "*fp16", "*kfp16" (a pointer to const).
        hint: 16: a multiple of 16, for a pointer its address; 1: equals 1; 0: nothing.
    """

    name: str
    hint: int = 0

    @classmethod
    def parse(cls, text: str) -> Type | None:
        """Reads "*kfp16:16"; None if it is no type, whatever the hint."""
        found = re.fullmatch(r"(\*k?)?(\w+)(?::(\d+))?", text.replace(" ", ""))
        if not found or found[2] not in SCALARS:
            return None
        return cls((found[1] or "") + found[2], int(found[3] or 0))

    @property
    def is_pointer(self) -> bool:
        return self.name.startswith("*")

    @property
    def is_integer(self) -> bool:
        return self.name[0] in "iu"

    @property
    def element(self) -> str:
        """The scalar type, or the one pointed to."""
        return re.sub(r"^\*k?", "", self.name)

    @property
    def is_const(self) -> bool:
        return self.name.startswith("*k")

    @property
    def cpp(self) -> str:
        """The C++ type of the launcher's parameter."""
        name = SCALARS[self.element][0]
        if not self.is_pointer:
            return name
        return f"const {name}*" if self.is_const else f"{name}*"

    @property
    def range(self) -> range:
        """The values of an integer."""
        bits = int(self.name[1:])
        if self.name.startswith("i") and bits > 1:
            return range(-(1 << bits - 1), 1 << bits - 1)
        return range(1 << bits)

    @property
    def size(self) -> int:
        """Bytes of the kernel's parameter."""
        return 8 if self.is_pointer else SCALARS[self.element][1]

    def __str__(self) -> str:
        return f"{self.name}:{self.hint}" if self.hint else self.name


@dataclasses.dataclass(frozen=True)
class Instantiation:
    """A kernel with types, as a C++ template with its arguments.

    Attributes:
        id: Unique among the kernel's: "T=fp16, m <= 64"; empty if it is the only one.
        name: The C++ function.
        function: The Python function.
        signature: Types by parameter; constexprs are not in it.
        constexprs: Values of parameters, without those that tuning chooses.
        when: Condition on scalar arguments and constexprs, or None.
        grid: Up to three expressions; none: the caller gives the grid.
        options: num_warps, num_stages and num_ctas, as far as they are declared.
        example: Scalars, and pointers' numbers of elements, for tuning.
    """

    id: str
    name: str
    function: str
    signature: Mapping[str, Type]
    constexprs: Mapping[str, Any]
    when: Expression | None
    grid: Sequence[Expression]
    options: Mapping[str, int]
    example: Mapping[str, Expression | float]

    @property
    def expressions(self) -> list[Expression]:
        """What is computed at launch."""
        return [*self.grid, *([self.when] if self.when else [])]


def place(label: str, function: str, definition: str = "") -> str:
    """Where errors of a declaration are.

    Args:
        label: The target.
        function: The kernel.
        definition: "kernels/softmax.py:12", if the kernel was found.
    """
    return f"{label}, kernel {function!r}" + (f" of {definition}" if definition else "")


def definition(path: str, function: str) -> str:
    """The line where a file defines a kernel, without running it; empty if nowhere."""
    try:
        with open(path, encoding="utf-8") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return ""
    lines = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == function
    ]
    return Frame(path, lines[-1]).where if lines else ""


def parse(
    declarations: Sequence[str], label: str, source: str = ""
) -> list[Instantiation]:
    """Reads the declarations of one C++ function.

    Args:
        declarations: What the Starlark function triton_kernel returned, in order.
        label: The target, for errors.
        source: The file with the kernels, for errors.

    Returns:
        One instantiation for each combination of the declared types.
    """
    expanded = []
    for text in declarations:
        row = json.loads(text)
        row["when"] = " ".join(row["when"].split())
        row["grid"] = [" ".join(axis.split()) for axis in row["grid"]]
        function = row["function"]
        where = place(label, function, definition(source, function) if source else "")
        names = list(row["types"])
        for name, types in row["types"].items():
            if not types:
                fail(f"`types` lists nothing for {name!r}", where=where)
        for choice in itertools.product(*row["types"].values()):
            expanded.append((row, dict(zip(names, choice, strict=True)), where))
    several = len(expanded) > 1
    found: dict[str, Instantiation] = {}
    for row, types, where in expanded:
        each = _instantiate(row, types, where, several)
        if each.id in found:
            fail(
                f"{each.name!r} is declared twice with {each.id or 'the same arguments'}",
                where=where,
                fix="remove one, or give another type, constexpr or `when`",
            )
        found[each.id] = each
    return list(found.values())


def _instantiate(
    row: Mapping[str, Any], types: Mapping[str, str], where: str, several: bool
) -> Instantiation:
    constexprs = row["constexprs"]
    parts = [f"{name}={type_}" for name, type_ in types.items()]
    parts += [row["when"]] if row["when"] else []
    parts += [f"{name}={value}" for name, value in constexprs.items()]
    return Instantiation(
        id=" ".join(", ".join(parts).split()) if several else "",
        name=row["name"],
        function=row["function"],
        signature={
            name: _type(name, text, types, where)
            for name, text in row["signature"].items()
        },
        constexprs=constexprs,
        when=_expression(row["when"], "when", where) if row["when"] else None,
        grid=[_expression(text, "grid", where) for text in row["grid"]],
        options={name: value for name, value in row["options"].items() if value},
        example={
            name: _expression(value, "example", where)
            if isinstance(value, str)
            else value
            for name, value in row["example"].items()
        },
    )


def _type(parameter: str, text: str, types: Mapping[str, str], where: str) -> Type:
    filled = re.sub(r"\{(\w+)\}", lambda match: types.get(match[1], match[0]), text)
    type_ = Type.parse(filled)
    if type_ is None:
        unfilled = re.search(r"\{(\w+)\}", filled)
        if unfilled:
            fail(
                f"the type of {parameter!r}, {text!r}, has the variable "
                f"{unfilled[1]!r}, for which `types` has no entry",
                where=where,
                fix=f'add it: types = {{"{unfilled[1]}": ["fp32", "fp16"]}}',
            )
        fail(
            f"{filled!r}, the type of {parameter!r}, is none that Triton knows",
            where=where,
            fix=f"give one of {', '.join(SCALARS)}; a `*` before it for a pointer, `*k` "
            "for a pointer to const; `:16` or `:1` after it as a hint",
        )
    allowed = (0, 16) if type_.is_pointer else (0, 1, 16) if type_.is_integer else (0,)
    if type_.hint not in allowed:
        fail(
            f"the hint of {parameter!r}, {filled!r}, is not one that Triton uses",
            where=where,
            fix="give :16 (an address or an integer that 16 divides) or, for an integer, "
            ":1 (it equals 1)",
        )
    return type_


def _expression(text: str, attribute: str, where: str) -> Expression:
    try:
        return Expression(text)
    except ValueError as error:
        fail(f"`{attribute}`: {error}", where=where)
