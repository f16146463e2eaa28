"""Stage 2: an ExportedProgram becomes C++ source and a weights file.

AOTInductor does the work. Left alone it also looks at the build machine (CPU,
core count, compiler) and compiles what it wrote; here it gets the target from
its arguments and stops at the source, which the C++ toolchain that Bazel chose
then compiles.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import torch

from aot_common import cpp
from aot_common import isa as isa_lib
from aot_common.errors import UserError, error_at
from aot_common.frames import Frame, chain
from torch_aot import (
    dispatched_operators,
    kernel_checks,
    parallel_regions,
    provenance,
    recurrent,
    results_in_place,
    size_guards,
    upstream,
    weight_packing,
    weights_file,
)
from torch_aot import signature as sig
from torch_aot.frames import frames_of_node
from torch_aot.runtimes import Runtime
from torch_aot.torch_errors import explain
from torch_aot.weights_file import WeightsFile

_MANY_THREADS = 16

_OPS_FIX = (
    'give the cc_torch_library runtime = "libtorch", or, in its `ops`, a cc_library with '
    "the operator as a C function: rules_torch/op.h"
)


@dataclasses.dataclass(frozen=True)
class Variant:
    """The code of a model for one instruction set.

    Attributes:
        name: A C identifier, unique to the variant in any binary; its symbols
            start with it.
        wrapper: C++ that runs the graph; defines AOTInductor's class
            torch::aot_inductor::AOTInductorModel.
        kernels: C++ of the kernels that the wrapper calls.
        called: The kernels and operators' shims that the wrapper calls, by name.
    """

    name: str
    wrapper: tuple[provenance.Section, ...]
    kernels: tuple[provenance.Section, ...]
    called: tuple[provenance.Kernel, ...]

    @property
    def steps(self) -> tuple[provenance.Kernel, ...]:
        """What a run calls and what for, in the wrapper's order, each once."""
        calls = (
            provenance.Kernel(section.called, section.origin)
            for section in self.wrapper
            if section.called
        )
        return tuple(dict.fromkeys(calls))


@dataclasses.dataclass(frozen=True)
class Generated:
    """What code generation made.

    Attributes:
        variants: By instruction set, in the order in which they were asked for.
        runtime: What the code stands on.
        threads: In how many threads a call computes; 0: the machine says.
        weights: All constants, in the order in which every wrapper declares them.
        model_digest: Of the exported graph, without the weights' values.
        fallback_operators: Operators that the runtime computes, as shims.
        num_outputs: How many outputs the wrapper numbers, what is None included.
        outputs: Which of those each tensor of the signature's outputs is.
    """

    variants: dict[str, Variant]
    runtime: Runtime
    threads: int
    weights: WeightsFile
    model_digest: str
    fallback_operators: tuple[str, ...]
    num_outputs: int
    outputs: tuple[int, ...]

    @property
    def mutated(self) -> tuple[str, ...]:
        """Names of the weights that a run changes."""
        return tuple(spec.name for spec in self.weights.specs if spec.is_mutable)

    @property
    def steps(self) -> tuple[provenance.Kernel, ...]:
        """Those of all variants; most are the same for all."""
        steps = (step for variant in self.variants.values() for step in variant.steps)
        return tuple(dict.fromkeys(steps))

    @property
    def kernels(self) -> tuple[provenance.Kernel, ...]:
        """Where all that the variants call comes from; shims are the same for all."""
        called = (each for variant in self.variants.values() for each in variant.called)
        return tuple({kernel.name: kernel for kernel in called}.values())


class _Stop(Exception):
    """Leaves AOTInductor with what it generated, in place of compiling it."""

    def __init__(self, generated: Generated) -> None:
        super().__init__()
        self.generated = generated


def generate(
    load: Callable[[], torch.export.ExportedProgram],
    *,
    name: str,
    isas: Sequence[str],
    runtime: Runtime,
    threads: int,
    signature: sig.Signature,
) -> Generated:
    """Generates a model's C++.

    Args:
        load: Returns the exported program, with example inputs; called for each
            instruction set.
        name: A C identifier, unique to the model in any binary; every symbol
            with external linkage starts with it.
        isas: The instruction sets to generate for, keys of isa.ISAS.
        runtime: What the code is to stand on.
        threads: In how many threads a call is to compute; 0: as many as the machine
            that runs the model says.
        signature: The program's signature. Errors that know no line of the model
            name its source.

    Raises:
        UserError: AOTInductor fails, the model needs an operator that the runtime
            does not have, or the signature is another program's.
    """
    first, *others = (
        _generate(
            load(),
            name=name,
            isa=isa,
            runtime=runtime,
            threads=threads,
            signature=signature,
        )
        for isa in isas
    )
    variants = dict(first.variants)
    for other in others:
        # The variants share the weights.
        if dataclasses.replace(other, variants=first.variants) != first:
            raise AssertionError(f"{[*other.variants]} and {[*variants]} do not fit")
        variants |= other.variants
    return dataclasses.replace(first, variants=variants)


def _generate(
    program: torch.export.ExportedProgram,
    *,
    name: str,
    isa: str,
    runtime: Runtime,
    threads: int,
    signature: sig.Signature,
) -> Generated:
    """Generates the C++ for one instruction set."""
    source = signature.source
    name = f"{name}_{re.sub('[^a-z0-9]', '_', isa)}"
    args, kwargs = program.example_inputs
    digest = _digest(program, signature)
    recorder = provenance.Recorder()
    guards = size_guards.SizeGuards(signature)

    def intercept(
        cls: type,
        graph: Any,
        wrapper_code: str,
        kernel_code: str,
        serialized_extern_kernel_nodes: str | None,
        **_: Any,
    ) -> None:
        _reject_missing_operators(serialized_extern_kernel_nodes, graph, source)
        _reject_mutated_inputs(graph, source)
        _reject_undeclared_symbols(graph, wrapper_code, source)
        guards.check(graph)
        wrapper, kernels, called = recorder.sections(graph, wrapper_code, kernel_code)
        _reject_lacking_shims(runtime, wrapper_code, called, source)
        raise _Stop(
            Generated(
                variants={isa: _variant(name, wrapper, kernels, called)},
                runtime=runtime,
                threads=threads,
                weights=_weights(graph, source),
                model_digest=digest,
                fallback_operators=tuple(
                    operator
                    for kernel in called
                    if (operator := provenance.operator_of_shim(kernel.name))
                ),
                num_outputs=len(graph.graph_outputs),
                outputs=_match(graph, signature),
            )
        )

    # Inductor writes caches; nothing of them is kept or shared.
    with (
        tempfile.TemporaryDirectory() as cache,
        _environment(TORCHINDUCTOR_CACHE_DIR=cache),
        upstream.mended(
            *kernel_checks.patches(),
            *parallel_regions.patches(),
            *dispatched_operators.patches(source),
            *recorder.patches(),
            *guards.patches(),
            *recurrent.patches(
                recurrent.loops if runtime.shims is None else recurrent.whole_layers
            ),
            *results_in_place.patches(),
            *runtime.patches,
            upstream.before_lowering(*runtime.passes),
            *upstream.vector_isa(isa_lib.ISAS[isa]["vectors"]),
            upstream.code_compiler(intercept),
        ),
        torch.no_grad(),
    ):
        try:
            upstream.aot_compile(
                program.module(check_guards=False),
                args,
                kwargs,
                options=_options(name, threads, runtime),
            )
        except Exception as error:
            # Inductor wraps what is raised below it.
            for current in chain(error):
                if isinstance(current, _Stop):
                    return current.generated
            raise explain(error, source) from error
    raise AssertionError("AOTInductor did not reach its code compiler")


def _options(name: str, threads: int, runtime: Runtime) -> dict[str, Any]:
    return {
        "aot_inductor.package": True,
        "aot_inductor.package_cpp_only": True,
        # Leaves out the C interface with its fixed symbols.
        "aot_inductor.dynamic_linkage": False,
        "aot_inductor.model_name_for_generated_files": name,
        "aot_inductor.package_constants_in_so": False,
        "aot_inductor.precompile_headers": False,
        "aot_inductor.custom_ops_to_c_shims": runtime.c_shims,
        # Inductor folds one-element constants, mutated ones too: a step counter
        # would stay at its first value. Nor may new weights give new code.
        "always_keep_tensor_constants": True,
        "joint_graph_constant_folding": False,
        # Where the machine that runs the model says how many threads there are,
        # enough loops are made parallel for this many.
        "cpp.threads": threads or _MANY_THREADS,
        "cpp.dynamic_threads": not threads,
        "compile_threads": 1,
        "fx_graph_cache": False,
        "comment_origin": False,
    }


def _match(graph: Any, signature: sig.Signature) -> tuple[int, ...]:
    """Which of the wrapper's outputs each tensor of the signature's outputs is.

    Raises:
        UserError: The graph's tensors are others than the signature's.
    """

    def kind(node: Any) -> tuple[str, int]:
        return str(node.get_dtype()).removeprefix("torch."), len(node.get_size())

    # AOTInductor numbers what is None, too, and sets no handle for it.
    places = tuple(
        place
        for place, node in enumerate(graph.graph_outputs)
        if not upstream.is_none(node)
    )
    for side, nodes, specs in (
        ("inputs", graph.graph_inputs.values(), signature.inputs),
        ("outputs", [graph.graph_outputs[i] for i in places], signature.outputs),
    ):
        found = [kind(node) for node in nodes]
        expected = [(spec.dtype, len(spec.dims)) for spec in specs]
        if found != expected:
            texts = (
                ", ".join(f"{dtype} of rank {rank}" for dtype, rank in kinds) or "none"
                for kinds in (found, expected)
            )
            raise UserError(
                "the {} of the program are {}, and those of its signature {}".format(
                    side, *texts
                ),
                where=signature.source,
                fix="give the program and the signature that one `export` wrote",
            )
    return places


def _variant(
    name: str,
    wrapper: Sequence[provenance.Section],
    kernels: Sequence[provenance.Section],
    called: Sequence[provenance.Kernel],
) -> Variant:
    # Kernels are `extern "C"`, with names that other models use too.
    code = "".join(section.code for section in (*wrapper, *kernels))
    names = set(re.findall(r'extern "C"\s+void\s+(\w+)\(', code))
    pattern = re.compile(r"\b(" + "|".join(sorted(names) or ["(?!)"]) + r")\b")

    def rename(source: str) -> str:
        return pattern.sub(rf"{name}_\1", source)

    def rename_class(source: str) -> str:
        # It would write a copy of model.h with a class of another name beside the
        # wrapper; our namespace tells the classes apart.
        return re.sub(
            r'^#include "[^"]*\.h"\n',
            "#include <torch/csrc/inductor/aoti_runtime/model.h>\n",
            source,
            flags=re.MULTILINE,
        ).replace(f"AOTInductorModel{name}", "AOTInductorModel")

    return Variant(
        name,
        tuple(
            dataclasses.replace(section, code=rename_class(rename(section.code)))
            for section in wrapper
        ),
        tuple(
            dataclasses.replace(section, code=rename(section.code))
            for section in kernels
        ),
        tuple(
            provenance.Kernel(rename(kernel.name), kernel.origin) for kernel in called
        ),
    )


def _weights(graph: Any, source: str) -> WeightsFile:
    """The constants, in the order of the wrapper's."""
    constants = [key for key in graph.constants if key not in graph.folded_constants]
    mutated = graph.mutated_buffers & {*constants}
    return weights_file.pack(
        [
            (
                upstream.name_of_constant(graph, key),
                graph.get_original_value_of_constant(key),
                key in mutated,
            )
            for key in constants
        ],
        packings=weight_packing.packings(graph.module),
        where=source,
    )


def _digest(program: torch.export.ExportedProgram, signature: sig.Signature) -> str:
    """Of the graph and its branches; lines of the model's file do not matter."""
    digest = hashlib.blake2b(signature.to_json().encode(), digest_size=32)
    for name, module in sorted(program.graph_module.named_modules()):
        if isinstance(module, torch.fx.GraphModule):
            digest.update(f"{name}\n{module.code}".encode())
    return digest.hexdigest()


def _reject_missing_operators(
    extern_nodes: str | None, graph: Any, source: str
) -> None:
    """Fails for operators that the generated code would look up by name.

    AOTInductor calls an operator that has no C shim through a proxy executor, a
    class that libtorch does not export.
    """
    if not extern_nodes:
        return
    operators = sorted({n["node"]["target"] for n in json.loads(extern_nodes)["nodes"]})
    call = _call_of(operators[0], graph.module)
    listed = ", ".join(operators)
    frames = frames_of_node(call) if call else []
    fix = (
        "write it with other operators. The runtime has those that Inductor generates "
        "code for, those with a C shim in libtorch (aoti_torch_cpu_*), and those of the "
        "torch_model's `ops`; of complex numbers it has few: compute with "
        "torch.view_as_real(x); half precision can be converted: x.float()"
    )
    if any("/nn/utils/parametri" in frame.path for frame in frames):
        fix = (
            "compute the parametrised weight once, before Model(...): torch.nn.utils."
            'parametrize.remove_parametrizations(layer, "weight")'
        )
    raise error_at(
        f"the runtime has no operator {listed}{_lacking_dtype(call) if call else ''}",
        frames=frames,
        where=source,
        fix=fix,
    )


def _reject_lacking_shims(
    runtime: Runtime,
    wrapper: str,
    called: Sequence[provenance.Kernel],
    source: str,
) -> None:
    """Fails for the operators that the runtime does not have."""
    lacking = runtime.lacking(wrapper)
    if not lacking:
        return
    # Of what is no operator's, no line is known.
    origins = [kernel.origin for kernel in called if kernel.name in lacking]
    own = [name for name in lacking if "::" in name]
    operators = sorted({each for origin in origins for each in origin.operators})
    listed = ", ".join(own or operators or lacking)
    lines = [line for origin in origins for line in origin.lines]
    raise error_at(
        f"the {runtime.name} runtime has no operator {listed}",
        frames=[Frame(lines[0].file, lines[0].line, lines[0].function, lines[0].code)]
        if lines
        else [],
        where=source,
        fix=_OPS_FIX
        if own
        else 'give the cc_torch_library runtime = "libtorch", which has every operator, '
        "or write it with other operators",
    )


def _call_of(operator: str, lowered: torch.fx.GraphModule) -> torch.fx.Node | None:
    """The call of an operator that fails: of its dtypes the most unusual.

    Args:
        operator: "aten::bincount".
        lowered: What Inductor lowers; the exported program may have called an
            operator that is decomposed into this one.
    """
    target = operator.replace("::", ".")
    calls = [
        node
        for node in provenance.all_nodes(lowered)
        if str(node.target) in (target, f"{target}.default")
    ]
    return next(filter(_lacking_dtype, calls), calls[0] if calls else None)


def _lacking_dtype(call: torch.fx.Node) -> str:
    """Of which unusual tensors a call is; whether other dtypes would do is not known.

    Inductor computes no complex numbers, and falls back on libtorch for some operators
    of half precision.
    """
    values = [node.meta.get("val") for node in (*call.all_input_nodes, call)]
    dtypes = [value.dtype for value in values if isinstance(value, torch.Tensor)]
    for dtype in dtypes:
        if dtype.is_complex or dtype in (torch.bfloat16, torch.float16):
            return f" of {str(dtype).removeprefix('torch.')} tensors"
    return ""


def _reject_mutated_inputs(graph: Any, source: str) -> None:
    """Fails for the changes that graph_checks does not see.

    No schema declares them (batch_norm's of its running statistics), or they are
    in a graph of their own (that of torch.autocast).
    """
    mutated = sorted(graph.mutated_inputs)
    if mutated:
        position = [*graph.graph_input_names].index(mutated[0])
        raise UserError(
            f"the model changes its input number {position} in place; inputs are "
            "read-only",
            where=source,
            fix="work on a copy: x = x.clone()",
        )


def _reject_undeclared_symbols(graph: Any, wrapper: str, source: str) -> None:
    """Fails for a wrapper that uses a number of the run's without computing it.

    The C++ compiler would say so of a name that no user knows.
    """
    code = cpp.code_alone(wrapper)
    for symbol in sorted(set(re.findall(r"\b(?:u|zuf)\d+\b", code))):
        if re.search(rf"\w[ &]{symbol} *[=;,)]", code):
            continue
        call = _call_of("aten::_local_scalar_dense", graph.module)
        raise error_at(
            f"AOTInductor uses {symbol}, a number that only the run knows, in code that "
            "does not compute it",
            frames=frames_of_node(call) if call else [],
            where=source,
            fix="keep the number a tensor: leave out .item(), int(), float() or bool()",
        )


class _environment:
    """Sets environment variables for a while."""

    def __init__(self, **values: str) -> None:
        self._values = values

    def __enter__(self) -> None:
        self._before = {key: os.environ.get(key) for key in self._values}
        os.environ.update(self._values)

    def __exit__(self, *_: object) -> None:
        for key, value in self._before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value
