"""From the generated C++ back to the model: which operators and lines code is of.

Inductor fuses the nodes of the model's graph into kernels and knows, for each node of
its schedule, which ones it was made of. Here it notes that with the code that it
writes. The result has two forms: a map of kernels for profilers, and #line directives
in the source, so that what the C++ compiler reports names a line of the model.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch

from aot_common import cpp
from aot_common.frames import innermost
from aot_common.paths import shorten_path
from torch_aot import dispatched_operators
from torch_aot.frames import frames_of_node, operator_of_node
from torch_aot.upstream import HigherOrderOperator, OpOverload, Patch, look_up

_MAX_TEXTS = 3  # lines of the model that a directive has
_MAX_TEXT = 80  # characters of each

# The shims of operators: most are named for the CPU. The others do what is no operator.
_SHIM = r"aoti_torch_(?:cpu_(\w+)|(copy_|index_put_out))"

# A line that calls a function which returns nothing, or an error's code; or an operator
# of the user's by its name.
_CALL = (
    r"\s*(?:AOTI_TORCH_ERROR_CODE_CHECK\()?"
    rf"(?:(\w+)\(|{dispatched_operators.CALL}).*\);$"
)

_KERNEL = r'(?m)(^extern "C"\s+void\s+(\w+)\([\s\S]*?^\}\n)'


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of the model.

    Attributes:
        file: "models/mlp.py".
        line: From 1.
        function: What the line is in; may be empty.
        code: Its text; may be empty.
    """

    file: str
    line: int
    function: str
    code: str


@dataclasses.dataclass(frozen=True)
class Origin:
    """What of the model some code computes.

    Attributes:
        operators: "aten.relu", in the order of the graph, each once.
        lines: The innermost lines of the user's that called them, likewise.
    """

    operators: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()

    @property
    def source(self) -> str:
        """`models/mlp.py: x = self.relu(x)`; may be empty.

        It has no line numbers: code that moves in its file is the same code.
        """
        return "; ".join(
            f"{file}: {_some(line.code or '?' for line in lines)}"
            for file, lines in itertools.groupby(self.lines, lambda line: line.file)
        )

    def __str__(self) -> str:
        """The source; the operators where no line is known."""
        return self.source or ", ".join(self.operators[:_MAX_TEXTS])


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A function that a model's run calls: a generated kernel, or an operator's shim.

    Attributes:
        name: The symbol.
        origin: What it computes: in one place, or in all its calls together.
    """

    name: str
    origin: Origin


@dataclasses.dataclass(frozen=True)
class Section:
    """Whole lines of generated C++.

    Attributes:
        code: The lines, each with its end.
        origin: What they compute; empty for what is of no operator.
        called: The kernel or shim that the first line calls, as AOTInductor named it;
            empty if none. No line behind the first calls one.
    """

    code: str
    origin: Origin = Origin()
    called: str = ""


def render(sections: Iterable[Section], file: str) -> str:
    """Joins sections, with directives that name the model's lines.

    A debugger looks for the file that is named: in debug builds, without NDEBUG,
    there are none.

    Args:
        sections: All of a C++ source.
        file: How messages are to call it.
    """
    parts = []
    line = 1
    before = ""
    for section in sections:
        origin = str(section.origin)
        if origin != before:
            place = cpp.literal(f"{file}, {origin}") if origin else "__BASE_FILE__"
            # It says the number of the line that follows it.
            parts.append(f"#ifdef NDEBUG\n#line {line + 2} {place}\n#endif\n")
            line += 3
        parts.append(section.code)
        line += section.code.count("\n")
        before = origin
    return "".join(parts)


class Recorder:
    """Notes where the code of one code generation comes from."""

    def __init__(self) -> None:
        self._nodes: _Nodes = ()  # of the code that is being written
        self._starts: list[tuple[int, _Nodes]] = []

    def patches(self) -> tuple[Patch, ...]:
        """The patches for the code generation."""
        reason = "the C++ compiler and profilers name the model's lines"
        return tuple(
            Patch(f"torch._inductor.{name}", replace, reason)
            for name, replace in (
                ("scheduler:Scheduler.enter_context", self._enter_context),
                ("scheduler:Scheduler.codegen", self._schedule),
                ("codegen.cpp:CppScheduling.flush", self._flush),
                ("codegen.cpp_wrapper_cpu:CppWrapperCpu.generate_return", self._end),
                ("graph:GraphLowering.codegen", self._codegen),
            )
        )

    def sections(
        self, graph: Any, wrapper: str, kernels: str
    ) -> tuple[list[Section], list[Section], list[Kernel]]:
        """Attributes what was generated to the model.

        Args:
            graph: AOTInductor's GraphLowering.
            wrapper: The wrapper's source, its lines where AOTInductor put them.
            kernels: The kernels' source.

        Returns:
            The sections of both, without blank lines around, and the kernels and shims
            that the wrapper calls, by name.
        """
        origin = _origins(graph)
        lines = wrapper.splitlines(keepends=True)
        starts = [(1, ()), *self._starts]
        ends = [start for start, _ in starts[1:]] + [len(lines) + 1]
        called: dict[str, list[_Nodes]] = {
            name: [] for _, name in re.findall(_KERNEL, kernels)
        }
        in_wrapper = []
        for (start, nodes), end in zip(starts, ends, strict=True):
            sections = [Section("", origin(nodes))]
            for line in lines[start - 1 : end - 1]:
                call = re.match(_CALL, line)
                name = (call[1] or call[2]) if call else ""
                if name in called or operator_of_shim(name):
                    called.setdefault(name, []).append(nodes)
                    sections.append(Section(line, sections[0].origin, name))
                else:
                    code = sections[-1].code + line
                    sections[-1] = dataclasses.replace(sections[-1], code=code)
            in_wrapper += sections
        found = {
            name: origin([*itertools.chain(*calls)]) for name, calls in called.items()
        }
        # Text that belongs to no kernel, a kernel, its name, and so on.
        pieces = re.split(_KERNEL, kernels)
        in_kernels = [Section(pieces[0])]
        for kernel, name, rest in zip(*(pieces[i::3] for i in (1, 2, 3)), strict=True):
            in_kernels += [Section(kernel, found[name]), Section(rest)]
        return (
            _stripped(in_wrapper),
            _stripped(in_kernels),
            [Kernel(name, found[name]) for name in sorted(found)],
        )

    def _write(self, nodes: _Nodes) -> None:
        """What is written from here on is of these nodes."""
        wrapper = look_up("torch._inductor.virtualized:V").graph.wrapper_code
        wrapper.enter_context(nodes)

    def _enter_context(self, original: Any) -> Any:
        def enter_context(scheduler: Any, node: Any) -> None:
            # torch notes the last node alone.
            self._nodes = _nodes_of(node.get_nodes())
            self._write(self._nodes)

        return enter_context

    def _schedule(self, original: Any) -> Any:
        def codegen(scheduler: Any) -> None:
            outside = self._nodes
            original(scheduler)
            self._nodes = outside
            if outside:  # the scheduler was a branch's or a loop's
                self._write(outside)

        return codegen

    def _flush(self, original: Any) -> Any:
        def flush(scheduling: Any) -> None:
            """Kernels are called late: when the next node is begun."""
            nodes = _nodes_of(scheduling.kernel_group.scheduled_nodes)
            if nodes:
                self._write(nodes)
            original(scheduling)
            if nodes:
                self._write(self._nodes)

        return flush

    def _end(self, original: Any) -> Any:
        def generate_return(wrapper: Any, *args: Any) -> None:
            line_context = look_up("torch._inductor.utils:LineContext")
            wrapper.wrapper_call.writeline(line_context(()))
            original(wrapper, *args)

        return generate_return

    def _codegen(self, original: Any) -> Any:
        def codegen(graph: Any) -> Any:
            wrapper, kernels = original(graph)
            self._starts = wrapper.line_map
            return wrapper, kernels

        return codegen


_Nodes = Sequence[torch.fx.Node]


def _nodes_of(scheduled: Iterable[Any]) -> _Nodes:
    """The nodes of the graph that nodes of Inductor's schedule were made of."""
    nodes: list[torch.fx.Node] = []
    for each in scheduled:
        if each.node is None:
            continue
        # A call of an operator has the origins of its arguments, too.
        exact = each.node.get_origin_node() if each.is_extern() else None
        nodes += _calls([exact] if exact else ()) or _calls(each.node.get_origins())
    # What is in a branch or a loop has origins outside.
    inside = look_up("torch._inductor.virtualized:V").graph.graph
    return [node for node in nodes if node.graph is inside] or nodes


def _calls(nodes: Iterable[torch.fx.Node]) -> list[torch.fx.Node]:
    """Those of some nodes that are calls of operators; what was fused, one by one."""
    parts = (part for node in nodes for part in node.meta.get("fused", [node]))
    return [n for n in parts if isinstance(n.target, OpOverload | HigherOrderOperator)]


def _origins(graph: Any) -> Callable[[_Nodes], Origin]:
    """A function that says what nodes of a GraphLowering's graphs are of the model."""
    order = {node: i for i, node in enumerate(all_nodes(graph.module))}

    def origin(nodes: _Nodes) -> Origin:
        nodes = sorted(
            dict.fromkeys(nodes), key=lambda node: order.get(node, len(order))
        )
        lines = []
        for node in nodes:
            frame = innermost(frames_of_node(node))
            if frame:
                file = shorten_path(frame.path)
                lines.append(Line(file, frame.line, frame.function, frame.code))
        operators = map(operator_of_node, nodes)
        return Origin(tuple(dict.fromkeys(operators)), tuple(dict.fromkeys(lines)))

    return origin


def operator_of_shim(name: str) -> str:
    """The operator that a function of libtorch's computes, "addmm_out"; "" if none.

    An operator that has no such function, "shop::scale", is what it is called by.
    """
    if "::" in name:
        return name
    shim = re.fullmatch(_SHIM, name)
    return (shim[1] or shim[2]) if shim else ""


def all_nodes(module: torch.fx.GraphModule) -> Iterator[torch.fx.Node]:
    """The nodes of a graph and of those that are in it: branches, loops."""
    for each in module.modules():
        yield from getattr(getattr(each, "graph", None), "nodes", ())


def _stripped(sections: Iterable[Section]) -> list[Section]:
    """Leaves out empty sections, and blank lines at the start and the end."""
    kept = [section for section in sections if section.code.strip()]
    if kept:
        kept[0] = dataclasses.replace(kept[0], code=kept[0].code.lstrip())
        kept[-1] = dataclasses.replace(kept[-1], code=f"{kept[-1].code.rstrip()}\n")
    return kept


def _some(texts: Iterable[str]) -> str:
    """The first few of some texts, shortened."""
    shown = [
        text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"
        for text in dict.fromkeys(texts)
    ]
    more = ["…"] if len(shown) > _MAX_TEXTS else []
    return "; ".join(shown[:_MAX_TEXTS] + more)
