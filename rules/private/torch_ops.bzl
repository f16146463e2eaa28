"""Operators of the user's that a model calls: loaded for its export, linked with its library."""

load("@rules_cc//cc:find_cc_toolchain.bzl", "use_cc_toolchain")
load("@rules_cc//cc/common:cc_common.bzl", "cc_common")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")
load("@rules_python//python:defs.bzl", "PyInfo")
load("//rules:providers.bzl", "TorchModelInfo", "TorchOpsInfo")
load("//rules:toolchains.bzl", "RUNTIME_TOOLCHAIN_TYPE")
load("//rules/private:cc.bzl", "configure_cc")
load("//rules/private:linking.bzl", "dynamic_libraries", "link_shared")
load("//rules/private:python.bzl", "import_roots", "python_files")

def _torch_ops_impl(ctx):
    cc_infos = [op[CcInfo] for op in ctx.attr.ops if TorchOpsInfo not in op]
    libraries = [
        library
        for op in ctx.attr.ops
        if TorchOpsInfo in op
        for library in op[TorchOpsInfo].libraries
    ]
    if cc_infos:
        toolchain, features = configure_cc(ctx)
        backend = ctx.toolchains[RUNTIME_TOOLCHAIN_TYPE].runtime.backend
        libraries.append(link_shared(
            ctx,
            toolchain = toolchain,
            features = features,
            objects = cc_common.create_compilation_outputs(),
            linking_contexts = [info.linking_context for info in cc_infos] + [backend.linking_context],
            exported = [],
            file_name = "lib{}.so".format(ctx.label.name),
        ))
    modules = [op for op in ctx.attr.ops if PyInfo in op]
    return [
        DefaultInfo(files = depset(libraries)),
        TorchOpsInfo(
            libraries = libraries,
            needed = depset(
                [file for op in ctx.attr.ops for file in dynamic_libraries(op[CcInfo])],
                transitive = [python_files(modules)],
            ),
            imports = import_roots(ctx, modules),
        ),
    ]

# What the tool loads: libraries of the exec platform.
torch_ops = rule(
    implementation = _torch_ops_impl,
    attrs = {
        "ops": attr.label_list(mandatory = True, providers = [CcInfo]),
    },
    fragments = ["cpp"],
    provides = [TorchOpsInfo],
    toolchains = [RUNTIME_TOOLCHAIN_TYPE] + use_cc_toolchain(),
)

def _torch_model_with_ops_impl(ctx):
    export = ctx.attr.export
    return [
        export[DefaultInfo],
        export[TorchModelInfo],
        cc_common.merge_cc_infos(cc_infos = [op[CcInfo] for op in ctx.attr.ops]),
    ]

# An exported model with what a program links for it: of the program's own configuration,
# which the export is not of.
torch_model_with_ops = rule(
    implementation = _torch_model_with_ops_impl,
    attrs = {
        "export": attr.label(mandatory = True, providers = [TorchModelInfo]),
        "ops": attr.label_list(mandatory = True, providers = [CcInfo]),
    },
    provides = [CcInfo, TorchModelInfo],
)
