"""Stage 2, the last step: wraps generated code into a library with a typed header."""

from __future__ import annotations

import dataclasses
import json
import posixpath
import re
import textwrap
from collections.abc import Callable, Sequence

import torch

import aot_common
from aot_common import cpp, cpp_names
from aot_common.templates import Template
from torch_aot import provenance
from torch_aot import signature as sig
from torch_aot.codegen import Generated
from torch_aot.weights_file import WeightSpec

_HEADER = Template(__file__, "model.h")
_TABLE = Template(__file__, "model.cc")
_WRAPPER = Template(__file__, "wrapper.cc")
_KERNELS = Template(__file__, "kernels.cc")

_INT64_MAX = "INT64_MAX"
_BODY = "\0"  # where a frame has AOTInductor's code

_DECLARE_WEIGHTS = """\
// Defined by embed.S.
extern const rules_torch::internal::Blob {0}_weights
    __attribute__((visibility("hidden")));
extern const char {0}_weights_fingerprint[] __attribute__((visibility("hidden")));"""


@dataclasses.dataclass(frozen=True)
class Target:
    """How the library is to be called.

    Attributes:
        label: The target's label, "//models:resnet".
        id: A C identifier unique to the label; starts every symbol.
        class_name: The C++ class, "Resnet".
        namespace: Its namespace, "models" or "a::b"; may be empty.
        header: How the header is included, "models/resnet.h".
        weights: Where the weights are: "embedded" in the library, or in a "file".
    """

    label: str
    id: str
    class_name: str
    namespace: str
    header: str
    weights: str = "embedded"


def header(target: Target, signature: sig.Signature, generated: Generated) -> str:
    """Renders the public header."""
    state = (
        "The model has state: its mutable buffers "
        f"({', '.join(generated.mutated)}) keep their values from one Run of an "
        "instance to the next, and start anew in each instance. Runs of one "
        "instance wait for one another."
        if generated.mutated
        else "Run may be called from many threads at once on one instance; the calls "
        "share the weights and nothing else, and do not wait for one another."
    )
    declare_in = "const RTorchTensor in[] = {"
    views = f",\n{' ' * len(declare_in)}".join(
        f"inputs.{spec.name}.abi()" for spec in signature.inputs
    )
    output_sizes = _sizes(signature.outputs, _size)
    opening, closing = cpp.namespaces(target.namespace, target.id)
    return _HEADER.render(
        SOURCE=signature.source,
        LABEL=target.label,
        CLASS=target.class_name,
        ID=target.id,
        GUARD=re.sub(r"\W", "_", f"{target.id}_{target.header}") + "_",
        SIGNATURE=signature.text,
        RANGES=f"with {signature.ranges}" if signature.ranges else None,
        OPEN_NAMESPACES=opening,
        CLOSE_NAMESPACES=closing,
        TENSORS="\n".join(_signature_lines(signature)),
        MEMORY=_wrap(_memory(target, generated)),
        THREADS=_wrap(
            f"Threads: {state} A call computes in {_threads(generated.threads)}."
        ),
        ISAS=_wrap(_isas(generated)),
        FORK=_wrap(_fork(generated.threads)),
        INPUT_NAMES=_names(signature.inputs),
        OUTPUT_NAMES=_names(signature.outputs),
        INPUT_SHAPES=_shapes(signature.inputs),
        OUTPUT_SHAPES=_shapes(signature.outputs),
        MIN_SIZES=_sizes(signature.inputs, lambda dim: str(dim.min)),
        MAX_SIZES=_sizes(signature.inputs, _max),
        SYMBOLS="\n".join(
            f"std::int64_t {_member(name)};  // {signature.range_of(name)}"
            for name in signature.symbols
        )
        or None,
        OUTPUT_SIZES=output_sizes,
        SYMBOLS_ARGUMENT="symbols" if "symbols." in output_sizes else None,
        WARMUP=_wrap(_warmup(bool(generated.mutated)), 75),
        INPUTS=_fields("TensorView<const ", signature.inputs),
        OUTPUTS=_fields("Tensor<", signature.outputs),
        BUFFERS=_fields("TensorView<", signature.outputs),
        CONST=None if generated.mutated else "const",
        # A parameter that is not used has no name.
        ARGUMENT="inputs" if signature.inputs else None,
        DECLARE_IN=f"{declare_in}{views}}};"
        if views
        else "const RTorchTensor* in = nullptr;",
        BUFFERS_ABI=",\n".join(
            f"buffers.{spec.name}.abi()" for spec in signature.outputs
        ),
        ADOPT_OUT=",\n".join(
            f"{_type('Tensor<', spec)}(out[{i}])"
            for i, spec in enumerate(signature.outputs)
        ),
        NUM_INPUTS=len(signature.inputs),
        NUM_OUTPUTS=len(signature.outputs),
    )


def model_source(target: Target, signature: sig.Signature, generated: Generated) -> str:
    """Renders the C++ source that defines the model's table."""
    symbols = list(signature.symbols)
    embedded = target.weights == "embedded"
    return _TABLE.render(
        SOURCE=signature.source,
        LABEL=target.label,
        ID=target.id,
        SIGNATURE=signature.text,
        BACKENDS="\n".join(
            f"extern const rules_torch::internal::Backend {variant.name}_backend\n"
            '    __attribute__((visibility("hidden")));'
            for variant in generated.variants.values()
        ),
        VARIANTS=",\n".join(
            f'{{"{isa}", &{variant.name}_backend}}'
            for isa, variant in generated.variants.items()
        ),
        INPUTS=_specs("Input", signature.inputs, symbols),
        OUTPUTS=_specs("Output", signature.outputs, symbols),
        SYMBOLS=_array(
            "RTorchSymbol",
            "kSymbols",
            [
                f"{cpp.literal(name)}, {low}, {_INT64_MAX if high is None else high}"
                for name, (low, high) in signature.symbols.items()
            ],
        ),
        DECLARE_WEIGHTS=_DECLARE_WEIGHTS.format(target.id) if embedded else None,
        WEIGHTS=_weights(generated.weights.specs),
        STEPS=_array("RTorchStep", "kSteps", [*map(_step, generated.steps)]),
        TORCH_VERSION=torch.__version__,
        VERSION=aot_common.VERSION,
        MODEL_DIGEST=generated.model_digest,
        WEIGHTS_BLOB=f"&{target.id}_weights" if embedded else "nullptr",
        FINGERPRINT=f"{target.id}_weights_fingerprint" if embedded else '""',
        NUM_WEIGHTS=len(generated.weights.specs),
        NUM_STEPS=len(generated.steps),
        NUM_VARIANTS=len(generated.variants),
        NUM_INPUTS=len(signature.inputs),
        NUM_OUTPUTS=len(signature.outputs),
        NUM_SYMBOLS=len(symbols),
        IS_STATEFUL=int(bool(generated.mutated)),
        WEIGHTS_SIZE=generated.weights.size,
    )


def wrapper_source(
    target: Target, signature: sig.Signature, generated: Generated, isa: str
) -> str:
    """Renders the C++ source that runs the graph with kernels for one instruction set."""
    variant = generated.variants[isa]
    wrapper = "".join(section.code for section in variant.wrapper)
    frame = _WRAPPER.render(
        WRAPPER=_BODY,
        SOURCE=signature.source,
        LABEL=target.label,
        ISA=isa,
        VARIANT=variant.name,
        RUNTIME=generated.runtime.includes(isa, wrapper),
        OUTPUTS=", ".join(map(str, generated.outputs)),
        NUM_OUTPUTS=len(generated.outputs),
        NUM_INPUTS=len(signature.inputs),
        NUM_HANDLES=generated.num_outputs,
        THREADS=generated.threads,
    )
    places = {step: place for place, step in enumerate(generated.steps)}
    sections = [_announced(section, places) for section in variant.wrapper]
    return _in_frame(frame, sections, _file(target, isa, "wrapper"))


def kernels_source(
    target: Target, signature: sig.Signature, generated: Generated, isa: str
) -> str:
    """Renders the C++ source of the kernels for one instruction set."""
    frame = _KERNELS.render(
        SOURCE=signature.source, LABEL=target.label, ISA=isa, KERNELS=_BODY
    )
    kernels = generated.variants[isa].kernels
    return _in_frame(frame, kernels, _file(target, isa, "kernels"))


def _step(step: provenance.Kernel) -> str:
    texts = (step.name, ", ".join(step.origin.operators), step.origin.source)
    return ", ".join(map(cpp.literal, texts))


def _announced(
    section: provenance.Section, places: dict[provenance.Kernel, int]
) -> provenance.Section:
    """A section whose call is a step of the run's, by its place among all steps."""
    if not section.called:
        return section
    place = places[provenance.Kernel(section.called, section.origin)]
    call, *rest = section.code.splitlines(keepends=True)
    indent = call[: -len(call.lstrip())]
    step = (
        f"{indent}{{ const rules_torch::internal::Step step(proxy_executor, {place});"
    )
    code = f"{step}\n{call}{indent}}}\n{''.join(rest)}"
    return dataclasses.replace(section, code=code)


def _in_frame(frame: str, body: Sequence[provenance.Section], file: str) -> str:
    before, after = map(provenance.Section, frame.split(_BODY))
    return provenance.render([before, *body, after], file)


def _file(target: Target, isa: str, kind: str) -> str:
    """What messages call a generated source: "models/resnet.x86-64-v3.wrapper.cc"."""
    path = posixpath.splitext(target.header)[0] or target.id
    return f"{path}.{isa}.{kind}.cc"


def _fields(start: str, specs: Sequence[sig.TensorSpec]) -> str:
    return "\n".join(
        f"{_type(start, spec)} {spec.name};  // {spec.type}" for spec in specs
    )


def _type(start: str, spec: sig.TensorSpec) -> str:
    """The C++ type that starts with, e.g., `TensorView<const `."""
    return f"::rules_torch::{start}{sig.DTYPES[spec.dtype][1]}, {len(spec.dims)}>"


def _names(specs: Sequence[sig.TensorSpec]) -> str:
    return ",\n".join(f'"{spec.name}"' for spec in specs)


def _shapes(specs: Sequence[sig.TensorSpec]) -> str | None:
    """The members of a struct that has the sizes of each."""
    return (
        "\n".join(
            f"std::array<std::int64_t, {len(spec.dims)}> {spec.name};" for spec in specs
        )
        or None
    )


def _sizes(specs: Sequence[sig.TensorSpec], size: Callable[[sig.Dim], str]) -> str:
    """The initialisers of these members."""
    rows = (", ".join(map(size, spec.dims)) for spec in specs)
    return ",\n".join(f"{{{{{row}}}}}" if row else "{}" for row in rows)


def _max(dim: sig.Dim) -> str:
    return _INT64_MAX if dim.max is None else str(dim.max)


def _size(dim: sig.Dim) -> str:
    """A size as an expression in members of `symbols`."""
    if dim.symbol is None:
        return str(dim.min) if dim.known else "-1"
    scale = "" if dim.scale == 1 else f"{dim.scale} * "
    sign = "+" if dim.offset > 0 else "-"
    offset = f" {sign} {abs(dim.offset)}" if dim.offset else ""
    return f"{scale}symbols.{_member(dim.symbol)}{offset}"


def _member(symbol: str) -> str:
    """A dynamic size as a member of the struct: Python allows what C++ does not."""
    reserved = f"{cpp_names.KEYWORDS} {cpp_names.MACROS} Symbols".split()
    return f"{symbol}_" if symbol in reserved else symbol


def _specs(kind: str, specs: Sequence[sig.TensorSpec], symbols: list[str]) -> str:
    lines = []
    for i, spec in enumerate(specs):
        if not spec.dims:
            continue
        dims = ", ".join(_dim(dim, symbols) for dim in spec.dims)
        lines.append(f"constexpr RTorchDim k{kind}{i}Dims[] = {{{dims}}};")
    rows = [
        f"{cpp.literal(spec.name)}, {cpp.literal(spec.type)}, {sig.DTYPES[spec.dtype][0]}, "
        f"{len(spec.dims)}, {f'k{kind}{i}Dims' if spec.dims else 'nullptr'}, {{}}"
        for i, spec in enumerate(specs)
    ]
    lines.append(_array("RTorchTensorSpec", f"k{kind}s", rows))
    return "\n".join(lines)


def _weights(specs: Sequence[WeightSpec]) -> str:
    lines = []
    rows = []
    for i, spec in enumerate(specs):
        names = []
        for kind, numbers in (("Sizes", spec.sizes), ("Strides", spec.strides)):
            names.append(f"kWeight{i}{kind}" if numbers else "nullptr")
            if numbers:
                text = ", ".join(map(str, numbers))
                lines.append(f"constexpr std::int64_t {names[-1]}[] = {{{text}}};")
        rows.append(
            f"{cpp.literal(spec.name)}, {spec.dtype_value}, {len(spec.sizes)}, "
            f"{', '.join(names)}, {spec.offset}u, {spec.bytes}u, "
            f"{int(spec.is_mutable)}, {spec.packing}"
        )
    return "\n".join([*lines, _array("RTorchWeightSpec", "kWeights", rows)])


def _array(type_: str, name: str, rows: Sequence[str]) -> str:
    """Defines an array of structs; C++ has no empty ones."""
    if not rows:
        return f"constexpr const {type_}* {name} = nullptr;"
    text = ",\n    ".join(f"{{{row}}}" for row in rows)
    return f"constexpr {type_} {name}[] = {{\n    {text}}};"


def _dim(dim: sig.Dim, symbols: list[str]) -> str:
    high = _max(dim)
    index = symbols.index(dim.symbol) if dim.symbol else (-1 if dim.known else -2)
    return f"{{{dim.min}, {high}, {dim.scale}, {dim.offset}, {index}, 0}}"


def _signature_lines(signature: sig.Signature) -> list[str]:
    lines = []
    for title, specs in (("Inputs", signature.inputs), ("Outputs", signature.outputs)):
        lines.append(f"{title}:")
        lines += [f"  {spec.name}: {spec.type}" for spec in specs] or ["  none"]
    if signature.ranges:
        lines.append(f"where {signature.ranges}.")
    return lines


def _memory(target: Target, generated: Generated) -> str:
    where = (
        "read-only in the binary's image"
        if target.weights == "embedded"
        else "in a file beside the binary, which Create maps"
    )
    return (
        f"Memory: {generated.weights.size:,} bytes of weights, {where} and shared "
        "between processes; the instances of a process that have the same weights share "
        "a few hundred bytes for each weight tensor"
        + ("; each adds a copy of its mutable buffers" if generated.mutated else "")
        + ". A Run allocates its intermediate tensors, freed when it returns, and the "
        "outputs that it has no buffers for."
    )


def _threads(threads: int) -> str:
    if not threads:
        return (
            "the calling thread and in OpenMP threads, as many as OMP_NUM_THREADS or "
            "the machine says"
        )
    if threads == 1:
        return "the calling thread alone"
    return f"{threads} threads, the calling one and OpenMP's"


def _fork(threads: int) -> str:
    region = "" if threads == 1 else ", nor the forking one in an OpenMP region"
    return (
        "Fork: both processes may go on with an instance, if no other thread was in "
        f"Create, Swap or a run{region}; rules_torch/abi.h says more."
    )


def _warmup(stateful: bool) -> str:
    state = (
        "Another instance runs, so that this one's state stays as it is. "
        if stateful
        else ""
    )
    return (
        "Runs once on zeros, of the smallest sizes that are not 0, so that the first "
        f"run proper finds all in place. {state}The model may refuse zeros, as "
        "divisors for example: the error is returned, and does no harm."
    )


def _isas(generated: Generated) -> str:
    isas = [*generated.variants]
    if len(isas) == 1:
        return (
            f"Instruction set: {isas[0]}. On a CPU without it Create returns "
            "RTORCH_UNIMPLEMENTED."
        )
    return (
        f"Instruction sets: {', '.join(isas)}. Create takes the first that the CPU "
        "has; the environment variable RTORCH_ISA names the highest that it may take. "
        "On a CPU with none of them it returns RTORCH_UNIMPLEMENTED."
    )


def _wrap(text: str, width: int = 77) -> str:
    return textwrap.fill(text, width)


def manifest(target: Target, signature: sig.Signature, generated: Generated) -> str:
    """Renders what tools may want to know about the library, as JSON."""
    data = {
        "label": target.label,
        "class": "::".join(filter(None, (target.namespace, target.class_name))),
        "isas": [*generated.variants],
        "threads": generated.threads or "openmp",
        "runtime": generated.runtime.name,
        "signature": dataclasses.asdict(signature),
        "weights": target.weights,
        "weights_size": generated.weights.size,
        "weights_fingerprint": generated.weights.fingerprint,
        "mutable_constants": generated.mutated,
        "runtime_operators": generated.fallback_operators,
        "kernels": [
            {"name": kernel.name, **dataclasses.asdict(kernel.origin)}
            for kernel in generated.kernels
        ],
    }
    return json.dumps(data, indent=2) + "\n"
