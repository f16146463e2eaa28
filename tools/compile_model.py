"""Compiles PyTorch models and Triton kernels ahead of time, one stage a command.

By hand, from the repository's root, in an environment with torch:

    python tools/compile_model.py export models/tiny.py:mlp \\
        --program=/tmp/mlp.pt2 --signature=/tmp/mlp.json
    python tools/compile_model.py codegen /tmp/mlp.pt2 /tmp/mlp.json \\
        --label=//models:mlp --id=mlp --class=Mlp --out=/tmp/mlp.h

The second writes the header and, beside it, the sources, the weights and a
manifest; the C++ compiler does the rest.
Kernels take two stages as well, and need Triton, but no torch and no GPU:

    python tools/compile_model.py kernel examples/hello_kernel/scale.py \\
        --label=//examples/hello_kernel:scale --architecture=sm_90 --out=/tmp/sm_90.json \\
        --declaration='{"function": "scale", ...}'
    python tools/compile_model.py launcher /tmp/sm_90.json --out=/tmp/scale.h \\
        --label=//examples/hello_kernel:scale --id=scale --name=Scale --include=scale.h

Under Bazel the rules torch_model, cc_torch_library and cc_triton_library call the same
commands.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import io
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from aot_common import isa as isa_lib

if TYPE_CHECKING:
    from torch_aot.signature import Signature

_DEFAULT_ISA = isa_lib.DEFAULTS["x86_64"]


def main(argv: list[str] | None = None, output_root: str = "") -> int:
    """Runs one stage; returns the exit status, 1 after an error of the user's.

    Started by Bazel with --persistent_worker, serves requests for stages.

    Args:
        argv: The command line.
        output_root: What relative paths of outputs start from; "" for this folder.
    """
    argv = sys.argv[1:] if argv is None else argv
    if argv == ["--persistent_worker"]:
        from torch_aot import worker

        return worker.serve(main)
    args = _parser(output_root).parse_args(argv)
    sys.path[:0] = args.import_path
    from aot_common.errors import UserError

    try:
        with contextlib.nullcontext() if args.full_trace else args.quiet():
            args.run(args)
    except UserError as error:
        if args.full_trace:
            traceback.print_exc()
        print(error, file=sys.stderr)
        return 1
    except OSError as error:  # a file of the command line's: those of models are above
        if args.full_trace:
            traceback.print_exc()
        print(f"{error.filename}: error: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _export(args: argparse.Namespace) -> None:
    from torch_aot import export, program_file

    entry, model = _load(args)
    program, signature = export.export(entry, model)
    program_file.save(program, args.program, model.where)
    _write(args.signature, signature.to_json())


def _codegen(args: argparse.Namespace) -> None:
    from torch_aot import cc, codegen, dispatched_operators, program_file
    from torch_aot.entry import Entry
    from torch_aot.runtimes import RUNTIMES

    dispatched_operators.load(args.op_library)
    if args.entry:  # its operators' fake implementations may be Python's
        Entry(args.entry).import_file()

    runtime = RUNTIMES[args.runtime]
    if args.c_ops:
        runtime = dataclasses.replace(runtime, has_ops=True)
    signature = _read_signature(args.signature)
    target = cc.Target(
        args.label, args.id, args.class_name, args.namespace, args.include, args.weights
    )
    generated = codegen.generate(
        lambda: program_file.load(args.program),
        name=args.id,
        isas=[*dict.fromkeys(args.isa or [_DEFAULT_ISA])],
        runtime=runtime,
        threads=args.threads,
        signature=signature,
    )
    outputs = {
        ".h": cc.header(target, signature, generated),
        ".model.cc": cc.model_source(target, signature, generated),
        ".weights.fingerprint": generated.weights.fingerprint,
        ".manifest.json": cc.manifest(target, signature, generated),
    }
    sources = {"wrapper": cc.wrapper_source, "kernels": cc.kernels_source}
    for isa in generated.variants:
        for kind, render in sources.items():
            outputs[f".{isa}.{kind}.cc"] = render(target, signature, generated, isa)
    for suffix, content in outputs.items():
        _write(_beside(args.out, suffix), content)
    _write(_beside(args.out, ".weights.safetensors"), generated.weights.write)


def _python(args: argparse.Namespace) -> None:
    from torch_aot import python_module

    _write_module(
        args,
        python_module.render(
            _read(args.manifest),
            label=args.label,
            class_name=args.class_name,
            library=args.library,
            weights=args.weights,
        ),
    )


def _torch_op(args: argparse.Namespace) -> None:
    from torch_aot import torch_op

    _write_module(
        args,
        torch_op.render(
            _read(args.manifest), label=args.label, op=args.op, library=args.library
        ),
    )


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _write_module(args: argparse.Namespace, texts: tuple[str, str]) -> None:
    """Writes a Python module and its stub."""
    module, stub = texts
    _write(args.out, module)
    _write(_beside(args.out, ".pyi"), stub)


def _reference(args: argparse.Namespace) -> None:
    from torch_aot import reference

    signature = _read_signature(args.signature)
    entry, model = _load(args)
    count = None if args.test_inputs_only else args.cases
    cases = reference.make_cases(entry, model, signature, count, args.test_seed)
    _write(args.out, cases)


def _kernel(args: argparse.Namespace) -> None:
    from triton_aot import architectures, compile, declaration, tuning
    from triton_aot.images import pack

    declared = declaration.parse(args.declaration, args.label, args.source)
    session = compile.Session(
        args.source,
        architectures.parse(args.architecture, args.label),
        args.label,
        line_info=args.line_info,
    )
    if args.candidates:
        candidates = session.compile_candidates(declared)
        compiled = [image for each in candidates for image in each]
    else:
        table = tuning.read(args.tuning) if args.tuning else {}
        compiled = session.compile(declared, table, args.tuning)
    blob, contents = pack(compiled, args.architecture, args.source, args.declaration)
    _write(_beside(args.out, ".images"), blob)
    _write(_beside(args.out, ".json"), contents)


def _launcher(args: argparse.Namespace) -> None:
    from triton_aot import launcher

    library = launcher.Library.read(_prefixes(args.compiled), args.label)
    target = launcher.Target(
        args.label, args.id, args.name, args.namespace, args.include, library.source
    )
    launcher.check(target, library.compiled)
    outputs = {
        ".h": launcher.header(target, library),
        ".cc": launcher.source(target, library),
        ".images.bin": library.blob,
        ".manifest.json": launcher.manifest(target, library),
    }
    for suffix, content in outputs.items():
        _write(_beside(args.out, suffix), content)


def _tuner(args: argparse.Namespace) -> None:
    from triton_aot import tuner, tuning

    table = tuning.read(args.tuning)
    library = tuner.Library.read(_prefixes(args.compiled), args.label)
    _write(
        _beside(args.out, ".cc"),
        tuner.source(args.label, args.id, library, table, args.tuning),
    )
    _write(_beside(args.out, ".images.bin"), library.blob)


# Of the files of one stage a command line names the first: Bazel may map the paths of
# files, but not prefixes of them.
def _beside(path: str, suffix: str) -> str:
    return os.path.splitext(path)[0] + suffix


def _prefixes(paths: list[str]) -> list[str]:
    return [_beside(path, "") for path in paths]


def _read_signature(path: str) -> Signature:
    from aot_common.errors import UserError
    from torch_aot.signature import Signature

    text = _read(path)
    try:
        return Signature.from_json(text)
    except (ValueError, LookupError, TypeError) as error:
        raise UserError(
            f"not a signature that this tool wrote: {error!r}",
            where=path,
            fix="give the file that `export` wrote to --signature",
        ) from error


def _load(args: argparse.Namespace) -> tuple:
    from torch_aot import dispatched_operators
    from torch_aot.entry import Entry

    dispatched_operators.load(args.op_library)
    entry = Entry(args.entry, args.example_input)
    return entry, entry.load(args.weights, args.seed)


def _write(path: str, content: str | bytes | Callable[[BinaryIO], None]) -> None:
    """Writes a file whole or not at all: what it is given, or what that writes."""
    temporary = f"{path}.partial"
    try:
        with open(temporary, "wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)
        raise


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps a build's log to what the user can act on."""
    import torch._logging

    from aot_common.frames import chain

    if "TORCH_LOGS" not in os.environ:
        torch._logging.set_logs(all=logging.CRITICAL)
    printed = io.StringIO()
    graphs: list[str] = []
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(printed):
            warnings.filterwarnings("ignore", category=FutureWarning)
            warnings.filterwarnings("ignore", category=UserWarning, module=r"torch\.")
            yield
    except Exception as error:
        # torch.export prints the graph so far, hundreds of lines, before it raises.
        graphs = [getattr(each, "partial_fx_graph", "") for each in chain(error)]
        raise
    finally:
        text = printed.getvalue()
        for graph in filter(None, graphs):
            text = text.replace(graph + "\n", "")
        sys.stderr.write(text)


def _parser(output_root: str) -> argparse.ArgumentParser:
    output = functools.partial(os.path.join, output_root)
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        fromfile_prefix_chars="@",  # Bazel's, with an argument a line
    )
    stages = parser.add_subparsers(title="stages", required=True, metavar="STAGE")

    def stage(
        name: str, run: object, text: str, quiet: object = _quiet
    ) -> argparse.ArgumentParser:
        added = stages.add_parser(name, help=text, description=text)
        added.set_defaults(run=run, quiet=quiet)
        added.add_argument(
            "--full_trace",
            action="store_true",
            help="print PyTorch's or Triton's whole report",
        )
        added.add_argument(
            "--import_path",
            action="append",
            default=[],
            metavar="DIR",
            help="where the model's imports are found; may be repeated",
        )
        added.add_argument(
            "--input",
            action="append",
            metavar="FILE",
            help="what may be read: a worker shows the stage nothing else; "
            "may be repeated",
        )
        return added

    def op_library_argument(added: argparse.ArgumentParser) -> None:
        added.add_argument(
            "--op_library",
            action="append",
            default=[],
            metavar="FILE.so",
            help="registers operators that the model calls; may be repeated",
        )

    def module_arguments(added: argparse.ArgumentParser) -> None:
        added.add_argument("manifest", metavar="FILE.json", help="from codegen")
        added.add_argument("--label", required=True, help="what the module is called")
        added.add_argument(
            "--library",
            required=True,
            help="the shared library, from the module's folder",
        )
        added.add_argument(
            "--out",
            required=True,
            type=output,
            metavar="FILE.py",
            help="to write, and FILE.pyi beside it",
        )

    def model_arguments(added: argparse.ArgumentParser) -> None:
        op_library_argument(added)
        added.add_argument(
            "entry",
            metavar="FILE.py:FUNCTION|FILE.pt2|FILE.pt",
            help="a function that returns a torch_aot.Model, what torch.export.save wrote, "
            "or TorchScript",
        )
        added.add_argument(
            "--example_input",
            action="append",
            default=[],
            metavar="TEXT",
            help="an input of TorchScript's forward, like float32[batch=1..64,8]; may be "
            "repeated",
        )
        added.add_argument(
            "--weights",
            action="append",
            default=[],
            metavar="FILE",
            help="a .safetensors, .pth, .pt or .bin state dict; may be repeated",
        )
        added.add_argument(
            "--seed", type=int, default=0, help="of random initialisation [0]"
        )

    added = stage(
        "export",
        _export,
        "a model's entry function, or a program, to an ExportedProgram and signature",
    )
    model_arguments(added)
    added.add_argument(
        "--program", required=True, type=output, metavar="FILE.pt2", help="to write"
    )
    added.add_argument(
        "--signature", required=True, type=output, metavar="FILE.json", help="to write"
    )

    added = stage("codegen", _codegen, "an ExportedProgram to C++ sources and weights")
    op_library_argument(added)
    added.add_argument(
        "--entry",
        default="",
        metavar="FILE.py:FUNCTION",
        help="what the program was exported from: with operators of the user's its file "
        "is run, which may say what they do to sizes",
    )
    added.add_argument("program", metavar="FILE.pt2", help="from export")
    added.add_argument("signature", metavar="FILE.json", help="from export")
    added.add_argument("--label", required=True, help="what the model is called")
    added.add_argument("--id", required=True, help="a C identifier unique to the model")
    added.add_argument(
        "--class", required=True, dest="class_name", help="the C++ class's name"
    )
    added.add_argument("--namespace", default="", help="the C++ class's namespace")
    added.add_argument("--include", default="", help="how the header is included")
    added.add_argument(
        "--isa",
        action="append",
        choices=isa_lib.ISAS,
        help="instruction set to generate for, the one to prefer first; may be "
        f"repeated [{_DEFAULT_ISA}]",
    )
    added.add_argument(
        "--runtime",
        default="standalone",
        choices=("libtorch", "standalone"),
        help="what the code stands on: PyTorch's library, or operators that are "
        "compiled with it [standalone]",
    )
    added.add_argument(
        "--c_ops",
        action="store_true",
        help="operators of the user's are there as C functions, see rules_torch/op.h",
    )
    added.add_argument(
        "--threads",
        default=0,
        type=lambda text: 0 if text == "openmp" else int(text),
        metavar="openmp|N",
        help="threads of a call [openmp: as many as there are where it runs]",
    )
    added.add_argument(
        "--weights",
        default="embedded",
        choices=("embedded", "file"),
        help="where the library has them [embedded]",
    )
    added.add_argument(
        "--out",
        required=True,
        type=output,
        metavar="FILE.h",
        help="the header to write; the rest goes beside it",
    )

    added = stage(
        "python",
        _python,
        "a compiled model's manifest to a Python module",
        quiet=contextlib.nullcontext,
    )
    module_arguments(added)
    added.add_argument(
        "--class", default="", dest="class_name", help="the class's name [as in C++]"
    )
    added.add_argument(
        "--weights", default="", help="the weights file, likewise [in the library]"
    )

    added = stage(
        "torch_op",
        _torch_op,
        "a compiled model's manifest to the Python module of a torch operator",
        quiet=contextlib.nullcontext,
    )
    module_arguments(added)
    added.add_argument(
        "--op", required=True, metavar="NAMESPACE::NAME", help="the operator"
    )

    added = stage("reference", _reference, "inputs and eager outputs to test against")
    model_arguments(added)
    added.add_argument(
        "--signature", required=True, metavar="FILE.json", help="of export"
    )
    added.add_argument(
        "--out", required=True, type=output, metavar="FILE", help="to write"
    )
    added.add_argument("--cases", type=int, default=3, help="random cases [3]")
    added.add_argument("--test_seed", type=int, default=1, help="of random cases [1]")
    added.add_argument(
        "--test_inputs_only",
        action="store_true",
        help="run the model's test_inputs alone, and none of the inputs that are "
        "generated",
    )

    added = stage(
        "kernel",
        _kernel,
        "instantiations of a Triton kernel to machine code for one GPU architecture",
        quiet=contextlib.nullcontext,
    )
    added.add_argument("source", metavar="FILE.py", help="holds the kernel")
    added.add_argument("--label", required=True, help="what the library is called")
    added.add_argument(
        "--declaration",
        action="append",
        required=True,
        metavar="JSON",
        help="what triton_kernel() returned; may be repeated",
    )
    added.add_argument(
        "--architecture", required=True, help="sm_90, compute_80 (PTX), gfx942, ..."
    )
    added.add_argument("--tuning", default="", metavar="FILE.json", help="tuning table")
    added.add_argument(
        "--candidates",
        action="store_true",
        help="compile all configurations of @triton.autotune, for the stage tuner",
    )
    added.add_argument(
        "--line_info",
        action="store_true",
        help="let profilers and debuggers show the kernel's source lines",
    )
    added.add_argument(
        "--out",
        required=True,
        type=output,
        metavar="FILE.json",
        help="to write, and FILE.images beside it",
    )

    added = stage(
        "launcher",
        _launcher,
        "compiled kernels to the C++ that launches them",
        quiet=contextlib.nullcontext,
    )
    added.add_argument("compiled", nargs="+", metavar="FILE.json", help="from kernel")
    added.add_argument("--label", required=True, help="what the library is called")
    added.add_argument("--id", required=True, help="a C identifier unique to the label")
    added.add_argument("--name", required=True, help="of the function Load<name>")
    added.add_argument("--namespace", default="", help="of the C++ functions")
    added.add_argument("--include", required=True, help="how the header is included")
    added.add_argument(
        "--out",
        required=True,
        type=output,
        metavar="FILE.h",
        help="the header to write; the rest goes beside it",
    )

    added = stage(
        "tuner",
        _tuner,
        "compiled candidates to the C++ that measures them",
        quiet=contextlib.nullcontext,
    )
    added.add_argument(
        "compiled", nargs="+", metavar="FILE.json", help="from kernel --candidates"
    )
    added.add_argument("--label", required=True, help="what the tuner is called")
    added.add_argument("--id", required=True, help="a C identifier unique to the label")
    added.add_argument(
        "--tuning", required=True, metavar="FILE.json", help="the table to write anew"
    )
    added.add_argument(
        "--out",
        required=True,
        type=output,
        metavar="FILE.cc",
        help="to write, and FILE.images.bin beside it",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
