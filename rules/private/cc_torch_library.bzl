"""cc_torch_library: an ExportedProgram becomes a C++ library."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load("@rules_cc//cc:find_cc_toolchain.bzl", "use_cc_toolchain")
load("@rules_cc//cc/common:cc_common.bzl", "cc_common")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")
load("//rules:providers.bzl", "TorchCodegenInfo", "TorchModelInfo")
load("//rules:toolchains.bzl", "COMPILER_TOOLCHAIN_TYPE", "RUNTIME_TOOLCHAIN_TYPE")
load("//rules/private:actions.bzl", "TOOL_ATTRS", "run_tool")
load("//rules/private:cc.bzl", "archive", "configure_cc", "rename_weak_symbols")
load("//rules/private:embed.bzl", "EMBED_ATTRS", "embed")
load("//rules/private:names.bzl", "cpp_class", "cpp_namespace", "label_text", "model_id")
load("//rules/private:target.bzl", "ISAS", "resolve_isas", "resolve_threads")

_DOC = """Compiles an exported model into a C++ library with a typed header.

```starlark
cc_torch_library(
    name = "mlp",
    model = ":mlp_model",
)

cc_binary(
    name = "main",
    srcs = ["main.cc"],
    deps = [":mlp"],
)
```

```cpp
#include "models/mlp.h"

auto mlp = models::Mlp::Create();
if (!mlp.ok()) return mlp.status();
std::array<float, 16> features{};
auto outputs = mlp->Run({{features.data(), {2, 8}}});
if (!outputs.ok()) return outputs.status();
float first = outputs->y(0, 0);
```

The header is `<package>/<name>.h`. Its comments have the inputs and outputs with
their symbolic shapes, the memory that the model takes, and what may be called
from several threads.

`--output_groups=torch_generated` leaves the generated sources, the weights and a
manifest beside it.

The code is compiled by the C++ toolchain of the target, with its flags. Kernels
are optimised (`-O3`) in every compilation mode but `dbg`, because plain builds
of vector code are unusably slow.

What the C++ compiler reports of generated code names the model's lines, as in
`models/mlp.x86-64-v3.kernels.cc, models/mlp.py: x = torch.relu(x):12:5: error: ...`, and
so does what profilers read from debug information. In the mode `dbg` it does not:
debuggers show the generated files. The manifest's `kernels` has the operators and lines
of each function that a run calls, by the name that `perf` shows.

With several `isas` the library has the kernels once for each, and the weights once.
`Create` takes the best that the CPU has; the environment variable `RTORCH_ISA` names
the highest that may be taken, and the class's `isa()` says which was.
"""

_ATTRS = {
    "model": attr.label(
        doc = "The `torch_model` to compile.",
        mandatory = True,
        providers = [TorchModelInfo],
    ),
    "class_name": attr.string(
        doc = "Name of the generated class. Default: the target's name in CamelCase; " +
              "`Model` comes before a leading digit. A target called `run` has to set it: the class has " +
              "members of its own.",
    ),
    "namespace": attr.string(
        doc = "C++ namespace of the generated class, such as `a::b`. Default: the package's path, " +
              "`a/b-c` giving `a::b_c`, `asm` giving `asm_`; `models` for the root package.",
    ),
    "isas": attr.string_list(
        doc = "Instruction sets to generate and compile kernels for: {}. Default: the flag ".format(
                  ", ".join(["`{}`".format(isa) for isa in ISAS]),
              ) + "`--@rules_torch//rules:isas`, and that by default `x86-64-v3`, or `aarch64` on " +
              "that CPU. Never the build machine's.",
    ),
    "threads": attr.string(
        doc = "`openmp`: as many threads as `OMP_NUM_THREADS` or the machine that runs the model " +
              "says; `none`: the calling thread alone; or a number, for which loops are split " +
              "alike on machines of any size. Default: the flag " +
              "`--@rules_torch//rules:threads`, and that by default `openmp`.",
    ),
    "_isas": attr.label(default = "//rules:isas", providers = [BuildSettingInfo]),
    "_threads": attr.label(default = "//rules:threads", providers = [BuildSettingInfo]),
}

# Kernels are compiled to match what PyTorch computes: no contraction into fused
# multiply-adds that eager kernels do not have, but no care for traps either.
# Nor are they optimised together with the program, which may run anywhere.
_KERNEL_FLAGS = ["-std=c++20", "-fopenmp", "-ffp-contract=off", "-fno-trapping-math", "-fno-lto", "-w"]
_WRAPPER_FLAGS = ["-std=c++20", "-w"]

def _generate(ctx, *, id, isas, threads):
    """Declares the code generation; returns TorchCodegenInfo."""
    model = ctx.attr.model[TorchModelInfo]

    def declare(suffix):
        return ctx.actions.declare_file(ctx.label.name + suffix)

    header = declare(".h")
    table = declare(".model.cc")
    weights = declare(".weights.bin")
    manifest = declare(".manifest.json")
    wrappers = {isa: declare(".{}.wrapper.cc".format(isa)) for isa in isas}
    kernels = {isa: declare(".{}.kernels.cc".format(isa)) for isa in isas}
    sources = [table] + wrappers.values() + kernels.values()
    include = "/".join([part for part in [ctx.label.package, ctx.label.name + ".h"] if part])
    args = ctx.actions.args()
    args.add_all([model.program, model.signature])
    args.add(label_text(ctx.label), format = "--label=%s")
    args.add(id, format = "--id=%s")
    args.add(cpp_class(ctx.label, ctx.attr.class_name), format = "--class=%s")
    args.add(cpp_namespace(ctx.label, ctx.attr.namespace), format = "--namespace=%s")
    args.add(include, format = "--include=%s")
    args.add_all(isas, format_each = "--isa=%s")
    args.add(threads, format = "--threads=%s")
    args.add(header, format = "--out=%s")
    run_tool(
        ctx,
        stage = "codegen",
        arguments = [args],
        inputs = [model.program, model.signature],
        outputs = [header, weights, manifest] + sources,
        mnemonic = "TorchCodegen",
        progress_message = "Generating C++ for PyTorch model %{label}",
    )
    return TorchCodegenInfo(
        id = id,
        model = model,
        isas = isas,
        threads = threads,
        header = header,
        include = include,
        table = table,
        wrappers = wrappers,
        kernels = kernels,
        sources = sources,
        weights = weights,
        manifest = manifest,
    )

def _compile(ctx, codegen, *, toolchain, features, runtime):
    """Declares the compilations; returns the public context and the objects."""
    debug = ctx.var["COMPILATION_MODE"] == "dbg"
    interface = [runtime.interface.compilation_context]
    private = interface + [runtime.backend.compilation_context]

    def compile(part, source, flags, contexts):
        _, outputs = cc_common.compile(
            name = "{}.{}".format(ctx.label.name, part),
            actions = ctx.actions,
            cc_toolchain = toolchain,
            feature_configuration = features,
            srcs = [source],
            user_compile_flags = flags,
            compilation_contexts = contexts,
        )
        return outputs

    variants = []
    for isa in codegen.isas:
        variants.append(compile(
            isa + ".wrapper",
            codegen.wrappers[isa],
            _WRAPPER_FLAGS + ([] if debug else ["-O1", "-DNDEBUG"]),
            private,
        ))
        variants.append(rename_weak_symbols(
            ctx,
            toolchain = toolchain,
            objects = compile(
                isa + ".kernels",
                codegen.kernels[isa],
                _KERNEL_FLAGS + ISAS[isa] + ([] if debug else ["-O3", "-DNDEBUG"]),
                private,
            ),
            suffix = ".{}_{}".format(codegen.id, isa),
        ))
    objects = cc_common.merge_compilation_outputs(compilation_outputs = variants + [
        compile("model", codegen.table, [], interface),
        embed(
            ctx,
            name = ctx.label.name + ".weights",
            file = codegen.weights,
            symbol = codegen.id + "_weights",
            toolchain = toolchain,
            features = features,
        ),
    ])
    public, _ = cc_common.compile(
        name = ctx.label.name,
        actions = ctx.actions,
        cc_toolchain = toolchain,
        feature_configuration = features,
        public_hdrs = [codegen.header],
        compilation_contexts = interface,
    )
    return public, objects

def _cc_torch_library_impl(ctx):
    runtime = ctx.toolchains[RUNTIME_TOOLCHAIN_TYPE].runtime
    if not runtime:
        fail("the toolchain registered as {} has no 'interface' and 'backend'".format(RUNTIME_TOOLCHAIN_TYPE))
    toolchain, features = configure_cc(ctx)
    codegen = _generate(
        ctx,
        id = model_id(ctx.label),
        isas = resolve_isas(ctx.attr.isas or ctx.attr._isas[BuildSettingInfo].value, toolchain.cpu),
        threads = resolve_threads(ctx.attr.threads or ctx.attr._threads[BuildSettingInfo].value),
    )
    context, objects = _compile(
        ctx,
        codegen,
        toolchain = toolchain,
        features = features,
        runtime = runtime,
    )
    linking_context, archives = archive(
        ctx,
        toolchain = toolchain,
        features = features,
        objects = objects,
        linking_contexts = [runtime.interface.linking_context, runtime.backend.linking_context],
    )
    return [
        DefaultInfo(files = depset([codegen.header] + archives)),
        OutputGroupInfo(
            torch_generated = depset(
                [codegen.header, codegen.weights, codegen.manifest] + codegen.sources,
            ),
            compilation_outputs = depset(objects.objects + objects.pic_objects),
        ),
        CcInfo(compilation_context = context, linking_context = linking_context),
        codegen,
    ]

cc_torch_library = rule(
    implementation = _cc_torch_library_impl,
    doc = _DOC,
    attrs = _ATTRS | EMBED_ATTRS | TOOL_ATTRS,
    fragments = ["cpp"],
    provides = [CcInfo, TorchCodegenInfo],
    toolchains = [COMPILER_TOOLCHAIN_TYPE, RUNTIME_TOOLCHAIN_TYPE] + use_cc_toolchain(),
)
