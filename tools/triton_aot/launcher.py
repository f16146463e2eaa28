"""The C++ that launches compiled kernels: a header, a source with tables, a blob."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aot_common import cpp, cpp_names
from aot_common.errors import fail
from aot_common.templates import Template
from triton_aot import declaration, images
from triton_aot.architectures import Architecture
from triton_aot.declaration import Instantiation, Type

_HEADER = Template(__file__, "launcher.h")
_SOURCE = Template(__file__, "launcher.cc")
_FUNCTION = Template(__file__, "function.cc")
_INSTANTIATION = Template(__file__, "instantiation.cc")

_NOT_OF_IMAGES = ("name", "id", "where", "doc", "parameters", "choice")
_FORMATS = {"cubin": "kCubin", "ptx": "kPtx", "hsaco": "kHsaco"}
_RESERVED = {*cpp_names.KEYWORDS.split(), *cpp_names.MACROS.split()}


@dataclasses.dataclass(frozen=True)
class Target:
    """How the library is to be called.

    Attributes:
        label: The target's label, "//kernels:softmax".
        id: A C identifier unique to the label; starts every symbol.
        name: The functions that load and unload are Load<name> and Unload<name>.
        namespace: The functions' namespace, "kernels" or "a::b"; may be empty.
        include: How the header is included, "kernels/softmax.h".
        source: The Python file, "kernels/softmax.py".
    """

    label: str
    id: str
    name: str
    namespace: str
    include: str
    source: str


@dataclasses.dataclass(frozen=True)
class Compiled:
    """An instantiation with its images.

    Attributes:
        instantiation: What was declared.
        images: Metadata for each architecture, in the library's order.
    """

    instantiation: Instantiation
    images: Sequence[Mapping[str, Any]]

    @property
    def parameters(self) -> list[tuple[str, Type]]:
        """The launcher's arguments, in the kernel's order."""
        signature = self.instantiation.signature
        return [
            (name, signature[name])
            for name in self.images[0]["parameters"]
            if name in signature
        ]

    @property
    def cpp_types(self) -> tuple[str, ...]:
        """What tells overloads apart."""
        grid = [] if self.instantiation.grid else ["grid"]
        return (*grid, *(type_.cpp for _, type_ in self.parameters))

    @property
    def constants(self) -> list[str]:
        """The constexprs that are read at launch."""
        scalars = {name for name, _ in self.parameters}
        names = {n for e in self.instantiation.expressions for n in e.names}
        return sorted(names - scalars - {"multiprocessors"})


@dataclasses.dataclass(frozen=True)
class Library:
    """All kernels of a library, compiled for all of its architectures.

    Attributes:
        source: The Python file, as it was named to the compiler.
        architectures: In the order in which the device's is looked up.
        compiled: The instantiations, in the order in which they are tried.
        blob: All images; `offset` of an image's metadata refers to it.
    """

    source: str
    architectures: Sequence[Architecture]
    compiled: Sequence[Compiled]
    blob: bytes

    @classmethod
    def read(cls, prefixes: Sequence[str], label: str) -> Library:
        """Reads what the stage `kernel` wrote.

        Args:
            prefixes: Its --out of each kernel and architecture.
            label: The target, for errors.
        """
        contents = images.read(prefixes, label)
        names = [each.name for each in contents.architectures]
        return cls(
            contents.source,
            contents.architectures,
            [
                Compiled(each, [rows[name][0] for name in names])
                for each, rows in contents.instantiations
            ],
            contents.blob,
        )


def check(target: Target, compiled: Sequence[Compiled]) -> None:
    """Refuses what cannot be launched as it is declared."""
    for group in _overloads(compiled):
        for each, hidden in itertools.pairwise(group):
            if not any(True for _ in _requirements(each)):
                fail(
                    f"{hidden.instantiation.name!r} with {hidden.instantiation.id} is never "
                    f"launched: {each.instantiation.id}, declared before it, takes "
                    "any arguments of these types",
                    where=target.label,
                    fix="declare it first, or give the other a `when`",
                )
    for each in compiled:
        declared = each.instantiation
        definition = each.images[0]["where"]
        where = declaration.place(target.label, declared.function, definition)
        if (
            not re.fullmatch(r"[A-Za-z_]\w*", declared.name)
            or declared.name in _RESERVED
        ):
            fail(
                f"{declared.name!r} cannot be the name of a C++ function",
                where=where,
                fix='give another: triton_kernel(name = "...")',
            )
        types = dict(each.parameters)
        known = each.images[0]["constexprs"]
        for expression in declared.expressions:
            divisors = sorted(expression.divisors & types.keys())
            if divisors:
                fail(
                    f"`{expression.text}` divides by the argument {divisors[0]!r}, which "
                    "could be 0 at launch",
                    where=where,
                    fix="divide by constexprs and numbers alone",
                )
            for name in expression.names:
                if name == "multiprocessors" and expression in declared.grid:
                    continue
                usable = (
                    types[name].is_integer
                    if name in types
                    else isinstance(known.get(name), int)
                )
                if not usable:
                    fail(
                        f"`{expression.text}` reads {name!r}, which is no integer "
                        "argument or constexpr of the kernel",
                        where=where,
                        fix="leave `grid` out, and the C++ function takes the grid from "
                        "its caller"
                        if expression in declared.grid
                        else "state `when` in terms of integer arguments and constexprs",
                    )
        differing = {
            name
            for name in known
            if any(image["constexprs"][name] != known[name] for image in each.images)
        }
        if differing and not declared.grid:
            fail(
                f"tuning chose {', '.join(sorted(differing))} by architecture, and the "
                "caller of the C++ function cannot know the grid",
                where=where,
                fix='give `grid`, e.g. grid = ["cdiv(n, BLOCK)"]',
            )


def header(target: Target, library: Library) -> str:
    """Renders the public header."""
    names = ", ".join(each.name for each in library.architectures)
    functions: dict[str, list[list[Compiled]]] = {}
    for group in _overloads(library.compiled):
        functions.setdefault(group[0].instantiation.name, []).append(group)
    opening, closing = cpp.namespaces(target.namespace, target.id)
    return _HEADER.render(
        SOURCE=target.source,
        LABEL=target.label,
        NAME=target.name,
        GUARD=re.sub(r"\W", "_", f"{target.id}_{target.include}") + "_",
        OPEN_NAMESPACES=opening,
        CLOSE_NAMESPACES=closing,
        INTRODUCTION="\n".join(
            _wrapped(
                f"Triton kernels, compiled for {names}. How to launch them, what is "
                "checked, and what threads may do: rules_torch/kernel.h."
            )
        ),
        FUNCTIONS="\n\n".join(_declarations(groups) for groups in functions.values()),
    )


def source(target: Target, library: Library) -> str:
    """Renders the C++ source."""
    compiled = library.compiled
    index = {id(each): i for i, each in enumerate(compiled)}
    opening, closing = cpp.namespaces(target.namespace, target.id)
    return _SOURCE.render(
        SOURCE=target.source,
        LABEL=target.label,
        INCLUDE=target.include,
        ID=target.id,
        NAME=target.name,
        LIBRARY=library_table(target.label, target.id, library.architectures),
        KERNELS="\n\n".join(
            _tables(i, target, each) for i, each in enumerate(compiled)
        ),
        POINTERS=", ".join(f"&kKernel{i}" for i in range(len(compiled))),
        NUM_KERNELS=len(compiled),
        OPEN_NAMESPACES=opening,
        CLOSE_NAMESPACES=closing,
        LAUNCHERS="\n".join(
            _launcher(target, [(index[id(each)], each) for each in group])
            for group in _overloads(compiled)
        ),
    )


def library_table(label: str, id: str, targets: Sequence[Architecture]) -> str:
    """Renders kTargets, and kLibrary with the images of an id."""
    rows = ", ".join(
        f'{{"{each.name}", rt::KernelFormat::{_FORMATS[each.format]}, {each.number}}}'
        for each in targets
    )
    return (
        f"constexpr rt::KernelTarget kTargets[] = {{{rows}}};\n\n"
        f'rt::KernelLibrary kLibrary = {{"{label}", &{id}_images, kTargets, '
        f"{len(targets)}, {{}}}};"
    )


def image_rows(
    images: Sequence[Mapping[str, Any]], constants: Sequence[str], name: str
) -> str:
    """Renders the table of one kernel's images, with the constexprs it reads."""
    text, pointers = "", []
    for i, image in enumerate(images):
        pointers.append("nullptr")
        if constants:
            values = ", ".join(str(int(image["constexprs"][c])) for c in constants)
            text += f"constexpr std::int64_t {name}Constants{i}[] = {{{values}}};\n"
            pointers[-1] = f"{name}Constants{i}"
    rows = ",\n    ".join(
        f'{{{image["offset"]}, {image["size"]}, "{image["symbol"]}", '
        f"{image['threads']}, {image['num_ctas']}, {image['shared_bytes']}, "
        f"{image['scratch_alignment']}, {image['scratch_bytes']}, {pointer}}}"
        for image, pointer in zip(images, pointers, strict=True)
    )
    return f"{text}constexpr rt::KernelImage {name}[] = {{\n    {rows}}};"


def grid_text(compiled: Compiled, rename: Mapping[str, str]) -> str:
    """Renders the declared grid as a Grid."""
    axes = [expression.to_cpp(rename) for expression in compiled.instantiation.grid]
    return f"::rules_torch::Grid{{{', '.join(axes)}}}"


def manifest(target: Target, library: Library) -> str:
    """Renders what tools and tests want to know about the library, as JSON."""
    names = [each.name for each in library.architectures]
    kernels: dict[tuple[str, str], dict[str, Any]] = {}
    for each in library.compiled:
        declared = each.instantiation
        kernel = kernels.setdefault(
            (declared.name, declared.function),
            {
                "name": declared.name,
                "function": declared.function,
                "where": each.images[0]["where"],
                "parameters": each.images[0]["parameters"],
                "instantiations": [],
            },
        )
        kernel["instantiations"].append(
            {
                "id": declared.id,
                "signature": {name: str(t) for name, t in each.parameters},
                "when": declared.when.text if declared.when else "",
                "grid": [expression.text for expression in declared.grid],
                "targets": {
                    name: {
                        key: value
                        for key, value in image.items()
                        if key not in _NOT_OF_IMAGES
                    }
                    for name, image in zip(names, each.images, strict=True)
                },
            }
        )
    data = {
        "label": target.label,
        "source": target.source,
        "include": target.include,
        "namespace": target.namespace,
        "kernels": list(kernels.values()),
    }
    return json.dumps(data, indent=2) + "\n"


def _overloads(compiled: Sequence[Compiled]) -> Iterator[list[Compiled]]:
    """Groups instantiations by the C++ function that launches them."""
    groups: dict[tuple[str, ...], list[Compiled]] = {}
    for each in compiled:
        key = (each.instantiation.name, *each.cpp_types)
        groups.setdefault(key, []).append(each)
    return iter(groups.values())


def _argument(name: str) -> str:
    taken = {*_RESERVED, "grid", "stream"}  # the launch's own arguments
    return f"{name}_" if name in taken or name.startswith("rt_") else name


def _prototype(compiled: Compiled) -> str:
    grid = [] if compiled.instantiation.grid else ["::rules_torch::Grid grid"]
    arguments = [
        f"{type_.cpp.replace('rules_torch::', '::rules_torch::')} {_argument(name)}"
        for name, type_ in compiled.parameters
    ]
    # A break comes between arguments, not within one.
    text = ", ".join(
        each.replace(" ", "\0") for each in ["void* stream", *grid, *arguments]
    )
    lines = textwrap.wrap(
        f"::rules_torch::Status\0{compiled.instantiation.name}({text})",
        width=80,
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines).replace("\0", " ")


def _declarations(overloads: Sequence[Sequence[Compiled]]) -> str:
    """Renders what a header says of one function, with all of its overloads."""
    first = overloads[0][0]
    image = first.images[0]
    lines = [f"{first.instantiation.function} of {image['where']}."]
    doc = image["doc"].split("\n\n")[0]
    if doc:
        lines += ["", *textwrap.wrap(" ".join(doc.split()), width=77)]
    if first.instantiation.grid:
        axes = ", ".join(e.text for e in first.instantiation.grid)
        lines += ["", f"The grid is ({axes})."]
    scratch = max(
        image["scratch_bytes"]
        for group in overloads
        for each in group
        for image in each.images
    )
    if scratch:
        lines += [
            "",
            f"While it runs it takes up to {scratch} bytes of device memory a program, from",
            "the stream's memory pool.",
        ]
    wanted = [_requirement_lines(group) for group in overloads]
    if all(each == wanted[0] for each in wanted):
        text = _comment([*lines, "", *wanted[0]]) + "\n"
        return text + "\n".join(f"{_prototype(group[0])};" for group in overloads)
    return "\n\n".join(
        f"{_comment([*lines, '', *each])}\n{_prototype(group[0])};"
        for group, each in zip(overloads, wanted, strict=True)
    )


def _requirement_lines(group: Sequence[Compiled]) -> list[str]:
    """What the arguments of one overload must be."""
    texts = [_requirement_text(each) for each in group]
    if len(texts) == 1:
        return _wrapped(f"Requires {texts[0]}.") if texts[0] else ["Takes any values."]
    lines = ["Launches the first of these instantiations whose requirements hold:"]
    for i, text in enumerate(texts, start=1):
        lines += _wrapped(f"{i}. {text or 'any values'}", indent="   ")
    return lines


def _requirement_text(compiled: Compiled) -> str:
    """The same in a line: `out, x aligned to 16 bytes; columns <= 1024`."""
    hints: dict[str, list[str]] = {}
    for name, type_ in compiled.parameters:
        if type_.hint:
            kind = "aligned to 16 bytes" if type_.is_pointer else "multiples of 16"
            hints.setdefault(kind if type_.hint == 16 else "equal to 1", []).append(
                name
            )
    parts = [f"{', '.join(names)} {kind}" for kind, names in hints.items()]
    if compiled.instantiation.when:
        parts.append(_when_text(compiled))
    return "; ".join(parts)


def _when_text(compiled: Compiled) -> str:
    """The condition, with the values of constexprs that are the same everywhere."""
    when = compiled.instantiation.when
    assert when is not None
    text = when.text
    for name in compiled.constants:
        values = {image["constexprs"][name] for image in compiled.images}
        if len(values) == 1:
            text = re.sub(rf"\b{name}\b", str(values.pop()), text)
    return text


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, width=77, subsequent_indent=indent)


def _comment(lines: Sequence[str]) -> str:
    return "\n".join(f"// {line}".rstrip() for line in lines)


def _tables(i: int, target: Target, compiled: Compiled) -> str:
    name = "::".join(filter(None, (target.namespace, compiled.instantiation.name)))
    comment = f"// {compiled.instantiation.id}\n" if compiled.instantiation.id else ""
    return (
        f"{comment}{image_rows(compiled.images, compiled.constants, f'kImages{i}')}\n"
        f'rt::Kernel kKernel{i} = {{"{name}", &kLibrary, kImages{i}, {{}}}};'
    )


def _requirements(compiled: Compiled) -> Iterator[tuple[str, str, str, str, bool]]:
    """What the arguments must fulfil.

    Yields:
        The C++ condition, the same in words, the argument to show, its value as an
        std::int64_t, and whether it is a pointer.
    """
    for name, type_ in compiled.parameters:
        argument = _argument(name)
        value = f"static_cast<std::int64_t>({argument})"
        if type_.hint == 16 and type_.is_pointer:
            address = f"reinterpret_cast<std::intptr_t>({argument})"
            text = f"{name} is aligned to 16 bytes"
            yield f"rt::IsAligned({argument}, 16)", text, name, address, True
        elif type_.hint == 16:
            text = f"{name} is a multiple of 16"
            yield f"{argument} % 16 == 0", text, name, value, False
        elif type_.hint == 1:
            yield f"{argument} == 1", f"{name} is 1", name, value, False
    when = compiled.instantiation.when
    if when:
        scalars = [name for name, _ in compiled.parameters if name in when.names]
        shown = scalars[0] if scalars else ""
        value = f"static_cast<std::int64_t>({_argument(shown)})" if shown else "0"
        yield when.to_cpp(_names(compiled)), _when_text(compiled), shown, value, False


def _names(compiled: Compiled) -> dict[str, str]:
    """What expressions' names are in C++."""
    names = {
        name: _argument(name) for name, type_ in compiled.parameters if type_.is_integer
    }
    names |= {name: f"rt_constants[{i}]" for i, name in enumerate(compiled.constants)}
    names["multiprocessors"] = "rt_device.multiprocessors"
    return names


def _launcher(target: Target, group: Sequence[tuple[int, Compiled]]) -> str:
    first = group[0][1]
    name = "::".join(filter(None, (target.namespace, first.instantiation.name)))
    checked = any(True for _, compiled in group for _ in _requirements(compiled))
    return _FUNCTION.render(
        PROTOTYPE=_prototype(first),
        NAME=name,
        DECLARE_MISFITS=f"rt::KernelMisfit rt_misfits[{len(group)}];"
        if checked
        else None,
        INSTANTIATIONS="".join(
            _attempt(position, i, compiled)
            for position, (i, compiled) in enumerate(group)
        ),
        RETURN_MISFITS=f'return rt::MisfitError("{name}", rt_misfits, {len(group)});'
        if checked
        else None,
    )


def _attempt(position: int, i: int, compiled: Compiled) -> str:
    """Renders what launches one instantiation, or notes why it does not fit."""
    checks = " ".join(
        f"if (!({condition})) {{\n"
        f'  rt_misfits[{position}] = {{"{_quote(compiled.instantiation.id)}", '
        f'"{_quote(text)}", "{shown}", {value}, {"true" if pointer else "false"}}};\n'
        "} else"
        for condition, text, shown, value, pointer in _requirements(compiled)
    )
    passed = [(name, type_) for name, type_ in compiled.parameters if type_.hint != 1]
    arguments = [
        # The kernel writes nothing through it that it was not given to write.
        f"const_cast<void*>(static_cast<const void*>(&{_argument(name)}))"
        if type_.is_const
        else f"&{_argument(name)}"
        for name, type_ in passed
    ]
    return _INSTANTIATION.render(
        DECLARE_CONSTANTS="const std::int64_t* const rt_constants = "
        f"kImages{i}[rt_device.target].constants;"
        if compiled.constants
        else None,
        CHECKS=checks or None,
        ARGUMENTS=", ".join([*arguments, "nullptr", "nullptr"]),
        KERNEL=f"kKernel{i}",
        GRID=grid_text(compiled, _names(compiled))
        if compiled.instantiation.grid
        else "grid",
        COUNT=len(passed),
    )


def _quote(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
