"""The C++ tables of a tuner: every candidate of every instantiation, on its example."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from aot_common.errors import fail
from aot_common.templates import Template
from triton_aot import declaration, images, launcher
from triton_aot.architectures import Architecture
from triton_aot.declaration import Instantiation, Type
from triton_aot.expressions import Expression
from triton_aot.tuning import Table

_SOURCE = Template(__file__, "tuner.cc")


@dataclasses.dataclass(frozen=True)
class Case:
    """An instantiation with its candidates.

    Attributes:
        instantiation: What was declared.
        candidates: For each candidate its images, by architecture.
    """

    instantiation: Instantiation
    candidates: Sequence[Sequence[Mapping[str, Any]]]


@dataclasses.dataclass(frozen=True)
class Library:
    """All candidates; see launcher.Library."""

    architectures: Sequence[Architecture]
    cases: Sequence[Case]
    blob: bytes

    @classmethod
    def read(cls, prefixes: Sequence[str], label: str) -> Library:
        """Reads what the stage `kernel` wrote with --candidates."""
        contents = images.read(prefixes, label)
        return cls(
            contents.architectures,
            [
                Case(each, list(zip(*rows.values(), strict=True)))
                for each, rows in contents.instantiations
            ],
            contents.blob,
        )


def source(label: str, id: str, library: Library, table: Table, path: str) -> str:
    """Renders the C++ source that defines GetTuner.

    Args:
        label: The tuner's label.
        id: A C identifier unique to the label.
        library: What is measured.
        table: The table so far, whose other rows are kept.
        path: The table's, from the workspace's root.
    """
    cases = [case for case in library.cases if len(case.candidates) > 1]
    if not cases:
        fail(
            "none of the library's kernels has several configurations",
            where=label,
            fix="give the kernel @triton.autotune(configs=[...], key=[...])",
        )
    # Rows of what is no longer declared are dropped.
    known = {(case.instantiation.name, _key(case)) for case in cases}
    kept = [
        (function, instantiation, architecture, choice)
        for function, instantiations in table.items()
        for instantiation, by_architecture in instantiations.items()
        for architecture, choice in by_architecture.items()
        if (function, instantiation) in known
    ]
    rows = [
        f"{{{', '.join(map(_string, row[:3]))}, {_string(json.dumps(row[3]))}}},"
        for row in kept
    ]
    return _SOURCE.render(
        LABEL=label,
        ID=id,
        LIBRARY=launcher.library_table(label, id, library.architectures),
        TABLES="\n\n".join(_case(i, label, case) for i, case in enumerate(cases)),
        CASES="\n".join(
            f"{{{_string(case.instantiation.name)}, {_string(_key(case))}, "
            f"kArguments{i}, {len(_arguments(case))}, "
            f"kCandidates{i}, {len(case.candidates)}}},"
            for i, case in enumerate(cases)
        ),
        ROWS="\n".join(rows) or None,
        PATH=_string(path),
        NUM_CASES=len(cases),
        NUM_ROWS=len(rows),
    )


def _key(case: Case) -> str:
    """What the table calls an instantiation."""
    return case.instantiation.id or "default"


def _case(i: int, label: str, case: Case) -> str:
    declared = case.instantiation
    definition = case.candidates[0][0]["where"]
    where = declaration.place(label, declared.function, definition)
    values = _example(case, where)
    for name, type_ in case.instantiation.signature.items():
        if type_.hint == 1 and values.get(name, 1) != 1:
            fail(f"`example` gives {name!r} {values[name]}, not 1", where=where)
    rows = ",\n    ".join(
        f"{{{_string(name)}, {_string(type_.element)}, {_argument(name, type_, values, where)}}}"
        for name, type_ in _arguments(case)
    )
    text = f"const tuning::Argument kArguments{i}[] = {{\n    {rows}}};\n"
    candidates = []
    for j, candidate in enumerate(case.candidates):
        name = f"{i}_{j}"
        text += launcher.image_rows(candidate, [], f"kImages{name}") + "\n"
        text += (
            f"rt::Kernel kKernel{name} = {{{_string(declared.name)}, &kLibrary, "
            f"kImages{name}, {{}}}};\n"
        )
        grid = _grid(declared, candidate[0]["constexprs"], values, where)
        candidates.append(
            f"{{{_string(json.dumps(candidate[0]['choice']))}, &kKernel{name},\n"
            f"     [](std::int64_t multiprocessors) {{\n"
            f"       static_cast<void>(multiprocessors);\n"
            f"       return {grid};\n     }}}}"
        )
    listed = ",\n    ".join(candidates)
    return f"{text}const tuning::Candidate kCandidates{i}[] = {{\n    {listed}}};"


def _arguments(case: Case) -> list[tuple[str, Type]]:
    """What the kernel takes: no constexpr, and nothing that is promised to be 1."""
    signature = case.instantiation.signature
    return [
        (name, signature[name])
        for name in case.candidates[0][0]["parameters"]
        if name in signature and signature[name].hint != 1
    ]


def _example(case: Case, where: str) -> dict[str, float]:
    """Evaluates the declared example: scalars first, pointers may refer to them."""
    values: dict[str, float] = {}
    pending = dict(case.instantiation.example)
    while pending:
        ready = {
            name: value
            for name, value in pending.items()
            if not isinstance(value, Expression) or values.keys() >= set(value.names)
        }
        if not ready:
            fail(
                f"`example` gives {', '.join(map(repr, pending))} in terms of what it "
                "has no value for",
                where=where,
            )
        for name, value in ready.items():
            if isinstance(value, Expression):
                try:
                    value = value.evaluate({n: int(v) for n, v in values.items()})
                except ValueError as error:
                    fail(f"`example`: {error}", where=where)
            values[name] = value
            del pending[name]
    return values


def _argument(name: str, type_: Type, values: Mapping[str, float], where: str) -> str:
    if name not in values:
        fail(
            f"`example` has no value for {name!r}",
            where=where,
            fix="give scalars their values and pointers their numbers of elements: "
            f'example = {{"{name}": ...}}',
        )
    value = values[name]
    if type_.is_pointer:
        if value < 1:
            fail(f"`example` gives {name!r} {value} elements", where=where)
        return f"tuning::Kind::kPointer, {int(value)}, 0.0"
    if type_.is_integer:
        if not type_.range.start <= value < type_.range.stop:
            fail(f"`example` gives {name!r} {value}, no {type_.name}", where=where)
        if type_.hint == 16 and int(value) % 16:
            fail(f"`example` gives {name!r} {value}, no multiple of 16", where=where)
        return f"tuning::Kind::kInteger, {int(value)}, 0.0"
    return f"tuning::Kind::kReal, 0, {float(value)!r}"


def _grid(
    declared: Instantiation,
    constexprs: Mapping[str, Any],
    values: Mapping[str, float],
    where: str,
) -> str:
    if not declared.grid:
        fail("a kernel that is tuned needs `grid`", where=where)
    known = {
        name: str(int(value))
        for name, value in {**values, **constexprs}.items()
        if isinstance(value, int)
    }
    for each in declared.grid:
        missing = [n for n in each.names if n not in known and n != "multiprocessors"]
        if missing:
            fail(
                f"`grid` reads {missing[0]!r}, for which `example` has no value",
                where=where,
            )
    axes = ", ".join(
        each.to_cpp({**known, "multiprocessors": "multiprocessors"})
        for each in declared.grid
    )
    return f"::rules_torch::Grid{{{axes}}}"


def _string(text: str) -> str:
    """A C++ string literal."""
    return json.dumps(text)
