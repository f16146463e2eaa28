"""What the tool takes of torch beyond its public interface, and what it mends there.

Every private name is here, and nowhere else in the tool, so that one file says what
another version of torch may break. All are looked up before they are used: a torch
that lacks one is refused by its name. Each mend of a known fault says what is wrong;
tests/tools/upstream_test.py shows the fault without the mend, and so fails when torch
has repaired it: then the mend goes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import torch


def _missing(name: str) -> AssertionError:
    return AssertionError(
        f"torch {torch.__version__} has no {name.replace(':', '.')}; "
        "tools/torch_aot/upstream.py says what the tool needs it for"
    )


def _resolve(name: str) -> Any:
    """The object that a name of the form "module:attribute.attribute" is.

    Raises:
        AssertionError: This torch has none.
    """
    try:
        return pkgutil.resolve_name(name)
    except (AttributeError, ImportError) as error:
        raise _missing(name) from error


def _check_attributes(class_name: str, *names: str) -> None:
    """Checks for attributes that only a class's instances have.

    Raises:
        AssertionError: No method mentions one of them; an instance cannot be made here.
    """
    methods = inspect.getmembers(_resolve(class_name), inspect.isfunction)
    mentioned = {
        name
        for _, method in methods
        for name in inspect.unwrap(method).__code__.co_names
    }
    for name in names:
        if name not in mentioned:
            raise _missing(f"{class_name}.{name}")


# The trees that torch.export flattens inputs and outputs into.
pytree = _resolve("torch.utils._pytree")

# Which operators are torch's own, "aten::add.Tensor"; a call's schema, which tells what
# it changes and what are views; whether two tensors have one storage.
operator_names = _resolve("torch._C:_dispatch_get_all_op_names")
OpOverload = _resolve("torch._ops:OpOverload")
_check_attributes("torch._ops:OpOverload", "_schema")
_resolve("torch:UntypedStorage._cdata")

# Which tensors have no values yet.
FakeTensor = _resolve("torch._subclasses.fake_tensor:FakeTensor")

# How torch.export matches dynamic_shapes with the inputs.
combine_args = _resolve("torch.export.dynamic_shapes:_combine_args")
check_dynamic_shapes = _resolve("torch.export.dynamic_shapes:_check_dynamic_shapes")
tree_map_with_path = _resolve("torch.export.dynamic_shapes:_tree_map_with_path")

# How torch refuses what depends on data.
DynamoError = _resolve("torch._dynamo.exc:TorchDynamoException")
DATA_DEPENDENT = (
    _resolve("torch._subclasses.fake_tensor:DataDependentOutputException"),
    _resolve("torch._subclasses.fake_tensor:DynamicOutputShapeException"),
    _resolve("torch.fx.experimental.symbolic_shapes:GuardOnDataDependentSymNode"),
)

# What torch.export knows of sizes when one is not what was declared.
_check_attributes(
    "torch.fx.experimental.symbolic_shapes:ShapeEnv",
    "guards",
    "replacements",
    "replacements_slocs",
    "source_name_to_debug_name",
    "var_to_range",
    "var_to_range_sloc",
    "var_to_sources",
)


@dataclasses.dataclass(frozen=True)
class Patch:
    """A replacement of something of torch's.

    Attributes:
        name: "module:attribute" or "module:Class.attribute"; the attribute is the
            module's or the class's own, not inherited.
        replace: Given what is there, as it is stored (a staticmethod is one),
            returns what is to be there.
        reason: Why.
    """

    name: str
    replace: Callable[[Any], Any]
    reason: str


_MENDS: list[Patch] = []


def mend(name: str, reason: str) -> Callable[[Callable[[Any], Any]], Patch]:
    """Registers a function `original -> replacement` as a mend of a fault of torch's."""

    def register(replace: Callable[[Any], Any]) -> Patch:
        patch = Patch(name, replace, reason)
        _MENDS.append(patch)
        return patch

    return register


@contextlib.contextmanager
def patched(*patches: Patch) -> Iterator[None]:
    """Applies patches, in their order, for a while.

    Raises:
        AssertionError: This torch lacks what one of them replaces.
    """
    with contextlib.ExitStack() as undo:
        for patch in patches:
            owner_name, _, attribute = patch.name.replace(":", ".").rpartition(".")
            _resolve(patch.name)
            owner = pkgutil.resolve_name(owner_name)
            original = vars(owner)[attribute]
            setattr(owner, attribute, patch.replace(original))
            undo.callback(setattr, owner, attribute, original)
        yield


@contextlib.contextmanager
def mended(*patches: Patch) -> Iterator[None]:
    """All mends, and `patches`, for the time of a code generation."""
    # The first import of Inductor: its other modules import one another in circles.
    import torch._inductor.compile_fx  # noqa: F401

    # What is asked of AOTInductor's result.
    _check_attributes(
        "torch._inductor.graph:GraphLowering",
        "constants",
        "folded_constants",
        "graph_input_names",
        "graph_inputs",
        "graph_outputs",
        "module",
        "mutated_buffers",
        "mutated_inputs",
    )
    _resolve("torch._inductor.graph:GraphLowering.get_original_value_of_constant")
    _resolve("torch._inductor.ir:IRNode.get_dtype")
    _resolve("torch._inductor.ir:IRNode.get_size")
    with patched(*_MENDS, *patches):
        yield


def aot_compile(
    module: torch.fx.GraphModule,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: dict[str, Any],
) -> None:
    """Runs AOTInductor on a module of an exported program."""
    _resolve("torch._inductor:aot_compile")(module, args, kwargs, options=options)


def is_none(output: Any) -> bool:
    """Whether an output of a GraphLowering is None: it is numbered, but no tensor."""
    return isinstance(output, _resolve("torch._inductor.ir:NoneAsConstantBuffer"))


def code_compiler(compile_: Callable[..., Any]) -> Patch:
    """Calls a function in place of AOTInductor's compiler of what it generated.

    Args:
        compile_: Takes the class, the GraphLowering, the wrapper's and the kernels'
            source and what the proxy executor would run, and more by keyword.
    """
    return Patch(
        "torch._inductor.codecache:AotCodeCompiler.compile",
        lambda _: classmethod(compile_),
        "the C++ toolchain that Bazel chose compiles it",
    )


def user_frame(find: Callable[[Any, Callable[[Any], Any]], Any]) -> Patch:
    """Lets a function say which line put a condition on a size.

    Args:
        find: Takes the ShapeEnv and torch's own function of it; returns a frame.
    """
    return Patch(
        "torch.fx.experimental.symbolic_shapes:ShapeEnv._get_user_frame",
        lambda original: lambda env: find(env, original),
        "torch.export notes no line of the user's",
    )


def vector_isa(class_name: str | None) -> tuple[Patch, ...]:
    """Makes Inductor generate for an instruction set, whatever this machine has.

    Inductor asks `pick_vec_isa`, and offers only what a probe finds here. Every
    module that imported the function holds a reference of its own.

    Args:
        class_name: A class in torch._inductor.cpu_vec_isa; None: no explicit vectors.
    """

    @functools.cache
    def picked() -> Any:
        if class_name is None:
            return _resolve("torch._inductor.cpu_vec_isa:invalid_vec_isa")
        return type(
            class_name,
            (_resolve(f"torch._inductor.cpu_vec_isa:{class_name}"),),
            {
                "__bool__": lambda self: True,  # without it: the probe
                "__hash__": _resolve("torch._inductor.cpu_vec_isa:VecISA.__hash__"),
            },
        )()

    @functools.cache
    def valid() -> list[Any]:
        return [picked()] if picked() else []

    reason = "the target is declared"
    return (
        *(
            Patch(f"torch._inductor.{module}:pick_vec_isa", lambda _: picked, reason)
            for module in ("cpu_vec_isa", "codecache", "codegen.cpp_micro_gemm")
        ),
        Patch(
            "torch._inductor.cpu_vec_isa:valid_vec_isa_list", lambda _: valid, reason
        ),
    )
