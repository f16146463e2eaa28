"""py_torch_library: a compiled model becomes a Python module."""

load("@rules_cc//cc:find_cc_toolchain.bzl", "use_cc_toolchain")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")
load("@rules_python//python:defs.bzl", "PyInfo")
load("//rules:providers.bzl", "TorchCodegenInfo")
load("//rules:toolchains.bzl", "COMPILER_TOOLCHAIN_TYPE")
load("//rules/private:actions.bzl", "TOOL_ATTRS", "run_tool")
load("//rules/private:linking.bzl", "LINK_MODEL_ATTRS", "dynamic_libraries", "link_model")
load("//rules/private:names.bzl", "label_text")
load("//rules/private:python.bzl", "MODULE_ATTRS", "check_module_name", "module_providers")

_DOC = """Makes a Python module of a compiled model: the artefact that C++ has, called from Python.

```starlark
py_torch_library(
    name = "resnet_py",
    model_library = ":resnet",
)

py_binary(
    name = "main",
    srcs = ["main.py"],
    deps = [":resnet_py"],
)
```

```python
from models import resnet_py

resnet = resnet_py.Resnet()
outputs = resnet.run(image)
best = outputs.logits.argmax()
```

The module is `<package>/<name>.py`, with a type stub and the model in a shared library
beside it. `run` takes torch tensors, numpy arrays, and whatever has DLPack or the buffer
protocol, and returns a named tuple of the same kind. It imports neither torch nor numpy,
and needs neither; Python is CPython 3.11 or newer. [docs/python.md](python.md) is the
guide.

With `runtime = "libtorch"` the model runs on the libtorch of the program's torch, where it
depends on one, or else on its own, which is in the runfiles.
"""

_ATTRS = {
    "model_library": attr.label(
        doc = "The `cc_torch_library` to call.",
        mandatory = True,
        providers = [CcInfo, TorchCodegenInfo],
    ),
    "class_name": attr.string(doc = "Name of the Python class. Default: the C++ class's."),
}

def _py_torch_library_impl(ctx):
    name = ctx.label.name
    check_module_name(name)
    library = ctx.attr.model_library
    codegen = library[TorchCodegenInfo]
    module = ctx.actions.declare_file(name + ".py")
    stub = ctx.actions.declare_file(name + ".pyi")
    library_file = link_model(ctx, library = library, file_name = "lib{}.so".format(name))
    weights = [] if codegen.embeds_weights else [codegen.weights]
    args = ctx.actions.args()
    args.add(codegen.manifest)
    args.add(label_text(ctx.label), format = "--label=%s")
    if ctx.attr.class_name:
        args.add(ctx.attr.class_name, format = "--class=%s")
    args.add(library_file.basename, format = "--library=%s")
    for file in weights:
        args.add(_relative(ctx, file, module), format = "--weights=%s")
    args.add(module, format = "--out=%s")
    run_tool(
        ctx,
        stage = "python",
        arguments = [args],
        inputs = [codegen.manifest],
        outputs = [module, stub],
        mnemonic = "TorchPython",
        progress_message = "Generating Python for PyTorch model %{label}",
    )
    return module_providers(
        ctx,
        module = module,
        files = [module, stub, library_file] + weights,
        libraries = dynamic_libraries(library[CcInfo]),
    )

def _relative(ctx, file, sibling):
    """The path of a file among runfiles, from the folder of another."""
    to = _runfiles_path(ctx, file).split("/")
    folder = _runfiles_path(ctx, sibling).split("/")[:-1]
    common = 0
    for part, other in zip(folder, to):
        if part != other:
            break
        common += 1
    return "/".join([".."] * (len(folder) - common) + to[common:])

def _runfiles_path(ctx, file):
    if file.short_path.startswith("../"):
        return file.short_path.removeprefix("../")
    return "{}/{}".format(ctx.workspace_name, file.short_path)

py_torch_library = rule(
    implementation = _py_torch_library_impl,
    doc = _DOC,
    attrs = _ATTRS | LINK_MODEL_ATTRS | MODULE_ATTRS | TOOL_ATTRS,
    fragments = ["cpp"],
    provides = [PyInfo],
    toolchains = [COMPILER_TOOLCHAIN_TYPE] + use_cc_toolchain(),
)
