"""Results that are computed in the caller's memory.

AOTInductor allocates its outputs, and whoever wants them elsewhere copies them. The
memory of most outputs is an allocation that the wrapper makes: it asks EmptyOutput
(runtime/internal/aoti_run.h) there, which takes the memory that the caller gave, if
any. Operators of libtorch that return new tensors, and branches, allocate as before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch_aot.upstream import Patch, is_none, look_up

_EMPTY = "(aoti_torch_empty_strided("
_EMPTY_OUTPUT = "(rules_torch::internal::EmptyOutput(proxy_executor, {}, "


def patches() -> tuple[Patch, ...]:
    """The patches for one code generation."""
    places: dict[str, int] = {}

    def plan(original: Any) -> Any:
        def run_wrapper_ir_passes(wrapper: Any, is_inference: bool) -> None:
            original(wrapper, is_inference)
            graph = look_up("torch._inductor.virtualized:V").graph
            places.update(_places(graph.graph_outputs, wrapper.lines))

        return run_wrapper_ir_passes

    def allocate(original: Any) -> Any:
        def make_buffer_allocation(wrapper: Any, buffer: Any) -> Any:
            line = original(wrapper, buffer)
            lines = wrapper.wrapper_call.get_lines_ref()
            # Where the memory is larger than the tensor, another line follows.
            if buffer.get_name() in places and _EMPTY in lines[-1]:
                place = places[buffer.get_name()]
                lines[-1] = lines[-1].replace(_EMPTY, _EMPTY_OUTPUT.format(place))
            return line

        return make_buffer_allocation

    reason = "results are computed in the caller's memory"
    codegen = "torch._inductor.codegen"
    return (
        Patch(
            f"{codegen}.wrapper:PythonWrapperCodegen.run_wrapper_ir_passes",
            plan,
            reason,
        ),
        Patch(
            f"{codegen}.cpp_wrapper_cpu:CppWrapperCpu.make_buffer_allocation",
            allocate,
            reason,
        ),
    )


def _places(outputs: Iterable[Any], lines: Iterable[Any]) -> dict[str, int]:
    """Which output each allocation of a wrapper is for, if any.

    Args:
        outputs: A GraphLowering's.
        lines: The wrapper's, planned: which buffers take over whose memory is known.

    Returns:
        The place among the outputs that are tensors, by the name of the buffer that is
        allocated.
    """
    allocated = _allocated(lines)
    places: dict[str, int] = {}
    for place, output in enumerate(each for each in outputs if not is_none(each)):
        layout = output.maybe_get_layout()
        # The caller's memory is row-major contiguous, and has nothing before or after.
        if layout is None or layout.offset != 0 or not layout.is_contiguous():
            continue
        buffer = allocated.get(output.get_name())
        # Of two outputs in one memory the second is copied.
        if buffer is not None:
            places.setdefault(buffer, place)
    return places


def _allocated(lines: Iterable[Any]) -> dict[str, str]:
    """The buffer whose memory each has that the graph itself allocates.

    What a branch or a loop allocates may be another's the next time.
    """
    kinds = ("EnterSubgraph", "ExitSubgraph", "Allocate", "Reuse")
    enter, leave, allocate, reuse = (
        look_up(f"torch._inductor.codegen.wrapper:{kind}Line") for kind in kinds
    )
    depth = 0
    allocated: dict[str, str] = {}
    for line in lines:
        if isinstance(line, enter):
            depth += 1
        elif isinstance(line, leave):
            depth -= 1
        elif depth > 0:
            continue
        elif isinstance(line, allocate):
            name = line.node.get_name()
            allocated[name] = name
        elif isinstance(line, reuse) and line.node.get_name() in allocated:
            allocated[line.reused_as.get_name()] = allocated[line.node.get_name()]
    return allocated
