"""All that the actions of some targets make, for tests that compare builds."""

# Those that run a program; Bazel itself writes parameter files and links.
_MNEMONICS = [
    "CppArchive",
    "CppCompile",
    "CppLink",
    "CppRenameSymbols",
    "TorchCodegen",
    "TorchExport",
    "TorchReference",
    "TritonCompile",
    "TritonLauncher",
    "TritonTuner",
]

_ActionOutputsInfo = provider(
    doc = "What the actions of a target and of those that it depends on make.",
    fields = {"files": "depset of Files."},
)

_EDGES = ["codegen", "deps", "kernel_library", "kernels", "model", "model_library", "srcs", "triton_library"]

def _outputs_aspect_impl(target, ctx):
    own = [
        file
        for action in target.actions
        if action.mnemonic in _MNEMONICS
        for file in action.outputs.to_list()
        if file.extension != "d"  # Bazel reads them and keeps none
    ]
    attached = []
    for edge in _EDGES:
        value = getattr(ctx.rule.attr, edge, None)
        attached += value if type(value) == "list" else [value]
    return [_ActionOutputsInfo(files = depset(own, transitive = [
        dep[_ActionOutputsInfo].files
        for dep in attached
        if type(dep) == "Target" and _ActionOutputsInfo in dep
    ]))]

_outputs_aspect = aspect(
    implementation = _outputs_aspect_impl,
    attr_aspects = _EDGES,
)

def _action_outputs_impl(ctx):
    made = depset(transitive = [dep[_ActionOutputsInfo].files for dep in ctx.attr.deps])
    tools = depset(transitive = [tool[DefaultInfo].default_runfiles.files for tool in ctx.attr.tools] + [
        depset([link.target_file for link in tool[DefaultInfo].default_runfiles.root_symlinks.to_list()])
        for tool in ctx.attr.tools
    ])
    generated = [file for file in tools.to_list() if not file.is_source]
    files = depset(generated, transitive = [made])
    list = ctx.actions.declare_file(ctx.label.name + ".list")
    ctx.actions.write(list, "".join([
        "{} {}\n".format(file.short_path, file.path)
        for file in made.to_list() + generated
    ]))
    return [
        DefaultInfo(files = depset([list], transitive = [files]), runfiles = ctx.runfiles([list], transitive_files = files)),
        OutputGroupInfo(list = depset([list])),
    ]

action_outputs = rule(
    implementation = _action_outputs_impl,
    doc = """Builds every output of the actions of `deps`, and of what they depend on.

The first output, `<name>.list`, has a line for each: its path in runfiles and its
path from the execution root.""",
    attrs = {
        "deps": attr.label_list(aspects = [_outputs_aspect]),
        "tools": attr.label_list(
            cfg = "exec",
            doc = "Programs that actions run; what was generated of their runfiles.",
        ),
    },
)
