"""Lets generated kernels start threads only where there is work for them.

Inductor writes `#pragma omp parallel` around the loops of a kernel, and of sizes that
only the run knows it cannot tell whether that pays: for a small batch it costs more than
the loops. Here its generator writes the loops as a function, and a call that says how
many iterations there are; runtime/internal/kernel_regions.h decides. Loops that reduce
to a few elements have arrays around them that a function could not take over: there the
pragma gets a condition.
"""

from __future__ import annotations

from typing import Any

import sympy

from torch_aot import kernel_checks
from torch_aot.upstream import Patch, look_up

_CPP = "torch._inductor.codegen.cpp:"
_NAMESPACE = "rules_torch::regions::"
_REASON = "threads cost more than a few elements are worth"


class _Region:
    """The region that a generator of a kernel's loops has open, or opens next.

    Attributes:
        iterations: How many there are, of single elements, in the nests of loops so far.
        reduces: Whether the nest that is being written reduces where threads share the
            work: then it has a region of its own.
        number: How many regions came before.
    """

    def __init__(self) -> None:
        self.iterations: list[sympy.Expr] = []
        self.reduces = False
        self.number = 0

    @property
    def size(self) -> str:
        """The iterations of all nests, as C++."""
        print_ = look_up("torch._inductor.codegen.cpp_utils:cexpr_index")
        return str(print_(sympy.Add(*self.iterations)))


def patches() -> tuple[Patch, ...]:
    """The patches for one code generation."""
    regions: dict[Any, _Region] = {}

    def follow(original: Any) -> Any:
        def codegen_loops_impl(
            kernel: Any, loop_nest: Any, code: Any, worksharing: Any
        ) -> None:
            region = regions.setdefault(worksharing, _Region())
            start = loop_nest.max_parallel_depth().start_depth
            region.reduces = bool(
                loop_nest.loops and loop_nest.loops[start].is_reduction
            )
            if region.reduces:
                worksharing.close()
            if not worksharing.in_parallel:
                region.iterations.clear()
            region.iterations.append(_iterations(kernel, loop_nest))
            original(kernel, loop_nest, code, worksharing)

        return codegen_loops_impl

    def parallel(worksharing: Any, threads: int) -> None:
        if worksharing.in_parallel:
            return
        config = look_up("torch._inductor.config:cpp")
        region = regions[worksharing]
        code = worksharing.code
        fixed = 0 if config.dynamic_threads else threads
        if region.reduces:
            clause = f" num_threads({fixed})" if fixed else ""
            condition = f"{_NAMESPACE}IsWorthThreads({region.size})"
            code.writeline(f"#pragma omp parallel{clause} if({condition})")
        else:
            name = f"region{region.number}"
            region.number += 1
            code.writeline(f"const auto {name} = [&]")

            @worksharing.stack.callback
            def call() -> None:
                code.writeline(";")
                code.writeline(
                    f"{_NAMESPACE}RunRegion<{fixed}>({region.size}, {name});"
                )

        worksharing.stack.enter_context(code.indent())
        code.writeline("int tid = omp_get_thread_num();")
        worksharing.num_threads = threads
        worksharing.in_parallel = True

    return (
        Patch(f"{_CPP}CppKernel.codegen_loops_impl", follow, _REASON),
        Patch(f"{_CPP}WorkSharing.parallel", lambda _: parallel, _REASON),
        kernel_checks.including(_NAMESPACE, "runtime/internal/kernel_regions.h"),
    )


def _iterations(kernel: Any, loop_nest: Any) -> sympy.Expr:
    """How often the bodies of a nest of loops are run, for single elements."""
    fused = look_up("torch._inductor.codegen.cpp:OuterLoopFusedKernel")
    inner = loop_nest.get_kernel()
    kernels = (
        [nest.get_kernel() for nest in inner.inner]
        if isinstance(inner, fused)
        else [kernel]
    )
    return sympy.Add(
        *(sympy.Mul(*map(kernel.rename_indexing, each.call_ranges)) for each in kernels)
    )
