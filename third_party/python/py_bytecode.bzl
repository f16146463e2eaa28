"""Bytecode for Python packages whose wheels come without it."""

load("@rules_python//python:defs.bzl", "PyInfo")

_TOOLCHAIN = "@bazel_tools//tools/python:toolchain_type"

def _py_bytecode_impl(ctx):
    runtime = ctx.toolchains[_TOOLCHAIN].py3_runtime
    sources = {}  # by repository: an action each
    for file in depset(transitive = [dep[PyInfo].transitive_sources for dep in ctx.attr.deps]).to_list():
        if file.extension == "py" and file.short_path.startswith("../"):
            sources.setdefault(file.owner.workspace_name, []).append(file)

    links = {}
    for repository, files in sources.items():
        outputs = {}
        for file in files:
            directory, _, name = file.short_path.removeprefix("../").rpartition("/")
            path = "{}/__pycache__/{}.{}.pyc".format(directory, name.removesuffix(".py"), ctx.attr.cache_tag)
            outputs[file] = ctx.actions.declare_file("{}/{}".format(ctx.label.name, path))
            links[path] = outputs[file]
        list = ctx.actions.declare_file("{}/{}.list".format(ctx.label.name, repository))
        ctx.actions.write(list, "".join([
            "{} {}\n".format(source.path, output.path)
            for source, output in outputs.items()
        ]))
        ctx.actions.run(
            executable = runtime.interpreter,
            arguments = [ctx.file._compiler.path, list.path],
            inputs = depset([list, ctx.file._compiler] + files),
            tools = depset([runtime.interpreter], transitive = [runtime.files]),
            outputs = outputs.values(),
            env = {"PYTHONHASHSEED": "0"},
            mnemonic = "PyBytecode",
            progress_message = "Compiling bytecode of " + repository,
            toolchain = _TOOLCHAIN,
        )
    return [DefaultInfo(runfiles = ctx.runfiles(root_symlinks = links))]

py_bytecode = rule(
    implementation = _py_bytecode_impl,
    doc = """Compiles the external packages that `deps` consist of to bytecode.

Wheels come without `.pyc` files, and what runs in a sandbox cannot keep the ones
that it makes: every action that imports torch would compile it anew. A py_binary
with this among its `data` finds them beside the sources in its runfiles.""",
    attrs = {
        "deps": attr.label_list(
            doc = "Python libraries, whose transitive sources in external repositories are compiled.",
            mandatory = True,
            providers = [PyInfo],
        ),
        "cache_tag": attr.string(
            default = "cpython-311",
            doc = "What the interpreter puts into the names of bytecode files.",
        ),
        "_compiler": attr.label(
            allow_single_file = True,
            default = "//third_party/python:compile_bytecode.py",
        ),
    },
    toolchains = [_TOOLCHAIN],
)
