"""The runtime of models without libtorch: its headers, and its operators for each instruction set."""

load("@rules_cc//cc:find_cc_toolchain.bzl", "use_cc_toolchain")
load("@rules_cc//cc/common:cc_common.bzl", "cc_common")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")
load("//rules:providers.bzl", "TorchOperatorsInfo")
load("//rules/private:cc.bzl", "OPENMP", "archive", "configure_cc", "optimised", "rename_weak_symbols")
load("//rules/private:isa.bzl", "ISAS")

# Products and sums may be contracted: eager's own are those of a library, too. Nor are
# they optimised together with the program, which may run anywhere.
_FLAGS = ["-std=c++20", "-ffp-contract=fast", "-fno-lto"]

def _standalone_operators_impl(ctx):
    toolchain, features = configure_cc(ctx)
    isa = ctx.attr.isa
    openmp = OPENMP if ctx.attr.openmp else []
    symbol = isa.replace("-", "_")
    objects = []
    for source in ctx.files.srcs:
        _, compiled = cc_common.compile(
            name = ctx.label.name,
            actions = ctx.actions,
            cc_toolchain = toolchain,
            feature_configuration = features,
            srcs = [source],
            user_compile_flags = _FLAGS + openmp + ISAS[isa]["flags"] + optimised(ctx, "-O3"),
            local_defines = ["RTORCH_ISA=" + symbol],
            compilation_contexts = [dep[CcInfo].compilation_context for dep in ctx.attr.deps],
        )

        # Each object has its own: a linker refuses a second static variable of one name.
        objects.append(rename_weak_symbols(
            ctx,
            toolchain = toolchain,
            objects = compiled,
            suffix = ".rtorch_{}_{}".format(ctx.label.name, source.basename.removesuffix(".cc")),
        ))
    context, archives = archive(
        ctx,
        toolchain = toolchain,
        features = features,
        objects = cc_common.merge_compilation_outputs(compilation_outputs = objects),
        linking_contexts = [],
        linkopts = openmp,
    )
    return [
        DefaultInfo(files = depset(archives)),
        CcInfo(linking_context = context),
    ]

standalone_operators = rule(
    implementation = _standalone_operators_impl,
    doc = "The operators, compiled for one instruction set: an object a source, of which programs link what their models call.",
    attrs = {
        "deps": attr.label_list(providers = [CcInfo]),
        "isa": attr.string(mandatory = True, values = ISAS.keys()),
        "openmp": attr.bool(mandatory = True),
        "srcs": attr.label_list(allow_files = [".cc"]),
    },
    fragments = ["cpp"],
    provides = [CcInfo],
    toolchains = use_cc_toolchain(),
)

def _standalone_runtime_impl(ctx):
    return [
        ctx.attr.headers[CcInfo],
        TorchOperatorsInfo(
            threaded = {isa: target[CcInfo] for target, isa in ctx.attr.operators.items()},
            serial = {isa: target[CcInfo] for target, isa in ctx.attr.serial_operators.items()},
        ),
    ]

standalone_runtime = rule(
    implementation = _standalone_runtime_impl,
    doc = "What a `torch_runtime_toolchain` takes for `standalone`. Models build and link the operators of their instruction sets alone.",
    attrs = {
        "headers": attr.label(mandatory = True, providers = [CcInfo]),
        "operators": attr.label_keyed_string_dict(providers = [CcInfo]),
        "serial_operators": attr.label_keyed_string_dict(providers = [CcInfo]),
    },
    provides = [CcInfo, TorchOperatorsInfo],
)
