"""What the tool takes of torch beyond its public interface, and what it mends there.

Every private name is here, but for those in kernel_checks.py, parallel_regions.py,
results_in_place.py and dispatched_operators.py, which give Inductor's generators other
methods, recurrent.py, fusion.py and fused_operators.py, which decompose and lower
otherwise, provenance.py, which notes what code is of, the modules that worker.py imports
early, and the logging that compile_model.py silences.
Names are looked up before use, and a torch that lacks one is refused. Each mend of a
known fault says what is wrong; tests/tools/upstream_test.py shows the fault without the
mend, and so fails when torch has repaired it: then the mend goes.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import dataclasses
import functools
import inspect
import math
import pkgutil
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any

import sympy
import torch


def _missing(name: str) -> AssertionError:
    return AssertionError(
        f"torch {torch.__version__} has no {name.replace(':', '.')}; "
        "tools/torch_aot/upstream.py says what the tool needs it for"
    )


def look_up(name: str) -> Any:
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
    methods = inspect.getmembers(look_up(class_name), inspect.isfunction)
    mentioned = {
        name
        for _, method in methods
        for name in inspect.unwrap(method).__code__.co_names
    }
    for name in names:
        if name not in mentioned:
            raise _missing(f"{class_name}.{name}")


# The trees that torch.export flattens inputs and outputs into.
pytree = look_up("torch.utils._pytree")

# Which operators are torch's own, "aten::add.Tensor"; a call's schema, which tells what
# it changes and what are views; whether two tensors have one storage. Inductor's import
# adds those of quantised programs: they are there without it, too.
look_up("torch.ao.quantization.fx._decomposed")
operator_names = look_up("torch._C:_dispatch_get_all_op_names")
OpOverload = look_up("torch._ops:OpOverload")
_check_attributes("torch._ops:OpOverload", "_schema")
look_up("torch:UntypedStorage._cdata")

# What counts the work of a run: a mode that sees each operator, and which are torch.cond
# and its kin.
TorchDispatchMode = look_up("torch.utils._python_dispatch:TorchDispatchMode")
HigherOrderOperator = look_up("torch._ops:HigherOrderOperator")

# FlopCounterMode lacks the attention of the CPU.
cpu_attention = look_up("torch:ops.aten._scaled_dot_product_flash_attention_for_cpu")

# Which operators of the user's launch Triton kernels, and what they are for each device.
TRITON_OPERATORS = look_up("torch._library.triton:triton_ops_to_kernels")
_check_attributes(
    "torch._library.custom_ops:CustomOpDef", "_abstract_fn", "_backend_fns", "_qualname"
)

# Whether TorchScript compiles for the sizes that it first sees.
set_profiling_mode = look_up("torch._C:_jit_set_profiling_mode")

# What a ScriptModule has, and what is in its graphs.
for _name in ("_get_method", "_method_names", "getattr"):
    look_up(f"torch._C:ScriptModule.{_name}")
for _name in ("blocks", "inputs", "kind", "outputs", "s", "schema", "sourceRange"):
    look_up(f"torch._C:Node.{_name}")

# What number TorchScript has for the dtype of a tensor.
number_of_dtype = look_up("torch:ops.prim.dtype.default")

# What is known of symbols when a model is compiled.
_statically_known_true = look_up(
    "torch.fx.experimental.symbolic_shapes:statically_known_true"
)

# Which tensors have no values yet.
FakeTensor = look_up("torch._subclasses.fake_tensor:FakeTensor")

# Which schema of exported programs torch writes; it reads those of the same major version.
SCHEMA_VERSION: tuple[int, int] = look_up("torch._export.serde.schema:SCHEMA_VERSION")

# How torch.export matches dynamic_shapes with the inputs.
combine_args = look_up("torch.export.dynamic_shapes:_combine_args")
check_dynamic_shapes = look_up("torch.export.dynamic_shapes:_check_dynamic_shapes")
tree_map_with_path = look_up("torch.export.dynamic_shapes:_tree_map_with_path")

# How torch refuses what depends on data.
DynamoError = look_up("torch._dynamo.exc:TorchDynamoException")
DATA_DEPENDENT = (
    look_up("torch._subclasses.fake_tensor:DataDependentOutputException"),
    look_up("torch._subclasses.fake_tensor:DynamicOutputShapeException"),
    look_up("torch.fx.experimental.symbolic_shapes:GuardOnDataDependentSymNode"),
)

# What torch.export knows of sizes when one is not what was declared.
_check_attributes(
    "torch.fx.experimental.symbolic_shapes:ShapeEnv",
    "backed_var_to_val",
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
            look_up(patch.name)
            owner = pkgutil.resolve_name(owner_name)
            original = vars(owner)[attribute]
            setattr(owner, attribute, patch.replace(original))
            undo.callback(setattr, owner, attribute, original)
        yield


def load_programs(path: str) -> dict[str, torch.export.ExportedProgram]:
    """Reads a `.pt2`'s programs, by name, with the error that is to blame if it fails.

    torch.export.load takes most errors for a file of torch 2.7 or before, and says of all
    others that there is no such thing in them.
    """
    load = look_up("torch.export.pt2_archive._package:load_pt2")
    return load(path).exported_programs


class ProgramHoldsCode(Exception):
    """A `.pt2` has something in it that runs when it is read; the text says what."""


def _weights_alone(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def load(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **{**kwargs, "weights_only": True})

    return load


def _refuse(what: str) -> Callable[..., Any]:
    def load(*args: Any) -> None:
        raise ProgramHoldsCode(what)

    return load


# What is not done to read a `.pt2`: each of these runs what is in the file.
LOADS_NO_CODE = (
    Patch(
        "torch:load",
        _weights_alone,
        "subclasses of tensors, and example inputs where weights_only fails, are "
        "unpickled without it",
    ),
    Patch(
        "torch.export.pt2_archive._package:pickle",
        lambda _: types.SimpleNamespace(loads=_refuse("a pickled object of Python's")),
        "opaque objects are unpickled",
    ),
    Patch(
        "torch.export.pt2_archive._package:_load_aoti",
        lambda _: _refuse("compiled code"),
        "shared libraries are loaded",
    ),
)


def operator_of_node(node: torch._C.Node) -> Any:
    """The operator that a node of TorchScript's calls; None if it is no such node."""
    text = node.schema()
    if text == "(no schema)":
        return None
    schema = look_up("torch._C:parse_schema")(text)
    namespace, _, name = schema.name.partition("::")
    packet = getattr(getattr(torch.ops, namespace), name, None)
    return getattr(packet, schema.overload_name or "default", None)


def known_truth(condition: Any) -> bool | None:
    """Whether a condition holds; None if that depends on data or a dynamic size."""
    if isinstance(condition, bool):
        return condition
    if isinstance(condition, torch.SymBool):
        if _statically_known_true(condition):
            return True
        if _statically_known_true(torch.sym_not(condition)):
            return False
    return None


def is_same_size(first: int | torch.SymInt, second: int | torch.SymInt) -> bool:
    """Whether two sizes are surely equal; nothing of it gets into the exported graph."""
    with look_up("torch.fx.experimental.proxy_tensor:disable_proxy_modes_tracing")():
        return bool(_statically_known_true(first == second))


def symbol_of(size: int | torch.SymInt) -> sympy.Symbol | None:
    """The symbol that a size is, whatever has come to be known of it."""
    expression = size.node._expr if isinstance(size, torch.SymInt) else None
    return expression if isinstance(expression, sympy.Symbol) else None


def hint(size: int | torch.SymInt) -> int:
    """A size; of a dynamic one the example's, and 0 where that is not known."""
    return size if isinstance(size, int) else size.node.hint or 0


@contextlib.contextmanager
def untraced(values: Iterable[Any]) -> Iterator[None]:
    """Runs operators without torch.export's noticing, for a while.

    Args:
        values: Tensors and symbols; those of the export among them.
    """
    disable = look_up("torch.fx.experimental.proxy_tensor:disable_proxy_modes_tracing")
    mode = look_up("torch._guards:detect_fake_mode")([*values])
    with contextlib.ExitStack() as stack:
        stack.enter_context(disable())
        if mode is not None and mode.shape_env is not None:
            stack.enter_context(mode.shape_env.ignore_fresh_unbacked_symbols())
        yield


def complete_hints(program: torch.export.ExportedProgram) -> None:
    """Gives each symbol of a loaded program's sizes its value in the example inputs.

    torch.export.load gives one to a size as such: to 2*h, but not to h. Inductor asks
    for the values of other expressions, too.
    """
    nodes = program.graph.find_nodes(op="placeholder")
    inputs = pytree.tree_leaves(program.example_inputs)
    names = program.graph_signature.user_inputs
    values = {node.name: node.meta["val"] for node in nodes}
    for name, example in zip(names, inputs, strict=True):
        # Of a constant `name` is the value.
        if not isinstance(example, torch.Tensor):
            continue
        value = values[name]
        for size, number in zip(value.shape, example.shape, strict=True):
            if not isinstance(size, torch.SymInt):
                continue
            env, expression = size.node.shape_env, size.node.expr
            unknown = expression.free_symbols - {*env.backed_var_to_val}
            for symbol in unknown if len(unknown) == 1 else ():
                others = {
                    s: env.backed_var_to_val[s]
                    for s in expression.free_symbols - unknown
                }
                hints = sympy.solve(expression.subs(others) - number, symbol)
                # Else Inductor may do without.
                if len(hints) == 1 and hints[0].is_Integer:
                    env.add_backed_var_to_val(symbol, int(hints[0]))


@contextlib.contextmanager
def mended(*patches: Patch) -> Iterator[None]:
    """All mends, and `patches`, for the time of a code generation.

    Inductor keeps the replacements of attention that it finds at a process's first.
    """
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
    look_up("torch._inductor.graph:GraphLowering.get_original_value_of_constant")
    look_up("torch._inductor.ir:IRNode.get_dtype")
    look_up("torch._inductor.ir:IRNode.get_size")
    with patched(*_MENDS, *patches):
        yield


def aot_compile(
    module: torch.fx.GraphModule,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: dict[str, Any],
) -> None:
    """Runs AOTInductor on a module of an exported program."""
    look_up("torch._inductor:aot_compile")(module, args, kwargs, options=options)


def name_of_constant(graph: Any, name: str) -> str:
    """The name in the module's state dict of a constant of a lowered graph."""
    name = graph.allocated_constant_name.get(name, name)
    return str(graph.dynamo_flat_name_to_original_fqn.get(name, name))


def is_none(output: Any) -> bool:
    """Whether an output of a GraphLowering is None: it is numbered, but no tensor."""
    return isinstance(output, look_up("torch._inductor.ir:NoneAsConstantBuffer"))


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


def with_shims(operators: Iterable[Any]) -> Patch:
    """Calls shims for operators of torch's that have none in torch."""
    return Patch(
        "torchgen.aoti.fallback_ops:inductor_fallback_ops",
        lambda table: table | {str(operator): {} for operator in operators},
        "aot_inductor.custom_ops_to_c_shims is asked for operators of others alone",
    )


_Decompositions = dict[Any, Callable[..., Any]]

# Returns Inductor's decompositions, by operator.
_DECOMPOSITIONS = "torch._inductor.decomposition:fast_random_decomps"


def _altering(
    alter: Callable[[_Decompositions], _Decompositions],
) -> Callable[[Callable[[], _Decompositions]], Callable[[], _Decompositions]]:
    """What replaces _DECOMPOSITIONS, by a function that makes a table of another."""
    return lambda original: functools.cache(lambda: alter(original()))


def decomposing(table: Mapping[Any, Callable[..., Any]]) -> Patch:
    """Decomposes operators, more than Inductor does, before anything else looks at them.

    Args:
        table: By operator, what computes it by others, or returns NotImplemented.
    """

    @_altering
    def replace(found: _Decompositions) -> _Decompositions:
        return found | {
            operator: _either(function, found.get(operator))
            for operator, function in table.items()
        }

    return Patch(_DECOMPOSITIONS, replace, "Inductor leaves them to a library")


def _either(
    function: Callable[..., Any], other: Callable[..., Any] | None
) -> Callable[..., Any]:
    @functools.wraps(function)
    def decompose(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if result is NotImplemented and other is not None:
            return other(*args, **kwargs)
        return result

    return decompose


def before_lowering(*changes: Callable[[torch.fx.GraphModule], None]) -> Patch:
    """Changes what Inductor lowers, behind all of its passes.

    Args:
        changes: Take the module, one after the other; branches and loops are modules in
            it.
    """

    def replace(original: Callable[..., None]) -> Callable[..., None]:
        nested = look_up("torch._inductor.graph:SubgraphLowering")

        @functools.wraps(original)
        def __init__(
            self: Any, gm: torch.fx.GraphModule, *args: Any, **kwargs: Any
        ) -> None:
            if not isinstance(self, nested):
                for change in changes:
                    change(gm)
            original(self, gm, *args, **kwargs)

        return __init__

    return Patch(
        "torch._inductor.graph:GraphLowering.__init__",
        replace,
        "a pass of its own would be followed by others",
    )


def wants_channels_last(module: torch.fx.GraphModule) -> bool:
    """Whether Inductor lays out channels-last what 2-D convolutions of a graph read."""
    decide = look_up("torch._inductor.graph:GraphLowering.decide_layout_opt")
    return bool(decide(module, is_inference=True))


def set_constant(module: torch.fx.GraphModule, name: str, value: torch.Tensor) -> None:
    """Replaces a constant that no run changes, before a module is lowered."""
    path, _, attribute = name.rpartition(".")
    owner = module.get_submodule(path)
    if isinstance(getattr(owner, attribute), torch.nn.Parameter):
        value = torch.nn.Parameter(value, requires_grad=False)
    setattr(owner, attribute, value)
    # Of a buffer AOTInductor takes a copy from before the tracing.
    key = look_up("torch._inductor.utils:get_cloned_parameter_buffer_name")(name)
    if key in module.meta:
        module.meta[key] = value


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


def _inline_triton(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._qualname not in TRITON_OPERATORS:
            return original(self, *args, **kwargs)
        return self._backend_fns.get("cpu", self._abstract_fn)(*args, **kwargs)

    return __call__


TRITON_INLINED = Patch(
    "torch._library.custom_ops:CustomOpDef.__call__",
    _inline_triton,
    "torch.export keeps a triton_op whole, also where it is plain PyTorch on the CPU",
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
            return look_up("torch._inductor.cpu_vec_isa:invalid_vec_isa")
        return type(
            class_name,
            (look_up(f"torch._inductor.cpu_vec_isa:{class_name}"),),
            {
                "__bool__": lambda self: True,  # without it: the probe
                "__hash__": look_up("torch._inductor.cpu_vec_isa:VecISA.__hash__"),
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


# Sizes may be symbols, which an `if` would fix to the example's: conditions on them are
# numbers, 0 or 1.
def _at_least(a: Any, b: Any) -> Any:
    return torch.sym_max(0, torch.sym_min(1, a - b + 1))


def _scales_of_eager(
    sizes: Any, new_sizes: Any, scales: Any, ratios: tuple[int, ...], copies: Any = 1
) -> list[Any]:
    """One of `ratios` where a new size is that much of the size, if `copies`."""
    result = []
    for size, new, scale in zip(sizes, new_sizes, scales, strict=True):
        # A new size is the size times the scale, rounded down.
        ratio = math.floor(scale or 0)
        if ratio in ratios and ratio != scale:
            copied = (
                copies * _at_least(new, ratio * size) * _at_least(ratio * size, new)
            )
            scale = copied * ratio + (1 - copied) * scale
        result.append(scale)
    return result


@mend(
    "torch._decomp.decompositions:_upsample_linear",
    "eager copies along a dimension whose size stays, whatever scale_factor is",
)
def _upsample_linear(original: Callable[..., Any]) -> Callable[..., Any]:
    def upsample(image: Any, sizes: Any, align_corners: bool, scales: Any) -> Any:
        scales = _scales_of_eager(image.shape[2:], sizes, scales, (1,))
        return original(image, sizes, align_corners, scales)

    return upsample


@mend(
    "torch._decomp.decompositions:_compute_upsample_nearest_indices",
    "some of eager's kernels copy along a dimension whose size stays or doubles, "
    "whatever scale_factor is",
)
def _upsample_nearest(original: Callable[..., Any]) -> Callable[..., Any]:
    formats = {2: torch.channels_last, 3: torch.channels_last_3d}

    def indices(image: Any, sizes: Any, scales: Any, exact: bool = False) -> Any:
        if len(sizes) in formats and not exact:
            # How ATen's UpSampleKernel.cpp picks a kernel.
            copies = image.is_contiguous(memory_format=formats[len(sizes)])
            copies = int(copies) * _at_least(image.shape[1], 4)
            if len(sizes) == 2:
                copies = torch.sym_max(copies, _at_least(128, sum(sizes)))
            scales = _scales_of_eager(image.shape[2:], sizes, scales, (1, 2), copies)
        return original(image, sizes, scales, exact)

    return indices


def _refused_if_negative(index: torch.Tensor, size: Any) -> torch.Tensor:
    """Moves negative indices so far down that indexing refuses them.

    Indexing adds the size to what is negative, and checks then.
    """
    return torch.where(index < 0, index - size, index)


def _dim_size(tensor: torch.Tensor, dim: int) -> Any:
    return tensor.shape[dim] if tensor.ndim else 1


@mend(
    _DECOMPOSITIONS,
    "index_add, index_copy and index_select are made of indexing, where negative "
    "indices count from the end; eager refuses them",
)
@_altering
def _check_signs(table: _Decompositions) -> _Decompositions:
    def refusing(decomposition: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(decomposition)
        def decompose(x: Any, dim: int, index: Any, *args: Any, **kwargs: Any) -> Any:
            index = _refused_if_negative(index, _dim_size(x, dim))
            return decomposition(x, dim, index, *args, **kwargs)

        return decompose

    def counting(decomposition: Callable[..., Any]) -> Callable[..., Any]:
        # index_fill counts from the end in eager, too, and is made of index_copy.
        @functools.wraps(decomposition)
        def decompose(x: Any, dim: int, index: Any, *args: Any, **kwargs: Any) -> Any:
            index = torch.where(index < 0, index + _dim_size(x, dim), index)
            return decomposition(x, dim, index, *args, **kwargs)

        return decompose

    wrappers = {
        torch.ops.aten.index_add: refusing,
        torch.ops.aten.index_copy: refusing,
        torch.ops.aten.index_select: refusing,
        torch.ops.aten.index_fill: counting,
    }

    return table | {
        operator: wrappers[packet](decomposition)
        for operator, decomposition in table.items()
        if (packet := getattr(operator, "overloadpacket", None)) in wrappers
    }


@mend(
    _DECOMPOSITIONS,
    "whether adaptive pooling has windows of one size is asked of the example's sizes",
)
@_altering
def _adapt_any_size(table: _Decompositions) -> _Decompositions:
    def keep(decomposition: Callable[..., Any]) -> Callable[..., Any]:
        def decompose(x: torch.Tensor, sizes: Any) -> Any:
            if any(isinstance(size, torch.SymInt) for size in x.shape):
                return NotImplemented
            return decomposition(x, sizes)

        return decompose

    operators = (
        torch.ops.aten.adaptive_max_pool2d.default,
        torch.ops.aten.adaptive_max_pool3d.default,
    )
    return table | {operator: keep(table[operator]) for operator in operators}


@mend(
    "torch._inductor.graph:lowerings",
    "windows of adaptive pooling are laid out for the example's sizes, and so is the "
    "rest of the graph",
)
def _pool_any_size(original: MutableMapping[Any, Any]) -> MutableMapping[Any, Any]:
    def pool(operator: Any) -> Callable[..., Any]:
        def lower(x: Any, sizes: Any) -> Any:
            if all(size.is_number for size in map(sympy.sympify, x.get_size()[-2:])):
                return original[operator](x, sizes)
            handler = look_up("torch._inductor.lowering:fallback_handler")
            return handler(operator, add_to_fallback_set=False)(x, sizes)

        return lower

    operators = (
        torch.ops.aten._adaptive_avg_pool2d.default,
        torch.ops.aten.adaptive_max_pool2d.default,
    )
    own = {operator: pool(operator) for operator in operators}
    # Inductor adds fallbacks to its own meanwhile.
    return collections.ChainMap(own, original)


@mend(
    "torch._decomp.decompositions:_max_unpoolnd",
    "it writes to any index, outside of the output, too; eager refuses those",
)
def _check_unpooling(original: Callable[..., Any]) -> Callable[..., Any]:
    def unpool(x: Any, indices: Any, output_size: Any, dim: int) -> Any:
        size = math.prod(output_size)
        indices = _refused_if_negative(indices, size)
        indices = torch.arange(size, device=indices.device)[indices]
        return original(x, indices, output_size, dim)

    return unpool


@mend(
    "torch._inductor.lowering:use_two_step_variance",
    "Welford's reduction of no elements has the mean 0; eager's is NaN",
)
def _average_what_may_be_empty(original: Callable[..., Any]) -> Callable[..., Any]:
    def use_two_step_variance(x: Any, axis: Any, **kwargs: Any) -> bool:
        axes = look_up("torch._inductor.lowering:_validate_reduction_axis")(x, axis)
        count = math.prod(x.get_size()[i] for i in axes)
        sizes = look_up("torch._inductor.virtualized:V").graph.sizevars
        some = sizes.statically_known_gt(count, 0)
        return not some or original(x, axis, **kwargs)

    return use_two_step_variance


for _number in (15, 17, 20):

    @mend(
        f"torch._inductor.fx_passes.fuse_attention:_sfdp_replacement_{_number}",
        "what it replaces attends where the mask is not 0, and it where the mask is 1",
    )
    def _attend_where_not_zero(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def attend(q: Any, k: Any, v: Any, mask: Any, *args: Any, **kwargs: Any) -> Any:
            return original(q, k, v, mask != 0, *args, **kwargs)

        return attend


for _number in (25, 26):

    @mend(
        f"torch._inductor.fx_passes.fuse_attention:_sfdp_replacement_{_number}",
        "what it replaces adds the mask, a boolean one as 0 and 1; its kernel takes a "
        "boolean mask for where to attend",
    )
    def _add_mask(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def attend(q: Any, k: Any, v: Any, mask: Any, *args: Any, **kwargs: Any) -> Any:
            mask = mask if mask.is_floating_point() else mask.to(q.dtype)
            return original(q, k, v, mask, *args, **kwargs)

        return attend


_FILLED = (
    "what it replaces gives masked scores the least number, so that a row in which all "
    "are masked attends to all; it gives them -inf, and such a row is 0"
)


@mend("torch._inductor.fx_passes.fuse_attention:_sfdp_replacement_18", _FILLED)
def _fill_with_least(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def attend(q: Any, k: Any, v: Any, mask: Any, *args: Any, **kwargs: Any) -> Any:
        least = torch.full((), torch.finfo(q.dtype).min, dtype=q.dtype)
        mask = torch.where(mask, torch.zeros((), dtype=q.dtype), least)
        return original(q, k, v, mask, *args, **kwargs)

    return attend


@mend("torch._inductor.fx_passes.fuse_attention:_sfdp_replacement_19", _FILLED)
def _add_to_least(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def attend(
        q: Any, k: Any, v: Any, kept: Any, mask: Any, *args: Any, **kwargs: Any
    ) -> Any:
        mask = torch.where(kept, mask, mask + torch.finfo(q.dtype).min)
        # All kept: the original would fill with -inf.
        return original(q, k, v, kept | True, mask, *args, **kwargs)

    return attend


_APPLY = "torch._inductor.pattern_matcher:PatternMatcherPass.apply"


def _with_checks(
    original: Callable[..., Any], checked: Callable[[Any], Callable[[Any], Any] | None]
) -> Callable[..., Any]:
    """PatternMatcherPass.apply with other checks of what patterns find.

    Args:
        original: PatternMatcherPass.apply.
        checked: Given a pattern's entry, returns its check in place of `extra_check`,
            or None for that one.
    """

    def replaced(entry: Any) -> Any:
        check = checked(entry)
        if check is None:
            return entry
        entry = copy.copy(entry)
        entry.extra_check = check
        return entry

    def apply(self: Any, graph: Any) -> Any:
        patterns = self.patterns
        self.patterns = collections.defaultdict(
            list, {key: [*map(replaced, found)] for key, found in patterns.items()}
        )
        try:
            return original(self, graph)
        finally:
            self.patterns = patterns

    return apply


@mend(
    _APPLY,
    "a pattern that fits, but whose replacement does not take what was found (a tensor "
    "for a number), or gives another dtype, fails the build or changes the result",
)
def _skip_what_does_not_fit(original: Callable[..., Any]) -> Callable[..., Any]:
    def fits(check: Callable[[Any], Any], match: Any) -> Any:
        # The check traces the replacement, and changes nothing in the graph.
        try:
            return check(match) and _same_dtypes(match)
        except Exception:
            return False

    return _with_checks(
        original, lambda entry: functools.partial(fits, entry.extra_check)
    )


def _same_dtypes(match: Any) -> bool:
    """Whether a traced replacement's outputs, if there is one, have the dtypes found."""
    if match.replacement_graph is None:
        return True
    (results,) = match.replacement_graph.graph.output_node().args
    results = results if isinstance(results, list | tuple) else [results]
    return all(
        old is None or old.meta["val"].dtype == new.meta["val"].dtype
        for old, new in zip(match.output_nodes(), results, strict=True)
    )


@mend(
    "torch._inductor.pattern_matcher:_TargetArgsExpr._match",
    "a pattern fits whatever keyword arguments it does not mention: of what it replaces, "
    "the alpha of an addition and the dtype of a sum are lost",
)
def _mind_all_arguments(original: Callable[..., Any]) -> Callable[..., Any]:
    # They change no values.
    harmless = {"device", "layout", "memory_format", "pin_memory"}

    def match(self: Any, node: Any, context: Any) -> Any:
        # What a pattern has a call for may be a number.
        given = getattr(node, "kwargs", {}).keys()
        lost = given - self.kwargs.keys() - harmless
        if lost and isinstance(node.target, OpOverload):
            arguments = node.target._schema.arguments
            defaults = {argument.name: argument.default_value for argument in arguments}
            if any(node.kwargs[name] != defaults.get(name) for name in lost):
                failed = look_up("torch._inductor.pattern_matcher:FailedMatch")
                return failed("unmentioned arguments: {} {}", node, lost)
        return original(self, node, context)

    return match


def condition(handler: str, reason: str) -> Callable[[Callable[[Any], bool]], Patch]:
    """Registers a function `match -> whether` as a mend: when a pattern is replaced.

    Args:
        handler: "module:function": what replaces the pattern is the function, or
            defined in it.
        reason: Why.
    """
    module, _, function = handler.partition(":")

    def register(holds: Callable[[Any], bool]) -> Patch:
        def both(check: Callable[[Any], Any], match: Any) -> Any:
            return holds(match) and check(match)

        def checked(entry: Any) -> Callable[[Any], Any] | None:
            replace = getattr(entry, "handler", None)
            if getattr(replace, "__module__", None) != module:
                return None
            if replace.__qualname__.partition(".")[0] != function:
                return None
            return functools.partial(both, entry.extra_check)

        def with_condition(original: Callable[..., Any]) -> Callable[..., Any]:
            look_up(handler)
            return _with_checks(original, checked)

        return mend(_APPLY, reason)(with_condition)

    return register


def _value(node: Any) -> torch.Tensor:
    return node.meta["val"]


def _calls(match: Any, operator: Any) -> list[torch.fx.Node]:
    return [node for node in match.nodes if node.target is operator]


def _changes_later(node: torch.fx.Node) -> bool:
    """Whether a run writes to the memory of a node's tensor: it is a buffer's."""
    storage = look_up("torch._inductor.fx_utils:get_node_storage")
    copy_ = torch.ops.aten.copy_.default
    changes = node.graph.find_nodes(op="call_function", target=copy_)
    changed = {storage(change.args[0]) for change in changes} - {None}
    return storage(node) in changed


_FX_PASSES = "torch._inductor.fx_passes"

for _name in ("mul_softmax_pattern", "div_softmax_pattern"):

    @condition(
        f"{_FX_PASSES}.joint_graph:{_name}",
        "it takes the maximum before it scales, in the dtype of what is scaled: "
        "differences of integers overflow, and what is converted after it was scaled "
        "is too large or was rounded before",
    )
    def _scaled_in_one_dtype(match: Any) -> bool:
        given, factor = _value(match.kwargs["inp"]), match.kwargs["other"]
        scaled = match.output_node().args[0]
        if "dtype" in match.kwargs:
            scaled = scaled.args[0]
        before = _value(scaled).dtype
        dtype = match.kwargs.get("dtype", given.dtype)
        # Without keepdim, rows have the maxima of others, which have other factors.
        alike = match.kwargs["keepdim"] or isinstance(factor, int | float)
        wide = torch.promote_types(before, dtype) == dtype
        return bool(alike) and wide and before.is_floating_point


@mend(
    f"{_FX_PASSES}.joint_graph:_preserve_scaled_softmax_nonfinite_semantics",
    "the difference of large numbers overflows before it is scaled",
)
def _keep_large_differences(original: Callable[..., Any]) -> Callable[..., Any]:
    def preserve(scaled: Any, stable: Any, dim: Any, keepdim: bool) -> Any:
        plain = scaled - torch.amax(scaled, dim=dim, keepdim=keepdim)
        stable = torch.where(torch.isfinite(stable), stable, plain)
        return original(scaled, stable, dim, keepdim)

    return preserve


@condition(
    f"{_FX_PASSES}.joint_graph:scatter_upon_const_tensor",
    "it takes indices out of bounds, which eager refuses, and rounds float64 to float32",
)
def _scatter_as_it_is(match: Any) -> bool:
    return False


@condition(
    f"{_FX_PASSES}.post_grad:pointless_cumsum_replacement",
    "it multiplies by the value to fill with as it was given, which the tensor's dtype "
    "may not hold; it counts in float16, and fails where there is no dimension",
)
def _filled_with_what_was_given(match: Any) -> bool:
    dtype, value = match.kwargs["dtype"], match.kwargs["fill_value"]
    if not match.kwargs["shape"]:
        return False
    if dtype in (torch.float32, torch.float64):
        return isinstance(value, int | float)
    whole = not (dtype.is_floating_point or dtype.is_complex)
    return whole and isinstance(value, int) and value in (0, 1)


@condition(
    f"{_FX_PASSES}.post_grad:cat_splitwithsizes_replace",
    "it gives the tensors that were concatenated, in their own dtypes, and with the "
    "values that a buffer among them gets later",
)
def _concatenated_in_one_dtype(match: Any) -> bool:
    (cat,) = _calls(match, torch.ops.aten.cat.default)
    return all(
        _value(part).dtype == _value(cat).dtype and not _changes_later(part)
        for part in cat.args[0]
    )


@condition(
    f"{_FX_PASSES}.post_grad:splitwithsizes_cat_replace",
    "it gives what was split, with the values that a buffer gets later",
)
def _split_what_stays(match: Any) -> bool:
    return not _changes_later(match.kwargs["input_"])


@condition(
    f"{_FX_PASSES}.quantization:_register_woq_lowering",
    "its kernel needs memory that is aligned to 32 bytes, a multiple of 16 columns, a "
    "matrix and a scale for each of its rows; the pattern checks none of it, and ignores "
    "what was expanded, permuted or reshaped",
)
def _multiply_as_it_is(match: Any) -> bool:
    return False


@condition(
    f"{_FX_PASSES}.quantization:_register_quantized_maxpool2d_lowering",
    "it ignores that the output's scale, zero point and dtype may not be the input's, "
    "and calls an operator that the runtime lacks",
)
def _pool_as_it_is(match: Any) -> bool:
    return False


for _name in ("cat", "reshape"):

    @condition(
        f"{_FX_PASSES}.quantization:_register_quantized_{_name}_lowering",
        "it ignores that the output's dtype may not be the input's, and that values "
        "beyond quant_min and quant_max are clamped",
    )
    def _quantized_alike(match: Any) -> bool:
        operators = torch.ops.quantized_decomposed
        (quantized,) = _calls(match, operators.quantize_per_tensor.default)
        *_, least, most, dtype = quantized.args
        given = _calls(match, operators.dequantize_per_tensor.default)
        return (
            dtype in (torch.int8, torch.uint8)
            and least <= torch.iinfo(dtype).min
            and torch.iinfo(dtype).max <= most
            and all(_value(node.args[0]).dtype == dtype for node in given)
        )


@mend(
    f"{_FX_PASSES}.post_grad:same_meta",
    "remove_noop_ops takes placeholders alone for what a run changes, and AOTInductor's "
    "buffers are attributes: a copy that was made of one before gets its new values",
)
def _keep_copies_of_buffers(original: Callable[..., Any]) -> Callable[..., Any]:
    def same(node: torch.fx.Node, source: torch.fx.Node) -> bool:
        storage = look_up("torch._inductor.fx_utils:get_node_storage")
        if not original(node, source):
            return False
        return storage(node) == storage(source) or not _changes_later(source)

    return same


for _name in ("maybe_free_symbols", "maybe_free_unbacked_symbols"):

    @mend(
        f"torch._inductor.ir:{_name}",
        "it overlooks the symbols of a condition, so that what a torch.cond asks for "
        "(x.item() > 0) is not computed",
    )
    def _symbols_of_conditions(original: Callable[..., Any]) -> Callable[..., Any]:
        def symbols(value: Any) -> Any:
            # A symbol is both.
            if isinstance(value, sympy.logic.boolalg.Boolean) and not isinstance(
                value, sympy.Expr
            ):
                return original([*value.free_symbols])
            return original(value)

        return symbols


for _name in ("_generate_index_put_fallback", "_generate_scatter_fallback"):

    @mend(
        f"torch._inductor.codegen.cpp_wrapper_cpu:CppWrapperCpu.{_name}",
        "it ignores that the operator fails: sizes and indices that eager refuses give "
        "a result",
    )
    def _check_what_it_returns(original: Callable[..., Any]) -> Callable[..., Any]:
        def generate(wrapper: Any, *args: Any) -> None:
            original(wrapper, *args)
            lines = wrapper.wrapper_call.get_lines_ref()
            call = lines[-1].strip().removesuffix(";")
            lines[-1] = lines[-1].replace(call, f"AOTI_TORCH_ERROR_CODE_CHECK({call})")

        return generate


@mend(
    "torch._inductor.graph:GraphLowering.allocate_non_dup_const_name",
    "a weight's variable in C++ is called as the weight is, which may be a keyword, or "
    "what another variable is called",
)
def _name_weights_apart(original: Callable[..., Any]) -> Callable[..., Any]:
    def allocate(graph: Any, name: str | None, data: torch.Tensor) -> str:
        if name is None:
            return original(graph, name, data)
        before = len(graph.constants)
        variable = original(graph, f"weight_{name}", data)
        if len(graph.constants) > before:
            graph.allocated_constant_name[variable] = name
        return variable

    return allocate
