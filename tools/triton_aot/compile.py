"""Compiles a kernel for one architecture, without a GPU, a driver or a toolkit."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from aot_common.errors import UserError, fail, first_lines
from aot_common.frames import Frame, chain, user_frames
from aot_common.paths import portable_path
from triton_aot import ptxas, source, tuning
from triton_aot.architectures import Architecture
from triton_aot.declaration import Instantiation
from triton_aot.images import Image

_MAX_THREADS = 1024  # of a program, on all architectures
_MAX_CLUSTER = 16  # CTAs, on the GPUs that have clusters

_PTX_SIZES = {"8": 1, "16": 2, "32": 4, "64": 8}


class Session:
    """One file's kernels, compiled for one architecture.

    Args:
        path: The user's file.
        architecture: What to compile for.
        label: The target, for errors.
        line_info: Whether machine code refers to the lines of the source.
    """

    def __init__(
        self, path: str, architecture: Architecture, label: str, line_info: bool
    ) -> None:
        self._path = path
        self._architecture = architecture
        self._label = label
        self._line_info = line_info
        self._names = source.load(path)

    def compile(
        self,
        instantiations: Sequence[Instantiation],
        table: tuning.Table,
        table_path: str,
    ) -> list[Image]:
        """Compiles each with what the tuning table chose, or its first candidate.

        Says on standard error for which of those that have several there is no entry.
        """
        images, untuned = [], []
        for each in instantiations:
            kernel = self._find(each)
            candidates = source.choices(kernel, each)
            choice, tuned = tuning.choose(
                table, each, self._architecture.name, candidates, table_path
            )
            if len(candidates) > 1 and not tuned:
                untuned.append((kernel, each, choice))
            images.append(self._compile(kernel, each, choice))
        if untuned:
            kernel, each, choice = untuned[0]
            more = f" and {len(untuned) - 1} more" if len(untuned) > 1 else ""
            print(
                f"{kernel.where}: note: no tuning table has an entry for {each.name} "
                f"({each.id or 'default'}){more} on {self._architecture.name}: compiled "
                f"with the first configuration, {_describe(choice)}",
                file=sys.stderr,
            )
        return images

    def compile_candidates(
        self, instantiations: Sequence[Instantiation]
    ) -> list[list[Image]]:
        """Compiles each with every candidate of @triton.autotune.

        Returns:
            For each instantiation its candidates' images, in order; one that does not
            fit the architecture has no code.
        """
        return [self._candidates(each) for each in instantiations]

    def _candidates(self, instantiation: Instantiation) -> list[Image]:
        kernel = self._find(instantiation)
        images: list[Image] = []
        errors: list[UserError] = []
        for choice in source.choices(kernel, instantiation):
            try:
                images.append(self._compile(kernel, instantiation, choice))
            except UserError as error:
                errors.append(error)
                constexprs = source.bind(kernel, instantiation, choice, self._label)
                images.append(
                    Image(b"", _metadata(kernel, instantiation, choice, constexprs))
                )
        if not any(image.code for image in images):
            raise errors[0]
        return images

    def _find(self, instantiation: Instantiation) -> source.Kernel:
        return source.find(self._names, instantiation.function, self._path, self._label)

    def _compile(
        self,
        kernel: source.Kernel,
        instantiation: Instantiation,
        choice: source.Choice,
    ) -> Image:
        constexprs = source.bind(kernel, instantiation, choice, self._label)
        self._check_options(kernel, instantiation, choice)
        compiled = self._run_triton(kernel, instantiation, constexprs, choice)
        metadata = compiled.metadata
        what = f"{instantiation.name} ({_describe(choice)})"
        for option in ("launch_cooperative_grid", "launch_pdl"):
            if getattr(metadata, option, False):
                fail(
                    f"{what} wants {option}, which is not supported", where=kernel.where
                )
        if metadata.profile_scratch_size:
            fail(f"{what} is instrumented for profiling", where=kernel.where)
        code = compiled.asm[self._architecture.format]
        if "ptx" in compiled.asm:
            self._check_parameters(compiled.asm["ptx"], kernel, instantiation)
        return Image(
            code.encode() + b"\0" if isinstance(code, str) else code,
            _metadata(kernel, instantiation, choice, constexprs)
            | {
                "num_warps": metadata.num_warps,
                "num_stages": getattr(metadata, "num_stages", 0),
                "num_ctas": metadata.num_ctas,
                "threads": metadata.num_warps * self._architecture.warp_size,
                "shared_bytes": metadata.shared,
                "scratch_bytes": getattr(metadata, "global_scratch_size", 0),
                "scratch_alignment": getattr(metadata, "global_scratch_align", 1),
                "symbol": metadata.name,
            },
        )

    def _check_options(
        self, kernel: source.Kernel, instantiation: Instantiation, choice: source.Choice
    ) -> None:
        """Refuses what Triton takes, or fails for with pages of its own code."""
        most = {
            "num_warps": _MAX_THREADS // self._architecture.warp_size,
            "num_ctas": _MAX_CLUSTER,
        }
        for name, value in choice.options.items():
            if name in most and not (
                0 < value <= most[name] and value.bit_count() == 1
            ):
                fail(
                    f"{instantiation.name} of {self._label} has {name}={value}; on "
                    f"{self._architecture.name} it is a power of two of at most {most[name]}",
                    where=kernel.where,
                )
            if value < 0:
                fail(
                    f"{instantiation.name} of {self._label} has {name}={value}",
                    where=kernel.where,
                )

    def _run_triton(
        self,
        kernel: source.Kernel,
        instantiation: Instantiation,
        constexprs: Mapping[str, Any],
        choice: source.Choice,
    ) -> Any:
        import triton
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource

        names = kernel.function.arg_names
        signature, constants, hints = {}, dict(constexprs), {}
        for i, name in enumerate(names):
            type_ = instantiation.signature.get(name)
            signature[name] = type_.name if type_ else "constexpr"
            if type_ and type_.hint == 1:
                signature[name] = "constexpr"
                constants[name] = 1
            elif type_ and type_.hint == 16:
                hints[(i,)] = [["tt.divisibility", 16]]
        ours = self._architecture
        target = (
            GPUTarget("hip", ours.name, ours.warp_size)
            if ours.format == "hsaco"
            else GPUTarget("cuda", ours.number, ours.warp_size)
        )

        def check_memory(shared: int) -> None:
            if shared > ours.shared_memory:
                fail(
                    f"{instantiation.name} ({_describe(choice)}) needs {shared:,} bytes of "
                    "shared memory, and a program has at most "
                    f"{ours.shared_memory:,} on {ours.name}",
                    where=kernel.where,
                    fix=f"give {self._label} smaller tiles or fewer num_stages",
                )

        try:
            with _hermetic(self._line_info), _before_assembly(check_memory):
                return triton.compile(
                    ASTSource(kernel.function, signature, constants, hints),
                    target=target,
                    options=dict(choice.options),
                )
        except UserError:
            raise
        except Exception as error:
            raise self._explain(error, kernel, instantiation, choice) from error

    def _explain(
        self,
        error: Exception,
        kernel: source.Kernel,
        instantiation: Instantiation,
        choice: source.Choice,
    ) -> UserError:
        """Names the innermost line of the user's that Triton was compiling."""
        frames = []
        root: BaseException = error
        for current in chain(error):
            node, text = getattr(current, "node", None), getattr(current, "src", None)
            if node is None or not hasattr(node, "lineno"):
                continue
            for function in source.functions(kernel):
                if function.src == text:
                    line = source.definition_line(function) + node.lineno - 1
                    path = function.fn.__code__.co_filename
                    frames.append(Frame(path, line, function.__name__))
                    root = current
                    break
        causes = [c for c in chain(error) if not getattr(c, "error_message", None)]
        text = getattr(root, "error_message", None) or first_lines(
            str(causes[-1] if causes else root)
        )
        kind = (
            "" if getattr(root, "error_message", None) else f"{type(root).__name__}: "
        )
        # Triton keeps the errors of its own functions as their repr.
        text = re.sub(r"^(\w+)\(([\"'])(.*)\2\)$", r"\1: \3", text)
        named = f" with {instantiation.id}" if instantiation.id else ""
        return UserError(
            f"{instantiation.name} of {self._label} cannot be compiled for "
            f"{self._architecture.name}{named} ({_describe(choice)}):\n{kind}{text}",
            where=frames[-1].where if frames else kernel.where,
            fix="correct the kernel, or what the target instantiates it with",
            stack=frames or user_frames(error),
        )

    def _check_parameters(
        self, ptx: str, kernel: source.Kernel, instantiation: Instantiation
    ) -> None:
        """Compares the sizes of the kernel's parameters with what will be passed."""
        names = kernel.function.arg_names
        types = [
            instantiation.signature[n] for n in names if n in instantiation.signature
        ]
        expected = [type_.size for type_ in types if type_.hint != 1] + [8, 8]
        header = ptx[ptx.index(".entry") :]
        # `.param .u64 .ptr .global .align 1 k_param_0` or, of fp16,
        # `.param .align 2 .b8 k_param_1[2]`.
        found = [
            _PTX_SIZES[bits] * int(elements or 1)
            for bits, elements in re.findall(
                r"\.param (?:\.align \d+ )?\.[a-z](\d+)[^\n\[]*(?:\[(\d+)\])?",
                header[: header.index(")")],
            )
        ]
        if found != expected:
            fail(
                f"the kernel takes parameters of {found} bytes, and the launcher would "
                f"pass {expected}: this Triton has another calling convention than the "
                "one that rules_torch was written for",
                where=kernel.where,
            )


def _metadata(
    kernel: source.Kernel,
    instantiation: Instantiation,
    choice: source.Choice,
    constexprs: Mapping[str, Any],
) -> dict[str, Any]:
    """What is known of an image before it is compiled."""
    return {
        "name": instantiation.name,
        "id": instantiation.id,
        "where": kernel.where,
        "doc": kernel.doc,
        "parameters": kernel.function.arg_names,
        "choice": choice.to_json(),
        "constexprs": {name: _jsonable(value) for name, value in constexprs.items()},
        "num_warps": 0,
        "num_stages": 0,
        "num_ctas": 1,
        "threads": 0,
        "shared_bytes": 0,
        "scratch_bytes": 0,
        "scratch_alignment": 1,
        "symbol": kernel.function.__name__,
    }


def _describe(choice: source.Choice) -> str:
    text = ", ".join(f"{name}={value}" for name, value in choice.to_json().items())
    return text or "Triton's default options"


def _jsonable(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str | None) else str(value)


@contextlib.contextmanager
def _hermetic(line_info: bool) -> Iterator[None]:
    """Keeps the machine out of what Triton compiles.

    A private cache, no line information unless it is asked for, and then by paths
    from the workspace's root; ptxas by itself.
    """
    from triton import knobs
    from triton.backends.nvidia import compiler as nvidia
    from triton.compiler import code_generator

    file_and_line = code_generator.get_jit_fn_file_line

    def portable(function: Any) -> tuple[str, int]:
        path, line = file_and_line(function)
        return portable_path(path), line

    with (
        tempfile.TemporaryDirectory() as cache,
        knobs.cache.scope(),
        knobs.compilation.scope(),
    ):
        knobs.cache.dir = cache
        knobs.compilation.disable_line_info = not line_info
        code_generator.get_jit_fn_file_line = portable
        nvidia.subprocess = ptxas.assembler(cache)
        try:
            yield
        finally:
            code_generator.get_jit_fn_file_line = file_and_line
            nvidia.subprocess = subprocess


@contextlib.contextmanager
def _before_assembly(check: Callable[[int], None]) -> Iterator[None]:
    """Calls `check` with the bytes of shared memory once Triton has allocated it.

    What does not fit is given up before the assembler, which can take minutes for it.
    """
    from triton import knobs

    def hook(*arguments: Any) -> tuple[str, str] | None:
        if not arguments:
            return "", ""  # of the cache's key
        stages = arguments[1]
        name = "ptx" if "ptx" in stages else "amdgcn"
        generate = stages[name]

        def checked(module: Any, metadata: dict[str, Any]) -> Any:
            check(metadata["shared"])
            return generate(module, metadata)

        stages[name] = checked
        return None

    with knobs.runtime.scope():
        knobs.runtime.add_stages_inspection_hook = hook
        yield
