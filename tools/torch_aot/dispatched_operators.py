"""Operators that libraries of the user's register.

AOTInductor calls an operator without a C shim through a proxy executor, which libtorch
does not export. Here it writes a call of CallOperator (call_operator.h of each runtime)
in its place, with arguments of the types of the operator's schema. With libtorch that
asks PyTorch's dispatcher; without, it calls a C function (rules_torch/op.h).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from aot_common import cpp
from aot_common.errors import UserError, error_at
from aot_common.frames import Frame
from torch_aot import upstream
from torch_aot.frames import frames_of_node
from torch_aot.upstream import Patch, look_up

_CALL = "rules_torch::internal::CallOperator"

# How a wrapper's line that calls one begins, and the operator's name.
CALL = rf'{_CALL}\("([\w:]+)"'

# Before any library is loaded.
NAMESPACES_OF_TORCH = frozenset(
    name.partition("::")[0] for name in upstream.operator_names()
)

_loaded: set[str] = set()


def load(libraries: Iterable[str]) -> None:
    """Loads libraries that register operators; once each in a process.

    Raises:
        UserError: One cannot be loaded.
    """
    before = {*upstream.operator_names()}
    for library in libraries:
        try:
            torch.ops.load_library(os.path.abspath(library))
        except OSError as error:
            raise UserError(
                f"the library of operators cannot be loaded: {error}",
                where=library,
                fix="its operators are to be in a cc_library that links by itself",
            ) from error
    _loaded.update({*upstream.operator_names()} - before)


def is_loaded(operator: Any) -> bool:
    """Whether an operator is of a library that was loaded."""
    return isinstance(operator, upstream.OpOverload) and operator.name() in _loaded


def called(wrapper: str) -> list[str]:
    """The operators that a wrapper calls so, "shop::scale"."""
    return sorted(set(re.findall(CALL, wrapper)))


def c_functions(wrapper: str) -> str:
    """C++ that says which C functions the operators that a wrapper calls are."""
    found = sorted(set(re.findall(rf'{CALL}, "(\w*)"', wrapper)))
    functions = {
        (name, overload): "rtorch_op_"
        + "__".join(filter(None, [*name.split("::"), overload]))
        for name, overload in found
    }
    declared = "\n".join(
        f'extern "C" std::remove_pointer_t<RTorchOp> {function};'
        for function in functions.values()
    )
    cases = "\n".join(
        f'  if (name == "{name}" && overload == "{overload}") return {function};'
        for (name, overload), function in functions.items()
    )
    return (
        f"{declared}\nnamespace rules_torch::internal {{\nnamespace {{\n"
        "RTorchOp OperatorNamed(std::string_view name, std::string_view overload) {\n"
        f"{cases}\n  return nullptr;\n}}\n}}  // namespace\n"
        "}  // namespace rules_torch::internal\n"
    )


class _Unsupported(Exception):
    """What an operator has that is not passed on; the text says what."""


def patches(source: str) -> tuple[Patch, ...]:
    """The patches for one code generation.

    Args:
        source: What errors name that know no line of the model.
    """

    def replace(original: Any) -> Any:
        def generate_fallback_kernel_with_runtime_lookup_aot(
            wrapper: Any,
            operator: Any,
            arguments: Sequence[Any],
            output_names: Any,
            outputs: Sequence[Any],
        ) -> None:
            if not is_loaded(operator):
                return original(wrapper, operator, arguments, output_names, outputs)
            look_up("torch._inductor.virtualized:V").extern_kernel_nodes.pop()
            try:
                _write_call(wrapper, operator, arguments, output_names)
            except _Unsupported as error:
                raise error_at(
                    f"{operator.name()} has {error}, which compiled models do not pass on",
                    frames=_frames(operator, outputs),
                    where=source,
                    fix="register another form of it: of tensors, lists of them, int, float, "
                    "bool, str, optional ones, and lists of int and float, with tensors as "
                    "results",
                ) from None
            _write_checks(wrapper, operator, output_names, outputs)
            return None

        return generate_fallback_kernel_with_runtime_lookup_aot

    return (
        Patch(
            "torch._inductor.codegen.cpp_wrapper_cpu:CppWrapperCpu."
            "generate_fallback_kernel_with_runtime_lookup_aot",
            replace,
            "libtorch does not export the proxy executor",
        ),
    )


def _write_call(
    wrapper: Any, operator: Any, arguments: Sequence[Any], results: Sequence[Any]
) -> None:
    schema = operator._schema
    boxed = [
        _boxed(wrapper, value, argument.real_type, f"argument {argument.name!r}")
        for argument, value in zip(schema.arguments, arguments, strict=True)
    ]
    for returned in schema.returns:
        if not isinstance(returned.real_type, torch.TensorType):
            raise _Unsupported(f"a result of the type {returned.real_type}")
    for result in results:
        if result is not None:
            wrapper.writeline(f"RAIIAtenTensorHandle {result};")
    taken = ", ".join(f"&{each}" if each else "nullptr" for each in results)
    texts = [
        cpp.literal(schema.name),
        cpp.literal(schema.overload_name),
        f"{{{taken}}}",
        *boxed,
    ]
    wrapper.writeline(f"AOTI_TORCH_ERROR_CODE_CHECK({_CALL}({', '.join(texts)}));")


def _write_checks(
    wrapper: Any, operator: Any, results: Sequence[Any], outputs: Sequence[Any]
) -> None:
    """Lets the run check that results are what the fake implementation said."""
    print_ = look_up("torch._inductor.codegen.cpp_utils:cexpr")
    unbacked = look_up("torch.fx.experimental.symbolic_shapes:free_unbacked_symbols")
    # An operator without results has outputs all the same: what it changes.
    for result, output in zip(results, outputs, strict=False):
        if result is None:
            continue
        size, stride = output.get_size(), output.get_stride()
        if unbacked([*size, *stride]):
            continue  # what the result itself says
        sizes, strides = (", ".join(map(print_, each)) for each in (size, stride))
        wrapper.writeline(
            f"rules_torch::internal::CheckResult({cpp.literal(operator.name())}, {result}, "
            f"{wrapper.codegen_dtype(output.get_dtype())}, {{{sizes}}}, {{{strides}}});"
        )


def _boxed(wrapper: Any, value: Any, type_: Any, what: str) -> str:
    """An argument as C++ of the type that its schema says."""
    if isinstance(type_, torch.OptionalType):
        if value is None:
            return "std::nullopt"
        inner = _boxed(wrapper, value, type_.getElementType(), what)
        return f"std::make_optional({inner})"
    if isinstance(type_, torch.ListType):
        element = type_.getElementType()
        of = _CPP_TYPES.get(type(element))
        if of is None:
            raise _Unsupported(f"{what} of the type {type_}")
        items = ", ".join(_boxed(wrapper, each, element, what) for each in value)
        return f"std::vector<{of}>{{{items}}}"
    if isinstance(type_, torch.TensorType):
        return f"rules_torch::internal::TensorOf({value.codegen_reference()})"
    if isinstance(type_, torch.BoolType):
        return "true" if value else "false"
    if isinstance(type_, torch.IntType | torch.SymIntType):
        print_ = look_up("torch._inductor.codegen.cpp_utils:cexpr")
        expression = value.node.expr if isinstance(value, torch.SymInt) else value
        return f"static_cast<int64_t>({print_(expression)})"
    if isinstance(type_, torch.FloatType):
        return f"static_cast<double>({wrapper.generate_float_value(float(value))})"
    if isinstance(type_, torch.StringType):
        return f"std::string({cpp.literal(value)})"
    raise _Unsupported(f"{what} of the type {type_}")


_CPP_TYPES = {
    torch.TensorType: "rules_torch::internal::OperatorTensor",
    torch.IntType: "int64_t",
    torch.SymIntType: "int64_t",
    torch.FloatType: "double",
}


def _frames(operator: Any, outputs: Sequence[Any]) -> Sequence[Frame]:
    """The lines of the model that call an operator."""
    for output in outputs:
        for node in output.get_origins():
            if node.target is operator:
                return frames_of_node(node)
    return ()
