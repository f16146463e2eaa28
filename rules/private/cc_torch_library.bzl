"""cc_torch_library: an ExportedProgram becomes a C++ library."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load("@rules_cc//cc:find_cc_toolchain.bzl", "use_cc_toolchain")
load("@rules_cc//cc/common:cc_common.bzl", "cc_common")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")
load("//rules:providers.bzl", "TorchCodegenInfo", "TorchModelInfo")
load("//rules:toolchains.bzl", "COMPILER_TOOLCHAIN_TYPE", "RUNTIME_TOOLCHAIN_TYPE")
load("//rules/private:actions.bzl", "TOOL_ATTRS", "run_tool")
load("//rules/private:cc.bzl", "archive", "configure_cc")
load("//rules/private:embed.bzl", "EMBED_ATTRS", "embed")
load("//rules/private:isa.bzl", "ISAS", "resolve_isa")
load("//rules/private:names.bzl", "camel_case", "label_text", "model_id", "package_namespace")

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
"""

_ATTRS = {
    "model": attr.label(
        doc = "The `torch_model` to compile.",
        mandatory = True,
        providers = [TorchModelInfo],
    ),
    "class_name": attr.string(
        doc = "Name of the generated class. Default: the target's name in CamelCase; " +
              "`Model` comes before a leading digit.",
    ),
    "namespace": attr.string(
        doc = "C++ namespace of the generated class, such as `a::b`. Default: the package's path, " +
              "`a/b-c` giving `a::b_c`; `models` for the root package.",
    ),
    "isa": attr.string(
        default = "auto",
        doc = "Instruction set to generate and compile kernels for. `auto` stands for the flag " +
              "`--@rules_torch//rules:isa`, and that by default for `x86-64-v3`, or `aarch64` on " +
              "that CPU. Others: {}. Never the build machine's.".format(
                  ", ".join(["`{}`".format(isa) for isa in sorted(ISAS)]),
              ),
        values = ["auto"] + sorted(ISAS),
    ),
    "_isa": attr.label(default = "//rules:isa", providers = [BuildSettingInfo]),
}

# Kernels are compiled to match what PyTorch computes: no contraction into fused
# multiply-adds that eager kernels do not have, but no care for traps either.
_KERNEL_FLAGS = ["-std=c++20", "-fopenmp", "-ffp-contract=off", "-fno-trapping-math", "-w"]
_MODEL_FLAGS = ["-std=c++20", "-w"]

def _generate(ctx, *, id, isa):
    """Declares the code generation; returns TorchCodegenInfo."""
    model = ctx.attr.model[TorchModelInfo]
    outputs = {
        suffix: ctx.actions.declare_file(ctx.label.name + suffix)
        for suffix in [".h", ".model.cc", ".kernels.cc", ".weights.bin", ".manifest.json"]
    }
    include = "/".join([part for part in [ctx.label.package, ctx.label.name + ".h"] if part])
    args = ctx.actions.args()
    args.add_all([model.program, model.signature])
    args.add(label_text(ctx.label), format = "--label=%s")
    args.add(id, format = "--id=%s")
    args.add(ctx.attr.class_name or camel_case(ctx.label.name), format = "--class=%s")
    args.add(ctx.attr.namespace or package_namespace(ctx.label.package), format = "--namespace=%s")
    args.add(include, format = "--include=%s")
    args.add(isa, format = "--isa=%s")
    args.add(outputs[".h"].path.removesuffix(".h"), format = "--out=%s")
    run_tool(
        ctx,
        stage = "codegen",
        arguments = [args],
        inputs = [model.program, model.signature],
        outputs = outputs.values(),
        mnemonic = "TorchCodegen",
        progress_message = "Generating C++ for PyTorch model %{label}",
    )
    return TorchCodegenInfo(
        id = id,
        model = model,
        header = outputs[".h"],
        include = include,
        sources = [outputs[".model.cc"], outputs[".kernels.cc"]],
        weights = outputs[".weights.bin"],
        manifest = outputs[".manifest.json"],
    )

def _compile(ctx, codegen, *, isa, toolchain, features, runtime):
    """Declares the compilations; returns the public context and the objects."""
    debug = ctx.var["COMPILATION_MODE"] == "dbg"
    model_source, kernels_source = codegen.sources
    private = [runtime.interface.compilation_context, runtime.backend.compilation_context]

    def compile(part, source, flags):
        _, outputs = cc_common.compile(
            name = "{}.{}".format(ctx.label.name, part),
            actions = ctx.actions,
            cc_toolchain = toolchain,
            feature_configuration = features,
            srcs = [source],
            user_compile_flags = flags,
            compilation_contexts = private,
        )
        return outputs

    objects = cc_common.merge_compilation_outputs(compilation_outputs = [
        compile("model", model_source, _MODEL_FLAGS + ([] if debug else ["-O1", "-DNDEBUG"])),
        compile("kernels", kernels_source, _KERNEL_FLAGS + ISAS[isa] + ([] if debug else ["-O3", "-DNDEBUG"])),
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
        compilation_contexts = [runtime.interface.compilation_context],
    )
    return public, objects

def _cc_torch_library_impl(ctx):
    runtime = ctx.toolchains[RUNTIME_TOOLCHAIN_TYPE].runtime
    if not runtime:
        fail("the toolchain registered as {} has no 'interface' and 'backend'".format(RUNTIME_TOOLCHAIN_TYPE))
    toolchain, features = configure_cc(ctx)
    wanted = ctx.attr.isa
    if wanted == "auto":
        wanted = ctx.attr._isa[BuildSettingInfo].value
    isa = resolve_isa(wanted, toolchain.cpu)

    codegen = _generate(ctx, id = model_id(ctx.label), isa = isa)
    context, objects = _compile(
        ctx,
        codegen,
        isa = isa,
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
