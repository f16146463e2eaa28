"""Makes the generated kernels check without ending the process, and say what failed.

What torch generates throws out of OpenMP regions, or stores a pointer to its own stack
in a variable of the process; says a temporary's name for an index; and divides by what
lies past the end of a tensor. Here its generator gets other methods: a check names the
model's line, and runtime/internal/kernel_checks.h has the rest.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch

from aot_common import cpp
from aot_common.frames import innermost
from torch_aot.frames import frames_of_node, operator_of_node
from torch_aot.upstream import Patch, look_up

_CPP = "torch._inductor.codegen.cpp:"
_NAMESPACE = "rules_torch::internal::"
_FAILURE = "rules_torch_failure"

# Of a node in a loop's graph: the node of the model's graph that it comes from.
_ORIGIN = "rules_torch_origin"

# What torch writes around each kernel for divisions by zero.
_ERROR_FLAG = (
    "    std::atomic<int> inductor_cpu_integer_div_error{0};\n"
    "    inductor_cpu_integer_div_error_flag = &inductor_cpu_integer_div_error;\n",
    "    inductor_cpu_integer_div_error_flag = nullptr;\n"
    "    inductor_cpu_throw_if_integer_div_error(inductor_cpu_integer_div_error);\n",
)


def including(namespace: str, header: str) -> Patch:
    """Lets kernels that use a namespace include its header.

    Args:
        namespace: "rules_torch::internal::".
        header: "runtime/internal/kernel_checks.h".
    """

    def replace(original: Any) -> Any:
        @functools.wraps(original)
        def codegen_group(self: Any, name: str | None = None) -> str:
            code = original(self, name)
            if namespace in code:
                code = code.replace('extern "C"', f'#include "{header}"\nextern "C"', 1)
            return code

        return codegen_group

    return Patch(
        f"{_CPP}KernelGroup.codegen_group", replace, "it declares what is used"
    )


class _State:
    """What the patched methods of one code generation tell one another.

    Attributes:
        origin: The node of the model's graph whose code is being traced or written.
        index: What the model gave as the index that is being checked, before Python's
            negative ones are made positive; None: the checked value itself.
        checking: The kernels (V.kernel) that have checks in the code so far.
    """

    def __init__(self) -> None:
        self.origin: Any = None
        self.index: Any = None
        self.checking: set[Any] = set()


def patches() -> tuple[Patch, ...]:
    """The patches for one code generation."""
    state = _State()
    return (
        *_follow_origins(state),
        *_catch(state),
        *_check_indices(state),
        *_check_divisors(state),
        Patch(
            "torch._inductor.codegen.cpp_wrapper_cpu:"
            "CppWrapperCpu._codegen_assert_div_by_zero",
            _check_size_divisor,
            "AOTI_TORCH_CHECK's message has a backtrace",
        ),
    )


@contextlib.contextmanager
def _set(state: _State, **values: Any) -> Iterator[None]:
    before = {name: getattr(state, name) for name in values}
    vars(state).update(values)
    try:
        yield
    finally:
        vars(state).update(before)


def _place(state: _State) -> str:
    """The operator and the line that a check is for, as a C++ string literal."""
    if state.origin is None:
        return cpp.literal("unknown operator")
    name = operator_of_node(state.origin).removeprefix("aten.")
    frame = innermost(frames_of_node(state.origin))
    return cpp.literal(f"{name}, {frame.where}" if frame else name)


def _virtualized() -> Any:
    """What Inductor is at: the node that it lowers, the kernel that it writes."""
    return look_up("torch._inductor.virtualized:V")


def _follow_origins(state: _State) -> tuple[Patch, ...]:
    """Keeps, from the model's graph to the code, which node an operation is of.

    Inductor fuses nodes into loops, and remembers which for the loop as a whole.
    """

    def attributed(function: Callable[..., Any], node: Any) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with _set(state, origin=node):
                return function(*args, **kwargs)

        return call

    def post_init(original: Any) -> Any:
        def __post_init__(self: Any) -> None:
            original(self)
            node = _virtualized().current_node
            if not isinstance(node, torch.fx.Node):  # none is being lowered
                return
            for name in ("inner_fn", "output_indexer"):
                if name in vars(self):
                    self._post_init_setattr(name, attributed(getattr(self, name), node))

        return __post_init__

    def create_node(original: Any) -> Any:
        @functools.wraps(original)
        def create_node(self: Any, *args: Any, **kwargs: Any) -> Any:
            node = original(self, *args, **kwargs)
            if state.origin is not None:
                node.meta[_ORIGIN] = state.origin
            return node

        return create_node

    def run_node(original: Any) -> Any:
        def run_node(self: Any, node: Any) -> Any:
            with _set(state, origin=node.meta.get(_ORIGIN)):
                return original(self, node)

        return run_node

    reason = "messages name the operator and the model's line"
    return (
        Patch("torch._inductor.ir:IRNode.__post_init__", post_init, reason),
        Patch("torch.fx.proxy:TracerBase.create_node", create_node, reason),
        Patch("torch._inductor.loop_body:InterpreterShim.run_node", run_node, reason),
    )


def _catch(state: _State) -> tuple[Patch, ...]:
    """Lets no exception leave an iteration of a loop."""

    def guarded(code: Any) -> Any:
        result = type(code)()
        result.writeline(f"if ({_FAILURE}.none()) try {{")
        with contextlib.ExitStack() as indented:
            # Not BracesBuffer's, which writes braces.
            result.do_indent()
            indented.callback(result.do_unindent)
            result.splice(code)
        result.writeline(f"}} catch (...) {{ {_FAILURE}.Keep(); }}")
        return result

    def gen_body(original: Any) -> Any:
        def gen_body(self: Any, code: Any = None) -> Any:
            body = original(self, code)
            return guarded(body) if self in state.checking else body

        return gen_body

    def write_to_suffix(original: Any) -> Any:
        @contextlib.contextmanager
        def write_to_suffix(self: Any) -> Iterator[None]:
            """What follows a reduction has checks of its own."""
            before = self.reduction_suffix
            self.reduction_suffix = type(before)()
            body_checks = self in state.checking
            state.checking.discard(self)
            with original(self):
                yield
            suffix = self.reduction_suffix
            self.reduction_suffix = before
            before.splice(guarded(suffix) if self in state.checking else suffix)
            if body_checks:
                state.checking.add(self)
            else:
                state.checking.discard(self)

        return write_to_suffix

    def codegen_group(original: Any) -> Any:
        @functools.wraps(original)
        def codegen_group(self: Any, name: str | None = None) -> str:
            code = original(self, name)
            if not code:
                return code
            checks = _FAILURE in code
            for old, new in (
                (_ERROR_FLAG[0], f"    {_NAMESPACE}Failure {_FAILURE};\n"),
                (_ERROR_FLAG[1], f"    {_FAILURE}.Throw();\n"),
            ):
                if code.count(old) != 1:
                    raise AssertionError("KernelGroup.codegen_group is another one")
                code = code.replace(old, new if checks else "")
            return code

        return codegen_group

    reason = "an exception that leaves an OpenMP region ends the process"
    return (
        Patch(f"{_CPP}CppKernel.gen_body", gen_body, reason),
        Patch(f"{_CPP}CppKernel.write_to_suffix", write_to_suffix, reason),
        Patch(
            f"{_CPP}KernelGroup.codegen_group",
            codegen_group,
            "kernels of all threads share inductor_cpu_integer_div_error_flag",
        ),
        including(_NAMESPACE, "runtime/internal/kernel_checks.h"),
    )


def _check_indices(state: _State) -> tuple[Patch, ...]:
    def indirect_indexing(original: Any) -> Any:
        def indirect_indexing(
            self: Any, var: Any, size: Any, check: bool = True, wrap_neg: bool = True
        ) -> Any:
            with _set(state, index=var):
                return original(self, var, size, check, wrap_neg)

        return indirect_indexing

    def check_bounds(original: Any) -> Any:
        def check_bounds(
            self: Any, expr: Any, size: Any, lower: bool, upper: bool
        ) -> None:
            # Both or none: the message wants the size.
            if lower or upper:
                original(self, expr, size, True, True)

        return check_bounds

    def check(self: Any, valid: str, index: Any, size: str) -> str:
        state.checking.add(self)
        place = _place(state)
        index = index if state.index is None else state.index
        return f"{_NAMESPACE}CheckIndex({valid}, {index}, {size}, {place})"

    def scalar_assert(original: Any) -> Any:
        def indirect_assert(
            self: Any, var: Any, lower: str, upper: str, mask: Any = None
        ) -> str:
            valid = f"{lower} <= {var} && {var} < {upper}"
            # torch negates the mask by `~`, which for a bool is never false.
            return check(self, f"!({mask}) || {valid}" if mask else valid, var, upper)

        return indirect_assert

    def vector_assert(original: Any) -> Any:
        scalar = scalar_assert(None)

        def indirect_assert(
            self: Any, var: Any, lower: str, upper: str, mask: Any = None
        ) -> str:
            if not var.is_vec:
                if mask is not None and mask.is_vec:
                    mask = f"!({mask}).all_zero()"
                return scalar(self, var, lower, upper, mask)
            vector = self._get_vec_type(var.dtype)
            mask_type = self._get_mask_type(var.dtype)
            valid = f"{mask_type}(({vector}({lower}) <= {var}) & ({var} < {vector}({upper})))"
            if mask:
                if not mask.is_vec:
                    mask = f"{mask_type}::from({mask})"
                valid = f"({valid}) | ~({mask})"
            if self.tail_size:
                count = _count(self)
                valid = f"{mask_type}::set({mask_type}::from(1), ({valid}), {count})"
            return check(self, valid, var, upper)

        return indirect_assert

    def device_assert_async(original: Any) -> Any:
        def device_assert_async(self: Any, cond: Any, msg: str) -> None:
            state.checking.add(self)
            self.compute.writeline(
                f"{_NAMESPACE}CheckAssertion({cond}, {cpp.literal(msg)}, {_place(state)});"
            )

        return device_assert_async

    reason = "say the index, the size and the line; fail in the iteration alone"
    return (
        Patch(
            "torch._inductor.codegen.common:CSEProxy.indirect_indexing",
            indirect_indexing,
            reason,
        ),
        Patch(f"{_CPP}CppKernel.check_bounds", check_bounds, reason),
        Patch(
            "torch._inductor.codegen.common:Kernel.indirect_assert",
            scalar_assert,
            reason,
        ),
        Patch(f"{_CPP}CppVecKernel.indirect_assert", vector_assert, reason),
        Patch(f"{_CPP}CppKernel.device_assert_async", device_assert_async, reason),
    )


def _count(kernel: Any) -> str:
    """How many lanes of a vector kernel's vectors count, in C++."""
    return look_up(f"{_CPP}cexpr_index")(kernel.num_elems)


def _check_divisors(state: _State) -> tuple[Patch, ...]:
    def scalar(division: str) -> Callable[[Any], Any]:
        def replace(original: Any) -> Any:
            def divide(a: Any, b: Any) -> Any:
                if _is_float(a, b):
                    return original(a, b)
                return f"{_NAMESPACE}Divide<{name}>({a}, {b}, {place(b)})"

            name = f"{_NAMESPACE}{division}"
            return _named(original, divide)

        return replace

    def vector(division: str) -> Callable[[Any], Any]:
        def replace(original: Any) -> Any:
            def divide(a: Any, b: Any) -> Any:
                if _is_float(a, b):
                    return original(a, b)
                kernel = _virtualized().kernel
                mask = kernel._load_mask
                active = (
                    f"[&](auto lane) {{ return {mask}.is_masked(lane); }}, "
                    if mask is not None and mask.is_vec
                    else ""
                )
                return (
                    f"{_NAMESPACE}Divide<{name}>({a}, {b}, {_count(kernel)}, "
                    f"{active}{place(b)})"
                )

            name = f"{_NAMESPACE}{division}"
            return _named(original, divide)

        return replace

    def place(divisor: Any) -> str:
        bounds = divisor.bounds
        if not (bounds.is_singleton() and bounds.lower != 0):
            state.checking.add(_virtualized().kernel)
        return _place(state)

    reason = "a kernel's divisors are the kernel's: no flag of the process, no trap"
    tail = f"{reason}, and lanes past the end divide by nothing"
    return (
        Patch(f"{_CPP}CppOverrides.floordiv", scalar("FloorDivision"), reason),
        Patch(f"{_CPP}CppOverrides.truncdiv", scalar("TruncatingDivision"), reason),
        Patch(f"{_CPP}CppOverrides.mod", scalar("Modulo"), reason),
        Patch(f"{_CPP}CppVecOverrides.floordiv", vector("FloorDivision"), tail),
        Patch(f"{_CPP}CppVecOverrides.truncdiv", vector("TruncatingDivision"), tail),
        Patch(f"{_CPP}CppVecOverrides.mod", vector("Modulo"), tail),
        Patch(f"{_CPP}CppVecOverrides.remainder", vector("Remainder"), tail),
    )


def _check_size_divisor(original: Any) -> Any:
    """In the wrapper, which has no loops: a plain exception does."""

    def _codegen_assert_div_by_zero(
        self: Any, code: Any, divisor_str: str, op_name: str
    ) -> None:
        message = f"integer division by zero ({op_name} of sizes by {divisor_str})"
        code.writeline(
            f"AOTI_RUNTIME_CHECK({divisor_str} != 0, {cpp.literal(message)});"
        )

    return _codegen_assert_div_by_zero


def _is_float(*operands: Any) -> bool:
    return any(operand.dtype.is_floating_point for operand in operands)


def _named(original: Any, function: Callable[..., Any]) -> Any:
    """A static method; torch finds the scalar one by the name of the vectors'."""
    function.__name__ = original.__name__
    return staticmethod(function)
