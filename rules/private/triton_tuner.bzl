"""triton_tuner: a program that measures kernels' configurations on a GPU."""

load("@rules_cc//cc:cc_binary.bzl", "cc_binary")
load("@rules_cc//cc:find_cc_toolchain.bzl", "use_cc_toolchain")
load("@rules_cc//cc/common:cc_common.bzl", "cc_common")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")
load("//rules:providers.bzl", "TritonCodegenInfo")
load("//rules:toolchains.bzl", "TRITON_TOOLCHAIN_TYPE")
load("//rules/private:actions.bzl", "TOOL_ATTRS", "run_tool")
load("//rules/private:cc.bzl", "archive", "configure_cc")
load("//rules/private:cc_triton_library.bzl", "compile_kernels")
load("//rules/private:configuration.bzl", "helper_attributes")
load("//rules/private:embed.bzl", "EMBED_ATTRS", "embed")
load("//rules/private:names.bzl", "label_text", "model_id")

# Of the target that compiles them, behind the name of the tuner.
_CANDIDATES = "_candidates"

def _triton_candidates_impl(ctx):
    codegen = ctx.attr.kernel_library[TritonCodegenInfo]
    if not codegen.tuning:
        fail("{} has no 'tuning': give it the table that is to be written, at first with {{}} in it".format(
            label_text(ctx.attr.kernel_library.label),
        ))
    id = model_id(ctx.label)

    # PTX is compiled by the driver, with its own choices: there is nothing to measure.
    architectures = [name for name in codegen.architectures if not name.startswith("compute_")]
    compiled = compile_kernels(
        ctx,
        label = ctx.label,
        kernels = codegen.kernels,
        architectures = architectures,
        triton = codegen.triton,
        tuning = None,
        line_info = False,
        flags = ["--candidates"],
    )
    source = ctx.actions.declare_file(ctx.label.name + ".cc")
    images = ctx.actions.declare_file(ctx.label.name + ".images.bin")
    args = ctx.actions.args()
    args.add_all(compiled.metadata)
    args.add(label_text(ctx.label).removesuffix(_CANDIDATES), format = "--label=%s")
    args.add(id, format = "--id=%s")
    args.add(codegen.tuning, format = "--tuning=%s")
    args.add(source, format = "--out=%s")
    run_tool(
        ctx,
        stage = "tuner",
        arguments = [args],
        inputs = compiled.files + [codegen.tuning],
        outputs = [source, images],
        mnemonic = "TritonTuner",
        progress_message = "Generating C++ for tuner %{label}",
        toolchain_type = TRITON_TOOLCHAIN_TYPE,
    )
    toolchain, features = configure_cc(ctx)
    program = ctx.attr._program[CcInfo]
    _, tables = cc_common.compile(
        name = ctx.label.name,
        actions = ctx.actions,
        cc_toolchain = toolchain,
        feature_configuration = features,
        srcs = [source],
        user_compile_flags = ["-std=c++17"],
        compilation_contexts = [program.compilation_context, ctx.attr._seam[CcInfo].compilation_context],
    )
    blob = embed(
        ctx,
        name = ctx.label.name + ".images",
        file = images,
        symbol = id + "_images",
        toolchain = toolchain,
        features = features,
    )
    linking_context, _ = archive(
        ctx,
        toolchain = toolchain,
        features = features,
        objects = cc_common.merge_compilation_outputs(compilation_outputs = [tables, blob]),
        linking_contexts = [program.linking_context],
        # The program's main, which is behind it on the command line, needs it.
        alwayslink = True,
    )
    return [CcInfo(linking_context = linking_context)]

_triton_candidates = rule(
    implementation = _triton_candidates_impl,
    attrs = {
        "kernel_library": attr.label(mandatory = True, providers = [TritonCodegenInfo]),
        "_program": attr.label(default = "//runtime/tuning:tune", providers = [CcInfo]),
        "_seam": attr.label(default = "//runtime:kernel_seam", providers = [CcInfo]),
    } | EMBED_ATTRS | TOOL_ATTRS,
    fragments = ["cpp"],
    provides = [CcInfo],
    toolchains = [TRITON_TOOLCHAIN_TYPE] + use_cc_toolchain(),
)

def triton_tuner(name, kernel_library, tags = [], **kwargs):
    """Makes a program that chooses configurations on a GPU, and writes them to the table.

    ```starlark
    triton_tuner(
        name = "tune_matmul",
        kernel_library = ":matmul",
    )
    ```

    ```sh
    bazel run //kernels:tune_matmul    # on a machine with the GPU
    ```

    It is built without a GPU, like any other program, and has every configuration
    that the kernels' `@triton.autotune` lists, for the library's architectures. On
    the GPU it measures them with each declaration's `example`, prints what it
    found, and writes the library's `tuning` table anew: the rows of this GPU's
    architecture change, the others stay. The binary runs without Bazel too;
    `--table=FILE` says where the table is to go then.

    Args:
      name: string.
      kernel_library: label; a `cc_triton_library` with a `tuning` table.
      tags: list of strings; as of any rule. `manual` is added: a wildcard should
        not compile every candidate.
      **kwargs: more of `cc_binary`'s attributes, such as `visibility`.
    """
    _triton_candidates(
        name = name + _CANDIDATES,
        kernel_library = kernel_library,
        **helper_attributes(kwargs | {"tags": tags})
    )
    cc_binary(
        name = name,
        tags = tags + ["manual"],
        deps = [":" + name + _CANDIDATES],
        **kwargs
    )
