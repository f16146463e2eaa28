"""torch_model: a model in Python, TorchScript or an exported one becomes an ExportedProgram."""

load("@rules_python//python:defs.bzl", "PyInfo")
load("//rules:providers.bzl", "TorchModelInfo", "TorchOpsInfo")
load("//rules:toolchains.bzl", "COMPILER_TOOLCHAIN_TYPE")
load("//rules/private:actions.bzl", "TOOL_ATTRS", "run_tool")
load("//rules/private:configuration.bzl", "ANY_BUILD_ATTRS", "any_build", "helper_attributes")
load("//rules/private:python.bzl", "add_entry_point", "import_roots", "python_files")
load("//rules/private:torch_ops.bzl", "torch_model_with_ops", "torch_ops")

_ATTRS = {
    "src": attr.label(allow_single_file = [".py"]),
    "entry": attr.string(),
    "program": attr.label(allow_single_file = [".pt2"]),
    "torchscript": attr.label(
        allow_single_file = [".pt", ".pth", ".jit", ".pts", ".ts", ".torchscript"],
    ),
    "example_inputs": attr.string_list(),
    "deps": attr.label_list(providers = [PyInfo]),
    "data": attr.label_list(allow_files = True),
    "weights": attr.label_list(allow_files = [".safetensors", ".pth", ".pt", ".bin"]),
    "ops": attr.label(cfg = "exec", providers = [TorchOpsInfo]),
    "seed": attr.int(default = 0),
}

# What calling an entry point takes, and a file of another kind has no use for.
_OF_ENTRY_POINTS = ["src", "entry", "deps", "data", "seed"]

def _check_attributes(ctx):
    files = [name for name in ["program", "torchscript"] if getattr(ctx.attr, name)]
    if len(files) == 2:
        fail("is for a model of its own; leave it out beside `program`", attr = "torchscript")
    if "torchscript" not in files and ctx.attr.example_inputs:
        fail("are for `torchscript`, which has none of its own", attr = "example_inputs")
    if files:
        for name in _OF_ENTRY_POINTS:
            if getattr(ctx.attr, name):
                fail("is for a model in Python; leave it out beside `{}`".format(files[0]), attr = name)
    elif not ctx.attr.src:
        fail("must name a Python file, or `program` an exported program, or `torchscript` TorchScript", attr = "src")
    elif not ctx.attr.entry:
        fail("must name a function of {}".format(ctx.file.src.short_path), attr = "entry")

def _torch_export_impl(ctx):
    _check_attributes(ctx)
    source = ctx.file.program or ctx.file.torchscript or ctx.file.src
    program = ctx.actions.declare_file(ctx.label.name + ".pt2")
    signature = ctx.actions.declare_file(ctx.label.name + ".json")
    ops = ctx.attr.ops[TorchOpsInfo] if ctx.attr.ops else None
    sources = depset(
        [source] + ctx.files.data + ctx.files.weights + (ops.libraries if ops else []),
        transitive = [python_files(ctx.attr.deps)] + ([ops.needed] if ops else []),
    )
    model = TorchModelInfo(
        program = program,
        signature = signature,
        source = source,
        entry = ctx.attr.entry,
        example_inputs = ctx.attr.example_inputs,
        weights = ctx.files.weights,
        seed = ctx.attr.seed,
        imports = import_roots(ctx, ctx.attr.deps) + (ops.imports if ops else []),
        op_libraries = ops.libraries if ops else [],
        sources = sources,
    )
    args = ctx.actions.args()
    add_entry_point(args, model)
    args.add(program, format = "--program=%s")
    args.add(signature, format = "--signature=%s")
    run_tool(
        ctx,
        stage = "export",
        arguments = [args],
        inputs = sources,
        outputs = [program, signature],
        mnemonic = "TorchExport",
        progress_message = "Exporting PyTorch model %{label}",
    )
    return [DefaultInfo(files = depset([program, signature])), model]

_torch_export = rule(
    implementation = _torch_export_impl,
    attrs = _ATTRS | ANY_BUILD_ATTRS | TOOL_ATTRS,
    cfg = any_build,
    provides = [TorchModelInfo],
    toolchains = [COMPILER_TOOLCHAIN_TYPE],
)

def torch_model(
        name,
        src = None,
        entry = "",
        program = None,
        torchscript = None,
        example_inputs = [],
        deps = [],
        data = [],
        weights = [],
        ops = [],
        seed = 0,
        **kwargs):
    """Exports a PyTorch model.

    The entry point is a function that returns a `torch_aot.Model`: a module,
    example inputs and, optionally, dynamic shapes and names. It is called with
    torch's generator seeded; `weights`, if given, are then loaded into the module,
    and must have exactly its keys and shapes. The module is exported in eval mode.

    ```python
    import torch
    from torch_aot import Model

    def mlp() -> Model:
        batch = torch.export.Dim("batch", min=1, max=1024)
        return Model(
            torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4)),
            inputs=(torch.randn(2, 8),),
            dynamic_shapes=({0: batch},),
        )
    ```

    ```starlark
    torch_model(
        name = "mlp_model",
        src = "mlp.py",
        entry = "mlp",
    )
    ```

    A program that `torch.export.save` wrote needs no Python. It has its own example inputs,
    dynamic shapes and names; `weights`, if given, replace its state dict. One that another
    version of torch wrote fails the build, with both versions, if this one does not read it.

    ```starlark
    torch_model(
        name = "scorer_model",
        program = "scorer.pt2",
    )
    ```

    TorchScript, what `torch.jit.save` wrote, needs none either, but example inputs: dtypes,
    sizes, and ranges of sizes. Control flow and state are compiled; what cannot be fails the
    build with the line of the scripted code. `weights`, if given, replace its state dict.

    ```starlark
    torch_model(
        name = "detector_model",
        example_inputs = ["float32[batch=1..64, 3, 224, 224]"],
        torchscript = "detector.pt",
    )
    ```

    Outputs: `<name>.pt2`, which `torch.export.load` reads, and `<name>.json`, its
    signature; with `ops`, of a target `<name>_export` beside it. A model that cannot be exported fails the build with the line of the
    model at fault; `--@rules_torch//rules:full_trace` adds PyTorch's whole report.

    Args:
      name: string.
      src: label; the Python file that holds the entry point. There is this, a `program` or
        `torchscript`.
      entry: string; the entry point's name: a function in `src` that returns a
        `torch_aot.Model`. If it has a parameter `weights`, it gets the state dict and loads
        it itself.
      program: label; an exported program, in the place of `src` and `entry`. Nothing but
        tensors and plain Python values is unpickled, or the build fails.
      torchscript: label; a scripted or traced module, in the place of `src` and `entry`. No
        Python in it is run.
      example_inputs: list of strings; the inputs of `torchscript`'s `forward`, in order:
        `float32[batch=1..64, 8]`. A dimension is a size, or a name with the range of sizes,
        which is written once. Inputs may have their names in front, `mask: bool[8]`; those
        with defaults may be left out. Floating-point numbers are random, and integers 0:
        `torch_model_test` draws others.
      deps: list of labels; Python libraries that `src` imports, beside torch, numpy and
        `torch_aot`.
      data: list of labels; source files that `src` reads when it is imported or called, by
        their path from the workspace's root, which is the working directory.
      weights: list of labels; state dicts: `.safetensors`, or what `torch.save` wrote, read
        with `weights_only=True`. Several are merged; no key may be in two of them.
      ops: list of labels; C++ libraries that register operators which the model calls: a
        `cc_library` with `TORCH_LIBRARY` and `alwayslink`, or a `torch_op_library`, a
        compiled model. They are loaded for the export, and whatever links the
        `cc_torch_library`, with `runtime = "libtorch"`, links them.
      seed: int; seed of random initialisation.
      **kwargs: attributes that all rules have, such as `visibility`.
    """
    attributes = dict(
        src = src,
        entry = entry,
        program = program,
        torchscript = torchscript,
        example_inputs = example_inputs,
        deps = deps,
        data = data,
        weights = weights,
        seed = seed,
    )
    if not ops:
        _torch_export(name = name, **(attributes | kwargs))
        return
    helper = helper_attributes(kwargs)
    torch_ops(name = name + "_ops", ops = ops, **helper)
    _torch_export(name = name + "_export", ops = name + "_ops", **(attributes | helper))
    torch_model_with_ops(name = name, export = name + "_export", ops = ops, **kwargs)
